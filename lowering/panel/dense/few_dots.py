"""Products of a few rows with a right operand that is stored by columns: dot products, and nothing is packed.

Code it emits for ``out[row, col] += lhs[row, red] * rhs[col, red]`` (C columns, R rows)::

    for each strip of columns
      for each C columns, for each R rows
        sums[rows, columns] = the dot products of lhs[row] and rhs[col] (dots.py)
      out[row, strip] = what becomes of the sums

It takes about as long as reading ``rhs`` does, of which a column is loaded once for R rows, from L1 for the next R.
"""

import dataclasses
import functools

from pith._mlir import ir, vector

from ... import builder as b
from ...builder import Index
from ...isa import Isa
from ..walk import Walk
from .dots import Dots
from .few import Few

#: Rows for which this is faster than panels are, with 16 vector registers and with more. Milliseconds of 8, 10, 12 and
#: 16 rows times a transposed 1024x4096 f32 on panels and as dot products: 0.95, 0.67; 2.2, 1.1; 2.46, 1.28; 1.55, 1.64;
#: with AVX2 of 4 and 8 rows 1.49, 0.77; 0.96, 1.29 (Emerald Rapids, 2026-11).
_FEW = (4, 12)

#: Columns at a time, as many streams through memory, or half as many where registers are short. Eight rows take 0.87 ms
#: as twice four with four columns, 0.67 with two.
COLUMNS = 4

#: Columns of a strip.
STRIP_COLUMNS = 256


def few_dot_rows(isa: Isa) -> int:
    """Rows for which nothing is packed."""
    return _FEW[isa.vector_registers > 16]


def few_dots_of(element: str, isa: Isa) -> int:
    """The same for an element type: none where tile registers multiply it.

    >>> from pith.lowering.isa import ISAS
    >>> [few_dots_of(*case) for case in (("f32", ISAS["avx2"]), ("bf16", ISAS["avx512-bf16"]), ("bf16", ISAS["amx"]))]
    [4, 12, 0]
    """
    return 0 if element == "bf16" and isa.amx_bf16 else few_dot_rows(isa)


@dataclasses.dataclass(frozen=True)
class FewDots(Few):
    """A product whose walk over rows has at most :func:`few_dot_rows` positions.

    ``rhs`` is ``(cols, reds)``; columns may be listed, contracted coordinates may not.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns at a time: sums and what is loaded for them stay in registers."""
        most, rows = self.isa.vector_registers // 4, self.rows.count
        high = -(-rows // -(-rows // most)) if isinstance(rows, int) and rows else 4
        return high, COLUMNS if (high + 1) * COLUMNS < self.isa.vector_registers else COLUMNS // 2

    def emit(self, first: Index, last: Index) -> None:
        """Multiply all rows with the columns of positions ``first`` up to ``last``."""
        high, wide = self.shape
        pairs = self.isa.dot_gain("bf16") > 0
        dots = Dots(self.rhs, self.lhs, self.reds.count, self.element, self.isa.vector_bytes, pairs)
        most = self.rows.count if isinstance(self.rows.count, int) else few_dot_rows(self.isa)
        sums = b.alloc([-(-most // high) * high, STRIP_COLUMNS], self.element)

        def strip(start: Index) -> None:
            width = b.minimum(STRIP_COLUMNS, b.sub(last, start))

            def some(column: Index) -> None:
                at = b.add(start, column)
                tile = functools.partial(self._tile, dots, sums, at, column)
                b.for_loop(0, self.rows.count, tile, step=high, rolled=True)

            b.for_loop(0, width, some, step=wide, rolled=True)
            self._write(sums, start, width, dots.lanes // dots.group)

        b.for_loop(first, last, strip, step=STRIP_COLUMNS, rolled=True)

    def _tile(self, dots: Dots, sums: ir.Value, first_col: Index, column: Index, row: Index) -> None:
        """The sums of some rows and columns; past the last the last again, which nobody reads."""
        high, wide = self.shape
        done = 0
        for total in dots.totals(_lines(self.cols, first_col, wide), _lines(self.rows, row, high)):
            lanes = min(wide, total.type.shape[0])  # vectors of two f64 are narrower than what is multiplied at a time
            for i in range(0, total.type.shape[0], lanes):
                part_type = ir.VectorType.get([lanes], self.element)
                part = vector.extract_strided_slice(part_type, total, [i], [lanes], [1])
                vector.store(part, sums, [b.value(b.add(row, done // wide)), b.value(b.add(column, done % wide))])
                done += lanes


def _lines(walk: Walk, first: Index, count: int) -> list[list[ir.Value]]:
    last = b.sub(walk.count, 1)
    positions = [first, *(b.minimum(b.add(first, i), last) for i in range(1, count))]
    return [[b.value(walk.at(p))] for p in positions]
