"""Conversions between bf16 and f32 as integer arithmetic: scalars and vectors alike, on every processor.

Without AVX512-BF16, LLVM makes a call per element of a rounding.
"""

from pith._mlir import arith, ir, vector

#: Bits of an f32 that a bf16 does not keep.
_DROPPED = 16
_ROUND_HALF, _QUIET = 0x7FFF, 0x0040


def widen_bfloat16(x: ir.Value) -> ir.Value:
    """The f32 of a bf16: its bits, and zeros."""
    wide = arith.extui(_like(x, ir.IntegerType.get_signless(32)), _bits(x, 16))
    return arith.bitcast(_like(x, ir.F32Type.get()), arith.shli(wide, _constant(wide, _DROPPED)))


def round_to_bfloat16(x: ir.Value) -> ir.Value:
    """The bf16 nearest to an f32, ties to even; NaN stays NaN and becomes quiet."""
    bits = _bits(x, 32)
    high = arith.shrui(bits, _constant(bits, _DROPPED))
    odd = arith.andi(high, _constant(bits, 1))
    rounded = arith.addi(bits, arith.addi(odd, _constant(bits, _ROUND_HALF)))
    rounded = arith.shrui(rounded, _constant(bits, _DROPPED))
    nan = arith.cmpf(arith.CmpFPredicate.UNO, x, x)
    chosen = arith.select(nan, arith.ori(high, _constant(bits, _QUIET)), rounded)
    narrow = arith.trunci(_like(x, ir.IntegerType.get_signless(16)), chosen)
    return arith.bitcast(_like(x, ir.BF16Type.get()), narrow)


def _bits(x: ir.Value, width: int) -> ir.Value:
    return arith.bitcast(_like(x, ir.IntegerType.get_signless(width)), x)


def _like(x: ir.Value, element: ir.Type) -> ir.Type:
    """``element``, or a vector of it where ``x`` is one."""
    return ir.VectorType.get(x.type.shape, element) if isinstance(x.type, ir.VectorType) else element


def _constant(like: ir.Value, number: int) -> ir.Value:
    type_ = like.type
    if not isinstance(type_, ir.VectorType):
        return arith.constant(type_, number)
    return vector.broadcast(type_, arith.constant(type_.element_type, number))
