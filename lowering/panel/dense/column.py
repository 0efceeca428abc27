"""Products of a dense matrix and one column: a dot product per row, some rows at a time.

Code it emits for ``out[row] += matrix[row, red] * column[red]``::

    scf.parallel (chunk of rows)
      for each R rows
        out[row r] = the dot product of row r and the column (dots.py)

Nothing is packed: every element of the matrix is used once, and rows share what they load of the column. What
counts is that enough loads are under way: R rows are as many streams through memory.
"""

import dataclasses

from pith._mlir import ir, memref, vector

from ... import builder as b
from ...builder import Index
from ...transpose import Transform
from .dots import Dots
from .quantized_dots import QuantizedDots

#: Rows per parallel task.
CHUNK_ROWS = 64

#: Rows at a time, and vectors of each: eight chains hide the latency of multiply-adds. On a Zen 3 core torch.mv takes
#: 1.24, 1.30, 1.20 and 1.20 times as long on 512x512, 2048x512, 1024x4096 and 4096x4096 f32 (2026-11).
ROWS, VECTORS = 4, 2


@dataclasses.dataclass(frozen=True)
class DenseColumn:
    """The product of a matrix and a column.

    Attributes:
        dots: of the matrix's rows and the column.
        rows: of the matrix.
        out: ``(rows,)``.
        finish: what is stored in ``out`` given the sum and its row.
    """

    dots: Dots | QuantizedDots
    rows: Index
    out: ir.Value
    finish: Transform

    def emit(self) -> None:
        """Emit the kernel at the insertion point."""
        rows, dots = self.rows, self.dots

        def chunk(number: ir.Value) -> None:
            lo = b.mul(number, CHUNK_ROWS)
            hi = b.minimum(b.add(lo, CHUNK_ROWS), rows)
            whole = b.add(lo, b.mul(b.div(b.sub(hi, lo), ROWS), ROWS))
            b.for_loop(lo, whole, lambda row: self._rows(row, ROWS), step=ROWS, rolled=True)
            b.for_loop(whole, hi, lambda row: self._rows(row, 1), rolled=True)

        b.parallel_loop([b.ceildiv(rows, CHUNK_ROWS)], chunk, work=b.div(b.mul(rows, dots.reds), dots.lanes))

    def _rows(self, first: Index, count: int) -> None:
        """The results of ``count`` rows; one alone keeps as many sums."""
        rows = [b.value(b.add(first, r)) for r in range(count)]
        totals = self.dots.totals([[row] for row in rows], [[]], VECTORS * ROWS // count)
        sums = [vector.extract(some, [], [i]) for some in totals for i in range(some.type.shape[0])]
        for row, total in zip(rows, sums):
            memref.store(self.finish(total, [row]), self.out, [row])
