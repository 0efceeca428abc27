"""Build the coordinate list of a pattern in parallel, in a buffer that grows with what is found.

Work comes in chunks that list at most so many cells each. A wave is as many chunks as the free part of the
buffer holds even if they list everything; between waves the buffer doubles when it is half full. So every
chunk is visited once, memory follows the count and not the grid, and nothing ever overflows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import arith, bufferization, cf, ir, memref
from pith.dialect import coordinates_type
from pith.dialect.buffer import Buffer

from .. import builder as b
from ..builder import Index
from .presence import integer

#: Cells of a chunk at most: they wait on the stack until their number is known.
CHUNK_CELLS = 4096

#: Entries a list starts with: one wave for the 4096x128 blocks of a large matrix. Memory that is not written is
#: not there yet, and what is left unused is given back (:data:`_WASTE`).
FIRST_CAPACITY = 1 << 19

#: A list that fills less than one part in so many of its buffer moves to one of its size.
_WASTE = 4


@dataclasses.dataclass(frozen=True)
class Out:
    """Where a chunk's coordinates go: entries ``first`` and on of a flat memref."""

    rank: int
    flat: ir.Value
    first: Index

    def store(self, entry: Index, coordinates: Sequence[Index]) -> None:
        """Store the coordinates of the chunk's number ``entry``."""
        at = b.mul(b.add(self.first, entry), self.rank)
        for axis, c in enumerate(coordinates):
            coordinate = arith.index_castui(integer(32), b.value(c))
            memref.store(coordinate, self.flat, [b.value(b.add(at, axis))])


#: ``emit(chunk, out)`` stores the coordinates a chunk lists and returns how many.
Emit = Callable[[Index, Out], Index]


@dataclasses.dataclass(frozen=True)
class Chunks:
    """Parallel work that lists cells.

    Attributes:
        count: number of chunks.
        cells: cells that a chunk lists at most, not above :data:`CHUNK_CELLS`.
        work: about how many operations all of them are.
        emit: lists the cells of a chunk.
    """

    count: Index
    cells: Index
    work: Index
    emit: Emit


@dataclasses.dataclass(frozen=True)
class Pieces:
    """A grid of ``rows`` by ``columns`` cells in chunks of about ``wanted`` cells: whole rows where they fit.

    ``least``: columns a chunk has where there are as many, even if that is more than ``wanted``.
    """

    rows: Index
    columns: Index
    wanted: Index
    least: Index = 1

    @property
    def width(self) -> Index:
        """Columns of a chunk."""
        return b.maximum(b.minimum(self.columns, b.maximum(self.wanted, self.least)), 1)

    @property
    def height(self) -> Index:
        """Rows of a chunk."""
        return b.maximum(b.minimum(b.div(self.wanted, self.width), self.rows), 1)

    def chunks(self, work: Index, emit: Callable[[tuple[Index, Index], tuple[Index, Index], Out], Index]) -> Chunks:
        """``emit((first row, end), (first column, end), out)`` as chunks."""
        width, height = self.width, self.height
        across = b.ceildiv(self.columns, width)

        def one(chunk: Index, out: Out) -> Index:
            left = b.mul(b.mod(chunk, across), width)
            top = b.mul(b.div(chunk, across), height)
            right, bottom = (b.add(left, width), self.columns), (b.add(top, height), self.rows)
            return emit((top, b.minimum(*bottom)), (left, b.minimum(*right)), out)

        return Chunks(b.mul(across, b.ceildiv(self.rows, height)), b.mul(width, height), work, one)


def collect(chunks: Chunks, rank: int, ordered: bool, declared: Buffer | None = None, kept: bool = True) -> ir.Value:
    """The coordinates all chunks list, as a value of ``coordinates_type``; ``ordered``: chunk after chunk.

    ``declared``: where the list starts to grow, or with overflow ``error`` the entries it may have. ``kept``: it may
    outlive what is compiled, so it should take no more memory than it needs. Moving 105 thousand entries takes one
    thread 0.1 ms (Emerald Rapids, 2026-11-22).
    """
    total = b.mul(chunks.count, chunks.cells)
    room = FIRST_CAPACITY if declared is None else max(declared.capacity, CHUNK_CELLS)
    capacity = b.minimum(total, room)
    buffer = _List(rank, b.alloc([b.mul(capacity, rank)], integer(32)), _counter())
    if isinstance(total, int) and total <= room:
        _wave(chunks, buffer, ordered, 0, chunks.count)
    else:
        buffer, capacity = _waves(chunks, buffer, ordered, capacity)
    if declared is not None and declared.overflow == "error":
        fits = arith.cmpi(arith.CmpIPredicate.ule, buffer.count(), b.value(declared.capacity))
        cf.assert_(fits, f"pith.detect: more micro-tiles are present than its buffer of {declared.capacity} holds")
    return (_fitted(buffer, capacity) if kept else buffer).result()


@dataclasses.dataclass(frozen=True)
class _List:
    """Coordinates one after the other, and how many entries there are."""

    rank: int
    flat: ir.Value
    counter: ir.Value

    def count(self) -> ir.Value:
        return arith.index_cast(ir.IndexType.get(), memref.load(self.counter, [b.value(0)]))

    def reserve(self, entries: Index) -> ir.Value:
        """First of ``entries`` new entries; any number of threads may ask at once."""
        wide = arith.index_cast(integer(64), b.value(entries))
        first = memref.atomic_rmw(arith.AtomicRMWKind.addi, wide, self.counter, [b.value(0)])
        return arith.index_cast(ir.IndexType.get(), first)

    def result(self) -> ir.Value:
        """The entries as a tensor."""
        return as_list(self.flat, self.count(), self.rank)


