"""Products of a few rows: rows of the right operand are read where they lie, and nothing is packed.

Code it emits for ``out[row, col] += lhs[row, red] * rhs[red, col]`` (U: contracted coordinates at a time)::

    for each strip of columns
      sums[:, :] = 0
      for each U contracted coordinates
        for each row
          for each vector of the strip
            sums[row, vector] += lhs[row, red] * rhs[red, vector] + ... + lhs[row, red + U] * rhs[red + U, vector]
      out[row, strip] = what becomes of the sums

What one row takes is the time of reading ``rhs``. U rows of it are as many streams through memory; sums stay in L1
or L2.
"""

import dataclasses

from pith._mlir import ir, memref, vector

from ... import builder as b
from ...builder import Index
from ..arithmetic import bytes_of, convert, multiply_add
from .few import Few

#: Rows for which this is faster than panels are. Milliseconds on panels and without, for 5, 8, 10, 12 and 16 rows times
#: 1024x1024 f32: 0.64, 0.37; 0.91, 0.58; 0.75, 0.59; 0.79, 0.62; 0.90, 0.77; 16 times 4096x1024: 8.5, 11.4 (minima
#: of 20, busy Zen 3, 2026-11-21).
FEW_ROWS = 12

#: Columns of a strip: long pieces of rows, for hardware prefetches in pages. One row times 1024x4096 f32 over MKL's
#: time with strips of 512, 2048, 4096 and 8192: 1.39, 1.48, 0.95 and 1.23; times 4096x1024 1.41, 1.05, 0.92 and 1.01
#: (minima of 25, busy Zen 3, 2026-11-21; four and eight coordinates at a time differ by less than runs do).
STRIP_COLUMNS = 4096

#: Contracted coordinates between two visits of a sum.
UNROLLED = 8


@dataclasses.dataclass(frozen=True)
class FewRows(Few):
    """A product whose walk over rows has at most :data:`FEW_ROWS` positions.

    ``rhs`` is ``(reds, cols)``; columns are not listed.
    """

    @property
    def lanes(self) -> int:
        """Of a machine vector."""
        return self.isa.vector_bytes // bytes_of(self.element)

    def emit(self, first: Index, last: Index) -> None:
        """Multiply all rows with the columns of positions ``first`` up to ``last``."""
        sums = b.alloc([FEW_ROWS, STRIP_COLUMNS], self.element)

        def strip(start: Index) -> None:
            width = b.minimum(STRIP_COLUMNS, b.sub(last, start))
            b.for_loop(0, self.rows.count, lambda row: self._clear(sums, row, width), rolled=True)
            end: Index = 0
            for count in (UNROLLED, 1):
                begin, end = end, b.mul(b.div(self.reds.count, count), count)
                b.for_loop(begin, end, lambda k, n=count: self._add(sums, k, n, start, width), step=count, rolled=True)
            self._write(sums, start, width, self.lanes)

        b.for_loop(first, last, strip, step=STRIP_COLUMNS, rolled=True)

    def _clear(self, sums: ir.Value, row: Index, width: Index) -> None:
        def some(j: Index, lanes: int) -> None:
            zeros = vector.broadcast(ir.VectorType.get([lanes], self.element), b.zero_of(self.element))
            vector.store(zeros, sums, [b.value(row), b.value(j)])

        b.by_vectors(width, self.lanes, some)

    def _add(self, sums: ir.Value, first: Index, count: int, start: Index, width: Index) -> None:
        """Add the products of ``count`` contracted positions from ``first`` on to the sums of all rows."""
        positions = [b.add(first, u) for u in range(count)]
        reds = [b.value(self.reds.at(k)) for k in positions]
        places = [b.value(self.lhs_reds.at(k)) for k in positions]

        def one(row: Index) -> None:
            at = b.value(self.rows.at(row))
            factors = [convert(memref.load(self.lhs, [at, place]), self.element) for place in places]

            def some(j: Index, lanes: int) -> None:
                here, type_ = [b.value(row), b.value(j)], ir.VectorType.get([lanes], self.element)
                column = b.value(b.add(b.add(self.cols.first, start), j))
                acc = vector.load(type_, sums, here)
                for red, factor in zip(reds, factors):
                    x = vector.load(ir.VectorType.get([lanes], self.rhs.type.element_type), self.rhs, [red, column])
                    acc = multiply_add(vector.broadcast(type_, factor), convert(x, self.element), acc)
                vector.store(acc, sums, here)

            b.by_vectors(width, self.lanes, some)

        b.for_loop(0, self.rows.count, one, rolled=True)
