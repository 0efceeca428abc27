"""The kernels that find the cells of a detection: strips of rows, or a warp per cell."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Protocol

from pith._mlir import arith, gpu, ir, memref
from pith.dialect import shape_of
from pith.dialect.fields import read_bool
from pith.dialect.ops_detect import DETERMINISTIC, UNSIGNED

from ... import builder as b
from ...builder import Index
from ...patterns.presence import Presence, limit_of
from ..host import Host
from ..warp import reduce_warp
from .cut import Cells, Cut, Rows
from .flags import Reader, lanes_of
from .lists import THREADS, WARP, Block, i32, shared_words, word

#: Rows of a cell that one block looks at; taller cells are shared among blocks. 64 rows of 16 bytes are four times
#: what hides the latency of memory; not measured.
_TALL = 64

#: 16-byte loads a thread has in flight, where the cell has that many.
_IN_FLIGHT = 4

_CMP = arith.CmpIPredicate


class Taker(Protocol):
    """Where a block puts what its threads find."""

    def take(self, cells: Cells, rows: Rows, number: Index, found: Sequence[tuple[ir.Value, Index]]) -> None:
        """Cells of row ``number`` of cells: per thread, bits and the column of the first of them."""
        ...


@dataclasses.dataclass(frozen=True)
class Detection:
    """One detection: what is read, how it is cut, and the kernel that suits it."""

    host: Host
    op: ir.OpView
    cut: Cut
    source: ir.Value
    sizes: tuple[Index, ...]
    threshold: float | ir.Value
    channel: int | None

    @property
    def cells(self) -> Cells:
        """The cells, by sizes on the host."""
        return self.cut.over(self.sizes)

    @property
    def height(self) -> int | None:
        """Rows of elements that a cell spans, where that is known."""
        extents = [self.cut.extent(d) for d in range(self.cut.first)]
        known = [e or n for e, n in zip(extents, shape_of(self.op.source.type))]
        return None if any(n < 0 for n in known) else math.prod(known)

    @property
    def tall(self) -> bool:
        """Whether several blocks look at one cell."""
        return self.height is None or self.height > _TALL

    @property
    def through_bitmap(self) -> bool:
        """Whether what is found goes through a bitmap."""
        return self.tall or is_set(self.op, DETERMINISTIC)

    @property
    def lanes(self) -> int:
        """Elements of a load."""
        return lanes_of(self.source.type.element_type.width)

    @property
    def vectors(self) -> int:
        """Vectors of a row that a thread holds: few where a cell has rows enough to keep memory busy."""
        return max(_IN_FLIGHT // self.height, 1) if self.height else 1

    def strip(self, run: Index) -> int | None:
        """Elements of a row that a block takes: whole cells and whole vectors; None where no strip holds a cell."""
        if not isinstance(run, int) or not run:
            return None
        step = math.lcm(run, self.lanes)
        return THREADS * self.vectors * self.lanes // step * step or None

    def launch(self, sink: ir.Value, wrap: Callable[[ir.Value, Block], Taker]) -> None:
        """Emit and launch the kernel that finds the cells, for a list or a bitmap ``sink``."""
        cells = self.cells
        chunks = b.ceildiv(cells.rows, _TALL) if self.tall else 1
        strip = self.strip(cells.run)
        if strip is None:
            grid, shared = b.ceildiv(cells.count, THREADS // WARP), Block.shared_bytes()
        else:
            grid = b.mul(cells.outer_count, b.ceildiv(cells.size, strip))
            shared = Block.shared_bytes() + (THREADS * self.vectors * 4 if self._is_shared(cells.run) else 0)
        scalar = [] if isinstance(self.threshold, float) else [self.threshold]
        arguments = [self.source, *scalar, sink]
        with self.host.kernel("detect", [v.type for v in arguments], THREADS) as (name, entry):
            source, *given, memory = entry.arguments
            block = Block.here()
            taker, number = wrap(memory, block), gpu.block_id(gpu.Dimension.x)
            here = self._cells(source)
            bounds, number = self._chunk(here, number)
            reader = Reader.of(self._presence(source, given), self.height)
            if strip is None:
                self._warps(here, reader, block, number, bounds, taker)
            else:
                self._strips(here, reader, block, number, bounds, taker, strip)
        self.host.launch(self.op, name, [b.mul(grid, chunks)], THREADS, shared, arguments)

    def _cells(self, source: ir.Value) -> Cells:
        return self.cut.over([b.dim_size(source, d) for d in range(source.type.rank)])

    def _presence(self, source: ir.Value, given: Sequence[ir.Value]) -> Presence:
        element, signed = source.type.element_type, not is_set(self.op, UNSIGNED)
        line = self.cut.line(source)
        if self.channel is not None:
            return Presence(line, given[0], self.channel, signed)
        limit = given[0] if given else arith.constant(ir.F64Type.get(), self.threshold)
        return Presence(line, limit_of(limit, element), None, signed)

    def _chunk(self, cells: Cells, number: ir.Value) -> tuple[Callable[[Rows], tuple[Index, Index]], Index]:
        """Which rows of its cells a block looks at, and its number among those that look at the same rows."""
        if not self.tall:
            return lambda rows: (0, rows.count), number
        chunks = b.ceildiv(cells.rows, _TALL)
        first = b.mul(b.mod(number, chunks), _TALL)

        def bounds(rows: Rows) -> tuple[Index, Index]:
            return b.minimum(first, rows.count), b.minimum(b.add(first, _TALL), rows.count)

        return bounds, b.div(number, chunks)

    def _is_shared(self, run: Index) -> bool:
        return isinstance(run, int) and self.lanes % run != 0

    def _strips(self, cells: Cells, reader: Reader, block: Block, number: Index, bounds, taker, strip: int) -> None:
        """Threads hold neighbouring vectors of a strip of a row."""
        strips = b.ceildiv(cells.size, strip)
        outer, left = b.div(number, strips), b.mul(b.mod(number, strips), strip)
        rows, run = cells.rows_of(outer), cells.run
        extent = int(run)  # type: ignore[arg-type]  # strips hold cells of known extent
        at = [b.mul(b.add(u * THREADS, block.number), self.lanes) for u in range(self.vectors)]
        end = b.minimum(b.add(left, strip), cells.size)
        words = reader.words(rows, bounds(rows), [b.add(left, a) for a in at], end, reader.aligned())
        if not self._is_shared(run):
            found = [(_grouped(w, self.lanes, extent), b.add(b.div(left, run), b.div(a, run)))
                     for w, a in zip(words, at)]  # fmt: skip
            taker.take(cells, rows, outer, found)
            return
        shared = shared_words(Block.shared_bytes(), THREADS * self.vectors)
        for u, w in enumerate(words):
            memref.store(w, shared, [b.value(b.add(u * THREADS, block.number))])
        gpu.barrier()
        mine = -(-(strip // extent) // THREADS)
        first = b.mul(block.number, mine)
        bits = self._gathered(shared, first, mine, strip, extent)
        taker.take(cells, rows, outer, [(bits, b.add(b.div(left, run), first))])

    def _gathered(self, shared: ir.Value, first: Index, mine: int, strip: int, run: int) -> ir.Value:
        """The ``mine`` cells from ``first`` on of a strip whose elements' bits lie in shared memory."""
        out = word(0)
        for j in range(mine):
            cell = b.add(first, j)
            lo, cells = b.mul(cell, run), strip // run

            def merge(lo: Index = lo) -> list[ir.Value]:
                return [self._any(shared, lo, run)]

            (any_,) = b.if_else(b.less(cell, cells), merge, lambda: [word(0)], [i32()])
            present = arith.extui(i32(), arith.cmpi(_CMP.ne, any_, word(0)))
            out = arith.ori(out, arith.shli(present, word(j)))
        return out

    def _any(self, shared: ir.Value, lo: Index, run: int) -> ir.Value:
        """The bits of ``run`` elements from ``lo`` on, in any order."""
        if run % self.lanes == 0:
            start = b.div(lo, self.lanes)
            return b.for_loop(
                0,
                run // self.lanes,
                lambda i, acc: [arith.ori(acc, memref.load(shared, [b.value(b.add(start, i))]))],
                [word(0)],
            )[0]

        def element(i: Index, acc: ir.Value) -> list[ir.Value]:
            at = b.add(lo, i)
            held = memref.load(shared, [b.value(b.div(at, self.lanes))])
            shift = arith.index_castui(i32(), b.value(b.mod(at, self.lanes)))
            return [arith.ori(acc, arith.andi(arith.shrui(held, shift), word(1)))]

        return b.for_loop(0, run, element, [word(0)])[0]

    def _warps(self, cells: Cells, reader: Reader, block: Block, number: Index, bounds, taker) -> None:
        """A warp looks at one cell."""
        cell = b.add(b.mul(number, THREADS // WARP), block.warp)
        exists = b.less(cell, cells.count)
        safe = arith.select(exists, b.value(cell), b.value(0))
        outer, column = b.div(safe, cells.columns), b.mod(safe, cells.columns)
        rows, lo = cells.rows_of(outer), b.mul(column, cells.run)
        end = b.minimum(b.add(lo, cells.run), cells.size)
        aligned = reader.aligned(cells.run)
        step, many = WARP * self.lanes, WARP * self.lanes * _IN_FLIGHT
        start = b.add(lo, b.mul(block.lane, self.lanes))

        def look(e: Index, acc: ir.Value) -> list[ir.Value]:
            starts = [b.add(e, i * step) for i in range(_IN_FLIGHT)]
            words = reader.words(rows, bounds(rows), starts, end, aligned)
            for w in words:
                acc = arith.ori(acc, w)
            return [acc]

        def search() -> list[ir.Value]:
            return b.for_loop(start, end, look, [word(0)], step=many)

        (seen,) = b.if_else(exists, search, lambda: [word(0)], [i32()])
        seen = reduce_warp(seen, arith.ori)
        speaks = arith.andi(arith.cmpi(_CMP.ne, seen, word(0)), arith.cmpi(_CMP.eq, block.lane, b.value(0)))
        taker.take(cells, rows, outer, [(arith.extui(i32(), speaks), column)])


def _grouped(bits: ir.Value, lanes: int, run: int) -> ir.Value:
    """One bit for every ``run`` of the low ``lanes`` bits."""
    if run == 1:
        return bits
    out = word(0)
    for cell in range(lanes // run):
        any_ = arith.cmpi(_CMP.ne, arith.andi(bits, word(((1 << run) - 1) << (cell * run))), word(0))
        out = arith.ori(out, arith.shli(arith.extui(i32(), any_), word(cell)))
    return out


def is_set(op: ir.OpView, name: str) -> bool:
    """Whether an option of a detection is on."""
    return name in op.operation.attributes and read_bool(op, name)
