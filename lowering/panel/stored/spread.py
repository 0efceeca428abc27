"""Stored values in all lanes of a register: some are loaded at once, and each is spread by a shuffle.

A value that is broadcast from memory costs a load, as a row of the panel does. Where rows share nothing, a tile of
four registers loads five times for four multiply-adds. Four values repeated in every 16 bytes of a register are one
load, and a shuffle inside those 16 bytes spreads one of them::

    part = values[p:p+4] in every 16 bytes
    a = shuffle(part, [0, 0, 0, 0, 4, 4, 4, 4, ...])    values[p] in all lanes

On a core of Zen 4, which loads 512 bits a cycle and multiplies as many, 2048x1664x256 of 2:4, 1:4, 2:8 and
C1(2:4)->C0(2:4) gain 1.06x to 1.10x, with 32 and 16 columns 2:4 1.10x and 1.13x (2026-11-23).
"""

import dataclasses

from pith._mlir import ir, llvm, vector

from ..arithmetic import bytes_of
from .members import Position, identity
from .widen import Stored, Values

#: Bytes that a shuffle with constant places moves elements in: two operands, no register of places.
PART_BYTES = 16


@dataclasses.dataclass
class Spread:
    """Reads values for tiles whose registers have ``lanes`` lanes."""

    values: Values
    element: ir.Type
    lanes: int
    #: Parts loaded so far, each with the block of operations it is in, and the base that keeps its identity its own.
    _parts: dict[object, tuple[ir.Value, ir.Block, object]] = dataclasses.field(default_factory=dict)

    def read(self, unit: int, position: Position, alone: bool) -> ir.Value:
        """The value at a position, which belongs to member ``unit`` of the tile's group: a scalar or a register of it.

        Args:
            alone: no other row of the tile multiplies what this one loads of the panel.
        """
        count = PART_BYTES // bytes_of(self.element)
        slot = position.offset % count
        first = position.offset - slot
        quantized = isinstance(self.values, Stored) and self.values.quantized
        few = self.lanes <= count or first + count > position.count * position.scale
        odd = self.lanes & (self.lanes - 1) != 0  # no whole register, which the assembly statement takes
        if not alone or quantized or few or odd:
            return self.values.scalar(unit, position.value)
        part = self._part(unit, dataclasses.replace(position, offset=first), count)
        return vector.shuffle(part, part, [lane - lane % count + slot for lane in range(self.lanes)])

    def _part(self, unit: int, position: Position, count: int) -> ir.Value:
        """``count`` values from a position on, in every 16 bytes: loaded once per block of operations."""
        key, block = (unit, identity(position.base), position.scale, position.offset), ir.InsertionPoint.current.block
        if key not in self._parts or self._parts[key][1] != block:
            few = self.values.vector(ir.VectorType.get([count], self.element), unit, position.value)
            wide = vector.shuffle(few, few, [lane % count for lane in range(self.lanes)])
            # An assembly statement without instructions: else LLVM broadcasts each from memory after all.
            kept = llvm.InlineAsmOp(wide.type, [wide], "", "=v,0").results[0]
            self._parts[key] = kept, block, position.base
        return self._parts[key][0]


def in_all_lanes(type_: ir.VectorType, stored: ir.Value) -> ir.Value:
    """A vector that holds nothing but what :meth:`Spread.read` returned."""
    if not isinstance(stored.type, ir.VectorType):
        return vector.broadcast(type_, stored)
    lanes, whole = stored.type.shape[0], type_.shape[0]
    return stored if lanes == whole else vector.shuffle(stored, stored, [lane % lanes for lane in range(whole)])
