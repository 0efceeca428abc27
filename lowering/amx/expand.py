"""Expansion of stored rows into dense tiles on the way to the tile registers."""

import dataclasses

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..levels import Cursor, Storage, descend, load_value, start, walk
from .unit import ROWS, TileUnit


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of one task.

    Attributes:
        storage: the sparse operand.
        row_dim, red_dim: its dimensions.
        first: the first row.
        count: how many there are at most, a multiple of 16 and of the rows that the first level keeps together.
        tiles: tiles that a row crosses.
        pitch: contracted coordinates in a tile.
    """

    unit: TileUnit
    storage: Storage
    row_dim: int
    red_dim: int
    first: Index
    count: int
    tiles: Index
    pitch: int

    def alloc(self) -> ir.Value:
        """Memory for all tiles of these rows, ``(row tiles, tiles, 16, depth)``."""
        return b.alloc([self.count // ROWS, self.tiles, ROWS, self.unit.depth], self.unit.element)

    def visit(self, leaf, carried: list[ir.Value]) -> list[ir.Value]:
        """Walk the stored elements of the rows; ``leaf`` as in :func:`pith.lowering.levels.walk`."""
        top = start(self.storage.format)
        div = self.storage.format.exprs[0].div
        lo = b.div(self.first, div)
        hi = b.minimum(b.add(lo, self.count // div), self.storage.level_sizes[0])
        return b.for_loop(
            lo, hi, lambda c, *inner: walk(self.storage, descend(self.storage, top, c, c), leaf, inner), carried
        )


def expand_all(rows: Rows) -> ir.Value:
    """All tiles of the rows, in order, one element at a time."""
    tiles = rows.alloc()
    expand_elements(rows, tiles)
    return tiles


def expand_elements(rows: Rows, tiles: ir.Value) -> None:
    """Fill all tiles of the rows, one element at a time."""
    b.for_loop(0, rows.tiles, lambda slot: clear(rows, tiles, slot, 0))

    def leaf(at: Cursor, carried: list[ir.Value]) -> list[ir.Value]:
        _scatter(rows, tiles, at, b.div(at.coords[rows.red_dim], rows.pitch))
        return carried

    rows.visit(leaf, [])


@dataclasses.dataclass(frozen=True)
class PresentTiles:
    """Tiles that hold at least one element of a task's rows.

    Attributes:
        tiles: the tiles; ``tiles[:, slot]`` for ``slot < count``.
        places: which tile of the row each slot holds.
    """

    tiles: ir.Value
    places: ir.Value
    count: ir.Value


def expand_present(rows: Rows) -> PresentTiles:
    """The tiles that hold an element, in the order in which the walk first meets them."""
    tiles = rows.alloc()
    index = ir.IndexType.get()
    slots, places = (b.alloc([rows.tiles], index) for _ in range(2))  # slots: one more than the slot, 0 is none
    b.for_loop(0, rows.tiles, lambda t: memref.store(b.value(0), slots, [b.value(t)]))

    def leaf(at: Cursor, carried: list[ir.Value]) -> list[ir.Value]:
        (count,) = carried
        place = b.value(b.div(at.coords[rows.red_dim], rows.pitch))
        known = memref.load(slots, [place])

        def add() -> list[ir.Value]:
            clear(rows, tiles, count, 0)
            more = b.value(b.add(count, 1))
            memref.store(place, places, [count])
            memref.store(more, slots, [place])
            return [more, more]

        absent = arith.cmpi(arith.CmpIPredicate.eq, known, b.value(0))
        slot, count = b.if_else(absent, add, lambda: [known, count], [index, index])
        _scatter(rows, tiles, at, b.sub(slot, 1))
        return [count]

    (count,) = rows.visit(leaf, [b.value(0)])
    return PresentTiles(tiles, places, count)


def _scatter(rows: Rows, tiles: ir.Value, at: Cursor, slot: Index) -> None:
    """Put the element at a cursor into its place in a tile."""
    row = b.sub(at.coords[rows.row_dim], rows.first)
    k = b.mod(at.coords[rows.red_dim], rows.pitch)
    where = [b.value(x) for x in (b.div(row, ROWS), slot, b.mod(row, ROWS), k)]
    memref.store(load_value(rows.storage, at.position), tiles, where)


def clear(rows: Rows, tiles: ir.Value, slot: Index, first: Index) -> None:
    """Fill rows of the tiles of a slot with zeros, from row ``first`` of the task on."""
    zero = vector.broadcast(rows.unit.row_type, b.zero_of(rows.unit.element))

    def row(r: Index) -> None:
        vector.store(zero, tiles, [b.value(x) for x in (b.div(r, ROWS), slot, b.mod(r, ROWS), 0)])

    b.for_loop(first, rows.count, row)
