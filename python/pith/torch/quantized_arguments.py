"""Arguments of an imported function that are stored as small integers."""

from __future__ import annotations

import torch

from .._mlir import ir
from ..dialect import DequantizeOp, DequantizeRowsOp, encoded_type
from ..dialect.ops_format import DecompressOp
from ..errors import DTypeError, UnsupportedError
from ..quantization import Quantized, QuantizedTensor
from .names import as_format


def require_quantizable(name: str, tensor: torch.Tensor, is_parameter: bool) -> None:
    """Raise unless ``tensor`` is a parameter or buffer of f32."""
    if not is_parameter:
        raise UnsupportedError("is an input of the program; weights are quantised", where=name)
    if tensor.dtype != torch.float32:
        raise DTypeError(
            f"quantised weights stand for float32, this one is {tensor.dtype}", where=name, hint="model.float()"
        )


def dequantize(argument: ir.BlockArgument, name: str, said: Quantized | QuantizedTensor) -> tuple[int, ...]:
    """Make ``argument`` hold integers in the format of ``said``; what read it reads their real values.

    Returns: numbers of the arguments it adds behind all others: scales and, where they belong to groups, zero points.
    """
    dense, fmt = argument.type, as_format(said, name)
    rows = dense.get_dim_size(0)
    with argument.context, ir.Location.name(name, argument.location) as named:
        argument.set_location(named)
        integers = ir.RankedTensorType.get(dense.shape, ir.IntegerType.get_signless(said.bits))
        argument.set_type(encoded_type(integers, fmt))
        scales = _added(argument, f"{name}.scales", ir.F32Type.get(), rows if said.group is None else None)
        with ir.InsertionPoint.at_block_begin(argument.owner):
            real = encoded_type(dense, fmt)
            if said.group is None:
                encoded = DequantizeRowsOp(real, argument, scales)
                added = [scales]
            else:
                zeros = _added(argument, f"{name}.zero_points", ir.IntegerType.get_signless(8), None)
                group = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), int(said.group))
                encoded = DequantizeOp(real, argument, scales, zeros, group)
                added = [scales, zeros]
            unpacked = DecompressOp.build(encoded.operation.results[0])
        argument.replace_all_uses_except(unpacked.operation.results[0], encoded.operation)
    return tuple(a.arg_number for a in added)


def as_rounded(weight: torch.Tensor, said: Quantized | QuantizedTensor) -> torch.Tensor:
    """A weight with the values that its integers stand for."""
    q = said if isinstance(said, QuantizedTensor) else said.of(weight.detach())
    return torch.from_numpy(q.dequantize().to_dense())


def _added(argument: ir.BlockArgument, name: str, element: ir.Type, size: int | None) -> ir.BlockArgument:
    """A new argument of the function: a vector, of a size that is known when it runs where ``size`` is None."""
    sizes = [ir.ShapedType.get_dynamic_size() if size is None else size]
    return argument.owner.add_argument(ir.RankedTensorType.get(sizes, element), ir.Location.name(name))
