"""``pith-approximate-math``: erf, tanh and exp of f32 as polynomials a compiler can vectorise."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import ClassVar

from pith._mlir import arith, ir, math

from .analysis.traversal import ops_where
from .core import Pass

# Minimax fits of f(x)/x in t = x*x over [0, limit^2], lowest power first, by iteratively reweighted
# least squares in float64 (2026-11). Largest error over 2e6 points of [-6, 6] evaluated in f32
# without FMA: erf 3.8e-7, tanh 3.3e-7, absolute and relative. Tanh was fitted to 7.9 and is as good to 9, where it
# is one; so is erf at its limit, with FMA and without: gelu of a large negative number is zero.
_ERF_LIMIT = 3.92
_ERF_P = (
    1.1283790228715598,
    0.19275648133217207,
    0.053059292547849586,
    0.0038679411982788722,
    0.00028746050679058103,
    2.0346669031461137e-06,
)
_ERF_Q = (
    1.0,
    0.5041576553288936,
    0.11508131369400737,
    0.015171544606046111,
    0.0011880015980015263,
    3.80689312996065e-05,
)
_TANH_LIMIT = 9.0
_TANH_P = (
    0.9999999999983172,
    0.14314420641318812,
    0.004719507955198746,
    5.049466371893143e-05,
    1.6946856192113334e-07,
    9.824636511103057e-11,
    -2.3442517037784308e-14,
)
_TANH_Q = (
    1.0,
    0.4764775397371037,
    0.03021202121626739,
    0.0005590837265448435,
    3.433560707170424e-06,
    5.589266921628312e-09,
)

# exp(x) = 2^n * exp(r), r = x - n ln 2 in [-ln2/2, ln2/2]; degree 6 Chebyshev fit, relative error 6.2e-9.
_EXP_P = (
    0.9999999999718314,
    1.0000000281440962,
    0.5000000084402952,
    0.16666455876334513,
    0.04166628033836699,
    0.008371912192759928,
    0.001394460080826432,
)
_LOG2_E = 1.4426950408889634
#: ln 2 in two parts, the first exact in 15 bits so that n * high is exact for every n that occurs.
_LN2_HIGH, _LN2_LOW = 0.693145751953125, 1.428606820309417e-06
#: Inputs beyond these over- or underflow to inf and 0 (the least result is a normal number).
_EXP_MAX, _EXP_MIN = 88.72284, -87.33654


@dataclasses.dataclass(frozen=True)
class ApproximateMathPass(Pass):
    """Replace ``math.erf``, ``math.tanh`` and ``math.exp`` on f32 by arithmetic.

    Before::

        %1 = math.erf %0 : f32

    After: clamp, two polynomials by Horner's rule, one division (erf, tanh); range reduction, a
    polynomial and an exponent insertion (exp).

    Calls to libm cannot be vectorised by LLVM; this arithmetic can, inside any loop.
    NaN stays NaN, infinities go to their limits, exp flushes results below 1.2e-38 to zero.
    Requires: nothing. Preserves: f16, bf16 and f64, and every other op. Accuracy: absolute and
    relative error below 5e-7. Cost: 12 to 16 arithmetic ops per op replaced.
    """

    name: ClassVar[str] = "pith-approximate-math"

    def run(self, module: ir.Module) -> None:
        for op in ops_where(module.operation, lambda op: op.name in EXPANSIONS and _is_f32(op.results[0].type)):
            # Named after what they stand for: explain() still tells a GELU from other arithmetic.
            with ir.InsertionPoint(op), ir.Location.name(op.name, op.location):
                op.results[0].replace_all_uses_with(EXPANSIONS[op.name](op.operands[0]))
            op.erase()


def _is_f32(type_: ir.Type) -> bool:
    element = type_.element_type if isinstance(type_, ir.VectorType) else type_
    return isinstance(element, ir.F32Type)


def _constant(x: float, like: ir.Value) -> ir.Value:
    if isinstance(like.type, ir.VectorType):
        scalar = ir.FloatAttr.get(like.type.element_type, x)
        return arith.constant(like.type, ir.DenseElementsAttr.get_splat(like.type, scalar))
    return arith.constant(like.type, x)


def _horner(coefficients: Sequence[float], t: ir.Value) -> ir.Value:
    acc = _constant(coefficients[-1], t)
    for c in reversed(coefficients[:-1]):
        acc = math.fma(acc, t, _constant(c, t))
    return acc


def _rational(limit: float, p: Sequence[float], q: Sequence[float]) -> Callable[[ir.Value], ir.Value]:
    """x * P(x^2) / Q(x^2) with x clamped to [-limit, limit] (``minimumf`` keeps NaN)."""

    def expand(x: ir.Value) -> ir.Value:
        x = arith.maximumf(arith.minimumf(x, _constant(limit, x)), _constant(-limit, x))
        t = arith.mulf(x, x)
        return arith.divf(arith.mulf(x, _horner(p, t)), _horner(q, t))

    return expand


def _exp(x: ir.Value) -> ir.Value:
    low, high = _constant(_EXP_MIN, x), _constant(_EXP_MAX, x)
    clamped = arith.maximumf(arith.minimumf(x, high), low)
    n = math.roundeven(arith.mulf(clamped, _constant(_LOG2_E, x)))
    r = math.fma(n, _constant(-_LN2_HIGH, x), clamped)
    r = math.fma(n, _constant(-_LN2_LOW, x), r)
    result = _scale(_horner(_EXP_P, r), n)
    below = arith.cmpf(arith.CmpFPredicate.OLT, x, low)
    above = arith.cmpf(arith.CmpFPredicate.OGT, x, high)
    nan = arith.cmpf(arith.CmpFPredicate.UNO, x, x)
    result = arith.select(below, _constant(0.0, x), result)
    result = arith.select(above, _constant(float("inf"), x), result)
    return arith.select(nan, x, result)


def _scale(p: ir.Value, n: ir.Value) -> ir.Value:
    """p * 2^n for an integral f32 n and p near 1, by adding n to the exponent field of p."""
    i32 = ir.IntegerType.get_signless(32)
    int_type = ir.VectorType.get(n.type.shape, i32) if isinstance(n.type, ir.VectorType) else i32
    exponent = arith.shli(arith.fptosi(int_type, n), _int_constant(23, int_type))
    return arith.bitcast(p.type, arith.addi(arith.bitcast(int_type, p), exponent))


def _int_constant(x: int, type_: ir.Type) -> ir.Value:
    if isinstance(type_, ir.VectorType):
        return arith.constant(type_, ir.DenseElementsAttr.get_splat(type_, ir.IntegerAttr.get(type_.element_type, x)))
    return arith.constant(type_, x)


#: Name of an op -> what computes it, for f32 and vectors of f32.
EXPANSIONS: dict[str, Callable[[ir.Value], ir.Value]] = {
    "math.erf": _rational(_ERF_LIMIT, _ERF_P, _ERF_Q),
    "math.tanh": _rational(_TANH_LIMIT, _TANH_P, _TANH_Q),
    "math.exp": _exp,
}
