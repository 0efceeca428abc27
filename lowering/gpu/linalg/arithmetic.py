"""Scalar ops inside kernels: those NVPTX has instructions for as they are, functions of ``math`` as arithmetic.

No libdevice is linked, and LLVM's code generator aborts on functions it has no instruction for. So ``exp``,
``tanh`` and ``erf`` become what ``pith-approximate-math`` makes of them on the CPU, and the other functions are
expanded here, all in f32: f16 and bf16 are widened and rounded once. Errors, relative unless said otherwise, over
the whole range: exp, tanh, erf 5e-7; exp2, log, log2, log10, log1p, expm1, rsqrt 1e-6; powf and fpowi 2e-5 (1e-6 for
the constant exponents 0.5 and 1 to 8); sin and cos 3e-7 absolute for arguments below 1e9.
"""

from collections.abc import Callable, Mapping

from pith._mlir import arith, ir, math
from pith.passes.approximate_math import EXPANSIONS
from pith.passes.core import pass_error

#: Ops of ``math`` that are instructions, or LLVM's own sequences of them, for f32 and f64.
_NATIVE = frozenset(
    ("absf", "absi", "ceil", "copysign", "ctlz", "ctpop", "cttz", "floor", "fma", "roundeven", "sqrt", "trunc")
)

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

#: Whole exponents up to which powers are products: at most six of them.
_MOST_PRODUCTS = 8

_LN2, _LOG2_E, _LOG10_E = 0.6931471805599453, 1.4426950408889634, 0.4342944819032518
#: ln 2 in two parts, the first exact in 9 bits.
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
#: pi / 2 in two doubles.
_HALF_PI, _HALF_PI_LOW, _TWO_OVER_PI = 1.5707963267948966, 6.123233995736766e-17, 0.6366197723675814


def emit_scalar(op: ir.Operation, operands: list[ir.Value]) -> list[ir.Value]:
    """A copy of scalar ``op`` on ``operands``, or arithmetic that computes it.

    Errors: :class:`pith.PassError` for functions no expansion is known for.
    """
    dialect, _, name = op.name.partition(".")
    if (dialect == "math" and not _is_native(name, op)) or op.name == "arith.remf":
        return [_expand(op, operands)]
    if dialect not in ("arith", "math") and op.name != "cf.assert":
        pass_error(op, "has no GPU lowering inside of a kernel", "compute with arith and math ops")
    clone = op.clone()
    for i, v in enumerate(operands):
        clone.operands[i] = v
    return list(clone.results)


def _is_native(name: str, op: ir.Operation) -> bool:
    if name not in _NATIVE:
        return False
    return name != "sqrt" or op.results[0].type.width > 16  # type: ignore[attr-defined]


def _expand(op: ir.Operation, operands: list[ir.Value]) -> ir.Value:
    expansion = EXPANSIONS.get(op.name) or _EXPANSIONS.get(op.name)
    type_ = op.results[0].type
    narrow = isinstance(type_, ir.F16Type | ir.BF16Type)
    if expansion is None or not (narrow or isinstance(type_, ir.F32Type)):
        pass_error(op, f"has no GPU lowering for {type_}", "no device library is linked; compute in f32")
    f32 = ir.F32Type.get()
    wide = [arith.extf(f32, v) if v.type == type_ and narrow else v for v in operands]
    with ir.Location.name(op.name, op.location):
        result = _power(op, *wide) if expansion is _general_power else expansion(*wide)
    return arith.truncf(type_, result) if narrow else result


def _constant(x: float, type_: ir.Type | None = None) -> ir.Value:
    return arith.constant(type_ or ir.F32Type.get(), x)


def _integer(x: int) -> ir.Value:
    return arith.constant(ir.IntegerType.get_signless(32), x)


def _horner(coefficients: tuple[float, ...], t: ir.Value) -> ir.Value:
    acc = _constant(coefficients[0])
    for c in coefficients[1:]:
        acc = math.fma(acc, t, _constant(c))
    return acc


def _compare(kind: str, a: ir.Value, b: ir.Value | float) -> ir.Value:
    return arith.cmpf(getattr(arith.CmpFPredicate, kind), a, _constant(b) if isinstance(b, float) else b)


def _select(*cases: tuple[ir.Value, ir.Value | float], otherwise: ir.Value) -> ir.Value:
    """The value of the first case that holds."""
    result = otherwise
    for condition, value in reversed(cases):
        result = arith.select(condition, _constant(value) if isinstance(value, float) else value, result)
    return result


