"""The next group of panels is packed while one is multiplied, a part at every tile of rows.

Packed before, 64 experts of 512x1024 bf16 take a fifth of the time in which one waits for memory (64 tokens each, Zen
4, 2026-11): rows lie a page or half of one apart, and a core has room for few lines and translations on their way.
"""

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, ir, memref

from .. import builder as b
from ..builder import Index
from ..panel.dense.listed_task import Span
from .pack import Panels, pack_part
from .unit import COLUMNS, TileUnit

#: Panels of a part: with dots on bf16, a tile of rows takes 256 cycles at least, and eight panels' parts some 30.
PART = 8


@dataclasses.dataclass(frozen=True)
class NextPanels:
    """Two groups of panels by turns; what is packed ahead, and how far, is kept from group to group.

    Attributes:
        unit: what multiplies.
        group: panels of a group, at most.
        panels: room for two groups.
        state: the number of the group that is packed ahead, how many of its rows are, the panels of the next row that
            are, and the slot of the other group.
    """

    unit: TileUnit
    group: Index
    panels: ir.Value
    state: ir.Value

    @classmethod
    def of(cls, unit: TileUnit, group: Index, tiles: Index) -> "NextPanels":
        """Room for panels of so many tiles, with nothing in it."""
        state = b.alloc([4], ir.IndexType.get())
        for i, start in enumerate((-1, 0, 0, 0)):
            memref.store(b.value(start), state, [b.value(i)])
        shape = [b.mul(group, 2), b.mul(tiles, unit.positions), COLUMNS * unit.group]
        return cls(unit, group, b.alloc(shape, unit.element), state)

    def take(self, number: Index) -> tuple[ir.Value, ir.Value]:
        """The slot of a group's first panel, and how many tiles of all of its panels are packed already."""
        known = arith.cmpi(arith.CmpIPredicate.eq, self._load(0), b.value(number))
        other, rows = self._load(3), self._load(1)
        slot = arith.select(known, b.value(b.sub(self.group, other)), other)
        return slot, arith.select(known, b.value(b.div(rows, self.unit.positions)), b.value(0))

    def expect(self, number: Index, slot: Index, packing: Panels, span: Span) -> ir.Value:
        """Begin with the group that follows the one in ``slot``; how many rows of it can be packed ahead.

        Those of whole tiles, where all panels are whole and fill parts.
        """
        for i, value in enumerate((number, 0, 0, slot)):
            memref.store(b.value(value), self.state, [b.value(i)])
        (first, last), whole = span, b.mul(b.div(packing.reds, self.unit.depth), self.unit.positions)
        left = b.mod(b.sub(last, first), PART)
        fits = b.less(b.mul(last, COLUMNS), b.add(packing.cols, 1))
        return arith.select(arith.andi(fits, b.less(left, 1)), b.value(whole), b.value(0))

    def part(self, slot: Index, packing: Panels, span: Span) -> Callable[[Index], None]:
        """What packs the next part of a row of a group, of so many rows, beside the group in ``slot``."""
        free, count = b.sub(self.group, slot), b.sub(span[1], span[0])

        def pack(rows: Index) -> None:
            row, panel = self._load(1), self._load(2)

            def one() -> None:
                pack_part(packing, b.add(span[0], panel), b.add(free, panel), row, PART)
                after = b.value(b.add(panel, PART))
                more = b.less(after, count)
                memref.store(arith.select(more, row, b.value(b.add(row, 1))), self.state, [b.value(1)])
                memref.store(arith.select(more, after, b.value(0)), self.state, [b.value(2)])

            b.only_if(b.less(row, rows), one)

        return pack

    def _load(self, place: int) -> ir.Value:
        return memref.load(self.state, [b.value(place)])
