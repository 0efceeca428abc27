"""Bitmaps in device memory, a bit per cell of a grid, and the lists in row-major order that they become.

What cannot be listed as it is found goes through one: sets of patterns, lists in order, cells that several blocks
look at. A bitmap is a 16th of f16 data at most. The list takes three kernels, none of which waits for another block::

    tally    blocks count the bits of their words
    places   one block turns these counts into the first entry of every block, and the list's count
    emit     blocks store the coordinates of their bits from there on
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import arith, gpu, ir, memref
from pith._mlir import math as math_dialect

from ... import builder as b
from ...builder import Index
from ..host import Host
from .lists import THREADS, Block, DeviceList, Found, append, as_i32, clear, i32, strided, strided_blocks, word

_BITS = 32

#: (bitmaps' words, number of the word) -> the word that is listed.
Combine = Callable[[list[ir.Value], ir.Value], ir.Value]


@dataclasses.dataclass(frozen=True)
class Bitmap:
    """Cells of a grid as bits: cell n in row-major order is bit ``n % 32`` of word ``n // 32``."""

    words: ir.Value

    @classmethod
    def allocate(cls, host: Host, op: ir.OpView, cells: Index) -> Bitmap:
        """A bitmap for ``cells`` cells, and the launch that clears it."""
        dynamic = ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], i32())
        words = host.allocate(dynamic, [b.ceildiv(cells, _BITS)])
        clear(host, op, words)
        return cls(words)

    def mark(self, bits: ir.Value, first: Index) -> None:
        """Set the bits of the cells from ``first`` on whose ``bits`` (``i32``) are set: up to two atomic operations."""
        shift = as_i32(b.mod(first, _BITS))
        low = arith.shli(bits, shift)
        # Shifts by 32 are undefined: one place first, then up to 31.
        high = arith.shrui(arith.shrui(bits, word(1)), arith.subi(word(_BITS - 1), shift))
        at = b.div(first, _BITS)
        self._set(low, at)
        self._set(high, b.add(at, 1))

    def _set(self, bits: ir.Value, at: Index) -> None:
        def go() -> None:
            memref.atomic_rmw(arith.AtomicRMWKind.ori, bits, self.words, [b.value(at)])

        b.only_if(arith.cmpi(arith.CmpIPredicate.ne, bits, word(0)), go)


def mark_list(host: Host, op: ir.OpView, listing: DeviceList, grid: Sequence[Index]) -> Bitmap:
    """The bitmap of what a list names in a ``grid``; coordinates past it are left out."""
    bitmap = Bitmap.allocate(host, op, b.product(grid))
    types = [listing.memory.type, bitmap.words.type, *[ir.IndexType.get()] * len(grid)]
    with host.kernel("mark", types, THREADS) as (name, block):
        entries, words, *cells = block.arguments
        source, target = DeviceList(entries, listing.rank), Bitmap(words)

        def one(entry: ir.Value) -> None:
            at = source.coordinates(entry)
            legal, number = b.less(at[0], cells[0]), at[0]
            for c, size in zip(at[1:], cells[1:]):
                legal = arith.andi(legal, b.less(c, size))
                number = b.value(b.add(b.mul(number, size), c))
            b.only_if(legal, lambda: target.mark(word(1), number))

        strided(source.count(), one)
    arguments = [listing.memory, bitmap.words, *(b.value(n) for n in grid)]
    host.launch(op, name, [strided_blocks(listing.capacity)], THREADS, 0, arguments)
    return bitmap


