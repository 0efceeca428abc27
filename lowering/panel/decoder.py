"""Integers with a scale and a zero point per group as f32, a register at a time.

What 4 bits stand for is looked up where one permutation takes from 16 elements: the zero point picks a row of a table,
which the scale is multiplied into once per group, and a permutation reads no more of its indices than those bits.
Elsewhere integers are shifted, converted and scaled.
"""

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import arith, ir, vector
from pith.dialect import PermuteOp

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from ..quantized import Quantized
from ..x86.convert_pith_vectors_to_llvm import has_permute

#: Integers of 4 bits, in the order of their bits.
_INTEGERS = (*range(8), *range(-8, 0))

#: Integers of 4 bits in a word that is broadcast.
_IN_WORD = 8

#: What gives the real values of lanes whose low 4 bits are integers of one group.
Real = Callable[[ir.Value], ir.Value]


@dataclasses.dataclass(frozen=True)
class Decoder:
    """Makes f32 of stored integers.

    Attributes:
        lanes: elements of a register.
        table: ``(16, 16)``: row ``z + 8`` has what integers are above the zero point ``z``; None without permutations.
    """

    quantized: Quantized
    lanes: int
    table: ir.Value | None

    @classmethod
    def of(cls, quantized: Quantized, isa: Isa) -> "Decoder":
        """Whole registers; the table is made at the insertion point."""
        looked_up = quantized.bits == 4 and has_permute("f32", (16,), isa.vector_bytes)
        return cls(quantized, isa.vector_bytes // 4, _table() if looked_up else None)

    @property
    def type(self) -> ir.VectorType:
        """Of real values."""
        return ir.VectorType.get([self.lanes], ir.F32Type.get())

    def order(self, may_turn: bool) -> list[int]:
        """Which of the values that are read together each lane has: all in order, unless they may take turns.

        Then lanes have integers of one word and of the next in turn, as both lie beside each other in memory.
        """
        words = self.lanes // _IN_WORD
        turns = may_turn and self.table is not None
        return [lane % words * _IN_WORD + lane // words if turns else lane for lane in range(self.lanes)]

    def reader(self, group: Index, order: Sequence[int]) -> Callable[[Index], ir.Value]:
        """What reads values of a group in an :meth:`order`, from a position on that is a multiple of the lanes."""
        if self.table is not None:
            real = self.real(group)
            return lambda at: real(self._integers(at, order))
        parameters = self.quantized.parameters(group)
        return lambda at: self.quantized.vector(self.lanes, at, parameters)

    def real(self, group: Index) -> Real:
        """What 4 bits stand for in a group."""
        scale, zero = self.quantized.parameters(group)
        scales = vector.broadcast(self.type, scale)
        if self.table is not None:
            row = arith.andi(arith.addi(zero, arith.constant(zero.type, 8)), arith.constant(zero.type, 15))
            at = [arith.index_castui(ir.IndexType.get(), row), b.value(0)]
            levels = arith.mulf(vector.load(self.type, self.table, at), scales)
            return lambda index: PermuteOp.build(levels, index).result
        zeros = vector.broadcast(self.type, arith.sitofp(ir.F32Type.get(), zero))

        def scaled(halves: ir.Value) -> ir.Value:
            up = b.integers([28] * self.lanes, halves.type.element_type)
            integer = arith.sitofp(self.type, arith.shrsi(arith.shli(halves, up), up))
            return arith.mulf(arith.subf(integer, zeros), scales)

        return scaled

    def _integers(self, position: Index, order: Sequence[int]) -> ir.Value:
        """Integers of 4 bits from a position on in the low bits of i32; others stand above them."""
        q, i32 = self.quantized, ir.IntegerType.get_signless(32)
        words = self.lanes // _IN_WORD
        loaded = vector.load(
            ir.VectorType.get([4 * words], q.values.type.element_type), q.values, [b.value(q.byte(position))]
        )
        packed = vector.bitcast(ir.VectorType.get([words], i32), loaded)
        spread = vector.shuffle(packed, packed, [i // _IN_WORD for i in order])
        return arith.shrui(spread, b.integers([i % _IN_WORD * 4 for i in order], i32))


def _table() -> ir.Value:
    f32, i32, table = ir.F32Type.get(), ir.IntegerType.get_signless(32), b.alloc([16, 16], ir.F32Type.get())
    type_ = ir.VectorType.get([16], f32)
    integers = arith.sitofp(type_, b.integers(_INTEGERS, i32))

    def one(row: Index) -> None:
        zero = arith.subi(arith.index_cast(i32, b.value(row)), arith.constant(i32, 8))
        less = arith.subf(integers, vector.broadcast(type_, arith.sitofp(f32, zero)))
        vector.store(less, table, [b.value(row), b.value(0)])

    b.for_loop(0, 16, one, rolled=True)
    return table
