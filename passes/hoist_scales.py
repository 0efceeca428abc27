"""``pith-hoist-scales``: scales of a stored matrix's rows, multiplied once per result instead of once per value."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from pith._mlir import arith, ir
from pith.dialect.ops_format import DecompressOp

from .analysis.multiply_add import multiplies_inputs
from .analysis.structured import Structured, dim_positions, erase_if_unused, structured_ops
from .analysis.traversal import defining_op, ops_named
from .analysis.vanishing import is_zero_filled
from .core import Pass, pass_error
from .generic import empty_like, filled, generic

_DEQUANTIZE = "pith.dequantize_rows"


@dataclasses.dataclass(frozen=True)
class HoistScalesPass(Pass):
    """Move the scales of ``pith.dequantize_rows`` behind the sums of products that read its result.

    Before::

        %w = "pith.dequantize_rows"(%q, %s) : (tensor<16x8xi8, #fmt>, tensor<16xf32>) -> tensor<16x8xf32, #fmt>
        %y = linalg.generic {maps = [(n, o, k) -> (n, k), (n, o, k) -> (o, k), (n, o, k) -> (n, o)]}
             ins(%x, %w) outs(%zeros) { mulf, addf }

    After::

        %sum = linalg.generic {the same maps} ins(%x, %q) outs(%zeros) { sitofp, mulf, addf }
        %y = linalg.generic {maps = [(n, o) -> (n, o), (n, o) -> (o), (n, o) -> (n, o)]} ins(%sum, %s) { mulf }

    An init that is not zero is added after scaling. What is no sum of products over the other dimension, and the
    second quantised factor of one, reads a dense copy: ``pith.decompress`` of the integers, converted and scaled.

    Requires: ``pith-propagate-encodings`` before it. Preserves: results up to the rounding of
    ``s * (a + b) = s * a + s * b``. Does not do: scales per group, which stay in the sums. Cost: linear.
    """

    name: ClassVar[str] = "pith-hoist-scales"

    def run(self, module: ir.Module) -> None:
        with module.context:
            for op in structured_ops(module):
                read = next((i for i, v in enumerate(op.inputs) if _dequantized(v) and _sums_over_columns(op, i)), None)
                if read is not None:
                    _hoist(op, read)
            for dequantize in ops_named(module.operation, _DEQUANTIZE):
                _scale_dense(dequantize)


def _dequantized(value: ir.Value) -> ir.Operation | None:
    """The ``pith.dequantize_rows`` that makes ``value``, or None."""
    return defining_op(value, _DEQUANTIZE)


def _sums_over_columns(op: Structured, index: int) -> bool:
    """True for ``out + a * b`` in f32 where the rows of input ``index`` are a dimension of the result."""
    operands = (*op.inputs, *op.inits)
    if len(operands) != 3 or any(str(v.type.element_type) != "f32" for v in operands):
        return False
    rows, result = dim_positions(op.maps[index])[0], dim_positions(op.maps[-1])
    return None not in result and result.count(rows) == 1 and multiplies_inputs(op.body)


def _hoist(op: Structured, index: int) -> None:
    source, scales = op.inputs[index].owner.operands
    (init,) = op.inits
    fresh = is_zero_filled(init)
    old = op.op.operation.results[0]
    with ir.InsertionPoint(op.op), op.op.operation.location:
        inputs = [source if i == index else v for i, v in enumerate(op.inputs)]
        sums = _products_of_integers(op, index, inputs, init if fresh else _zeros_like(init))
        row = ir.AffineExpr.get_dim(dim_positions(op.maps[-1]).index(dim_positions(op.maps[index])[0]))
        added = [] if fresh else [init]
        result = _elementwise([sums, scales, *added], [None, [row], *([None] * len(added))], old.type, _scaled)
    old.replace_all_uses_with(result)
    op.op.operation.erase()


def _products_of_integers(op: Structured, index: int, inputs: Sequence[ir.Value], init: ir.Value) -> ir.Value:
    """``op`` on the integers of input ``index``, converted as they are read."""

    def add_up(*elements: ir.Value) -> ir.Value:
        *factors, out = elements
        factors[index] = arith.sitofp(out.type, factors[index])
        return arith.addf(out, arith.mulf(*factors))

    return generic(inputs, init, op.maps, op.iterators, add_up)


def _scaled(value: ir.Value, scale: ir.Value, *added: ir.Value) -> ir.Value:
    product = arith.mulf(value, scale)
    return arith.addf(added[0], product) if added else product


def _scale_dense(dequantize: ir.Operation) -> None:
    """Let what still reads ``dequantize`` read a dense copy of its result."""
    (encoded,) = dequantize.results
    users = [use.owner.operation for use in encoded.uses]
    if not users:
        dequantize.erase()
        return
    for user in users:
        if user.name not in ("pith.decompress", "tensor.dim") and not user.name.startswith("linalg."):
            pass_error(user, f"reads the result of {_DEQUANTIZE} as a stored tensor", "store it in f32")
    with ir.InsertionPoint(dequantize), dequantize.location:
        source, scales = dequantize.operands
        integers = DecompressOp.build(source).result
        type_ = ir.RankedTensorType.get(encoded.type.shape, encoded.type.element_type)

        def real(value: ir.Value, scale: ir.Value) -> ir.Value:
            return arith.mulf(arith.sitofp(scale.type, value), scale)

        dense = _elementwise([integers, scales], [None, [ir.AffineExpr.get_dim(0)]], type_, real)
    encoded.replace_all_uses_with(dense)
    for user in users:
        if user.name == "pith.decompress":
            user.results[0].replace_all_uses_with(dense)
            erase_if_unused(user)
    dequantize.erase()


def _elementwise(inputs: Sequence[ir.Value], reads, type_: ir.Type, compute) -> ir.Value:
    """A parallel ``linalg.generic``; ``reads`` are results of the inputs' maps, None for the identity."""
    same = ir.AffineMap.get_identity(type_.rank)
    maps = [same if results is None else ir.AffineMap.get(type_.rank, 0, results) for results in reads]
    init = empty_like(inputs[0], type_.element_type)
    return generic(inputs, init, [*maps, same], ["parallel"] * type_.rank, lambda *elements: compute(*elements[:-1]))


def _zeros_like(value: ir.Value) -> ir.Value:
    element = value.type.element_type
    return filled(empty_like(value), arith.constant(element, 0.0))
