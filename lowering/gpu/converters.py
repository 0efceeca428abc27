"""Which function converts which op of a GPU program, and those of the smallest ops."""

from pith._mlir import ir
from pith.passes.core import load, pass_error

from .host import Host, buffer_type
from .linalg.loops import is_arithmetic

#: op name -> "module:function", called with the host and the op; None: it needs no code of its own.
CONVERTERS: dict[str, str | None] = {
    "arith.constant": None,
    "arith.cmpi": None,
    "bufferization.materialize_in_destination": "pith.lowering.gpu.converters:convert_materialize",
    "bufferization.to_tensor": "pith.lowering.gpu.converters:convert_to_tensor",
    "func.return": None,
    "pith.coordinates": "pith.lowering.gpu.patterns.routing:convert_coordinates",
    "tensor.dim": None,
    "pith.attention": "pith.lowering.gpu.attention.convert:convert_attention",
    "pith.attention_grad": "pith.lowering.gpu.attention.convert:convert_gradient",
    "pith.assemble": "pith.lowering.gpu.converters:convert_assemble",
    "pith.complement": "pith.lowering.gpu.patterns.sets:convert_set",
    "pith.disassemble": "pith.lowering.gpu.converters:convert_disassemble",
    "pith.detect": "pith.lowering.gpu.patterns.detect:convert_detect",
    "pith.detect_by": "pith.lowering.gpu.patterns.detect:convert_detect",
    "pith.from_coordinates": "pith.lowering.gpu.patterns.routing:convert_from_coordinates",
    "pith.from_lengths": "pith.lowering.gpu.patterns.routing:convert_from_lengths",
    "pith.from_routing": "pith.lowering.gpu.patterns.routing:convert_from_routing",
    "pith.intersection": "pith.lowering.gpu.patterns.sets:convert_set",
    "pith.sample": "pith.lowering.gpu.patterns.sample:convert_sample",
    "pith.topk": "pith.lowering.gpu.patterns.topk:convert_topk",
    "pith.union": "pith.lowering.gpu.patterns.sets:convert_set",
    "pith.pit_tile": "pith.lowering.gpu.product.grouped:convert_tile",
    "scf.if": "pith.lowering.gpu.choice:convert_if",
    "tensor.cast": "pith.lowering.gpu.linalg.moves:convert_cast",
    "tensor.collapse_shape": "pith.lowering.gpu.linalg.views:convert_reshape",
    "tensor.concat": "pith.lowering.gpu.linalg.moves:convert_concat",
    "tensor.empty": "pith.lowering.gpu.converters:convert_empty",
    "tensor.expand_shape": "pith.lowering.gpu.linalg.views:convert_reshape",
    "tensor.extract_slice": "pith.lowering.gpu.linalg.moves:convert_slice",
    "tensor.insert_slice": "pith.lowering.gpu.linalg.moves:convert_insert",
    "tensor.pad": "pith.lowering.gpu.linalg.moves:convert_pad",
}

#: The converter of every linalg op.
_LINALG = "pith.lowering.gpu.linalg.structured_ops:convert_linalg"

_SUPPORTED = "GPU functions hold linalg and pith ops, reshapes and slices of tensors, and index arithmetic"


def convert_op(host: Host, op: ir.OpView) -> None:
    """Emit the host code and the kernels of ``op``; a diagnostic when it has no GPU lowering."""
    name = op.operation.name
    if op.results and all(isinstance(r.type, ir.IndexType) or is_arithmetic(r) for r in op.results):
        return  # sizes are converted, numbers computed, where they are used
    if op.results and all(r in host.buffers for r in op.results):
        return  # computed along with a product before it
    entry = _LINALG if name.startswith("linalg.") else CONVERTERS.get(name, "")
    if entry == "":
        pass_error(op, "has no GPU lowering", _SUPPORTED)
    if entry is not None:
        load(entry)(host, op)


def convert_empty(host: Host, op: ir.OpView) -> None:
    """``tensor.empty``: a device buffer."""
    type_, given = buffer_type(op.results[0].type), iter(op.operands)
    sizes = [
        host.size(op, next(given)) if type_.is_dynamic_dim(d) else type_.get_dim_size(d) for d in range(type_.rank)
    ]
    host.bind(op.results[0], [host.allocate(type_, sizes)])


def convert_assemble(host: Host, op: ir.OpView) -> None:
    """``pith.assemble``: the buffers it is made of."""
    host.defer(op.results[0], lambda: [host.buffers_of(op, v)[0] for v in op.buffers])


def convert_disassemble(host: Host, op: ir.OpView) -> None:
    """``pith.disassemble``: the buffers of an encoded tensor."""
    for part, buffer in zip(op.buffers, host.buffers_of(op, op.operands[0])):
        host.bind(part, [buffer])


def convert_to_tensor(host: Host, op: ir.OpView) -> None:
    """``bufferization.to_tensor`` of an argument that the function writes to."""
    host.bind(op.results[0], host.buffers_of(op, op.operands[0]))


def convert_materialize(host: Host, op: ir.OpView) -> None:
    """``bufferization.materialize_in_destination``: nothing where the values are there already, else a copy."""
    (source,), (target,) = (host.buffers_of(op, v) for v in list(op.operands)[:2])
    if source != target:
        host.copy(op, source, target)
