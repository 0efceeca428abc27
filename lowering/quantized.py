"""Stored values that are small integers with a scale and a zero point per group of them."""

import dataclasses

from pith._mlir import arith, ir, memref, vector

from . import builder as b
from .builder import Index
from .numbers import constant


@dataclasses.dataclass(frozen=True)
class Quantized:
    """The operands of a ``pith.dequantize``.

    Attributes:
        values: memref of i8: one value each, or two of 4 bits.
        scales, zero_points: memrefs of f32 and i8, one element per group.
        group: values per group.
        bits: of a value, 4 or 8.
    """

    values: ir.Value
    scales: ir.Value
    zero_points: ir.Value
    group: int
    bits: int

    def byte(self, position: Index) -> Index:
        """The byte of ``values`` that holds a value."""
        return position if self.bits == 8 else b.div(position, 2)

    def scalar(self, position: Index) -> ir.Value:
        """The real value at a position."""
        stored = memref.load(self.values, [b.value(self.byte(position))])
        if self.bits == 4:
            odd = b.sub(position, b.mul(b.div(position, 2), 2))
            shift = arith.index_cast(stored.type, b.value(b.sub(4, b.mul(odd, 4))))
            stored = arith.shrsi(arith.shli(stored, shift), arith.constant(stored.type, 4))
        return self._real(stored, *self.parameters(b.div(position, self.group)))

    def parameters(self, group: Index) -> tuple[ir.Value, ir.Value]:
        """Scale and zero point of a group."""
        at = [b.value(group)]
        return memref.load(self.scales, at), memref.load(self.zero_points, at)

    def vector(self, lanes: int, position: Index, parameters: tuple[ir.Value, ir.Value]) -> ir.Value:
        """Real values from a position on, all of the group of ``parameters``; of 4 bits, the position is even."""
        scale, zero = parameters
        i8 = ir.IntegerType.get_signless(8)
        loaded = ir.VectorType.get([lanes * self.bits // 8], i8)
        stored = vector.load(loaded, self.values, [b.value(self.byte(position))])
        if self.bits == 4:
            stored = _nibbles(stored)
        zero = vector.broadcast(ir.VectorType.get([lanes], i8), zero)
        return self._real(stored, vector.broadcast(ir.VectorType.get([lanes], ir.F32Type.get()), scale), zero)

    def _real(self, stored: ir.Value, scale: ir.Value, zero: ir.Value) -> ir.Value:
        """Scaled differences; those of 4 bits fit a byte, and all of them f32."""
        if self.bits == 4:
            return arith.mulf(arith.sitofp(scale.type, arith.subi(stored, zero)), scale)
        return arith.mulf(arith.subf(*(arith.sitofp(scale.type, v) for v in (stored, zero))), scale)


def _nibbles(packed: ir.Value) -> ir.Value:
    """Both halves of every byte as signed bytes, low ones first: byte ``hl`` becomes the i16 ``0h0l``, then signed."""
    count = packed.type.shape[0]
    wide = ir.VectorType.get([count], ir.IntegerType.get_signless(16))
    both = arith.extui(wide, packed)
    spread = arith.ori(both, arith.shli(both, constant(wide, 4)))
    halves = vector.bitcast(
        ir.VectorType.get([2 * count], packed.type.element_type), arith.andi(spread, constant(wide, 0x0F0F))
    )
    sign = constant(halves.type, 8)
    return arith.subi(arith.xori(halves, sign), sign)
