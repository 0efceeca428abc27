"""The register tile of a dense product: no coordinate is stored, so every row meets the same panel rows."""

import dataclasses
import math
from collections.abc import Callable, Sequence

from pith._mlir import arith, ir, memref, vector

from ... import builder as b
from ...builder import Index
from ..arithmetic import CACHE_LINE, bytes_of, multiply_add
from ..pack import Panel
from ..variant import BLOCK_OPERATIONS, Variant
from ..walk import Walk
from .unpacked import InSource, Unpacked

#: Contracted coordinates in one unrolled block, at most.
MOST_UNROLLED = 8

#: Contracted coordinates from which on a tile asks for the lines that it writes before it multiplies. f32 with and
#: without, one thread: 4096x512x1024 26.9 and 31.9 ms, 2048x256x2048 14.0 and 14.7, 1024x128x1024 2.33 and 2.48,
#: 1024x64x1024 0.89 and 0.84; 64 experts of 128x512x1024 65.9 and 69.8 (Emerald Rapids, 2026-11-22).
EXPECTING = 128

#: Bytes of a matrix from which on its lines are asked for: caches hold less. 384x384x1536 f32 (2.25 MiB) takes 3.21 ms
#: without and 3.29 with it, 1.70 and 1.75 on two threads (as above).
EXPECTED_BYTES = 3 << 20


