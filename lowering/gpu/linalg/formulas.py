"""What the formulas of functions are written with, for f32 and f64 alike, and those that both types share."""

from collections.abc import Callable, Sequence

from pith._mlir import arith, ir, math

#: Whole exponents up to which powers are products: at most six of them.
MOST_PRODUCTS = 8

_QUARTER_PI = 0.7853981633974483

Formula = Callable[[ir.Value], ir.Value]


def constant(x: float, type_: ir.Type) -> ir.Value:
    """A number of a floating-point type."""
    return arith.constant(type_, x)


def integer_like(type_: ir.Type) -> ir.IntegerType:
    """The integers as wide as a floating-point type."""
    return ir.IntegerType.get_signless(type_.width)  # type: ignore[attr-defined]


def horner(coefficients: Sequence[float], t: ir.Value) -> ir.Value:
    """A polynomial in ``t``; highest power first."""
    acc = constant(coefficients[0], t.type)
    for c in coefficients[1:]:
        acc = math.fma(acc, t, constant(c, t.type))
    return acc


def compare(kind: str, a: ir.Value, b: ir.Value | float) -> ir.Value:
    """``arith.cmpf`` with a value or a number."""
    return arith.cmpf(getattr(arith.CmpFPredicate, kind), a, constant(b, a.type) if isinstance(b, float) else b)


def select(*cases: tuple[ir.Value, ir.Value | float], otherwise: ir.Value) -> ir.Value:
    """The value of the first case that holds."""
    result = otherwise
    for condition, value in reversed(cases):
        result = arith.select(condition, constant(value, result.type) if isinstance(value, float) else value, result)
    return result


def clamp(x: ir.Value, low: float, high: float) -> ir.Value:
    """``x`` between two numbers; NaN stays NaN."""
    return arith.maximumf(arith.minimumf(x, constant(high, x.type)), constant(low, x.type))


def parts(x: ir.Value, mantissa_bits: int, least: int) -> tuple[ir.Value, ir.Value]:
    """(m, e) with ``x = m 2^e`` and m in [sqrt(1/2), sqrt(2)), for a positive x; subnormals are scaled first.

    ``least``: the exponent of the smallest normal number.
    """
    type_ = integer_like(x.type)

    def whole(n: int) -> ir.Value:
        return arith.constant(type_, n)

    tiny = compare("OLT", x, 2.0**least)
    bits = arith.bitcast(type_, arith.select(tiny, arith.mulf(x, constant(2.0**mantissa_bits, x.type)), x))
    root = arith.bitcast(type_, constant(0.7071067811865476, x.type))
    exponent = arith.shrsi(arith.subi(bits, root), whole(mantissa_bits))
    mantissa = arith.bitcast(x.type, arith.subi(bits, arith.shli(exponent, whole(mantissa_bits))))
    exponent = arith.subi(exponent, arith.select(tiny, whole(mantissa_bits), whole(0)))
    return mantissa, arith.sitofp(x.type, exponent)


def edges_of_log(x: ir.Value, result: ir.Value) -> ir.Value:
    """``result``, but what a logarithm is of 0, of negative numbers, of infinity and of NaN."""
    return select(
        (compare("OEQ", x, 0.0), float("-inf")),
        (compare("OLT", x, 0.0), float("nan")),
        (compare("OEQ", arith.subf(x, x), 0.0), result),
        otherwise=x,
    )


def power_of_two(n: ir.Value) -> ir.Value:
    """2^n for an integral n of a normal result."""
    mantissa_bits, bias = (52, 1023) if isinstance(n.type, ir.F64Type) else (23, 127)
    type_ = integer_like(n.type)
    biased = arith.addi(arith.fptosi(type_, n), arith.constant(type_, bias))
    return arith.bitcast(n.type, arith.shli(biased, arith.constant(type_, mantissa_bits)))


def scaled(x: ir.Value, n: ir.Value) -> ir.Value:
    """x 2^n for an integral n of any size that matters: the halves of n are applied one after the other."""
    half = math.floor(arith.mulf(n, constant(0.5, n.type)))
    return arith.mulf(arith.mulf(x, power_of_two(half)), power_of_two(arith.subf(n, half)))


def quadrant(n: ir.Value, quarter: int) -> ir.Value:
    """``n + quarter`` modulo 4 (and more) as an i32, for an integral f64 n."""
    i32, f64 = ir.IntegerType.get_signless(32), ir.F64Type.get()
    turns = math.floor(arith.mulf(n, constant(0.25, f64)))
    rest = arith.subf(n, arith.mulf(turns, constant(4.0, f64)))
    return arith.addi(arith.fptosi(i32, rest), arith.constant(i32, quarter))


