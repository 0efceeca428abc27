"""A list over two axes as one segment per group: the rows that every expert of a mixture, or sequence of a batch, has.

Four kernels turn a pattern's list into segments, and nobody waits for a count: counts are cleared, ``tally`` counts the
entries of every group, ``segments`` (one block) turns counts into places and cuts segments into tiles, ``gather`` puts
the coordinates there. One block does all of it for lists that are known to be short.

Tiles of all groups are numbered one after the other, so a grid of ``capacity / tile + groups`` blocks has one for every
tile, whatever the routing is; blocks without a tile return. No group has a capacity of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, gpu, ir, memref
from pith.passes.analysis.traversal import constant_index, defining_op

from ... import builder as b
from ...builder import Index
from ..host import Host
from ..product.tiles import PatternAxis, is_below
from .lists import THREADS, Block, DeviceList, as_i32, as_index, clear, i32, shared_words, strided, strided_blocks, word

#: Threads of the one block that does everything for short lists, and what counts as short: eight entries to a thread,
#: visited twice, take about as long as three launches; counts of so many groups are 8 KB of shared memory. On paper.
_MANY = 1024
_FEW_ENTRIES, _FEW_GROUPS = 8 * _MANY, 2048


@dataclasses.dataclass(frozen=True)
class Segments:
    """The segments of a list, on the host or in a kernel.

    Attributes:
        coordinates: of the listed micro-tiles along the axis that is streamed, segment after segment.
        firsts: per group, and one more, where its segment begins.
        tiles: per group, and one more, the number of its first tile.
        owners: per tile, its group.
    """

    coordinates: ir.Value
    firsts: ir.Value
    tiles: ir.Value
    owners: ir.Value

    @property
    def buffers(self) -> list[ir.Value]:
        """The four buffers, to be given to a kernel."""
        return [self.coordinates, self.firsts, self.tiles, self.owners]

    @property
    def most_tiles(self) -> Index:
        """Tiles there are at most."""
        return b.dim_size(self.owners, 0)

    def tile(self, number: Index) -> tuple[ir.Value, ir.Value]:
        """(whether tile ``number`` exists, its group: 0 where it does not)."""
        last = b.sub(b.dim_size(self.tiles, 0), 1)
        exists = is_below(number, b.load_index(self.tiles, last))
        group = b.if_else(
            exists,
            lambda: [as_index(memref.load(self.owners, [b.value(number)]))],
            lambda: [b.value(0)],
            [ir.IndexType.get()],
        )
        return exists, group[0]

    def axis(self, number: Index, group: ir.Value, extent: int, size: Index, granularity: int) -> PatternAxis:
        """The stream of a tile of ``extent`` places of a group."""
        first = b.load_index(self.firsts, group)
        count = b.sub(b.load_index(self.firsts, b.add(group, 1)), first)
        base = b.mul(b.sub(number, b.load_index(self.tiles, group)), extent)
        return PatternAxis(
            base,
            extent,
            size,
            entries=self.coordinates,
            first=first,
            count=b.value(count),
            granularity=granularity,
        )


def make_segments(
    host: Host, op: ir.OpView, listing: DeviceList, stream: int, grid: tuple[Index, Index], tile: int
) -> Segments:
    """Launch the kernels that cut a list over two axes into segments.

    Args:
        stream: the axis that segments run along; the other one numbers the groups.
        grid: micro-tiles along the stream, and groups: entries past either are left out.
        tile: micro-tiles of a tile.
    """
    dynamic = ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], i32())
    known = _known_capacity(listing)
    capacity, (along, groups) = listing.capacity if known is None else known, grid
    made = Segments(
        host.allocate(dynamic, [b.maximum(capacity, 1)]),
        host.allocate(dynamic, [b.add(groups, 1)]),
        host.allocate(dynamic, [b.add(groups, 1)]),
        host.allocate(dynamic, [b.add(b.ceildiv(capacity, tile), groups)]),
    )
    if known is not None and known <= _FEW_ENTRIES and isinstance(groups, int) and groups <= _FEW_GROUPS:
        _in_one_block(host, op, listing, stream, along, groups, made, tile)
        return made
    counts = host.allocate(dynamic, [b.add(groups, 1)])
    clear(host, op, counts)
    sizes = [b.value(along), b.value(groups)]

    def tally(c: ir.Value, group: ir.Value, held: ir.Value) -> None:
        memref.atomic_rmw(arith.AtomicRMWKind.addi, word(1), held, [group])

    def gather(c: ir.Value, group: ir.Value, held: ir.Value, coordinates: ir.Value, firsts: ir.Value) -> None:
        # Counting back down to zero hands out every place of a segment once.
        left = memref.atomic_rmw(arith.AtomicRMWKind.addi, word(-1), held, [group])
        place = arith.addi(memref.load(firsts, [group]), arith.subi(left, word(1)))
        memref.store(as_i32(c), coordinates, [as_index(place)])

    _for_entries(host, op, "tally", listing, stream, sizes, [counts], tally)
    _cut(host, op, counts, made, tile)
    _for_entries(host, op, "gather", listing, stream, sizes, [counts, made.coordinates, made.firsts], gather)
    return made


def _for_entries(
    host: Host,
    op: ir.OpView,
    kind: str,
    listing: DeviceList,
    stream: int,
    sizes: list[ir.Value],
    buffers: list[ir.Value],
    body: Callable[..., None],
) -> None:
    """A kernel that calls ``body(coordinate along the stream, group, *buffers)`` for every entry on the grid."""
    arguments = [listing.memory, *sizes, *buffers]
    with host.kernel(kind, [v.type for v in arguments], THREADS) as (name, block):
        memory, along, groups, *given = block.arguments
        entries = DeviceList(memory, listing.rank)

        def one(entry: ir.Value) -> None:
            at = entries.coordinates(entry)
            c, group = at[stream], at[1 - stream]
            legal = arith.andi(b.less(c, along), b.less(group, groups))
            b.only_if(legal, lambda: body(c, group, *given))

        strided(entries.count(), one)
    host.launch(op, name, [strided_blocks(listing.capacity)], THREADS, 0, arguments)


def _cut(host: Host, op: ir.OpView, counts: ir.Value, made: Segments, tile: int) -> None:
    """One block: where segments and their tiles begin, and whose every tile is."""
    arguments = [counts, made.firsts, made.tiles, made.owners]
    with host.kernel("segments", [v.type for v in arguments], THREADS) as (name, entry):
        held, firsts, tiles, owners = entry.arguments
        size = b.dim_size(held, 0)
        _emit_cut(Block.here(), size, lambda g: _count(held, g, size), firsts, tiles, owners, tile)
    host.launch(op, name, [1], THREADS, Block.shared_bytes(), arguments)


def _count(counts: ir.Value, group: ir.Value, groups: Index) -> ir.Value:
    """Entries of a group; 0 past the last."""
    return b.if_else(b.less(group, groups), lambda: [memref.load(counts, [group])], lambda: [word(0)], [i32()])[0]


def _emit_cut(
    block: Block,
    size: Index,
    count_of: Callable[[ir.Value], ir.Value],
    firsts: ir.Value,
    tiles: ir.Value,
    owners: ir.Value,
    tile: int,
) -> None:
    """Cut segments whose entries ``count_of`` a group tells; it is asked for groups past ``size`` too: 0."""

    def chunk(start: Index, *carried: ir.Value) -> list[ir.Value]:
        group = b.value(b.add(start, block.number))
        exists = b.less(group, size)
        count = count_of(group)
        number = as_i32(b.ceildiv(as_index(count), tile))
        totals, first = [], word(0)
        for mine, before_all, out in ((count, carried[0], firsts), (number, carried[1], tiles)):
            before, total = block.scan(mine)
            first = arith.addi(before_all, before)
            b.only_if(exists, lambda first=first, out=out: memref.store(first, out, [group]))
            gpu.barrier()
            totals.append(arith.addi(before_all, total))
        # ``first`` is the number of the group's first tile now.
        b.for_loop(
            as_index(first),
            as_index(arith.addi(first, number)),
            lambda t: memref.store(as_i32(group), owners, [b.value(t)]),
        )
        return totals

    b.for_loop(0, size, chunk, [word(0), word(0)], step=block.threads)


def _in_one_block(
    host: Host, op: ir.OpView, listing: DeviceList, stream: int, along: Index, groups: int, made: Segments, tile: int
) -> None:
    """All of it by one block, which counts in shared memory: one launch instead of four."""
    arguments = [listing.memory, b.value(along), *made.buffers]
    with host.kernel("segments", [v.type for v in arguments], _MANY) as (name, entry):
        memory, limit, coordinates, firsts, tiles, owners = entry.arguments
        block, entries = Block.here(_MANY), DeviceList(memory, listing.rank)
        counts = shared_words(Block.shared_bytes(_MANY), groups + 1)

        def bump(group: ir.Value) -> ir.Value:
            return memref.atomic_rmw(arith.AtomicRMWKind.addi, word(1), counts, [group])

        def for_entries(body: Callable[[ir.Value, ir.Value], object]) -> None:
            def one(number: Index) -> None:
                at = entries.coordinates(number)
                legal = arith.andi(b.less(at[stream], limit), b.less(at[1 - stream], groups))
                b.only_if(legal, lambda: body(at[stream], at[1 - stream]))

            b.for_loop(block.number, entries.count(), one, step=_MANY)

        b.for_loop(block.number, groups, lambda g: memref.store(word(0), counts, [g]), step=_MANY)
        gpu.barrier()
        for_entries(lambda c, group: bump(group))
        gpu.barrier()
        _emit_cut(block, groups + 1, lambda g: _count(counts, g, groups), firsts, tiles, owners, tile)
        gpu.barrier()
        # Counts become the next free place of every segment.
        b.for_loop(block.number, groups, lambda g: memref.store(memref.load(firsts, [g]), counts, [g]), step=_MANY)
        gpu.barrier()
        for_entries(lambda c, group: memref.store(as_i32(c), coordinates, [as_index(bump(group))]))
    host.launch(op, name, [1], _MANY, Block.shared_bytes(_MANY) + 4 * (groups + 1), arguments)


def _known_capacity(listing: DeviceList) -> int | None:
    """Entries a list made here has room for, when that is a number."""
    made = defining_op(listing.memory, "memref.alloc")
    size = constant_index(made.operands[0]) if made is not None and len(made.operands) else None
    return None if size is None else (size - 1) // listing.rank