def _log(x: ir.Value) -> ir.Value:
    """x = m 2^e with m in [sqrt(1/2), sqrt(2)): e ln 2 + log(m); subnormals are scaled first."""
    i32 = ir.IntegerType.get_signless(32)
    tiny = _compare("OLT", x, 2.0**-126)
    scaled = arith.select(tiny, arith.mulf(x, _constant(2.0**23)), x)
    bits = arith.bitcast(i32, scaled)
    shifted = arith.subi(bits, _integer(0x3F3504F3))  # the bits of sqrt(1/2)
    exponent = arith.shrsi(shifted, _integer(23))
    mantissa = arith.bitcast(x.type, arith.subi(bits, arith.shli(exponent, _integer(23))))
    exponent = arith.subi(exponent, arith.select(tiny, _integer(23), _integer(0)))
    e = arith.sitofp(x.type, exponent)
    f = arith.subf(mantissa, _constant(1.0))
    z = arith.mulf(f, f)
    y = arith.mulf(arith.mulf(_horner(_LOG_P, f), f), z)
    y = math.fma(e, _constant(_LN2_LOW), y)
    y = math.fma(z, _constant(-0.5), y)
    result = math.fma(e, _constant(_LN2_HIGH), arith.addf(f, y))
    return _select(
        (_compare("OEQ", x, 0.0), float("-inf")),
        (_compare("OLT", x, 0.0), float("nan")),
        (_compare("OEQ", arith.subf(x, x), 0.0), result),
        otherwise=x,
    )


def _log1p(x: ir.Value) -> ir.Value:
    """Kahan: the rounding of 1 + x is undone by the quotient."""
    u = arith.addf(x, _constant(1.0))
    log = _log(u)
    corrected = arith.divf(arith.mulf(log, x), arith.subf(u, _constant(1.0)))
    edge = arith.ori(_compare("OGE", u, 2.0**24), _compare("OLE", u, 0.0))
    return _select((_compare("OEQ", u, 1.0), x), (edge, log), otherwise=corrected)


def _exp2(x: ir.Value) -> ir.Value:
    """2^n * exp(r ln 2) with n the nearest integer; the halves of n are applied one after the other."""
    low, high = _constant(-150.0), _constant(129.0)
    clamped = arith.maximumf(arith.minimumf(x, high), low)
    n = math.roundeven(clamped)
    r = arith.mulf(arith.subf(clamped, n), _constant(_LN2))
    half = math.floor(arith.mulf(n, _constant(0.5)))
    scaled = arith.mulf(EXPANSIONS["math.exp"](r), _power_of_two(half))
    result = arith.mulf(scaled, _power_of_two(arith.subf(n, half)))
    return arith.select(_compare("UNO", x, x), x, result)


def _power_of_two(n: ir.Value) -> ir.Value:
    """2^n for an integral n of a normal result."""
    i32 = ir.IntegerType.get_signless(32)
    biased = arith.addi(arith.fptosi(i32, n), _integer(127))
    return arith.bitcast(n.type, arith.shli(biased, _integer(23)))


def _expm1(x: ir.Value) -> ir.Value:
    """Kahan: (u - 1) x / log(u), u = exp(x)."""
    u = EXPANSIONS["math.exp"](x)
    less = arith.subf(u, _constant(1.0))
    result = arith.divf(arith.mulf(less, x), _log(u))
    edge = arith.ori(_compare("OEQ", less, -1.0), _compare("OEQ", u, float("inf")))
    return _select((_compare("OEQ", u, 1.0), x), (edge, less), otherwise=result)


def _wave(quarter: int) -> Callable[[ir.Value], ir.Value]:
    """sin(x + quarter * pi / 2): reduced in f64, by the quadrant one of two polynomials."""

    def expand(x: ir.Value) -> ir.Value:
        f64, i32 = ir.F64Type.get(), ir.IntegerType.get_signless(32)
        wide = arith.extf(f64, x)
        n = math.roundeven(arith.mulf(wide, _constant(_TWO_OVER_PI, f64)))
        r = math.fma(n, _constant(-_HALF_PI, f64), wide)
        r = arith.truncf(x.type, math.fma(n, _constant(-_HALF_PI_LOW, f64), r))
        r = arith.maximumf(arith.minimumf(r, _constant(_HALF_PI / 2)), _constant(-_HALF_PI / 2))
        turns = arith.subf(n, arith.mulf(math.floor(arith.mulf(n, _constant(0.25, f64))), _constant(4.0, f64)))
        quadrant = arith.addi(arith.fptosi(i32, turns), _integer(quarter))
        z = arith.mulf(r, r)
        sine = math.fma(arith.mulf(_horner(_SIN_P, z), z), r, r)
        cosine = math.fma(arith.mulf(_horner(_COS_P, z), z), z, math.fma(z, _constant(-0.5), _constant(1.0)))
        odd = arith.cmpi(arith.CmpIPredicate.ne, arith.andi(quadrant, _integer(1)), _integer(0))
        down = arith.cmpi(arith.CmpIPredicate.ne, arith.andi(quadrant, _integer(2)), _integer(0))
        value = arith.select(odd, cosine, sine)
        value = arith.select(down, arith.negf(value), value)
        return arith.select(_compare("UNO", arith.subf(x, x), 0.0), arith.subf(x, x), value)

    return expand


