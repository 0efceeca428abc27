"""Dot instructions on panel rows that a list names: rows that share coordinates, one wide, make whole dwords.

Blocks of 4x1 and row sharing V have no dword in memory: its coordinates are neighbours in the list only. So panels
hold one coordinate a row, and the rows that ``group`` entries of the list name are interleaved in registers::

    X0 .. X3 = panels[k0], panels[k1], panels[k2], panels[k3]          vectors of bytes, one per column
    B0 .. B3 = the bytes of k0 .. k3 of every column beside each other      8 shuffles for 64 columns
    for each row r of A:
      a = dword of row r, in every lane
      sums[r][0] = dot(sums[r][0], B0, a); ... sums[r][3]

For four rows these are 24 operations in the two ports of AVX-512 that dots and shuffles share, where f32 takes 64
multiply-adds and dots on dense tiles 16 for every four coordinates, stored or not.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from pith._mlir import arith, ir, vector

from .. import builder as b
from ..builder import Index
from .dots import OFFSET, DotUnit, Rows


@dataclasses.dataclass(frozen=True)
class NamedRows(Rows):
    """One dword per row of ``A``, and the rows of panels that its elements are multiplied with: ``names``."""

    names: ir.Value

    def named(self, group: int) -> list[ir.Value]:
        """The panel rows of the dword's elements."""
        first = b.mul(self.at[0], group)
        return [b.load_index(self.names, b.add(first, g)) for g in range(group)]


@dataclasses.dataclass(frozen=True)
class NamedUnit(DotUnit):
    """Dot instructions on rows of panels that a list names.

    A tile has as many columns as a vector has sums, a panel a vector of elements.
    """

    @property
    def title(self) -> str:
        """See :class:`TileUnit`."""
        return f"{super().title}, made of panel rows that rows of blocks name"

    @property
    def column_tiles(self) -> int:
        """See :class:`DotUnit`."""
        return self.panel_tiles

    @property
    def panel_tiles(self) -> int:
        """See :class:`TileUnit`: what is interleaved of a vector of elements."""
        return self.group

    @property
    def together(self) -> int:
        """Panels hold single coordinates, which names put beside each other."""
        return 1

    @property
    def panel_rows(self) -> int:
        """See :class:`TileUnit`; so many are packed in one go."""
        return 64

    def lane(self, column: Index, g: int) -> Index:
        """See :class:`TileUnit`: where :meth:`packed_row` puts it."""
        vector_, within = b.div(column, self.lanes), b.mod(column, self.lanes)
        part = b.mul(b.div(within, 4), 4 * self.group)
        return b.add(b.add(part, b.mul(vector_, 4)), b.mod(within, 4))

    def packed_row(self, values: ir.Value) -> ir.Value:
        """See :class:`TileUnit`: in the order that shuffles within 16 bytes put right."""
        values = self.packed(values)
        parts = self.lanes // 4
        order = [q * self.lanes + 4 * part + t for part in range(parts) for q in range(self.group) for t in range(4)]
        return vector.shuffle(values, values, order)

    def add_offset(self, total: ir.Value, dwords: ir.Value) -> ir.Value:
        """``total`` with 128 times the elements of dwords."""
        offset = vector.broadcast(dwords.type, arith.constant(self.element, -OFFSET))
        return self.dots(total, offset, dwords)

    def multiply(
        self, a: list[Any], panels: ir.Value, at: Callable[[int], list[ir.Value]], sums: list[ir.Value]
    ) -> list[ir.Value]:
        """See :class:`TileUnit`."""
        (rows,) = a
        tile, _, lane = at(0)
        number = b.value(b.div(tile, self.panel_tiles))
        named = [vector.load(self.panel_row, panels, [number, name, lane]) for name in rows.named(self.group)]
        return self._add_row_by_row(a, 0, _unpacked(named)[: len(sums) // self.rows], sums)


def _unpacked(rows: list[ir.Value]) -> list[ir.Value]:
    """The elements of rows beside each other, in the order that shuffles within 16 bytes give."""
    if len(rows) == 1:
        return rows
    pairs = [half for x, y in zip(rows[::2], rows[1::2]) for half in _unpack(x, y)]
    if len(rows) == 2:
        return pairs
    (low, high), (low2, high2) = pairs[:2], pairs[2:]
    return [*_unpack(low, low2, 2), *_unpack(high, high2, 2)]


def _unpack(x: ir.Value, y: ir.Value, elements: int = 1) -> list[ir.Value]:
    """Lower and upper halves of every 16 bytes of ``x`` and ``y``, so many elements in turn."""
    type_, count = x.type, x.type.shape[0]
    per_part = 16 // (b.bits_of(type_.element_type) // 8)
    units = per_part // elements
    out = []
    for half in (0, units // 2):
        order = []
        for part in range(0, count, per_part):
            for i in range(half, half + units // 2):
                first = part + i * elements
                order += [*range(first, first + elements), *range(count + first, count + first + elements)]
        out.append(vector.shuffle(x, y, order))
    return out
