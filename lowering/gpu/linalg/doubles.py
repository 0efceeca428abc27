"""Formulas of functions for f64."""

import math as numbers
from collections.abc import Callable, Mapping

from pith._mlir import arith, ir, math

from . import formulas as f
from .formulas import constant

#: fdlibm ``e_log.c``: the series of log((1 + s) / (1 - s)) in s^2, highest power first; relative error 2^-58.
_LOG_P = (
    1.479819860511658591e-01,
    1.531383769920937332e-01,
    1.818357216161805012e-01,
    2.222219843214978396e-01,
    2.857142874366239149e-01,
    3.999999999940941908e-01,
    6.666666666666735130e-01,
)
#: fdlibm ``k_sin.c`` and ``k_cos.c`` on [-pi/4, pi/4], highest power of the square first.
_SIN_P = (
    1.58969099521155010221e-10,
    -2.50507602534068634195e-08,
    2.75573137070700676789e-06,
    -1.98412698298579493134e-04,
    8.33333333332248946124e-03,
    -1.66666666666666324348e-01,
)
_COS_P = (
    -1.13596475577881948265e-11,
    2.08757232129817482790e-09,
    -2.75573143513906633035e-07,
    2.48015872894767294178e-05,
    -1.38888888888741095749e-03,
    4.16666666666666019037e-02,
)
#: erf(x) / x in x^2 for |x| <= 1, lowest power first: interpolated in 50 digits at Chebyshev's points, error 1.6e-17.
_ERF_P = (
    1.1283791670955126,
    -0.3761263890318375,
    0.11283791670954879,
    -0.026866170645076792,
    0.0052239776248180145,
    -0.000854832698083379,
    0.0001205533111164271,
    -1.4925595266831182e-05,
    1.6461000484121368e-06,
    -1.6350312701054695e-07,
    1.4659775274047436e-08,
    -1.1372848856791674e-09,
    5.957176147748911e-11,
)
#: exp(x^2) erfc(x) in (x - 2) / (x + 2) for 1 <= x <= 6, lowest power first: likewise, error 5e-17.
_ERFC_P = (
    0.25539567631050575,
    -0.4271858474139585,
    0.24165819424246585,
    -0.07897858101570611,
    0.0037328924043978336,
    0.006997461736971578,
    -0.00084714325299195,
    -0.0009819769411038642,
    4.355558686575482e-05,
    0.00017435947400205157,
    2.7527175557227246e-05,
    -2.7562209161129353e-05,
    -1.3998283772784976e-05,
    1.3058577122278017e-06,
    4.011749647325067e-06,
    1.272567661840228e-06,
    -1.1352571477273627e-06,
)
#: Terms of the exponential series on [-ln2/2, ln2/2]: the first one left out is below 4e-18.
_TERMS = 14

_LN2, _LN2_LOW = 0.6931471805599453, 2.3190468138462996e-17
#: ln 2 in two parts, the first exact in 33 bits: times any exponent it is exact.
_LN2_SHORT, _LN2_REST = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LOG2_E, _LOG10_E = 1.4426950408889634, 0.4342944819032518
#: pi / 2 in three doubles.
_HALF_PI, _HALF_PI_LOW, _HALF_PI_LEAST = 1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33
_TWO_OVER_PI = 0.6366197723675814


def _series(r: ir.Value, first: int) -> ir.Value:
    """sum of r^k / (k + first)!"""
    return f.horner([1 / numbers.factorial(k + first) for k in reversed(range(_TERMS - first))], r)


