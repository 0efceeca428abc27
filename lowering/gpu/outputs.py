"""Where a result goes, and what it starts from: a fill costs nothing where the next op can start from a constant."""

from collections.abc import Sequence

from pith._mlir import arith, ir, memref
from pith.dialect import shape_of
from pith.passes.analysis.traversal import defining_op

from .. import builder as b
from ..bufferization.destination import readers
from ..builder import Index
from .host import Host

#: Ops that see the elements of their operand under another shape.
RESHAPES = ("tensor.collapse_shape", "tensor.expand_shape")


def constant_of(value: ir.Value) -> ir.Attribute | None:
    """The number that every element of ``value`` is, when a fill (or a reshape of one) or a splat makes it."""
    owner = defining_op(value)
    if owner is None:
        return None
    if owner.name in RESHAPES:
        return constant_of(owner.operands[0])
    if owner.name == "arith.constant":
        attr = owner.attributes["value"]
        if isinstance(attr, ir.DenseElementsAttr):
            return attr.get_splat_value() if attr.is_splat else None
        return attr if not isinstance(value.type, ir.ShapedType) else None
    if owner.name != "linalg.fill" and not (owner.name == "linalg.generic" and _forwards(owner)):
        return None
    source = owner.operands[0] if owner.name == "linalg.fill" else _forwarded(owner)
    return None if source is None else constant_of(source)


def _forwards(op: ir.Operation) -> bool:
    """A ``linalg.generic`` that yields without computing."""
    return len(op.results) == 1 and len(list(op.regions[0].blocks[0].operations)) == 1


def _forwarded(op: ir.Operation) -> ir.Value | None:
    """The scalar from outside that such an op yields."""
    block = op.regions[0].blocks[0]
    value = next(iter(block.operations)).operands[0]
    if value.owner == block:
        value = op.operands[value.arg_number]
    return value if value not in list(op.results) and not isinstance(value.type, ir.ShapedType) else None


def is_constant_fill(op: ir.Operation) -> bool:
    """True when ``op`` does nothing but set every element to a constant."""
    return (
        op.name in ("linalg.fill", "linalg.generic") and len(op.results) == 1 and constant_of(op.results[0]) is not None
    )


def extents(host: Host, op: ir.OpView, value: ir.Value) -> list[Index]:
    """The sizes of a dense tensor; nothing that is only asked for its size comes into being."""
    known = shape_of(value.type)
    if all(s >= 0 for s in known):
        return list(known)
    owner = defining_op(value)
    if owner is None:
        return [host.dim(op, value, d) for d in range(len(known))]
    if owner.name == "tensor.empty":
        given = iter(owner.operands)
        return [s if s >= 0 else host.size(op, next(given)) for s in known]
    if owner.name == "tensor.expand_shape":
        given = iter(list(owner.operands)[1:])
        return [s if s >= 0 else host.size(op, next(given)) for s in known]
    if owner.name == "tensor.collapse_shape":
        inner = extents(host, op, owner.operands[0])
        return [b.product([inner[int(d)] for d in group]) for group in owner.attributes["reassociation"]]
    if owner.name.startswith("linalg."):
        inits = list(owner.operands)[-len(owner.results) :]
        return extents(host, op, inits[list(owner.results).index(value)])
    return [host.dim(op, value, d) for d in range(len(known))]


def destination(host: Host, op: ir.OpView, init: ir.Value) -> ir.Value:
    """A buffer for a result that overwrites ``init``: that of the tensor below its fill where nothing else needs it."""
    root = init
    while readers(root) == 1 and (made := defining_op(root)) is not None and is_constant_fill(made):
        root = made.operands[len(made.operands) - 1]
    exclusive = readers(root) == 1 and root in host.buffers
    if exclusive and host.buffers[root][-1] in host.owned:
        return host.buffers[root][-1]
    shape = [s if s >= 0 else ir.ShapedType.get_dynamic_size() for s in shape_of(init.type)]
    return host.allocate(ir.MemRefType.get(shape, init.type.element_type), extents(host, op, init))


def start_value(constant: ir.Attribute | None, out: ir.Value, at: Sequence[ir.Value]) -> ir.Value:
    """In a kernel: what an element of a result starts from, a constant or what its buffer holds."""
    if constant is None:
        return memref.load(out, list(at))
    return arith.ConstantOp(out.type.element_type, constant).result
