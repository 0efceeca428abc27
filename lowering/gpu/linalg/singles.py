"""Formulas of functions for f32; ``exp``, ``tanh`` and ``erf`` are those of ``pith-approximate-math``."""

from collections.abc import Callable, Mapping

from pith._mlir import arith, ir, math
from pith.passes.approximate_math import EXPANSIONS

from . import formulas as f
from .formulas import constant

#: Cephes ``logf``: log(1 + f) - f + f^2 / 2 over f^3, highest power first, f in [sqrt(1/2) - 1, sqrt(2) - 1].
_LOG_P = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
#: Cephes ``sinf`` and ``cosf`` on [-pi/4, pi/4], highest power of the square first.
_SIN_P = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS_P = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)

_LN2, _LOG2_E, _LOG10_E = 0.6931471805599453, 1.4426950408889634, 0.4342944819032518
#: ln 2 in two parts, the first exact in 9 bits.
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
#: pi / 2 in two doubles.
_HALF_PI, _HALF_PI_LOW, _TWO_OVER_PI = 1.5707963267948966, 6.123233995736766e-17, 0.6366197723675814


def _log(x: ir.Value) -> ir.Value:
    """x = m 2^e with m in [sqrt(1/2), sqrt(2)): e ln 2 + log(m)."""
    mantissa, e = f.parts(x, 23, -126)
    t = arith.subf(mantissa, constant(1.0, x.type))
    z = arith.mulf(t, t)
    y = arith.mulf(arith.mulf(f.horner(_LOG_P, t), t), z)
    y = math.fma(e, constant(_LN2_LOW, x.type), y)
    y = math.fma(z, constant(-0.5, x.type), y)
    return f.edges_of_log(x, math.fma(e, constant(_LN2_HIGH, x.type), arith.addf(t, y)))


def _exp2(x: ir.Value) -> ir.Value:
    """2^n * exp(r ln 2) with n the nearest integer."""
    clamped = f.clamp(x, -150.0, 129.0)
    n = math.roundeven(clamped)
    r = arith.mulf(arith.subf(clamped, n), constant(_LN2, x.type))
    result = f.scaled(EXPANSIONS["math.exp"](r), n)
    return arith.select(f.compare("UNO", x, x), x, result)


def _expm1(x: ir.Value) -> ir.Value:
    """Kahan: (u - 1) x / log(u), u = exp(x)."""
    u = EXPANSIONS["math.exp"](x)
    less = arith.subf(u, constant(1.0, x.type))
    result = arith.divf(arith.mulf(less, x), _log(u))
    edge = arith.ori(f.compare("OEQ", less, -1.0), f.compare("OEQ", u, float("inf")))
    return f.select((f.compare("OEQ", u, 1.0), x), (edge, less), otherwise=result)


def _wave(quarter: int) -> Callable[[ir.Value], ir.Value]:
    """sin(x + quarter * pi / 2): reduced in f64, by the quadrant one of two polynomials."""

    def expand(x: ir.Value) -> ir.Value:
        f64 = ir.F64Type.get()
        wide = arith.extf(f64, x)
        n = math.roundeven(arith.mulf(wide, constant(_TWO_OVER_PI, f64)))
        r = math.fma(n, constant(-_HALF_PI, f64), wide)
        r = arith.truncf(x.type, math.fma(n, constant(-_HALF_PI_LOW, f64), r))
        return f.wave(x, r, f.quadrant(n, quarter), _SIN_P, _COS_P)

    return expand


_log2 = f.times(_log, _LOG2_E)

#: Name of an op -> what computes it in f32.
FORMULAS: Mapping[str, Callable[..., ir.Value]] = {
    **EXPANSIONS,
    "arith.remf": f.remainder,
    "math.cos": _wave(1),
    "math.exp2": _exp2,
    "math.expm1": _expm1,
    "math.fpowi": f.general_power(_exp2, _log2),
    "math.log": _log,
    "math.log10": f.times(_log, _LOG10_E),
    "math.log1p": f.log1p(_log, 24),
    "math.log2": _log2,
    "math.powf": f.general_power(_exp2, _log2),
    "math.rsqrt": f.rsqrt,
    "math.sin": _wave(0),
    "math.sqrt": math.sqrt,
}
