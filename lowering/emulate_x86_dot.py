"""Arithmetic of the x86 dot products, lane by lane, in plain ``vector`` and ``arith`` ops."""

import dataclasses
from collections.abc import Sequence

from pith._mlir import arith, ir, math, vector

from . import builder as b

#: The smallest normal f32: results and operands below it in magnitude count as zero.
SMALLEST_NORMAL = 2.0**-126


@dataclasses.dataclass(frozen=True)
class Dot:
    """A product whose result lanes each consume a group of adjacent elements.

    Attributes:
        lanes: lanes of the result.
        acc: element type of the result, f32 or i32.
        group: elements per lane: 2 of bf16, 4 of i8.
        unsigned: whether the elements of the left and right operand are zero-extended.
    """

    lanes: int
    acc: ir.Type
    group: int
    unsigned: tuple[bool, bool] = (False, False)

    @property
    def is_float(self) -> bool:
        return isinstance(self.acc, ir.F32Type)

    @property
    def acc_vector(self) -> ir.VectorType:
        return ir.VectorType.get([self.lanes], self.acc)


def start(dot: Dot) -> list[ir.Value]:
    """Partial sums of a tile product: one per element of a float's group, one for integers."""
    zero = vector.broadcast(dot.acc_vector, b.zero_of(dot.acc))
    return [zero] * (dot.group if dot.is_float else 1)


def accumulate(dot: Dot, lhs: Sequence[ir.Value], rhs: ir.Value, partial: list[ir.Value]) -> list[ir.Value]:
    """Add the products of a group of scalars with the groups of a row of ``rhs``."""
    out = list(partial)
    for g, element in enumerate(lhs):
        wide = vector.broadcast(dot.acc_vector, _widen(dot, element, dot.unsigned[0], dot.acc))
        _add_product(dot, out, g if dot.is_float else 0, wide, _part(dot, rhs, g, dot.unsigned[1]))
    return out


def finish(dot: Dot, acc: ir.Value, partial: list[ir.Value]) -> ir.Value:
    """The accumulator with the partial sums added, these first among themselves."""
    if not dot.is_float:
        return arith.addi(acc, partial[0])
    return _flush(arith.addf(_flush(acc), _flush(arith.addf(partial[0], partial[1]))))


def float_dot(op: ir.Operation) -> ir.Value:
    """``x86.avx512.dot``: ``src + odd * odd`` first, then the even products, each fused."""
    acc, lhs, rhs = op.operands
    dot = Dot(acc.type.shape[0], acc.type.element_type, group=2)
    sums = [_flush(acc)]
    for g in (1, 0):
        _add_product(dot, sums, 0, _part(dot, lhs, g, False), _part(dot, rhs, g, False))
    return sums[0]


def dot_lanes(op: ir.Operation) -> ir.Value:
    """``x86.avx.dot.i8`` and ``x86.avx10.dot.i8``: signed products of four, added modulo 2^32."""
    acc, lhs, rhs = op.operands
    dot = Dot(acc.type.shape[0], acc.type.element_type, group=4)
    sums = [acc]
    for g in range(dot.group):
        _add_product(dot, sums, 0, _part(dot, lhs, g, False), _part(dot, rhs, g, False))
    return sums[0]


def _add_product(dot: Dot, sums: list[ir.Value], at: int, lhs: ir.Value, rhs: ir.Value) -> None:
    if dot.is_float:
        sums[at] = _flush(math.fma(lhs, rhs, sums[at]))
    else:
        sums[at] = arith.addi(sums[at], arith.muli(lhs, rhs))


def _part(dot: Dot, groups: ir.Value, g: int, unsigned: bool) -> ir.Value:
    """Element ``g`` of every group of a vector, widened to the result's type."""
    lanes = vector.shuffle(groups, groups, [dot.group * n + g for n in range(dot.lanes)])
    return _widen(dot, lanes, unsigned, dot.acc_vector)


def _widen(dot: Dot, v: ir.Value, unsigned: bool, type_: ir.Type) -> ir.Value:
    if dot.is_float:
        return _flush(arith.extf(type_, v))
    return (arith.extui if unsigned else arith.extsi)(type_, v)


def _flush(v: ir.Value) -> ir.Value:
    """``v`` with denormals made zeros of their sign."""
    limit = arith.constant(ir.F32Type.get(), SMALLEST_NORMAL)
    zero = arith.constant(ir.F32Type.get(), 0.0)
    if isinstance(v.type, ir.VectorType):
        limit, zero = vector.broadcast(v.type, limit), vector.broadcast(v.type, zero)
    small = arith.cmpf(arith.CmpFPredicate.OLT, math.absf(v), limit)
    return arith.select(small, math.copysign(zero, v), v)