def as_list(flat: ir.Value, count: Index, rank: int) -> ir.Value:
    """The first ``count`` entries of a flat memref of coordinates, as a value of ``coordinates_type``."""
    type_ = coordinates_type(rank)
    shape, strides = ([], [1]) if rank == 1 else ([rank], [rank, 1])
    used = memref.reinterpret_cast(
        ir.MemRefType.get(type_.shape, type_.element_type),
        flat,
        [],
        [b.value(count)],
        [],
        [0],
        [ir.ShapedType.get_dynamic_size(), *shape],
        strides,
    )
    return bufferization.to_tensor(type_, used, restrict=True, writable=True)


def _counter() -> ir.Value:
    counter = b.alloc([1], integer(64))
    memref.store(b.zero_of(integer(64)), counter, [b.value(0)])
    return counter


def _fitted(buffer: _List, capacity: Index) -> _List:
    """The same list in a buffer of its own size, where it is much shorter than its buffer."""
    if isinstance(capacity, int) and capacity <= CHUNK_CELLS:
        return buffer
    count = buffer.count()

    def move() -> list[ir.Value]:
        flat = b.alloc([b.value(b.mul(count, buffer.rank))], integer(32))
        _copy(buffer.flat, 0, flat, 0, b.mul(count, buffer.rank))
        return [flat]

    wasteful = b.less(b.mul(count, _WASTE), capacity)
    dynamic = ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], integer(32))
    kept = buffer.flat if buffer.flat.type == dynamic else memref.cast(dynamic, buffer.flat)
    (flat,) = b.if_else(wasteful, move, lambda: [kept], [dynamic])
    return dataclasses.replace(buffer, flat=flat)


def _waves(chunks: Chunks, buffer: _List, ordered: bool, capacity: Index) -> tuple[_List, ir.Value]:
    """Visit all chunks, as many at a time as are sure to find room; the list and its capacity."""

    def unfinished(start: ir.Value, capacity: ir.Value, flat: ir.Value) -> ir.Value:
        return b.less(start, chunks.count)

    def step(start: ir.Value, capacity: ir.Value, flat: ir.Value) -> list[ir.Value]:
        capacity, flat = _room(chunks, dataclasses.replace(buffer, flat=flat), start, capacity)
        now = dataclasses.replace(buffer, flat=flat)
        fits = b.div(b.sub(capacity, now.count()), chunks.cells)
        end = b.minimum(b.add(start, fits), chunks.count)
        _wave(chunks, now, ordered, start, end)
        return [b.value(end), capacity, flat]

    out = b.while_loop([b.value(0), b.value(capacity), buffer.flat], unfinished, step)
    return dataclasses.replace(buffer, flat=out[2]), out[1]


def _room(chunks: Chunks, buffer: _List, start: Index, capacity: ir.Value) -> list[ir.Value]:
    """Capacity and buffer, twice as large when it is half full, or a chunk might not fit."""
    count = buffer.count()
    free, rest = b.sub(capacity, count), b.mul(b.sub(chunks.count, start), chunks.cells)
    tight = b.less(free, b.minimum(rest, b.maximum(b.div(capacity, 2), chunks.cells)))

    def grow() -> list[ir.Value]:
        wider = b.value(b.minimum(b.mul(capacity, 2), b.add(count, rest)))
        flat = b.alloc([b.mul(wider, buffer.rank)], integer(32))
        _copy(buffer.flat, 0, flat, 0, b.mul(count, buffer.rank))
        return [wider, flat]

    return b.if_else(tight, grow, lambda: [capacity, buffer.flat], [capacity.type, buffer.flat.type])


def _wave(chunks: Chunks, buffer: _List, ordered: bool, start: Index, end: Index) -> None:
    """Visit the chunks ``[start, end)``."""
    number = b.sub(end, start)
    work = b.mul(b.ceildiv(chunks.work, b.maximum(chunks.count, 1)), number)
    if not ordered:
        b.parallel_loop([number], lambda i: _append(chunks, buffer, b.add(start, i)), work)
        return
    first, counts = buffer.count(), b.alloc([number], ir.IndexType.get())

    def place(i: Index) -> Index:
        return b.add(first, b.mul(i, chunks.cells))

    def fill(i: Index) -> None:
        memref.store(
            b.value(chunks.emit(b.add(start, i), Out(buffer.rank, buffer.flat, place(i)))), counts, [b.value(i)]
        )

    b.parallel_loop([number], fill, work)

    def close_up(i: Index, used: Index) -> list[ir.Value]:
        found = memref.load(counts, [b.value(i)])
        _copy(
            buffer.flat, b.mul(place(i), buffer.rank), buffer.flat, b.mul(used, buffer.rank), b.mul(found, buffer.rank)
        )
        return [b.value(b.add(used, found))]

    (used,) = b.for_loop(0, number, close_up, [first])
    memref.store(arith.index_cast(integer(64), used), buffer.counter, [b.value(0)])


def _append(chunks: Chunks, buffer: _List, chunk: Index) -> None:
    """List a chunk on the stack, then reserve room and copy it there."""
    local = memref.alloca(ir.MemRefType.get([CHUNK_CELLS * buffer.rank], integer(32)), [], [])
    found = chunks.emit(chunk, Out(buffer.rank, local, 0))
    first = buffer.reserve(found)
    _copy(local, 0, buffer.flat, b.mul(first, buffer.rank), b.mul(found, buffer.rank))


def _copy(source: ir.Value, start: Index, dest: ir.Value, at: Index, words: Index) -> None:
    def word(i: Index) -> None:
        memref.store(memref.load(source, [b.value(b.add(start, i))]), dest, [b.value(b.add(at, i))])

    b.for_loop(0, words, word)