def list_bitmaps(
    host: Host,
    op: ir.OpView,
    bitmaps: Sequence[Bitmap],
    cells: Index,
    combine: Combine,
    locate: Callable[[ir.Value, Sequence[ir.Value]], Sequence[Index]],
    sizes: Sequence[Index],
    into: DeviceList,
) -> None:
    """List the cells whose bit of the combined words is set, in row-major order.

    Args:
        cells: number of cells; bits past it are not listed, whatever ``combine`` makes of them.
        locate: (number of a cell, ``sizes`` in the kernel) -> its coordinates.
    """
    blocks = b.ceildiv(b.ceildiv(cells, _BITS), THREADS)
    counts = host.allocate(ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], i32()), [blocks])
    words = [bitmap.words for bitmap in bitmaps]
    _tally(host, op, words, counts, cells, combine)
    places(host, op, counts, into)
    arguments = [*words, counts, into.memory, b.value(cells), *(b.value(n) for n in sizes)]
    with host.kernel("emit", [v.type for v in arguments], THREADS) as (name, entry):
        maps, (tallies, entries, total, *extents) = entry.arguments[: len(words)], entry.arguments[len(words) :]
        block = Block.here()
        first_cell = b.mul(_own_word(block), _BITS)

        def find() -> Callable[[ir.Value], Sequence[Index]]:
            return lambda bit: locate(b.value(b.add(first_cell, bit)), extents)

        found = Found(_word_at(maps, _own_word(block), total, combine), find)
        first = memref.load(tallies, [gpu.block_id(gpu.Dimension.x)])
        append(block, DeviceList(entries, into.rank), [found], first)
    host.launch(op, name, [blocks], THREADS, Block.shared_bytes(), arguments)


def _tally(
    host: Host, op: ir.OpView, words: Sequence[ir.Value], counts: ir.Value, cells: Index, combine: Combine
) -> None:
    """A kernel that counts the bits of every block's words."""
    arguments = [*words, counts, b.value(cells)]
    with host.kernel("tally", [v.type for v in arguments], THREADS) as (name, entry):
        *maps, tallies, total = entry.arguments
        block = Block.here()
        _, sum_ = block.scan(math_dialect.ctpop(_word_at(maps, _own_word(block), total, combine)))
        block.once(lambda: memref.store(sum_, tallies, [gpu.block_id(gpu.Dimension.x)]))
    host.launch(op, name, [b.dim_size(counts, 0)], THREADS, Block.shared_bytes(), arguments)


def _own_word(block: Block) -> ir.Value:
    """Number of this thread's word."""
    return b.value(b.add(b.mul(gpu.block_id(gpu.Dimension.x), THREADS), block.number))


def _word_at(maps: Sequence[ir.Value], at: ir.Value, cells: ir.Value, combine: Combine) -> ir.Value:
    """Combined word ``at``, without bits past the last cell; 0 past the last word."""
    first = b.mul(at, _BITS)

    def load() -> list[ir.Value]:
        made = combine([memref.load(m, [at]) for m in maps], at)
        rest = b.sub(cells, first)
        partial = arith.subi(arith.shli(word(1), as_i32(b.minimum(rest, _BITS - 1))), word(1))
        return [arith.andi(made, arith.select(b.less(rest, _BITS), partial, word(-1)))]

    return b.if_else(b.less(first, cells), load, lambda: [word(0)], [i32()])[0]


def places(host: Host, op: ir.OpView, counts: ir.Value, into: DeviceList) -> None:
    """Turn counts into the first entry of each, in place, and set the list's count to their sum: one block."""
    with host.kernel("places", [counts.type, into.memory.type], THREADS) as (name, entry):
        held, entries = entry.arguments
        block = Block.here()
        total = scan_in_place(block, held)
        block.once(lambda: DeviceList(entries, into.rank).set_count(total))
    host.launch(op, name, [1], THREADS, Block.shared_bytes(), [counts, into.memory])


def scan_in_place(block: Block, held: ir.Value) -> ir.Value:
    """Replace the entries of a 1-D buffer of ``i32`` by the sums before them; their sum. All threads take part."""
    size = b.dim_size(held, 0)

    def chunk(start: Index, carried: ir.Value) -> list[ir.Value]:
        at = b.value(b.add(start, block.number))
        exists = b.less(at, size)
        mine = b.if_else(exists, lambda: [memref.load(held, [at])], lambda: [word(0)], [i32()])[0]
        before, total = block.scan(mine)
        b.only_if(exists, lambda: memref.store(arith.addi(carried, before), held, [at]))
        gpu.barrier()
        return [arith.addi(carried, total)]

    return b.for_loop(0, size, chunk, [word(0)], step=block.threads)[0]
