"""``pith.compress``: count what is stored, make the buffers, fill them.

One recursive walk over the tree of the dense tensor serves every format. At each level it decides
which coordinates are stored and at which position, tells the sink, and goes on below them. Where
positions depend on the data (``compressed``, ``loose_compressed`` and ``bitmask`` levels), they come
from a running count per level, so the walk runs twice: with a sink that only counts, and, once the
counts of all parts are added up, with one that writes. Static formats need no count.
"""

from pith._mlir import arith, bufferization, cf, ir, memref
from pith.dialect import AssembleOp, buffer_types
from pith.formats import buffer_specs
from pith.passes.generic import filled

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from ..sparse.levels import Storage
from .runs import run_of
from .sinks import Counting, Filling, heads
from .tree import Parts, Tree, cut
from .walk import store_walk


def emit_compress(tree: Tree, type_: ir.RankedTensorType, isa: Isa, overfull: ir.Value | None = None) -> ir.Value:
    """Emit the packing of ``tree`` into the encoded ``type_``; returns the assembled value.

    ``overfull`` is a flag to raise when an ``nm`` level has no room for all that a group holds.
    """
    parts = _parts(tree)
    bounds = {level: _bounds(parts.count) for level in heads(tree.format)}
    if bounds:
        _count(tree, parts, bounds)
    totals = {level: b.load_index(v, parts.count) for level, v in bounds.items()}
    run = run_of(tree, isa)
    storage = _allocate(tree, type_, totals, cleared=range(run.first if run else len(tree.format.levels)))
    sink = Filling(storage, overfull, run)

    def fill(part: Index) -> None:
        counters = run.begin(part, parts.step) if run else [b.load_index(v, part) for v in bounds.values()]
        after = parts.visit(part, lambda node, inner: store_walk(tree, sink, node, inner), counters)
        if run:
            run.finish(storage, after)

    parts.run(fill, work=4)
    _assert_widths(tree, totals)
    return _assembled(tree, type_, storage)


def _parts(tree: Tree) -> Parts:
    """Parts that share no byte: packed coordinates of 8 groups fill whole bytes, unless counts come before them."""
    fmt = tree.format
    packed = [
        i
        for i, level in enumerate(fmt.levels)
        if level.kind == "nm" and level.has_coordinates and fmt.coord_bits(i) < 8
    ]
    if packed and any(h < max(packed) for h in heads(fmt)):
        return Parts(tree, None)
    return cut(tree, 8 if packed else 1)


def _bounds(count: Index) -> ir.Value:
    """A buffer for where each part begins on a level, and the total."""
    type_ = ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], ir.IndexType.get())
    return memref.alloc(type_, [b.value(b.add(count, 1))], [], alignment=64)


def _count(tree: Tree, parts: Parts, bounds: dict[int, ir.Value]) -> None:
    """Entries before every part, on every level that counts them."""

    def count(part: Index) -> None:
        zeros = [b.value(0)] * len(bounds)
        counters = parts.visit(part, lambda node, inner: store_walk(tree, Counting(), node, inner), zeros)
        for buffer, counter in zip(bounds.values(), counters):
            memref.store(counter, buffer, [b.value(b.add(part, 1))])

    parts.run(count, work=4)
    for buffer in bounds.values():
        memref.store(b.value(0), buffer, [b.value(0)])

    def add_up(part: Index, *sums: ir.Value) -> list[ir.Value]:
        at = [b.value(b.add(part, 1))]
        ends = [arith.addi(so_far, memref.load(buffer, at)) for so_far, buffer in zip(sums, bounds.values())]
        for buffer, end in zip(bounds.values(), ends):
            memref.store(end, buffer, at)
        return ends

    b.for_loop(0, parts.count, add_up, [b.value(0)] * len(bounds))


def _allocate(tree: Tree, type_: ir.RankedTensorType, totals: dict[int, ir.Value], cleared: range) -> Storage:
    """Buffers of the storage contract; those that are written bit by bit, of the levels ``cleared``, are zeroed."""
    fmt = tree.format
    *types, values_type = buffer_types(type_)
    parents = _positions_above(tree, totals)
    metadata = {}
    for spec, buffer_type in zip(buffer_specs(fmt), types):
        level, above, below = spec.level, parents[spec.level], parents[spec.level + 1]
        loose = fmt.levels[level].kind == "loose_compressed"
        if spec.role == "positions":
            size = b.mul(above, 2) if loose else b.add(above, 1)
        elif spec.role == "bits":
            size = b.mul(above, b.ceildiv(tree.level_sizes[level], 8))
        else:
            size = b.ceildiv(below, spec.per_word)
        buffer = _alloc(size, buffer_type.element_type)
        if level in cleared and (spec.role == "bits" or spec.bits < 8):
            filled(buffer, b.zero_of(buffer_type.element_type))
        elif spec.role == "positions" and not loose:
            memref.store(b.zero_of(buffer_type.element_type), buffer, [b.value(0)])
        metadata[level, spec.role] = buffer
    return Storage(fmt, tree.level_sizes, metadata, _alloc(parents[-1], values_type.element_type))


def _positions_above(tree: Tree, totals: dict[int, ir.Value]) -> list[Index]:
    """Number of parents of every level, then the number of values."""
    fmt = tree.format
    out: list[Index] = [1]
    for i, (level, size) in enumerate(zip(fmt.levels, tree.level_sizes)):
        if i in totals:
            out.append(totals[i])
        elif level.kind == "singleton":
            out.append(out[-1])
        else:
            out.append(b.mul(out[-1], level.g if level.kind == "nm" else size))
    return out


def _alloc(size: Index, element: ir.Type) -> ir.Value:
    type_ = ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], element)
    return memref.alloc(type_, [b.value(size)], [], alignment=64)


def _assert_widths(tree: Tree, totals: dict[int, ir.Value]) -> None:
    """Assert that what was written fits the width of its entries.

    Only afterwards: narrow entries misplace nothing, and sizes of buffers must not depend on an assert.
    """
    for spec in buffer_specs(tree.format):
        largest = totals[spec.level] if spec.role == "positions" else b.sub(tree.level_sizes[spec.level], 1)
        limit = 2**spec.bits - 1 if spec.bits < 32 else 2 ** (spec.bits - 1) - 1  # as formats.metadata_dtype
        if spec.role == "bits" or spec.bits >= 64 or (isinstance(largest, int) and largest <= limit):
            continue
        fits = arith.cmpi(arith.CmpIPredicate.sle, b.value(largest), b.value(limit))
        cf.assert_(fits, f"pith.compress: {spec.role} of {spec.bits} bits cannot hold the tensor; use a wider format")


def _assembled(tree: Tree, type_: ir.RankedTensorType, storage: Storage) -> ir.Value:
    buffers = [storage.metadata[s.level, s.role] for s in buffer_specs(tree.format)] + [storage.values]
    tensors = [
        bufferization.to_tensor(t, buffer, restrict=True, writable=True)
        for t, buffer in zip(buffer_types(type_), buffers)
    ]
    sizes = [tree.sizes[d] for d in range(type_.rank) if type_.is_dynamic_dim(d)]
    return AssembleOp.build(type_, tensors, sizes).result
