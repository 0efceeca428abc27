"""Guards of memory accesses: bounds inline, the shadow of shared memory by calls."""

import itertools
from collections.abc import Callable, Sequence

from pith._mlir import arith, ir, vector

from ... import builder as b
from ...builder import Index
from .context import Emulation
from .memory import constant_of, element_address, element_bytes, extents_of, first_beyond, space_of


def check_bounds(e: Emulation, op: ir.Operation, buffer: ir.Value, indices: Sequence[Index], counts: Sequence[int]):
    """Report unless ``counts[d]`` elements from ``indices[d]`` are inside of every dimension; a count of 0 is free."""
    guarded = []
    for d, (i, count, extent) in enumerate(zip(indices, counts, extents_of(buffer))):
        known, limit = constant_of(i), first_beyond(extent, count)
        if count and not (known is not None and isinstance(limit, int) and 0 <= known < limit):
            guarded.append((d, i, count, extent, b.less(i, limit)))
    if not guarded:
        return
    inside = guarded[0][-1]
    for *_, fits in guarded[1:]:
        inside = arith.andi(inside, fits)
    outside = arith.xori(inside, arith.constant(ir.IntegerType.get_signless(1), 1))

    def report() -> None:
        *most, (*found, _) = guarded
        for *facts, fits in reversed(most):
            found = [_either(fits, there, here) for there, here in zip(found, facts)]
        e.call("outside", [e.site(op), *found])

    b.if_else(outside, report)


def _either(condition: ir.Value, a: Index, otherwise: Index) -> Index:
    return a if a is otherwise or a == otherwise else arith.select(condition, b.value(a), b.value(otherwise))


def touch(e: Emulation, op: ir.Operation, kind: str, buffer: ir.Value, indices: Sequence[Index], counts: Sequence[int]):
    """Tell the runtime about an access of a box of elements (``kind``: read, write, atomic)."""
    space = space_of(buffer)
    if space == "global" and kind != "atomic":
        kind = f"global_{kind}"
    elif space != "shared":
        return
    width = element_bytes(buffer.type)
    if not indices:
        e.call(kind, [e.site(op), element_address(buffer, []), width])
        return
    for outer in itertools.product(*(range(n) for n in counts[:-1])):
        at = [b.add(i, o) for i, o in zip(indices, (*outer, 0))]
        e.call(kind, [e.site(op), element_address(buffer, at), counts[-1] * width])


def _guard(kind: str, buffer: Callable, counts: Callable) -> Callable[[Emulation, ir.Operation], None]:
    def guard(e: Emulation, op: ir.Operation) -> None:
        memory, box = buffer(op.opview), counts(op.opview)
        indices = list(op.opview.indices)
        check_bounds(e, op, memory, indices, box)
        if "alignment" in op.attributes and op.name.startswith("vector."):
            alignment = ir.IntegerAttr(op.attributes["alignment"]).value
            e.call("aligned", [e.site(op), element_address(memory, indices), alignment])
        touch(e, op, kind, memory, indices, box)

    return guard


def _one(op) -> list[int]:
    return [1] * len(list(op.indices))


def _box(type_: ir.VectorType, rank: int) -> list[int]:
    """Elements per dimension of a memref that a vector of its last dimensions covers."""
    return [1] * (rank - type_.rank) + list(type_.shape)


def _guard_transfer(e: Emulation, op: ir.Operation) -> None:
    """Only dimensions said to be in bounds must be; the others are padded or left out."""
    view, reads = op.opview, op.name == "vector.transfer_read"
    type_ = op.results[0].type if reads else view.valueToStore.type
    memory, indices = (view.base if hasattr(view, "base") else view.source), list(view.indices)
    rank, inside = len(indices), [bool(x) for x in view.in_bounds]
    box = _box(type_, rank)
    results = list(ir.AffineMapAttr(op.attributes["permutation_map"]).value.results)
    minor = ir.AffineMap.get_minor_identity(rank, type_.rank)
    if str(ir.AffineMap.get(rank, 0, results)) != str(minor):
        return
    checked = [1] * (rank - type_.rank) + [n if i else 0 for n, i in zip(type_.shape, inside)]
    check_bounds(e, op, memory, indices, checked)
    if all(inside) and not _masked(view):
        touch(e, op, "read" if reads else "write", memory, indices, box)


def _masked(view) -> bool:
    return getattr(view, "mask", None) is not None


def _guard_masked(e: Emulation, op: ir.Operation) -> None:
    """``vector.maskedload`` and ``maskedstore``: lanes that are off may be anywhere."""
    view, kind = op.opview, "read" if op.name == "vector.maskedload" else "write"
    *outer, last = view.indices
    for lane in range(view.mask.type.shape[0]):
        at = [*outer, b.add(last, lane)]

        def one(at=at) -> None:
            check_bounds(e, op, view.base, at, [1] * len(at))
            touch(e, op, kind, view.base, at, [1] * len(at))

        b.if_else(vector.extract(view.mask, [], [lane]), one)


def _guard_loop(e: Emulation, op: ir.Operation) -> None:
    """``scf.while`` may wait for another thread: let it run, and notice when it never comes."""
    with ir.InsertionPoint.at_block_begin(op.regions[0].blocks[0]):
        e.call("spin", [e.site(op)])


#: op name -> what to put before it. ``memref.view`` of shared memory is bounded by the calls that follow it.
GUARDS: dict[str, Callable[[Emulation, ir.Operation], None]] = {
    "memref.load": _guard("read", lambda op: op.memref, _one),
    "memref.store": _guard("write", lambda op: op.memref, _one),
    "memref.atomic_rmw": _guard("atomic", lambda op: op.memref, _one),
    "memref.generic_atomic_rmw": _guard("atomic", lambda op: op.memref, _one),
    "vector.load": _guard("read", lambda op: op.base, lambda op: _box(op.result.type, len(list(op.indices)))),
    "vector.store": _guard("write", lambda op: op.base, lambda op: _box(op.valueToStore.type, len(list(op.indices)))),
    "vector.transfer_read": _guard_transfer,
    "vector.transfer_write": _guard_transfer,
    "vector.maskedload": _guard_masked,
    "vector.maskedstore": _guard_masked,
}

#: Put in whether or not memory is checked: without them a kernel that spins would never end.
ALWAYS: dict[str, Callable[[Emulation, ir.Operation], None]] = {"scf.while": _guard_loop}
