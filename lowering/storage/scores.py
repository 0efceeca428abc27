"""What ``pith.prune`` ranks by: scores of elements and blocks, and keys that put them in order.

Everything here works on scalars and, lane by lane, on vectors. Keys are integers of one total order,
NaN included, so that no group ever keeps more than G.
"""

import dataclasses
import itertools
from collections.abc import Sequence

from pith._mlir import arith, ir, math

from ..numbers import constant, element_of, shaped


@dataclasses.dataclass(frozen=True)
class Score:
    """A way to score: ``l1``, ``l2``, ``scaled`` or ``value``, as ``pith.prune_by`` defines them."""

    kind: str

    def element_key(self, x: ir.Value) -> ir.Value:
        """Signed integer, as wide as the float ``x``, in the order of element scores."""
        return _ordered(x) if self.kind == "value" else magnitude_bits(x)

    def element_sums(self, x: ir.Value) -> list[ir.Value]:
        """What an element adds to the sums of the blocks around it."""
        wide = to_f64(x)
        if self.kind == "value":
            return [wide]
        if self.kind == "l1":
            return [math.absf(wide)]
        square = arith.mulf(wide, wide)
        if self.kind == "l2":
            return [square]
        held = arith.cmpf(arith.CmpFPredicate.UNE, wide, constant(wide.type, 0.0))
        return [square, arith.select(held, constant(wide.type, 1.0), constant(wide.type, 0.0))]

    def block_key(self, sums: list[ir.Value]) -> ir.Value:
        """Signed 64-bit integer in the order of block scores."""
        if self.kind == "value":
            return _ordered(sums[0])
        if self.kind != "scaled":
            return _bits(sums[0])
        total, count = sums
        return _bits(arith.divf(total, arith.maximumf(count, constant(count.type, 1.0))))

    def no_sums(self, like: ir.Type) -> list[ir.Value]:
        """The sums of nothing, in the shape of ``like``."""
        return [constant(shaped(like, ir.F64Type.get()), 0.0)] * (2 if self.kind == "scaled" else 1)

    def at_least(self, x: ir.Value, floor: ir.Value) -> ir.Value:
        """Whether the element ``x`` scores ``floor`` or more; ``floor`` has the shape of ``x``."""
        wide = to_f64(x)
        score = wide if self.kind == "value" else math.absf(wide)
        return arith.cmpf(arith.CmpFPredicate.OGE, score, floor)


def among_largest(keys: Sequence[ir.Value], limit: int) -> list[ir.Value]:
    """Per key, whether fewer than ``limit`` others beat it; of equal ones the earlier wins.

    With ``earlier - later`` the wins against later keys less the losses to earlier ones, both counted in
    the -1 that a comparison is in a vector, a key loses ``earlier - later + (number of later keys)`` times.
    """
    n = len(keys)
    type_ = keys[0].type
    balance: list[ir.Value | None] = [None] * n
    for i, j in itertools.combinations(range(n), 2):
        wins = arith.extsi(type_, arith.cmpi(arith.CmpIPredicate.sge, keys[i], keys[j]))
        balance[i] = wins if balance[i] is None else arith.addi(balance[i], wins)
        balance[j] = arith.subi(constant(type_, 0) if balance[j] is None else balance[j], wins)
    bounds = [limit - (n - 1 - i) for i in range(n)]
    return [
        arith.cmpi(arith.CmpIPredicate.slt, constant(type_, 0) if x is None else x, constant(type_, bound))
        for x, bound in zip(balance, bounds)
    ]


def float_of(x: ir.Value) -> ir.Value:
    """A number as the f32 or f64 that holds it (64-bit integers are rounded)."""
    element = element_of(x.type)
    if isinstance(element, ir.IndexType):
        x = arith.index_cast(shaped(x.type, _int(64)), x)
        element = _int(64)
    narrow = element.width <= 16
    if isinstance(element, ir.IntegerType):
        return arith.sitofp(shaped(x.type, ir.F32Type.get() if narrow else ir.F64Type.get()), x)
    return arith.extf(shaped(x.type, ir.F32Type.get()), x) if narrow else x


def magnitude_bits(x: ir.Value) -> ir.Value:
    """Bits of ``|x|``: for numbers without a sign their order, with NaN the largest."""
    return _bits(math.absf(x))


def is_nan(magnitudes: ir.Value, float_type: ir.Type) -> ir.Value:
    """Whether :func:`magnitude_bits` are those of a NaN."""
    infinity = arith.bitcast(magnitudes.type, constant(shaped(magnitudes.type, float_type), float("inf")))
    return arith.cmpi(arith.CmpIPredicate.sgt, magnitudes, infinity)


def _ordered(x: ir.Value) -> ir.Value:
    """Bits of ``x`` as a signed integer that is ordered as the numbers are, -0.0 with 0.0."""
    bits = _bits(arith.addf(x, constant(x.type, 0.0)))
    width = element_of(bits.type).width
    sign = arith.shrsi(bits, constant(bits.type, width - 1))
    return arith.xori(bits, arith.andi(sign, constant(bits.type, 2 ** (width - 1) - 1)))


def _bits(x: ir.Value) -> ir.Value:
    return arith.bitcast(shaped(x.type, _int(element_of(x.type).width)), x)


def to_f64(x: ir.Value) -> ir.Value:
    """A float as f64."""
    type_ = shaped(x.type, ir.F64Type.get())
    return x if x.type == type_ else arith.extf(type_, x)


def _int(width: int) -> ir.Type:
    return ir.IntegerType.get_signless(width)


def masked(kept: ir.Value, numbers: Sequence[ir.Value]) -> list[ir.Value]:
    """The numbers where they are kept, zeros elsewhere."""
    return [arith.select(kept, x, constant(x.type, 0.0)) for x in numbers]


def added(a: Sequence[ir.Value], c: Sequence[ir.Value]) -> list[ir.Value]:
    """Sums of what stands at the same place."""
    return [arith.addf(x, y) for x, y in zip(a, c)]
