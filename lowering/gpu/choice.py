"""``scf.if`` on what only the device knows: the kernels of both branches are launched, and those of one return at once.

The host cannot branch on a count in device memory without waiting for it. A kernel of one thread evaluates the
condition; every kernel of a branch reads what it found and does nothing unless its branch is taken
(:class:`pith.lowering.gpu.function.Guard`). Both branches write to one buffer. What that costs is the launches of the
branch that is not taken, whose blocks return when they have read one word.
"""

from __future__ import annotations

from pith._mlir import arith, ir, memref
from pith.passes.analysis.traversal import defining_op
from pith.passes.core import pass_error

from .. import builder as b
from .converters import convert_op
from .function import Guard
from .host import Host
from .patterns.lists import i32

#: A buffer a branch yields, and whether the branch allocated it.
_Yielded = tuple[ir.Value, bool]


def convert_if(host: Host, op: ir.OpView) -> None:
    """Launch both branches, guarded by the condition."""
    if len(list(op.regions[1].blocks)) != 1 or any(not isinstance(r.type, ir.RankedTensorType) for r in op.results):
        pass_error(op, "has no GPU lowering: expects two branches that yield tensors")
    flag = _evaluated(host, op, op.operands[0])
    then, otherwise = (_branch(host, op, number, Guard(flag, 1 - number)) for number in (0, 1))
    for result, one, other in zip(op.results, then, otherwise):
        host.bind(result, [_unified(host, op, one, other)])


def _branch(host: Host, op: ir.OpView, number: int, guard: Guard) -> list[_Yielded]:
    """Convert a branch."""
    *ops, last = op.regions[number].blocks[0].operations
    before = list(host.owned)
    with host.guarded(guard):
        for inner in ops:
            with inner.operation.location:
                convert_op(host, inner)
        buffers = [host.init_buffer(last, v) for v in last.operands]
    return [(buffer, buffer not in before) for buffer in buffers]


def _unified(host: Host, op: ir.OpView, one: _Yielded, other: _Yielded) -> ir.Value:
    """One buffer for what the branches leave in two: a branch that allocated its own writes to the other's instead."""
    for (given, is_new), (kept, _) in ((other, one), (one, other)):
        if kept == given:
            return kept
        if is_new and given.type == kept.type:
            host.replace_buffer(given, kept)
            return kept
    return pass_error(op, "has no GPU lowering: its branches update different buffers in place")


def _evaluated(host: Host, op: ir.OpView, condition: ir.Value) -> ir.Value:
    """A word in device memory: 1 where the condition holds, else 0."""
    leaves: list[tuple[ir.Value, ir.Value]] = []
    _collect(host, op, condition, leaves)
    word = ir.MemRefType.get([1], i32())
    flag = host.allocate(word)
    with host.kernel("choose", [*(v.type for _, v in leaves), word], 1) as (name, block):
        *given, out = block.arguments
        known = {leaf: _read(argument) for (leaf, _), argument in zip(leaves, given)}
        memref.store(arith.extui(i32(), _clone(condition, known)), out, [b.value(0)])
    host.launch(op, name, [1], 1, 0, [*(v for _, v in leaves), flag])
    return flag


def _collect(host: Host, op: ir.OpView, value: ir.Value, leaves: list[tuple[ir.Value, ir.Value]]) -> None:
    """What the kernel is given for every value that arithmetic on counts starts from: a list, or a size."""
    made = defining_op(value)
    if (made is not None and made.name == "arith.constant") or any(leaf == value for leaf, _ in leaves):
        return
    pattern = _counted(value)
    if pattern is not None:
        leaves.append((value, host.buffers_of(op, pattern)[0]))
    elif isinstance(value.type, ir.IndexType) and not _counts(value):
        leaves.append((value, b.value(host.size(op, value))))
    elif made is not None and made.name.startswith("arith."):
        for operand in made.operands:
            _collect(host, op, operand, leaves)
    else:
        pass_error(op, "has no GPU lowering: expects a condition on sizes and numbers of listed micro-tiles")


def _counted(value: ir.Value) -> ir.Value | None:
    """The pattern whose number of micro-tiles ``value`` is."""
    size = defining_op(value, "tensor.dim")
    listed = None if size is None else defining_op(size.operands[0], "pith.coordinates")
    return None if listed is None else listed.operands[0]


def _counts(value: ir.Value) -> bool:
    """Whether a number of micro-tiles goes into ``value``."""
    made = defining_op(value)
    return _counted(value) is not None or (made is not None and any(map(_counts, made.operands)))


def _read(argument: ir.Value) -> ir.Value:
    """A size as it is, the count of a list."""
    return b.load_index(argument, 0) if isinstance(argument.type, ir.MemRefType) else argument


def _clone(value: ir.Value, known: dict[ir.Value, ir.Value]) -> ir.Value:
    """The arithmetic that makes ``value``, in the kernel."""
    if value not in known:
        owner = value.owner
        operands = [_clone(v, known) for v in owner.operands]
        made = owner.clone(ip=ir.InsertionPoint.current)
        for number, operand in enumerate(operands):
            made.operands[number] = operand
        known[value] = made.results[0]
    return known[value]
