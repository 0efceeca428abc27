"""Patterns as lists in device memory: ``memref<?xi32>``, how many micro-tiles are present, then their coordinates.

Blocks make lists together: a scan over the threads gives every entry its place in the block's part, and one atomic
addition per block gives that part its place in the list. So a list has no order, and no thread waits for another
block. Lists in row-major order come from bitmaps (:mod:`bitmaps`), whose blocks are counted first.

Entry 0 is how many micro-tiles were *found*. A list that is too short for them (``pith.buffer`` with overflow
``error``) keeps as many as it holds; readers visit ``min(found, capacity)``, and ``found > capacity`` is what the host
sees of an overflow when it reads the list.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import arith, gpu, ir, memref
from pith._mlir import math as math_dialect

from ... import builder as b
from ...builder import Index
from ..host import Host, pattern_list_type
from ..product.tiles import shared_space

#: Threads of the blocks that make lists: eight warps, enough to hide latency with eight blocks to a multiprocessor.
THREADS = 256

WARP = 32

#: Blocks of kernels whose work is known on the device only (a list's entries): each takes every 1024th share. Seven
#: blocks or so for each of the 132 multiprocessors of an H100; not measured.
STRIDED_BLOCKS = 1024

_CMP = arith.CmpIPredicate


def i32() -> ir.IntegerType:
    """The type of a list's entries and of a bitmap's words."""
    return ir.IntegerType.get_signless(32)


def word(number: int) -> ir.Value:
    """An ``i32`` constant."""
    return arith.constant(i32(), number)


def as_i32(x: Index) -> ir.Value:
    """An index as ``i32``."""
    return word(x) if isinstance(x, int) else arith.index_castui(i32(), x)


def as_index(x: ir.Value) -> ir.Value:
    """An ``i32`` that is not negative as an index."""
    return arith.index_castui(ir.IndexType.get(), x)


@dataclasses.dataclass(frozen=True)
class DeviceList:
    """The list of a pattern over ``rank`` axes.

    Attributes:
        memory: its ``memref<?xi32>``, on the host or in a kernel.
        rank: coordinates of an entry.
    """

    memory: ir.Value
    rank: int

    @classmethod
    def allocate(cls, host: Host, rank: int, capacity: Index) -> DeviceList:
        """A new list in device memory with room for ``capacity`` entries; its count is not set."""
        return cls(host.allocate(pattern_list_type(), [b.add(b.mul(capacity, rank), 1)]), rank)

    @property
    def capacity(self) -> Index:
        """Entries it has room for."""
        return b.div(b.sub(b.dim_size(self.memory, 0), 1), self.rank)

    def count(self) -> ir.Value:
        """Entries it holds, as an index: no more than it has room for, whatever entry 0 says."""
        return b.value(b.minimum(b.load_index(self.memory, 0), self.capacity))

    def set_count(self, count: ir.Value) -> None:
        """Say that ``count`` (``i32``) micro-tiles were found."""
        memref.store(count, self.memory, [b.value(0)])

    def coordinates(self, entry: Index) -> list[ir.Value]:
        """The coordinates of an entry as indices, axis by axis; what is negative in memory is past every grid."""
        return [b.load_index(self.memory, self._place(entry, axis)) for axis in range(self.rank)]

    def store(self, entry: ir.Value, coordinates: Sequence[Index]) -> None:
        """Store the coordinates of an entry; nothing where the list has no room for it."""

        def write() -> None:
            for axis, c in enumerate(coordinates):
                memref.store(as_i32(c), self.memory, [b.value(self._place(entry, axis))])

        b.only_if(b.less(entry, self.capacity), write)

    def _place(self, entry: Index, axis: int) -> Index:
        return b.add(b.mul(entry, self.rank), axis + 1)


@dataclasses.dataclass(frozen=True)
class Block:
    """The threads of a block that makes a list.

    Attributes:
        number: this thread's number.
        threads: how many there are, a multiple of 32.
        scratch: a word per warp and one more in shared memory.
    """

    number: ir.Value
    threads: int
    scratch: ir.Value

    @classmethod
    def here(cls, threads: int = THREADS) -> Block:
        """The block of the kernel at the insertion point; its scratch comes first in dynamic shared memory."""
        return cls(gpu.thread_id(gpu.Dimension.x), threads, shared_words(0, threads // WARP + 1))

    @staticmethod
    def shared_bytes(threads: int = THREADS) -> int:
        """Shared memory of the scratch, rounded up so that 16-byte accesses may follow."""
        return -(-(threads // WARP + 1) * 4 // 16) * 16

    @property
    def lane(self) -> ir.Value:
        """This thread's number in its warp."""
        return arith.remui(self.number, b.value(WARP))

    @property
    def warp(self) -> ir.Value:
        """Number of this thread's warp."""
        return arith.divui(self.number, b.value(WARP))

    def scan(self, mine: ir.Value) -> tuple[ir.Value, ir.Value]:
        """(sum over the threads before this one, sum over all threads) of an ``i32`` per thread.

        All threads take part; another call needs a barrier in between.
        """
        up_to = mine
        for distance in (1, 2, 4, 8, 16):
            other, exists = gpu.shuffle(up_to, word(distance), word(WARP), gpu.ShuffleMode.UP)
            up_to = arith.addi(up_to, arith.select(exists, other, word(0)))
        last = arith.cmpi(_CMP.eq, self.lane, b.value(WARP - 1))
        b.only_if(last, lambda: memref.store(up_to, self.scratch, [self.warp]))
        gpu.barrier()
        before, total = arith.subi(up_to, mine), word(0)
        for w in range(self.threads // WARP):
            held = memref.load(self.scratch, [b.value(w)])
            earlier = b.less(w, self.warp)
            before = arith.addi(before, arith.select(earlier, held, word(0)))
            total = arith.addi(total, held)
        return before, total

    def once(self, body: Callable[[], object]) -> None:
        """``body`` in the block's first thread."""
        b.only_if(arith.cmpi(_CMP.eq, self.number, b.value(0)), body)

    def reserve(self, listing: DeviceList, total: ir.Value) -> ir.Value:
        """First of ``total`` new entries of a list for this block: one atomic addition, by its first thread."""
        place = [b.value(self.threads // WARP)]

        def ask() -> None:
            first = memref.atomic_rmw(arith.AtomicRMWKind.addi, total, listing.memory, [b.value(0)])
            memref.store(first, self.scratch, place)

        self.once(ask)
        gpu.barrier()
        return memref.load(self.scratch, place)


@dataclasses.dataclass(frozen=True)
class Found:
    """Cells in a row of which a thread found some present.

    Attributes:
        bits: an ``i32``; bit i tells of the cell i places after the first.
        locate: called once where any bit is set; returns the function bit -> coordinates.
    """

    bits: ir.Value
    locate: Callable[[], Callable[[ir.Value], Sequence[Index]]]


def append(block: Block, listing: DeviceList, found: Sequence[Found], first: ir.Value | None = None) -> None:
    """Put what the threads of a block found into a list: behind what others put there, or from entry ``first`` on."""
    counts = [math_dialect.ctpop(f.bits) for f in found]
    mine = counts[0]
    for count in counts[1:]:
        mine = arith.addi(mine, count)
    before, total = block.scan(mine)
    base = block.reserve(listing, total) if first is None else first
    entry = arith.addi(base, before)
    for f, count in zip(found, counts):
        b.only_if(arith.cmpi(_CMP.ne, count, word(0)), lambda f=f, entry=entry: _store_all(listing, f, entry))
        entry = arith.addi(entry, count)


def _store_all(listing: DeviceList, found: Found, entry: ir.Value) -> None:
    """Store the coordinates of the cells whose bits are set."""
    coordinates = found.locate()

    def unfinished(bits: ir.Value, entry: ir.Value) -> ir.Value:
        return arith.cmpi(_CMP.ne, bits, word(0))

    def step(bits: ir.Value, entry: ir.Value) -> list[ir.Value]:
        listing.store(as_index(entry), coordinates(as_index(math_dialect.cttz(bits))))
        return [arith.andi(bits, arith.subi(bits, word(1))), arith.addi(entry, word(1))]

    b.while_loop([found.bits, entry], unfinished, step)


def shared_words(offset: int, count: int) -> ir.Value:
    """``count`` words at byte ``offset`` of the block's dynamic shared memory."""
    dynamic = ir.ShapedType.get_dynamic_size()
    i8 = ir.IntegerType.get_signless(8)
    everything = gpu.dynamic_shared_memory(ir.MemRefType.get([dynamic], i8, memory_space=shared_space()))
    type_ = ir.MemRefType.get([count], i32(), memory_space=shared_space())
    return memref.view(type_, everything, b.value(offset), [])


def unravel(number: Index, sizes: Sequence[Index]) -> list[Index]:
    """Coordinates, in an array of ``sizes``, of its element ``number`` in row-major order."""
    at: list[Index] = []
    for axis in range(len(sizes) - 1, -1, -1):
        at.insert(0, b.mod(number, sizes[axis]) if axis else number)
        number = b.div(number, sizes[axis]) if axis else number
    return at


def strided(count: Index, body: Callable[[ir.Value], None]) -> None:
    """``body(i)`` for every i below ``count``, shared out over all threads of a grid of any size."""
    start = b.add(b.mul(gpu.block_id(gpu.Dimension.x), THREADS), gpu.thread_id(gpu.Dimension.x))
    step = b.mul(gpu.grid_dim(gpu.Dimension.x), THREADS)
    b.for_loop(start, count, body, step=step)


def strided_blocks(count: Index) -> Index:
    """Blocks of a grid for :func:`strided` over at most ``count``."""
    return b.minimum(b.ceildiv(count, THREADS), STRIDED_BLOCKS)


def reset(host: Host, op: ir.OpView, listing: DeviceList) -> None:
    """Launch a kernel that empties a list: one thread, as programs run many times on one buffer."""
    with host.kernel("reset", [listing.memory.type], 1) as (name, block):
        DeviceList(block.arguments[0], listing.rank).set_count(word(0))
    host.launch(op, name, [1], 1, 0, [listing.memory])


def clear(host: Host, op: ir.OpView, words: ir.Value) -> None:
    """Launch a kernel that zeroes a 1-D buffer of integers."""
    with host.kernel("clear", [words.type], THREADS) as (name, block):
        here = block.arguments[0]
        strided(b.dim_size(here, 0), lambda i: memref.store(b.zero_of(here.type.element_type), here, [b.value(i)]))
    host.launch(op, name, [strided_blocks(b.dim_size(words, 0))], THREADS, 0, [words])
