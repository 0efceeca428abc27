"""Dot products of rows of small integers, which have a scale and a zero point per group, with one column.

Code it emits (R rows, L lanes, groups of G values of 4 bits)::

    once:   table[z] = the 16 integers less the zero point z;  column = of 2L elements the even ones, then the odd ones
    acc : R x C x vector<L> = 0
    for each G contracted coordinates, for each row:
      real = table[zero point] * scale
      for each 2L of them:
        bytes = L bytes of the row, as dwords
        acc[r] += real[low four bits of bytes] * column;  acc[r] += real[bytes >> 4] * column

What four bits stand for is looked up (decoder.py).
"""

import dataclasses
import math
from collections.abc import Sequence

from pith._mlir import arith, ir, memref, vector

from ... import builder as b
from ...builder import Index
from ...isa import Isa
from ...numbers import plus
from ...quantized import Quantized
from ..ahead import SECOND_LEVEL
from ..arithmetic import multiply_add
from ..decoder import Decoder
from .dots import Line, lane_totals

#: Contracted coordinates of an unrolled step, at most.
_STEP = 128

#: Bytes between a value and the one that is asked for. Dense, groups of 64, one core of Emerald Rapids, over no asking
#: with 4, 16 and 64 KiB: 1024x2048 1.05, 1.11, 1.09; 2048x4096 1.03, 1.05, 1.07; 4096x4096 1.02, 1.08, 1.06; 11008x4096
#: (groups of 128) 1.5, 1.62, 1.68 (2026-11-22).
_FAR_BYTES = 16 << 10


@dataclasses.dataclass(frozen=True)
class QuantizedDots:
    """Dot products with rows of dense storage, as :class:`Dots` has them of other elements.

    Attributes:
        decoder: of the matrix, ``reds`` values a row, which are whole groups.
        column: ``(reds,)``, in the order in which :meth:`_values` unpacks them.
    """

    decoder: Decoder
    column: ir.Value
    reds: Index

    @property
    def lanes(self) -> int:
        """f32 elements of a register."""
        return self.decoder.lanes

    @property
    def quantized(self) -> Quantized:
        """The matrix."""
        return self.decoder.quantized

    @classmethod
    def of(cls, quantized: Quantized, column: ir.Value, isa: Isa) -> "QuantizedDots":
        """Those of whole rows; reorders ``column`` and makes the decoder's table at the insertion point."""
        lanes, reds = isa.vector_bytes // 4, b.dim_size(column, 0)
        ordered = column if quantized.bits == 8 else _evens_first(column, reds, lanes)
        return cls(Decoder.of(quantized, isa), ordered, reds)

    @staticmethod
    def fits(quantized: Quantized, isa: Isa) -> bool:
        """True when groups are whole steps."""
        return quantized.group % (2 * isa.vector_bytes // 4) == 0

    def totals(self, rows: Sequence[Line], columns: Sequence[Line], vectors: int = 1) -> list[ir.Value]:
        """The dot products of ``rows`` with the column; see :meth:`Dots.totals`."""
        count, step = len(rows), math.gcd(self.quantized.group, _STEP)
        f32 = ir.F32Type.get()
        zero = vector.broadcast(ir.VectorType.get([self.lanes], f32), b.zero_of(f32))
        starts = [b.mul(row, self.reds) for (row,) in rows]

        def body(at: Index, *accs: ir.Value) -> list[ir.Value]:
            out, turns = list(accs), range(step // self.lanes)
            xs = [vector.load(zero.type, self.column, [b.value(b.add(at, i * self.lanes))]) for i in turns]
            for r, start in enumerate(starts):
                self._ask(b.add(start, at))
                for i, value in enumerate(self._values(b.add(start, at), step)):
                    j = r + i % vectors * count
                    out[j] = multiply_add(value, xs[i], out[j])
            return out

        sums = b.for_loop(0, self.reds, body, [zero] * (count * vectors), step=step, rolled=True)
        for r in range(count):
            for more in sums[r + count :: count]:
                sums[r] = plus(sums[r], more)
        return lane_totals(sums[:count])

    def _ask(self, position: Index) -> None:
        """Ask for what is read some rows later."""
        q = self.quantized
        at = b.value(b.add(q.byte(position), _FAR_BYTES))
        memref.prefetch(q.values, [at], False, SECOND_LEVEL, True)

    def _values(self, position: Index, count: int) -> list[ir.Value]:
        """The values from a position on, all of one group, in vectors; of 4 bits the even ones of two, then the odd."""
        q, lanes = self.quantized, self.lanes
        if q.bits == 8:
            read = self.decoder.reader(b.div(position, q.group), self.decoder.order(False))
            return [read(b.add(position, i)) for i in range(0, count, lanes)]
        real, out = self.decoder.real(b.div(position, q.group)), []
        i32 = ir.IntegerType.get_signless(32)
        loaded, wide = (ir.VectorType.get([lanes], t) for t in (q.values.type.element_type, i32))
        four = vector.broadcast(wide, arith.constant(i32, 4))
        for i in range(0, count, 2 * lanes):
            pairs = arith.extui(wide, vector.load(loaded, q.values, [b.value(q.byte(b.add(position, i)))]))
            out += [real(pairs), real(arith.shrui(pairs, four))]
        return out


def _evens_first(column: ir.Value, reds: Index, lanes: int) -> ir.Value:
    out, type_ = b.alloc([reds], ir.F32Type.get()), ir.VectorType.get([lanes], ir.F32Type.get())

    def some(at: Index) -> None:
        low, high = (vector.load(type_, column, [b.value(b.add(at, i))]) for i in (0, lanes))
        for i in (0, 1):
            vector.store(vector.shuffle(low, high, list(range(i, 2 * lanes, 2))), out, [b.value(b.add(at, i * lanes))])

    b.for_loop(0, reds, some, step=2 * lanes, rolled=True)
    return out
