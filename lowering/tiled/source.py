"""Where the tiles of the sparse operand come from: one class per :class:`.choice.Source`.

All are used alike: ``steps(first, step, sums)`` emits the loop over the tiles of a few row tiles, and
calls ``step(load, place, sums)`` once per tile: ``load(r)`` is tile ``r`` below row tile ``first``,
``place`` says which tile of the row it is.
"""

import dataclasses
from collections.abc import Callable
from typing import Protocol

from pith._mlir import ir, memref

from .. import builder as b
from ..builder import Index
from ..sparse.levels import Cursor, Storage, descend, start, walk
from .choice import blocks_shape
from .expand import PresentTiles
from .unit import TileUnit

#: ``step(load, place, sums) -> sums``
Step = Callable[[Callable[[int], ir.Value], Index, list[ir.Value]], list[ir.Value]]


class TileSource(Protocol):
    """The tiles of one task's rows."""

    def steps(self, first: Index, step: Step, sums: list[ir.Value]) -> list[ir.Value]:
        """Visit the tiles of the row tiles from ``first`` on."""
        ...


@dataclasses.dataclass(frozen=True)
class Matrix:
    """Tiles of a row-major matrix with ``stride`` elements a row, from row ``row`` on."""

    unit: TileUnit
    values: ir.Value
    row: Index
    stride: Index
    tiles: Index

    def steps(self, first: Index, step: Step, sums: list[ir.Value]) -> list[ir.Value]:
        stride = b.value(self.stride)

        def at(place: Index, *inner: ir.Value) -> list[ir.Value]:
            def load(r: int) -> ir.Value:
                row = b.add(self.row, b.mul(b.add(first, r), self.unit.rows))
                where = b.add(b.mul(row, stride), b.mul(place, self.unit.depth))
                return self.unit.load(self.values, [b.value(where)], stride)

            return step(load, place, list(inner))

        return b.for_loop(0, self.tiles, at, sums)


@dataclasses.dataclass(frozen=True)
class Expanded:
    """All tiles of the rows, in a buffer ``(row tiles, tiles, rows of a tile, depth)``."""

    unit: TileUnit
    buffer: ir.Value
    tiles: Index

    def steps(self, first: Index, step: Step, sums: list[ir.Value]) -> list[ir.Value]:
        def at(place: Index, *inner: ir.Value) -> list[ir.Value]:
            return step(lambda r: _load(self.unit, self.buffer, b.add(first, r), place), place, list(inner))

        return b.for_loop(0, self.tiles, at, sums)


@dataclasses.dataclass(frozen=True)
class Listed:
    """The tiles of the rows that hold an element, with the list of their places."""

    unit: TileUnit
    present: PresentTiles

    def steps(self, first: Index, step: Step, sums: list[ir.Value]) -> list[ir.Value]:
        def at(slot: Index, *inner: ir.Value) -> list[ir.Value]:
            place = memref.load(self.present.places, [b.value(slot)])
            return step(lambda r: _load(self.unit, self.present.tiles, b.add(first, r), slot), place, list(inner))

        return b.for_loop(0, self.present.count, at, sums)


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Tiles of the stored blocks; ``row_tile`` is the first row tile of the task."""

    unit: TileUnit
    storage: Storage
    red_dim: int
    row_tile: Index

    def steps(self, first: Index, step: Step, sums: list[ir.Value]) -> list[ir.Value]:
        fmt, unit = self.storage.format, self.unit
        rows, reds = blocks_shape(fmt)
        tile = b.add(self.row_tile, first)
        tiles = rows // unit.rows
        block = b.div(tile, tiles)
        within = b.mul(b.sub(tile, b.mul(block, tiles)), unit.rows)
        stride = b.value(reds)

        def leaf(at: Cursor, inner: list[ir.Value]) -> list[ir.Value]:
            top = b.add(b.mul(at.position, rows), within)
            place = b.div(at.coords[self.red_dim], unit.depth)

            def load(r: int, t: int) -> ir.Value:
                where = b.add(b.mul(b.add(top, r * unit.rows), reds), t * unit.depth)
                return unit.load(self.storage.values, [b.value(where)], stride)

            for t in range(reds // unit.depth):
                inner = step(lambda r, t=t: load(r, t), b.add(place, t), inner)
            return inner

        below = descend(self.storage, start(fmt), block, block)
        return walk(self.storage, below, leaf, sums, until=len(fmt.levels) - 2)


def _load(unit: TileUnit, buffer: ir.Value, row_tile: Index, slot: Index) -> ir.Value:
    return unit.load(buffer, [b.value(x) for x in (row_tile, slot, 0, 0)])