def wave(x: ir.Value, r: ir.Value, quadrant: ir.Value, sine: Sequence[float], cosine: Sequence[float]) -> ir.Value:
    """The sine in a quadrant, of the rest ``r`` within pi / 4 of its middle; NaN where ``x`` is not finite.

    ``sine`` and ``cosine``: p with sin r = r + r r^2 p(r^2) and cos r = 1 - r^2 / 2 + r^4 p(r^2).
    """
    i32 = ir.IntegerType.get_signless(32)
    r = clamp(r, -_QUARTER_PI, _QUARTER_PI)
    z = arith.mulf(r, r)
    rise = math.fma(arith.mulf(horner(sine, z), z), r, r)
    one = math.fma(z, constant(-0.5, x.type), constant(1.0, x.type))
    fall = math.fma(arith.mulf(horner(cosine, z), z), z, one)

    def bit(n: int) -> ir.Value:
        held = arith.andi(quadrant, arith.constant(i32, n))
        return arith.cmpi(arith.CmpIPredicate.ne, held, arith.constant(i32, 0))

    value = arith.select(bit(1), fall, rise)
    value = arith.select(bit(2), arith.negf(value), value)
    nothing = arith.subf(x, x)
    return arith.select(compare("UNO", nothing, 0.0), nothing, value)


def log1p(log: Formula, digits: int) -> Formula:
    """Kahan: the rounding of 1 + x is undone by the quotient; ``digits`` of the mantissa."""

    def expand(x: ir.Value) -> ir.Value:
        u = arith.addf(x, constant(1.0, x.type))
        logarithm = log(u)
        corrected = arith.divf(arith.mulf(logarithm, x), arith.subf(u, constant(1.0, x.type)))
        edge = arith.ori(compare("OGE", u, 2.0**digits), compare("OLE", u, 0.0))
        return select((compare("OEQ", u, 1.0), x), (edge, logarithm), otherwise=corrected)

    return expand


def times(formula: Formula, factor: float) -> Formula:
    """A function and a product."""
    return lambda x: arith.mulf(formula(x), constant(factor, x.type))


def rsqrt(x: ir.Value) -> ir.Value:
    """The quotient of 1 and a root."""
    return arith.divf(constant(1.0, x.type), math.sqrt(x))


def whole_power(x: ir.Value, n: int) -> ir.Value:
    """``x ** n`` for a positive n, by squares."""
    if n == 1:
        return x
    half = whole_power(x, n // 2)
    square = arith.mulf(half, half)
    return arith.mulf(square, x) if n % 2 else square


def root(x: ir.Value) -> ir.Value:
    """x ** 0.5: as sqrt, but +0 of -0 and inf of -inf."""
    value = math.sqrt(arith.addf(x, constant(0.0, x.type)))
    return select((compare("OEQ", x, float("-inf")), float("inf")), otherwise=value)


def general_power(exp2: Formula, log2: Formula) -> Callable[[ir.Value, ir.Value], ir.Value]:
    """2^(y log2 |x|), with the sign of x for odd y."""

    def expand(x: ir.Value, y: ir.Value) -> ir.Value:
        size = exp2(arith.mulf(y, log2(math.absf(x))))
        whole = compare("OEQ", math.floor(y), y)
        half = arith.mulf(y, constant(0.5, y.type))
        odd = arith.andi(whole, compare("ONE", math.floor(half), half))
        signed = arith.select(odd, math.copysign(size, x), size)
        one = arith.ori(compare("OEQ", y, 0.0), compare("OEQ", x, 1.0))
        negative = arith.andi(compare("OLT", x, 0.0), compare("ONE", x, float("-inf")))
        undefined = arith.andi(negative, arith.xori(whole, arith.constant(whole.type, 1)))
        return select((one, 1.0), (undefined, float("nan")), otherwise=signed)

    return expand


def remainder(x: ir.Value, y: ir.Value) -> ir.Value:
    """``fmod`` in f64: exact while the quotient is below 2^53; a quotient rounded up is one too many."""
    f64 = ir.F64Type.get()
    a, b = (v if v.type == f64 else arith.extf(f64, v) for v in (x, y))
    r = math.fma(arith.negf(math.trunc(arith.divf(a, b))), b, a)
    beyond = compare("OLT", arith.mulf(r, math.copysign(constant(1.0, f64), a)), 0.0)
    r = arith.select(beyond, arith.addf(r, math.copysign(b, a)), r)
    infinite = arith.andi(compare("OEQ", math.absf(y), float("inf")), compare("OEQ", arith.subf(x, x), 0.0))
    narrowed = r if x.type == f64 else arith.truncf(x.type, r)
    return arith.select(infinite, x, math.copysign(narrowed, x))
