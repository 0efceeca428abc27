"""Patterns on two axes: one list per block of the other axis, made on the device by counting.

A pattern lists pairs in any order. A product wants, for each block of rows (say), what is present there. Two kernels
make that: counts are set to zero, then every pair takes the next place in the list of its group::

    for each pair (g, c), in parallel:  lists[g][counts[g]++] = c

Each group has room for every coordinate there is, so no pass over the counts is needed. The order within a list is that
in which threads arrive.
"""

from pith._mlir import arith, gpu, ir, memref

from ... import builder as b
from ...builder import Index
from ..host import Host, pattern_list_type
from ..linalg.fill import BLOCK_THREADS, emit_fill, linear_grid
from ..product.match import Listing
from ..product.tiles import is_below


def group_counts(listing: Listing, sizes: dict[str, Index]) -> tuple[Index, Index]:
    """(groups, room for coordinates in each)."""
    groups = b.ceildiv(sizes[str(listing.group)], listing.group_granularity)
    return groups, b.ceildiv(sizes[listing.role], listing.granularity)


def group_pattern(host: Host, op: ir.OpView, listing: Listing, sizes: dict[str, Index]) -> list[ir.Value]:
    """Emit the kernels that group a pattern; the coordinates and the counts."""
    (entries,) = host.buffers_of(op, listing.pattern)
    groups, capacity = group_counts(listing, sizes)
    type_ = pattern_list_type()
    counts, lists = host.allocate(type_, [groups]), host.allocate(type_, [b.mul(groups, capacity)])
    with host.kernel("clear", [type_], BLOCK_THREADS) as (name, block):
        emit_fill(block.arguments[0], ir.IntegerAttr.get(type_.element_type, 0))
    host.launch(op, name, [linear_grid([groups])], BLOCK_THREADS, 0, [counts])
    index = ir.IndexType.get()
    with host.kernel("group", [type_, type_, type_, index, index], BLOCK_THREADS) as (name, block):
        _emit_grouping(listing, *block.arguments)
    arguments = [entries, counts, lists, b.value(groups), b.value(capacity)]
    blocks = linear_grid([b.div(b.dim_size(entries, 0), 2)])
    host.launch(op, name, [blocks], BLOCK_THREADS, 0, arguments)
    return [lists, counts]


def _emit_grouping(
    listing: Listing, entries: ir.Value, counts: ir.Value, lists: ir.Value, groups: ir.Value, capacity: ir.Value
) -> None:
    """One thread per pair; what lies outside of the axes is left out."""
    thread = b.add(b.mul(gpu.block_id(gpu.Dimension.x), BLOCK_THREADS), gpu.thread_id(gpu.Dimension.x))
    room = b.div(b.sub(b.dim_size(entries, 0), 1), 2)
    count = b.minimum(b.load_index(entries, 0), room)

    def take() -> None:
        first = b.add(b.mul(thread, 2), 1)
        coordinate = b.load_index(entries, b.add(first, listing.axis))
        group = b.load_index(entries, b.add(first, 1 - listing.axis))
        known = arith.andi(is_below(group, groups), is_below(coordinate, capacity))
        b.only_if(known, lambda: append(group, coordinate))

    def append(group: Index, coordinate: Index) -> None:
        word = lists.type.element_type
        place = memref.atomic_rmw(arith.AtomicRMWKind.addi, arith.constant(word, 1), counts, [b.value(group)])
        at = arith.index_castui(ir.IndexType.get(), place)
        where = b.add(b.mul(group, capacity), at)
        held = arith.index_castui(word, b.value(coordinate))
        b.only_if(is_below(at, capacity), lambda: memref.store(held, lists, [b.value(where)]))

    b.only_if(is_below(thread, count), take)
