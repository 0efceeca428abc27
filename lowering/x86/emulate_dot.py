"""Arithmetic of dot products, lane by lane, in plain ``vector`` and ``arith`` ops."""

import dataclasses

from pith._mlir import arith, ir, math, vector

from .. import builder as b
from ..numbers import constant

#: The smallest normal f32: results and operands below it in magnitude count as zero.
SMALLEST_NORMAL = 2.0**-126


@dataclasses.dataclass(frozen=True)
class Dot:
    """A product whose result lanes each consume one dword of packed elements.

    Attributes:
        lanes: lanes of the result.
        acc: element type of the result, f32 or i32.
        group: elements in a dword: 2 of bf16 or i16, 4 of i8.
        unsigned: whether the integers of the left and right operand are zero-extended.
    """

    lanes: int
    acc: ir.Type
    group: int
    unsigned: tuple[bool, bool] = (False, False)

    @property
    def is_float(self) -> bool:
        """Products of bf16, summed in f32; else of integers."""
        return isinstance(self.acc, ir.F32Type)

    @property
    def acc_vector(self) -> ir.VectorType:
        """Type of the vector of sums."""
        return ir.VectorType.get([self.lanes], self.acc)


def start(dot: Dot) -> list[ir.Value]:
    """Partial sums of a tile product: one per element of a float's group, one for integers."""
    zero = vector.broadcast(dot.acc_vector, b.zero_of(dot.acc))
    return [zero] * (dot.group if dot.is_float else 1)


def accumulate(dot: Dot, lhs: ir.Value, rhs: ir.Value, partial: list[ir.Value]) -> list[ir.Value]:
    """Add the products of one dword with the dwords of a row."""
    out = list(partial)
    every = vector.broadcast(rhs.type, lhs)
    for g in range(dot.group):
        _add_product(dot, out, g if dot.is_float else 0, every, rhs, g)
    return out


def finish(dot: Dot, acc: ir.Value, partial: list[ir.Value]) -> ir.Value:
    """The accumulator with the partial sums added, these first among themselves."""
    if not dot.is_float:
        return arith.addi(acc, partial[0])
    return _flush(arith.addf(_flush(acc), _flush(arith.addf(partial[0], partial[1]))))


def dot_lanes(op: ir.Operation, unsigned: tuple[bool, bool] = (False, False)) -> ir.Value:
    """``x86.avx512.dot``, odd products first, each fused; ``x86.avx.dot.i8``, ``x86.avx10.dot.i8``; ``pith.dot``."""
    acc, lhs, rhs = op.operands
    lanes = acc.type.shape[0]
    dot = Dot(lanes, acc.type.element_type, lhs.type.shape[0] // lanes, unsigned)
    dwords = ir.VectorType.get([dot.lanes], ir.IntegerType.get_signless(32))
    lhs, rhs = (vector.bitcast(dwords, v) for v in (lhs, rhs))
    sums = [_flush(acc) if dot.is_float else acc]
    for g in reversed(range(dot.group)):
        _add_product(dot, sums, 0, lhs, rhs, g)
    return sums[0]


def _add_product(dot: Dot, sums: list[ir.Value], at: int, lhs: ir.Value, rhs: ir.Value, g: int) -> None:
    """Add the products of element ``g`` of the dwords to one of the sums."""
    x, y = (_element(dot, v, g, unsigned) for v, unsigned in zip((lhs, rhs), dot.unsigned))
    sums[at] = _flush(math.fma(x, y, sums[at])) if dot.is_float else arith.addi(sums[at], arith.muli(x, y))


def _element(dot: Dot, dwords: ir.Value, g: int, unsigned: bool) -> ir.Value:
    """Element ``g`` of every dword, widened: bf16 is the upper half of an f32."""
    bits = 32 // dot.group
    top = arith.shli(dwords, constant(dwords.type, 32 - bits * (g + 1)))
    if not dot.is_float:
        return (arith.shrui if unsigned else arith.shrsi)(top, constant(dwords.type, 32 - bits))
    return _flush(arith.bitcast(dot.acc_vector, arith.andi(top, constant(dwords.type, -(2 ** (32 - bits))))))


def _flush(v: ir.Value) -> ir.Value:
    """``v`` with denormals made zeros of their sign."""
    limit, zero = (vector.broadcast(v.type, arith.constant(ir.F32Type.get(), x)) for x in (SMALLEST_NORMAL, 0.0))
    small = arith.cmpf(arith.CmpFPredicate.OLT, math.absf(v), limit)
    return arith.select(small, math.copysign(zero, v), v)