def unrolled(variant: Variant, vectors: int) -> int:
    """Contracted coordinates per trip of the loop of a tile of so many vectors across: a power of two."""
    most = min(MOST_UNROLLED, BLOCK_OPERATIONS // (variant.rows * vectors))
    return 1 << max(0, most.bit_length() - 1)


@dataclasses.dataclass(frozen=True)
class DenseTile:
    """Accumulators of some rows by some lanes.

    Attributes:
        lhs: ``(rows, reds)``, or those of the rows that are multiplied now.
        rows, reds: positions of the tile's rows and of the panel's, and what they are in ``lhs``.
        vectors: machine vectors per row of the tile.
        unroll: contracted coordinates per trip of the loop, by default as many as suit the tile.
        is_last: nothing says that the last of its rows are there.
    """

    lhs: ir.Value
    rows: Walk
    reds: Walk
    variant: Variant
    vectors: int
    element: ir.Type
    unroll: int = 0
    is_last: bool = False

    @property
    def low(self) -> "DenseTile | None":
        """The tile of two thirds as many rows, for the last ones where they are so few; None where they never are.

        8, 14, 20 and 33 rows, known at run time only, times 1024x1024 f32 take 0.26, 0.31, 0.39 and 0.54 ms without,
        0.20, 0.25, 0.32 and 0.50 with it; with a tile of half the rows 10, 16, 64 and 130 rows take 0.22, 0.30, 0.96
        and 1.77, with this one 0.19, 0.27, 0.93 and 1.72 (Emerald Rapids, one thread, 2026-11-22).
        """
        rows, height = self.rows.count, 2 * self.variant.rows // 3
        if not height or (isinstance(rows, int) and not 0 < rows % self.variant.rows <= height):
            return None
        low = Variant(self.variant.lanes, height)
        return dataclasses.replace(self, variant=low, unroll=self.unrolled, is_last=True)

    def low_rows(self, count: Index, low: "DenseTile") -> ir.Value:
        """How many of ``count`` rows, the last, take a tile or two of ``low``: where they are few, two in place of one
        tile and of one that is hardly filled."""
        height, left = self.variant.rows, b.mod(count, self.variant.rows)
        pairs = arith.andi(b.less(left, 2 * low.variant.rows - height + 1), b.less(height, count))
        few = arith.andi(b.less(0, left), b.less(left, low.variant.rows + 1))
        rows = arith.select(pairs, b.value(b.add(left, height)), b.value(left))
        return arith.select(few, rows, b.value(0))

    @property
    def parts(self) -> list[tuple[int, ir.VectorType]]:
        """First lane and type of the accumulators of a row: LLVM widens what is no power of two, and spills it."""
        lanes, parts = self.variant.lanes, []
        while lanes:
            part = 1 << lanes.bit_length() - 1
            parts.append((self.variant.lanes - lanes, ir.VectorType.get([part], self.element)))
            lanes -= part
        return parts

    def places(self, corners: Sequence[tuple[Index, Index]]) -> list[list[ir.Value]]:
        """Where accumulators are in a matrix that has the rows' first elements at ``corners``."""
        return [[b.value(row), b.value(b.add(col, lane))] for row, col in corners for lane, _ in self.parts]

    def expect(self, matrix: ir.Value, places: list[list[ir.Value]], reds: Index, when: ir.Value | None) -> None:
        """Ask for the lines of ``places``, where sums over ``reds`` contracted coordinates are to be written.

        ``when``: only then; None is always.
        """
        type_ = matrix.type
        near = type_.has_static_shape and math.prod(type_.shape) * bytes_of(type_.element_type) < EXPECTED_BYTES
        if near or (isinstance(reds, int) and reds < EXPECTING):
            return
        if not isinstance(reds, int):
            deep = b.less(EXPECTING - 1, reds)
            when = deep if when is None else arith.andi(deep, when)
        step, per_row = CACHE_LINE // bytes_of(matrix.type.element_type), len(self.parts)

        def ask() -> None:
            for row, column in places[::per_row]:
                for lane in range(0, self.variant.lanes, step):
                    memref.prefetch(matrix, [row, b.value(b.add(column, lane))], True, 3, True)

        b.only_if(when, ask)

    @property
    def types(self) -> list[ir.Type]:
        """Of all accumulators."""
        return [type_ for _, type_ in self.parts] * self.variant.rows

    @property
    def unrolled(self) -> int:
        """Contracted coordinates per trip of the loop, a power of two."""
        return self.unroll or unrolled(self.variant, self.vectors)

    def zeros(self) -> list[ir.Value]:
        """Accumulators at the start."""
        return [vector.broadcast(type_, b.zero_of(self.element)) for _, type_ in self.parts] * self.variant.rows

    def positions(self, first: Index) -> list[Index]:
        """Rows from position ``first`` on; past the last the last again, so results there are stored twice, alike."""
        rows = [b.add(first, i) for i in range(self.variant.rows)]
        if self.is_last or not self.rows.whole(self.variant.rows):
            last = b.sub(self.rows.count, 1)
            rows = [rows[0], *(b.minimum(row, last) for row in rows[1:])]
        return rows

    def multiply(
        self,
        rows: list[Index],
        panel: Panel | InSource,
        column: Index,
        span: tuple[Index, Index],
        accs: list[ir.Value],
        meanwhile: Callable[[Index], None] | None = None,
    ) -> list[ir.Value]:
        """``accs[i] += lhs[rows[i], reds[span]] * panel[span, column:]``.

        ``meanwhile`` is told the number of every unrolled block.
        """
        lo, hi = span

        def step(k: Index, accs: list[ir.Value]) -> list[ir.Value]:
            shared = [panel.part(type_, k, b.add(column, lane)) for lane, type_ in self.parts]
            if isinstance(panel, Unpacked):
                panel.keep(k, [(lane, x) for (lane, _), x in zip(self.parts, shared)])
            red = b.value(self.reds.at(k))
            loaded = [memref.load(self.lhs, [b.value(row), red]) for row in rows]
            pairs = ((a, x) for a in loaded for x in shared)
            return [multiply_add(vector.broadcast(x.type, a), x, acc) for (a, x), acc in zip(pairs, accs)]

        def some(count: int):
            def body(k: Index, *accs: ir.Value) -> list[ir.Value]:
                inner = list(accs)
                if meanwhile is not None and count == self.unrolled:
                    meanwhile(b.div(k, count))
                for u in range(count):
                    inner = step(b.add(k, u), inner)
                return inner

            return body

        if isinstance(panel, Unpacked):
            return b.for_loop(lo, hi, some(1), accs, rolled=True)
        whole = b.add(lo, b.mul(b.div(b.sub(hi, lo), self.unrolled), self.unrolled))
        accs = b.for_loop(lo, whole, some(self.unrolled), accs, step=self.unrolled)
        return b.for_loop(whole, hi, some(1), accs) if whole is not hi else accs
