"""Which function converts which op of a GPU program, and those of the smallest ops."""

import importlib

from pith._mlir import ir
from pith.dialect import shape_of
from pith.passes.core import pass_error

from .. import builder as b
from .fill import BLOCK_THREADS, emit_fill, linear_grid
from .host import Host, buffer_type

#: op name -> "module:function", called with the host and the op; None: it needs no code of its own.
CONVERTERS: dict[str, str | None] = {
    "arith.constant": None,
    "func.return": None,
    "tensor.dim": None,
    "linalg.fill": "pith.lowering.gpu.converters:convert_fill",
    "pith.assemble": "pith.lowering.gpu.converters:convert_assemble",
    "pith.pit_tile": "pith.lowering.gpu.product:convert_product",
    "tensor.empty": "pith.lowering.gpu.converters:convert_empty",
}

_SUPPORTED = "GPU functions hold linalg.fill, matrix products, pith.pit_tile and index arithmetic"


def convert_op(host: Host, op: ir.OpView) -> None:
    """Emit the host code and the kernels of ``op``; a diagnostic when it has no GPU lowering."""
    name = op.operation.name
    if op.results and all(isinstance(r.type, ir.IndexType) for r in op.results):
        return  # sizes are converted where they are used
    if name not in CONVERTERS:
        if not name.startswith("linalg."):
            pass_error(op, "has no GPU lowering", _SUPPORTED)
        name = "pith.pit_tile"
    entry = CONVERTERS[name]
    if entry is not None:
        module, _, function = entry.partition(":")
        getattr(importlib.import_module(module), function)(host, op)


def convert_empty(host: Host, op: ir.OpView) -> None:
    """``tensor.empty``: a device buffer."""
    type_, given = buffer_type(op.results[0].type), iter(op.operands)
    sizes = [
        host.size(op, next(given)) if type_.is_dynamic_dim(d) else type_.get_dim_size(d) for d in range(type_.rank)
    ]
    host.bind(op.results[0], [host.allocate(type_, sizes)])


def convert_assemble(host: Host, op: ir.OpView) -> None:
    """``pith.assemble``: the buffers it is made of."""
    parts = [v for v in op.operands if isinstance(v.type, ir.RankedTensorType)]
    host.bind(op.results[0], [host.buffers_of(op, v)[0] for v in parts])


def convert_fill(host: Host, op: ir.OpView) -> None:
    """``linalg.fill`` with a constant."""
    constant, init = op.operands
    owner = constant.owner
    if isinstance(owner, ir.Block) or owner.name != "arith.constant":
        pass_error(op, "has no GPU lowering: expects a constant to fill with")
    out = host.init_buffer(op, init)
    with host.kernel("fill", [out.type], BLOCK_THREADS) as (name, block):
        emit_fill(block.arguments[0], owner.attributes["value"])
    sizes = [b.dim_size(out, d) for d in range(out.type.rank)]
    host.launch(op, name, [linear_grid(sizes)], BLOCK_THREADS, 0, [out])
    host.bind(op.results[0], [out])
