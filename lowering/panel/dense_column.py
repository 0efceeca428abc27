"""Products of a dense matrix and one column: a dot product per row, some rows at a time.

Code it emits for ``out[row] += matrix[row, red] * column[red]`` (R: rows, U vectors of L lanes)::

    scf.parallel (chunk of rows)
      for each R rows
        acc : R x U x vector<L> = 0
        for each U * L contracted coordinates:  acc[r][u] += matrix[row r, red + u*L] * column[red + u*L]
        out[row r] = the lanes of acc[r], added up, and what is left of the row

Nothing is packed: every element of the matrix is used once, and rows share what they load of the column. What
counts is that enough loads are under way: R rows are as many streams through memory. Narrow elements are widened in
registers; bytes to 16 bits, of which one instruction multiplies and adds pairs (``pith.dot``).
"""

import dataclasses
import functools
from collections.abc import Sequence

from pith._mlir import arith, ir, memref, vector
from pith.dialect import DotOp

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from ..transpose import Transform
from .arithmetic import add, convert, multiply_add

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
        sums: element type of the sums.
    """

    matrix: ir.Value
    column: ir.Value
    out: ir.Value
    finish: Transform
    sums: ir.Type

    def emit(self, isa: Isa) -> None:
        """Emit the kernel at the insertion point."""
        rows, reds = (b.dim_size(self.matrix, d) for d in (0, 1))
        lanes = max(1, isa.vector_bytes // (self.sums.width // 8)) * self.group

        def chunk(number: ir.Value) -> None:
            lo = b.mul(number, CHUNK_ROWS)
            hi = b.minimum(b.add(lo, CHUNK_ROWS), rows)
            whole = b.add(lo, b.mul(b.div(b.sub(hi, lo), ROWS), ROWS))
            b.for_loop(lo, whole, lambda row: self._rows(row, ROWS, reds, lanes), step=ROWS, rolled=True)
            b.for_loop(whole, hi, lambda row: self._rows(row, 1, reds, lanes), rolled=True)

        b.parallel_loop([b.ceildiv(rows, CHUNK_ROWS)], chunk, work=b.div(b.mul(rows, reds), lanes))

    @property
    def group(self) -> int:
        """Products that one lane of an accumulator takes at once."""
        return 2 if str(self.matrix.type.element_type) == "i8" and str(self.sums) == "i32" else 1

    @property
    def factor(self) -> ir.Type:
        """What elements are widened to."""
        return ir.IntegerType.get_signless(16) if self.group == 2 else self.sums

    def _rows(self, first: Index, count: int, reds: Index, lanes: int) -> None:
        """The results of ``count`` rows."""
        rows = [b.value(b.add(first, r)) for r in range(count)]
        vectors = VECTORS * ROWS // count  # one row alone keeps as many sums
        zero = b.zero_of(self.sums)
        sums = [zero] * count
        end: Index = 0
        for wide in (vectors, 1):
            step = wide * lanes
            type_ = ir.VectorType.get([lanes // self.group], self.sums)
            last = b.add(end, b.mul(b.div(b.sub(reds, end), step), step))
            body = functools.partial(self._step, rows, lanes, wide)
            accs = b.for_loop(end, last, body, [vector.broadcast(type_, zero)] * (count * wide), step=step, rolled=True)
            sums = [add(s, _total(accs[r * wide :][:wide])) for r, s in enumerate(sums)]
            end = last
        sums = b.for_loop(end, reds, functools.partial(self._scalar, rows), sums, rolled=True)
        for row, total in zip(rows, sums):
            memref.store(self.finish(total, [row]), self.out, [row])

    def _step(self, rows: Sequence[ir.Value], lanes: int, wide: int, at: Index, *accs: ir.Value):
        places = [b.value(b.add(at, u * lanes)) for u in range(wide)]
        shared = [self._load(self.column, [place], lanes) for place in places]
        pairs = ((row, place, x) for row in rows for place, x in zip(places, shared))
        return [self._product(self._load(self.matrix, [row, p], lanes), x, a) for (row, p, x), a in zip(pairs, accs)]

    def _load(self, source: ir.Value, at: list[ir.Value], lanes: int) -> ir.Value:
        type_ = ir.VectorType.get([lanes], source.type.element_type)
        return convert(vector.load(type_, source, at), self.factor)

    def _product(self, x: ir.Value, y: ir.Value, acc: ir.Value) -> ir.Value:
        return DotOp.build(acc, x, y).result if self.group == 2 else multiply_add(x, y, acc)

    def _scalar(self, rows: Sequence[ir.Value], at: Index, *sums: ir.Value) -> list[ir.Value]:
        place = b.value(at)
        x = convert(memref.load(self.column, [place]), self.sums)
        multiply = arith.mulf if isinstance(self.sums, ir.FloatType) else arith.muli
        factors = [convert(memref.load(self.matrix, [row, place]), self.sums) for row in rows]
        return [add(s, multiply(factor, x)) for factor, s in zip(factors, sums)]


def _total(parts: Sequence[ir.Value]) -> ir.Value:
    """The sum of all lanes, in any order."""
    whole = functools.reduce(add, parts)
    element = whole.type.element_type
    order = arith.FastMathFlags.reassoc if isinstance(element, ir.FloatType) else None
    return vector.reduction(element, vector.CombiningKind.ADD, whole, fastmath=order)
