"""Products of a dense matrix and one column: a dot product per row, some rows at a time.

Code it emits for ``out[row] += matrix[row, red] * column[red]`` (R: rows, U vectors of L lanes)::

    scf.parallel (chunk of rows)
      for each R rows
        acc : R x U x vector<L> = 0
        for each U * L contracted coordinates:  acc[r][u] += matrix[row r, red + u*L] * column[red + u*L]
        out[row r] = the lanes of acc[r], added up, and what is left of the row

Nothing is packed: every element of the matrix is used once, and rows share what they load of the column. What
counts is that enough loads are under way: R rows are as many streams through memory.
"""

import dataclasses
import functools
from collections.abc import Sequence

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from ..transpose import Transform

#: Rows per parallel task.
CHUNK_ROWS = 64

#: Rows at a time, and vectors of each: eight chains hide the latency of multiply-adds. On a Zen 3 core torch.mv takes
#: 1.24, 1.30, 1.20 and 1.20 times as long on 512x512, 2048x512, 1024x4096 and 4096x4096 f32 (2026-11).
ROWS, VECTORS = 4, 2


@dataclasses.dataclass(frozen=True)
class DenseColumn:
    """The product of a matrix and a column.

    Attributes:
        matrix: ``(rows, reds)``, rows contiguous; ``column``: ``(reds,)``, contiguous; ``out``: ``(rows,)``.
        finish: what is stored in ``out`` given the sum and its row.
    """

    matrix: ir.Value
    column: ir.Value
    out: ir.Value
    finish: Transform

    def emit(self, isa: Isa) -> None:
        """Emit the kernel at the insertion point."""
        rows, reds = (b.dim_size(self.matrix, d) for d in (0, 1))
        lanes = max(1, isa.vector_bytes // (8 if isinstance(self.element, ir.F64Type) else 4))

        def chunk(number: ir.Value) -> None:
            lo = b.mul(number, CHUNK_ROWS)
            hi = b.minimum(b.add(lo, CHUNK_ROWS), rows)
            whole = b.add(lo, b.mul(b.div(b.sub(hi, lo), ROWS), ROWS))
            b.for_loop(lo, whole, lambda row: self._rows(row, ROWS, reds, lanes), step=ROWS, rolled=True)
            b.for_loop(whole, hi, lambda row: self._rows(row, 1, reds, lanes), rolled=True)

        b.parallel_loop([b.ceildiv(rows, CHUNK_ROWS)], chunk, work=b.div(b.mul(rows, reds), lanes))

    @property
    def element(self) -> ir.Type:
        """Of all operands."""
        return self.matrix.type.element_type

    def _rows(self, first: Index, count: int, reds: Index, lanes: int) -> None:
        """The results of ``count`` rows."""
        rows = [b.value(b.add(first, r)) for r in range(count)]
        vectors = VECTORS * ROWS // count  # one row alone keeps as many sums
        zero = b.zero_of(self.element)
        sums = [zero] * count
        end: Index = 0
        for wide in (vectors, 1):
            step = wide * lanes
            type_ = ir.VectorType.get([lanes], self.element)
            last = b.add(end, b.mul(b.div(b.sub(reds, end), step), step))
            body = functools.partial(self._step, rows, type_, wide)
            accs = b.for_loop(end, last, body, [vector.broadcast(type_, zero)] * (count * wide), step=step, rolled=True)
            sums = [arith.addf(s, _total(accs[r * wide :][:wide])) for r, s in enumerate(sums)]
            end = last
        sums = b.for_loop(end, reds, functools.partial(self._scalar, rows), sums, rolled=True)
        for row, total in zip(rows, sums):
            memref.store(self.finish(total, [row]), self.out, [row])

    def _step(self, rows: Sequence[ir.Value], type_: ir.VectorType, wide: int, at: Index, *accs: ir.Value):
        places = [b.value(b.add(at, u * type_.shape[0])) for u in range(wide)]
        shared = [vector.load(type_, self.column, [place]) for place in places]
        pairs = ((row, place, x) for row in rows for place, x in zip(places, shared))
        return [vector.fma(vector.load(type_, self.matrix, [row, p]), x, a) for (row, p, x), a in zip(pairs, accs)]

    def _scalar(self, rows: Sequence[ir.Value], at: Index, *sums: ir.Value) -> list[ir.Value]:
        x, place = memref.load(self.column, [b.value(at)]), b.value(at)
        return [arith.addf(s, arith.mulf(memref.load(self.matrix, [row, place]), x)) for row, s in zip(rows, sums)]


def _total(parts: Sequence[ir.Value]) -> ir.Value:
    """The sum of all lanes."""
    whole = functools.reduce(arith.addf, parts)
    fast = ir.Attribute.parse("#arith.fastmath<reassoc>")
    return vector.reduction(whole.type.element_type, vector.CombiningKind.ADD, whole, fastmath=fast)