def _reduced(x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """(n, x - n ln 2) with n the nearest integer; fused products are not rounded."""
    n = math.roundeven(arith.mulf(x, constant(_LOG2_E, x.type)))
    r = math.fma(n, constant(-_LN2, x.type), x)
    return n, math.fma(n, constant(-_LN2_LOW, x.type), r)


def _exp(x: ir.Value) -> ir.Value:
    """2^n exp(r); subnormal results are rounded once."""
    n, r = _reduced(f.clamp(x, -746.0, 710.0))
    return arith.select(f.compare("UNO", x, x), x, f.scaled(_series(r, 0), n))


def _exp2(x: ir.Value) -> ir.Value:
    """2^n exp(r ln 2)."""
    clamped = f.clamp(x, -1076.0, 1025.0)
    n = math.roundeven(clamped)
    r = arith.mulf(arith.subf(clamped, n), constant(_LN2, x.type))
    return arith.select(f.compare("UNO", x, x), x, f.scaled(_series(r, 0), n))


def _expm1(x: ir.Value) -> ir.Value:
    """2^n (exp(r) - 1) + (2^n - 1), and exp(x) where the 1 is lost."""
    n, r = _reduced(f.clamp(x, -40.0, 40.0))
    power = f.power_of_two(n)
    less = arith.subf(power, constant(1.0, x.type))
    result = math.fma(arith.mulf(_series(r, 1), r), power, less)
    result = arith.select(f.compare("OGT", x, 40.0), _exp(x), result)
    return arith.select(f.compare("UNO", x, x), x, math.copysign(result, x))


def _tanh(x: ir.Value) -> ir.Value:
    """t / (t + 2), t = exp(2 |x|) - 1; 1 from 22 on."""
    size = arith.minimumf(math.absf(x), constant(22.0, x.type))
    t = _expm1(arith.addf(size, size))
    return math.copysign(arith.divf(t, arith.addf(t, constant(2.0, x.type))), x)


def _erf(x: ir.Value) -> ir.Value:
    """A polynomial up to 1, then 1 - exp(-x^2) times another."""
    small = arith.mulf(x, f.horner(_ERF_P[::-1], arith.mulf(x, x)))
    size = arith.minimumf(math.absf(x), constant(6.0, x.type))
    two = constant(2.0, x.type)
    u = arith.divf(arith.subf(size, two), arith.addf(size, two))
    rest = arith.mulf(_exp(arith.negf(arith.mulf(size, size))), f.horner(_ERFC_P[::-1], u))
    large = math.copysign(arith.subf(constant(1.0, x.type), rest), x)
    value = arith.select(f.compare("OLE", math.absf(x), 1.0), small, large)
    return arith.select(f.compare("UNO", x, x), x, value)


def _log(x: ir.Value) -> ir.Value:
    """fdlibm: x = m 2^e, s = (m - 1) / (m + 1)."""
    mantissa, e = f.parts(x, 52, -1022)
    t = arith.subf(mantissa, constant(1.0, x.type))
    s = arith.divf(t, arith.addf(t, constant(2.0, x.type)))
    z = arith.mulf(s, s)
    half = arith.mulf(arith.mulf(t, t), constant(0.5, x.type))
    inner = arith.mulf(s, arith.addf(half, arith.mulf(f.horner(_LOG_P, z), z)))
    inner = math.fma(e, constant(_LN2_REST, x.type), inner)
    y = arith.subf(arith.subf(half, inner), t)
    return f.edges_of_log(x, arith.subf(arith.mulf(e, constant(_LN2_SHORT, x.type)), y))


def _wave(quarter: int) -> Callable[[ir.Value], ir.Value]:
    """sin(x + quarter * pi / 2): fused products with three parts of pi / 2, by the quadrant one of two polynomials."""

    def expand(x: ir.Value) -> ir.Value:
        n, r = math.roundeven(arith.mulf(x, constant(_TWO_OVER_PI, x.type))), x
        for part in (_HALF_PI, _HALF_PI_LOW, _HALF_PI_LEAST):
            r = math.fma(n, constant(-part, x.type), r)
        return f.wave(x, r, f.quadrant(n, quarter), _SIN_P, _COS_P)

    return expand


_log2 = f.times(_log, _LOG2_E)

#: Name of an op -> what computes it in f64.
FORMULAS: Mapping[str, Callable[..., ir.Value]] = {
    "arith.remf": f.remainder,
    "math.cos": _wave(1),
    "math.erf": _erf,
    "math.exp": _exp,
    "math.exp2": _exp2,
    "math.expm1": _expm1,
    "math.fpowi": f.general_power(_exp2, _log2),
    "math.log": _log,
    "math.log10": f.times(_log, _LOG10_E),
    "math.log1p": f.log1p(_log, 53),
    "math.log2": _log2,
    "math.powf": f.general_power(_exp2, _log2),
    "math.rsqrt": f.rsqrt,
    "math.sin": _wave(0),
    "math.tanh": _tanh,
}
