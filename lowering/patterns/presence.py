"""Which elements of a buffer are present: many at a time, as the bits of a word.

An element is present when its magnitude is not below or equal to a threshold, so NaN always is.
Magnitudes are compared as integers: without its sign bit a floating-point number is an integer of the
same order, NaN above infinity. The threshold becomes the largest such integer that does not exceed it,
so 16-bit floats need no conversion and denormal numbers count, whatever the processor's mode is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pith._mlir import arith, bufferization, ir, llvm, memref, vector
from pith._mlir import math as math_dialect
from pith.passes.core import pass_error

from .. import builder as b
from ..builder import Index
from ..numbers import constant

#: Elements of a whole word.
WORD = 64

#: Bits of the vectors that are compared with a limit.
_REGISTER = 256

_CMP = arith.CmpIPredicate


def integer(bits: int) -> ir.IntegerType:
    """The signless integer type of ``bits`` bits."""
    return ir.IntegerType.get_signless(bits)


def require_testable(op: ir.OpView, element: ir.Type) -> None:
    """Refuse element types without a test. Errors: :class:`pith.PassError` at ``op``."""
    floats = (ir.F16Type, ir.BF16Type, ir.F32Type, ir.F64Type)
    if isinstance(element, floats) or (isinstance(element, ir.IntegerType) and element.width in (1, 8, 16, 32, 64)):
        return
    pass_error(op, f"cannot test elements of type {element}", "use f16, bf16, f32, f64, i1, i8, i16, i32 or i64")


@dataclasses.dataclass(frozen=True)
class Presence:
    """Tests the elements of a buffer.

    Attributes:
        source: a row-major memref.
        limit: what magnitudes as integers must exceed: an integer, or a memref of one per channel.
        channel: dimension of ``source`` the limits follow; None for a single one.
        signed: whether integers have a sign.
    """

    source: ir.Value
    limit: ir.Value
    channel: int | None = None
    signed: bool = True

    def word(self, at: Sequence[Index], lanes: int = WORD) -> ir.Value:
        """An ``i64`` whose bit i tells of the element i places after ``at`` along the last dimension (i < lanes)."""
        return packed(self.flags_at(at, lanes))

    def flags_at(self, at: Sequence[Index], lanes: int = WORD) -> ir.Value:
        """The same as a vector of ``i1``."""
        return self.flags(self.load(at, lanes), at)

    def flags(self, bits: ir.Value, at: Sequence[Index]) -> ir.Value:
        """A vector of ``i1``: which of the elements from ``at`` on, loaded as ``bits``, are present."""
        return self._above(self._magnitudes(bits), at)

    def any(self, at: Sequence[Index], lanes: int) -> ir.Value:
        """A word that is not zero where one of ``lanes`` elements from ``at`` on is present; all have one limit.

        Only the largest magnitudes of a vector register are compared with it.
        """
        bits = self._magnitudes(self.load(at, lanes))
        larger = arith.maxsi if self._is_float else arith.maxui
        while lanes % 2 == 0 and lanes * bits.type.element_type.width > _REGISTER:
            lanes //= 2
            bits = larger(*(_part(bits, first, lanes) for first in (0, lanes)))
        return packed(self._above(bits, at))

    @property
    def limits_vary(self) -> bool:
        """Neighbours along the last dimension have limits of their own."""
        return self.channel == self.source.type.rank - 1

    @property
    def _is_float(self) -> bool:
        return isinstance(self.source.type.element_type, ir.FloatType)

    def _magnitudes(self, bits: ir.Value) -> ir.Value:
        if self._is_float:
            return arith.andi(bits, constant(bits.type, (1 << (bits.type.element_type.width - 1)) - 1))
        return math_dialect.absi(bits) if self.signed else bits

    def _above(self, magnitudes: ir.Value, at: Sequence[Index]) -> ir.Value:
        return arith.cmpi(_CMP.sgt if self._is_float else _CMP.ugt, magnitudes, self._limit(at, magnitudes.type))

    def load(self, at: Sequence[Index], lanes: int) -> ir.Value:
        """Bits of the elements from ``at`` on, as integers."""
        element = self.source.type.element_type
        if element.width == 1:
            return self._load_bytes(at, lanes)
        loaded = vector.load(ir.VectorType.get([lanes], element), self.source, [b.value(i) for i in at])
        return arith.bitcast(ir.VectorType.get([lanes], integer(element.width)), loaded)

    def _load_bytes(self, at: Sequence[Index], lanes: int) -> ir.Value:
        """Booleans lie in a byte each; a vector of them would be read as bits."""
        place: Index = 0
        for d, i in enumerate(at):
            place = b.add(b.mul(place, b.dim_size(self.source, d)), i)
        base = memref.extract_aligned_pointer_as_index(self.source)
        address = arith.index_castui(integer(64), b.value(b.add(base, place)))
        pointer = llvm.inttoptr(ir.Type.parse("!llvm.ptr"), address)
        return llvm.load(ir.VectorType.get([lanes], integer(8)), pointer, alignment=1)

    def _limit(self, at: Sequence[Index], type_: ir.VectorType) -> ir.Value:
        if self.channel is None:
            return vector.broadcast(type_, self.limit)
        if self.limits_vary:
            return vector.load(type_, self.limit, [b.value(at[-1])])
        return vector.broadcast(type_, memref.load(self.limit, [b.value(at[self.channel])]))


def limit_of(threshold: ir.Value, element: ir.Type) -> ir.Value:
    """The integer that magnitudes of ``element`` must exceed to lie above an ``f64``; below 0 and NaN count as 0."""
    positive = arith.cmpf(arith.CmpFPredicate.OGT, threshold, b.zero_of(threshold.type))
    limit = arith.select(positive, threshold, b.zero_of(threshold.type))
    if isinstance(element, ir.FloatType):
        return _float_limit(limit, element)
    width = max(element.width, 8)
    whole = arith.minimumf(limit, arith.constant(limit.type, float((1 << min(width, 63)) - (1 if width < 64 else 0))))
    wide = arith.fptoui(integer(64), whole)
    return wide if width == 64 else arith.trunci(integer(width), wide)


def _float_limit(limit: ir.Value, element: ir.FloatType) -> ir.Value:
    """Bits of the largest number of the type up to ``limit``."""
    if isinstance(element, ir.F64Type):
        return arith.bitcast(integer(64), limit)
    single = _rounded_down(limit, ir.F32Type.get())
    if isinstance(element, ir.F16Type):
        return _rounded_down(arith.bitcast(ir.F32Type.get(), single), element)
    if isinstance(element, ir.BF16Type):
        return arith.trunci(integer(16), arith.shrui(single, arith.constant(integer(32), 16)))
    return single


def _rounded_down(x: ir.Value, type_: ir.FloatType) -> ir.Value:
    """Bits of the largest ``type_`` up to ``x``, which is not negative."""
    nearest = arith.truncf(type_, x)
    bits = arith.bitcast(integer(type_.width), nearest)
    above = arith.cmpf(arith.CmpFPredicate.OGT, arith.extf(x.type, nearest), x)
    return arith.subi(bits, arith.extui(bits.type, above))


def limits_of(thresholds: ir.Value, element: ir.Type) -> ir.Value:
    """A memref of :func:`limit_of` of every entry of a 1-D tensor of floats."""
    source = bufferization.to_buffer(
        ir.MemRefType.get(thresholds.type.shape, thresholds.type.element_type), thresholds, read_only=True
    )
    size = b.dim_size(source, 0)
    width = element.width if isinstance(element, ir.FloatType) else max(element.width, 8)
    limits = b.alloc([size], integer(width))

    def convert(i: Index) -> None:
        loaded = memref.load(source, [b.value(i)])
        wide = loaded if isinstance(loaded.type, ir.F64Type) else arith.extf(ir.F64Type.get(), loaded)
        memref.store(limit_of(wide, element), limits, [b.value(i)])

    b.for_loop(0, size, convert)
    return limits


def packed(flags: ir.Value) -> ir.Value:
    """A vector of up to 64 flags as the low bits of a word."""
    lanes = flags.type.get_dim_size(0)
    word = vector.extract(vector.bitcast(ir.VectorType.get([1], integer(lanes)), flags), [], [0])
    return word if lanes == WORD else arith.extui(integer(WORD), word)


def _part(values: ir.Value, first: int, lanes: int) -> ir.Value:
    """Some neighbours in a vector."""
    type_ = ir.VectorType.get([lanes], values.type.element_type)
    return vector.extract_strided_slice(type_, values, [first], [lanes], [1])
