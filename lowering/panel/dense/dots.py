"""Dot products of some rows of a matrix with some columns, side by side in registers.

Code it emits (R rows, C columns, U vectors of L lanes)::

    acc : R x C x U x vector<L> = 0
    for each U * L contracted coordinates:  acc[r][c][u] += matrix[row r, red + u*L] * columns[c][red + u*L]
    total[r][c] = the lanes of acc[r][c], added up, and what is left of the row

Every element of the matrix is loaded once for all columns, so a product with few columns takes as long as reading the
matrix. Narrow elements are widened in registers; bytes to 16 bits, of which one instruction multiplies and adds pairs
(``pith.dot``). bf16 stays what it is where an instruction multiplies pairs of it.
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence

from pith._mlir import arith, ir, memref, vector, x86
from pith.dialect import DotOp

from ... import builder as b
from ...builder import Index
from ...isa import Isa
from ...numbers import plus
from ..arithmetic import convert, multiply_add

#: Where a row lies in a memref: all indices but the last.
Line = Sequence[ir.Value]


@dataclasses.dataclass(frozen=True)
class Dots:
    """What dot products are made of.

    Attributes:
        matrix, columns: memrefs whose last dimension is contracted, contiguous.
        reds: contracted coordinates.
        sums: element type of the sums.
        vector_bytes: of a register.
        pairs: pairs of bf16 are multiplied by one instruction (:meth:`Isa.dot_gain`).
    """

    matrix: ir.Value
    columns: ir.Value
    reds: Index
    sums: ir.Type
    vector_bytes: int
    pairs: bool = False

    @classmethod
    def of(cls, matrix: ir.Value, columns: ir.Value, sums: ir.Type, isa: Isa) -> "Dots":
        """Those of whole rows."""
        return cls(matrix, columns, b.dim_size(matrix, matrix.type.rank - 1), sums, isa.vector_bytes)

    @property
    def group(self) -> int:
        """Products that one lane of an accumulator takes at once."""
        elements = {str(v.type.element_type) for v in (self.matrix, self.columns)}
        if str(self.sums) == "i32":
            return 2 if elements == {"i8"} else 1
        return 2 if self.pairs and elements == {"bf16"} else 1

    @property
    def factor(self) -> ir.Type:
        """What elements are widened to."""
        if self.group == 1:
            return self.sums
        stored = self.matrix.type.element_type
        return stored if isinstance(stored, ir.BF16Type) else ir.IntegerType.get_signless(16)

    @property
    def lanes(self) -> int:
        """Elements that are multiplied at once."""
        return max(1, self.vector_bytes // (self.sums.width // 8)) * self.group

    def totals(self, rows: Sequence[Line], columns: Sequence[Line], vectors: int = 1) -> list[ir.Value]:
        """The dot products of ``columns`` with ``rows``, column by column, in vectors of some lanes.

        Args:
            vectors: accumulators of each.
        """
        lanes, count = self.lanes, len(rows) * len(columns)
        zero = vector.broadcast(ir.VectorType.get([lanes // self.group], self.sums), b.zero_of(self.sums))
        sums: list[ir.Value] = [zero] * count
        end: Index = 0
        for wide in dict.fromkeys((vectors, 1)):
            step = wide * lanes
            last = b.add(end, b.mul(b.div(b.sub(self.reds, end), step), step))
            body = functools.partial(self._step, rows, columns, wide)
            accs = b.for_loop(end, last, body, [*sums, *[zero] * (count * (wide - 1))], step=step, rolled=True)
            sums = [functools.reduce(plus, accs[i::count]) for i in range(count)]
            end = last
        return b.for_loop(end, self.reds, functools.partial(self._rest, rows, columns), lane_totals(sums), rolled=True)

    def _step(self, rows: Sequence[Line], columns: Sequence[Line], wide: int, at: Index, *accs: ir.Value):
        made: list[ir.Value] = []
        for u in range(wide):
            place = b.value(b.add(at, u * self.lanes))
            shared = [self._load(self.matrix, line, place) for line in rows]
            for line in columns:
                y = self._load(self.columns, line, place)
                made += [self._product(x, y, acc) for x, acc in zip(shared, accs[len(made) :])]
        return made

    def _load(self, source: ir.Value, line: Line, at: ir.Value) -> ir.Value:
        type_ = ir.VectorType.get([self.lanes], source.type.element_type)
        return convert(vector.load(type_, source, [*line, at]), self.factor)

    def _product(self, x: ir.Value, y: ir.Value, acc: ir.Value) -> ir.Value:
        if self.group == 1:
            return multiply_add(x, y, acc)
        return x86.avx512_dot(acc, x, y) if isinstance(self.factor, ir.BF16Type) else DotOp.build(acc, x, y).result

    def _rest(self, rows: Sequence[Line], columns: Sequence[Line], at: Index, *totals: ir.Value) -> list[ir.Value]:
        """One contracted coordinate, for all."""
        multiply = arith.mulf if isinstance(self.sums, ir.FloatType) else arith.muli
        xs, ys = (
            [convert(memref.load(source, [*line, b.value(at)]), self.sums) for line in lines]
            for source, lines in ((self.matrix, rows), (self.columns, columns))
        )
        products = [multiply(x, y) for y, x in itertools.product(ys, xs)]
        made: list[ir.Value] = []
        for total in totals:
            mine, products = products[: total.type.shape[0]], products[total.type.shape[0] :]
            made.append(plus(total, vector.from_elements(total.type, mine)))
        return made


def lane_totals(values: Sequence[ir.Value]) -> list[ir.Value]:
    """The sum of the lanes of each vector, in order, in vectors of as many lanes as those have, or fewer.

    Two vectors become one of the same length, whose lanes alternate: 16 vectors of 16 lanes take 15 additions and 30
    shuffles so, each for itself 64 of both.
    """
    lanes, count = values[0].type.shape[0], len(values)
    most = 1 << min(lanes, count).bit_length() - 1
    if most < count:
        return [total for i in range(0, count, most) for total in lane_totals(values[i : i + most])]
    parts, stride = list(values), 1
    while len(parts) > 1:
        parts = [_alternate(x, y, stride) for x, y in zip(parts[::2], parts[1::2])]
        stride *= 2
    whole = parts[0]
    while lanes > count:
        lanes //= 2
        whole = plus(*(vector.shuffle(whole, whole, range(i, i + lanes)) for i in (0, lanes)))
    return [whole]


def _alternate(x: ir.Value, y: ir.Value, stride: int) -> ir.Value:
    """Neighbouring blocks of ``stride`` lanes added up: those of ``x`` in even blocks, those of ``y`` in odd ones."""
    lanes = range(x.type.shape[0])
    n = len(lanes)
    low = [lane if not lane & stride else n + lane - stride for lane in lanes]
    high = [lane + stride if not lane & stride else n + lane for lane in lanes]
    return plus(vector.shuffle(x, y, low), vector.shuffle(x, y, high))