def _power(op: ir.Operation, x: ir.Value, y: ir.Value) -> ir.Value:
    """``x ** y``: products for small whole numbers, a square root for a half."""
    exponent = _known(op.operands[1])
    if exponent is not None and exponent == int(exponent) and 1 <= exponent <= _MOST_PRODUCTS:
        return _whole_power(x, int(exponent))
    if exponent == 0.5:
        return _root(x)
    return _general_power(x, arith.sitofp(x.type, y) if isinstance(y.type, ir.IntegerType) else y)


def _whole_power(x: ir.Value, n: int) -> ir.Value:
    """``x ** n`` for a positive n, by squares."""
    if n == 1:
        return x
    half = _whole_power(x, n // 2)
    square = arith.mulf(half, half)
    return arith.mulf(square, x) if n % 2 else square


def _root(x: ir.Value) -> ir.Value:
    """x ** 0.5: as sqrt, but +0 of -0 and inf of -inf."""
    root = math.sqrt(arith.addf(x, _constant(0.0)))
    return arith.select(_compare("OEQ", x, float("-inf")), _constant(float("inf")), root)


def _general_power(x: ir.Value, y: ir.Value) -> ir.Value:
    """2^(y log2 |x|), with the sign of x for odd y."""
    size = _exp2(arith.mulf(y, arith.mulf(_log(math.absf(x)), _constant(_LOG2_E))))
    whole = _compare("OEQ", math.floor(y), y)
    half = arith.mulf(y, _constant(0.5))
    odd = arith.andi(whole, _compare("ONE", math.floor(half), half))
    signed = arith.select(odd, math.copysign(size, x), size)
    one = arith.ori(_compare("OEQ", y, 0.0), _compare("OEQ", x, 1.0))
    negative = arith.andi(_compare("OLT", x, 0.0), _compare("ONE", x, float("-inf")))
    undefined = arith.andi(negative, arith.xori(whole, arith.constant(whole.type, 1)))
    return _select((one, 1.0), (undefined, float("nan")), otherwise=signed)


def _remainder(x: ir.Value, y: ir.Value) -> ir.Value:
    """``fmod`` through f64: exact while the quotient is below 2^53; a quotient rounded up is one too many."""
    f64 = ir.F64Type.get()
    a, b = arith.extf(f64, x), arith.extf(f64, y)
    r = math.fma(arith.negf(math.trunc(arith.divf(a, b))), b, a)
    zero = _constant(0.0, f64)
    beyond = arith.cmpf(arith.CmpFPredicate.OLT, arith.mulf(r, a), zero)
    r = arith.select(beyond, arith.addf(r, math.copysign(b, a)), r)
    infinite = arith.andi(_compare("OEQ", math.absf(y), float("inf")), _compare("OEQ", arith.subf(x, x), 0.0))
    return arith.select(infinite, x, math.copysign(arith.truncf(x.type, r), x))


def _known(v: ir.Value) -> float | None:
    """The number a value is, when it is a constant (widened or not)."""
    while not isinstance(v.owner, ir.Block) and v.owner.name in ("arith.extf", "arith.truncf"):
        v = v.owner.operands[0]
    if isinstance(v.owner, ir.Block) or v.owner.name != "arith.constant":
        return None
    return v.owner.attributes["value"].value


_EXPANSIONS: Mapping[str, Callable[..., ir.Value]] = {
    "arith.remf": _remainder,
    "math.cos": _wave(1),
    "math.exp2": _exp2,
    "math.expm1": _expm1,
    "math.fpowi": _general_power,
    "math.log": _log,
    "math.log10": lambda x: arith.mulf(_log(x), _constant(_LOG10_E)),
    "math.log1p": _log1p,
    "math.log2": lambda x: arith.mulf(_log(x), _constant(_LOG2_E)),
    "math.powf": _general_power,
    "math.rsqrt": lambda x: arith.divf(_constant(1.0), math.sqrt(x)),
    "math.sin": _wave(0),
    "math.sqrt": math.sqrt,
}
