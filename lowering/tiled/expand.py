"""Expansion of stored rows into dense tiles on the way to the tile registers."""

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..sparse.levels import Cursor, Storage, descend, load_value, start, walk
from .unit import TileUnit


@dataclasses.dataclass(frozen=True)
class TileRows:
    """Rows that are put into tiles.

    Attributes:
        count: how many there are at most, a multiple of a tile's.
        tiles: tiles that a row crosses.
    """

    unit: TileUnit
    count: int
    tiles: Index

    def alloc(self) -> ir.Value:
        """Memory for all tiles of these rows, ``(row tiles, tiles, rows of a tile, depth)``."""
        return b.alloc([self.count // self.unit.rows, self.tiles, self.unit.rows, self.unit.depth], self.unit.element)

    def place(self, row: Index, tile: Index, k: Index) -> list[ir.Value]:
        """Where an element of a row is in that memory."""
        return [b.value(x) for x in (b.div(row, self.unit.rows), tile, b.mod(row, self.unit.rows), k)]


@dataclasses.dataclass(frozen=True)
class Rows(TileRows):
    """The rows of one task; ``count`` is also a multiple of the rows that the first level keeps together.

    Attributes:
        storage: the sparse operand.
        row_dim, red_dim: its dimensions.
        first: the first row.
        pitch: contracted coordinates in a tile.
    """

    storage: Storage
    row_dim: int
    red_dim: int
    first: Index
    pitch: int

    def visit(self, leaf, carried: list[ir.Value]) -> list[ir.Value]:
        """Walk the stored elements of the rows; ``leaf`` as in :func:`pith.lowering.sparse.levels.walk`."""
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


def expand_matrix(rows: Rows, stride: Index) -> ir.Value:
    """All tiles of rows that lie ``stride`` elements apart and have as many."""
    tiles, values = rows.alloc(), rows.storage.values
    count = b.minimum(rows.count, b.sub(rows.storage.level_sizes[0], rows.first))

    def row(r: Index) -> None:
        first = b.mul(b.add(rows.first, r), stride)

        def read(k: Index, lanes: int) -> ir.Value:
            at = [b.value(b.add(first, k))]
            type_ = ir.VectorType.get([lanes], rows.unit.stored)
            return memref.load(values, at) if lanes == 1 else vector.load(type_, values, at)

        copy_row(rows, tiles, r, stride, read)

    b.for_loop(0, count, row)
    b.for_loop(0, rows.tiles, lambda slot: clear(rows, tiles, slot, count))
    return tiles


def copy_row(
    rows: TileRows,
    tiles: ir.Value,
    row: Index,
    size: Index,
    read: Callable[[Index, int], ir.Value],
    lanes: int | None = None,
) -> None:
    """Copy ``size`` elements into the tiles of a row, zeros behind them.

    Args:
        read: ``read(k, lanes)`` reads so many elements from ``k`` on, one as a scalar.
        lanes: how many are read together, by default those of a tile.
    """
    depth, lanes = rows.unit.depth, lanes or rows.unit.depth
    whole = b.div(size, depth)
    zero = vector.broadcast(rows.unit.row_type, b.zero_of(rows.unit.element))

    def put(t: Index, k: Index, width: int) -> None:
        value = rows.unit.widened(read(b.add(b.mul(t, depth), k), width))
        (memref.store if width == 1 else vector.store)(value, tiles, rows.place(row, t, k))

    def last(t: Index) -> None:
        vector.store(zero, tiles, rows.place(row, t, 0))
        b.for_loop(0, b.sub(size, b.mul(t, depth)), lambda k: put(t, k, 1), rolled=True)

    b.for_loop(0, whole, lambda t: b.for_loop(0, depth, lambda k: put(t, k, lanes), step=lanes))
    b.for_loop(whole, rows.tiles, last)


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
    memref.store(rows.unit.widened(load_value(rows.storage, at.position)), tiles, rows.place(row, slot, k))


def clear(rows: Rows, tiles: ir.Value, slot: Index, first: Index) -> None:
    """Fill rows of the tiles of a slot with zeros, from row ``first`` of the task on."""
    zero = vector.broadcast(rows.unit.row_type, b.zero_of(rows.unit.element))

    b.for_loop(first, rows.count, lambda r: vector.store(zero, tiles, rows.place(r, slot, 0)))
