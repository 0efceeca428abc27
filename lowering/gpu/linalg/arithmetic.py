"""Scalar ops inside kernels: those NVPTX has instructions for as they are, functions of ``math`` as arithmetic.

No libdevice is linked, and LLVM's code generator aborts on functions it has no instruction for. So functions are
expanded here: f64 by :mod:`doubles`, f32 by :mod:`singles`, f16 and bf16 widened to f32 and rounded once. Errors,
relative unless said otherwise, over the whole range of arguments:

==========================================  =========================  ===========================
function                                    f32                        f64
==========================================  =========================  ===========================
exp, tanh, erf                              5e-7                       1e-15
exp2, expm1, log, log2, log10, log1p        1e-6                       1e-15
rsqrt                                       1e-6                       1e-15
powf, fpowi                                 2e-5                       1e-12
the same, exponents 0.5 and 1 to 8          1e-6                       1e-15
sin, cos                                    3e-7 absolute below 1e9    1e-15 absolute below 1e9
==========================================  =========================  ===========================

In f32 ``exp`` flushes results below 1.2e-38 to zero.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pith._mlir import arith, ir
from pith.passes.analysis.traversal import constant_attribute, defining_op
from pith.passes.core import pass_error

from . import doubles, singles
from .formulas import MOST_PRODUCTS, root, whole_power

#: Ops of ``math`` that are instructions, or LLVM's own sequences of them, for f32 and f64.
_NATIVE = frozenset(
    ("absf", "absi", "ceil", "copysign", "ctlz", "ctpop", "cttz", "floor", "fma", "roundeven", "sqrt", "trunc")
)

_POWERS = ("math.powf", "math.fpowi")


def emit_scalar(op: ir.Operation, operands: list[ir.Value]) -> list[ir.Value]:
    """A copy of scalar ``op`` on ``operands``, or arithmetic that computes it.

    Errors: :class:`pith.PassError` for functions no expansion is known for.
    """
    dialect, _, name = op.name.partition(".")
    if (dialect == "math" and not _is_native(name, op)) or op.name == "arith.remf":
        return [_expand(op, operands)]
    if dialect not in ("arith", "math") and op.name not in ("affine.apply", "cf.assert"):
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
    type_ = op.results[0].type
    expansion = _formulas(type_).get(op.name)
    if expansion is None:
        pass_error(op, f"has no GPU lowering for {type_}", "no device library is linked; compute in f32 or f64")
    narrow = isinstance(type_, ir.F16Type | ir.BF16Type)
    f32 = ir.F32Type.get()
    wide = [arith.extf(f32, v) if v.type == type_ and narrow else v for v in operands]
    with ir.Location.name(op.name, op.location):
        result = _power(op, expansion, *wide) if op.name in _POWERS else expansion(*wide)
    return arith.truncf(type_, result) if narrow else result


def _formulas(type_: ir.Type) -> Mapping[str, Callable[..., ir.Value]]:
    if isinstance(type_, ir.F64Type):
        return doubles.FORMULAS
    return singles.FORMULAS if isinstance(type_, ir.F16Type | ir.BF16Type | ir.F32Type) else {}


def _power(op: ir.Operation, general: Callable[..., ir.Value], x: ir.Value, y: ir.Value) -> ir.Value:
    """``x ** y``: products for small whole numbers, a square root for a half."""
    exponent = _known(op.operands[1])
    if exponent is not None and exponent in range(1, MOST_PRODUCTS + 1):
        return whole_power(x, int(exponent))
    if exponent == 0.5:
        return root(x)
    return general(x, arith.sitofp(x.type, y) if isinstance(y.type, ir.IntegerType) else y)


def _known(v: ir.Value) -> float | None:
    """The number a value is, when it is a constant (widened or not)."""
    while (cast := defining_op(v, "arith.extf", "arith.truncf")) is not None:
        v = cast.operands[0]
    number: Any = constant_attribute(v)
    return None if number is None else number.value
