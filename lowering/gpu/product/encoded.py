"""The source that expands a static format into a shared tile: load sparse, compute dense."""

import dataclasses
from collections.abc import Mapping, Sequence

from pith.formats import Format

from ... import builder as b
from ...builder import Index
from ...sparse import levels
from .staging import Filler, Threads
from .tiles import Axis, SharedTile, TileShape, all_of, is_below


@dataclasses.dataclass(frozen=True)
class EncodedSource:
    """A matrix stored in a static format (dense and ``nm`` levels, any depth).

    The tile is cleared, then every stored entry whose coordinates fall into it is scattered to its
    place. Only the outermost digit of each dimension is windowed to the tile; when the tile is a
    multiple of the format's groups each value is read exactly once, from consecutive addresses.
    """

    storage: levels.Storage
    roles: tuple[str, ...]

    def prepare(self, shapes: Sequence[TileShape], axes: Mapping[str, Axis], threads: Threads) -> Filler:
        def fill(tiles: Sequence[SharedTile], k: Axis) -> None:
            self._expand(tiles[0], {**axes, "k": k}, threads)

        return Filler(fill, asynchronous=False, needs_clearing=True)

    def _expand(self, tile: SharedTile, axes: Mapping[str, Axis], threads: Threads) -> None:
        """Scatter the stored entries of the tile's window."""
        fmt = self.storage.format
        extents = [axes[role].extent for role in self.roles]
        slots = [slots_of(fmt, level, extents) for level in range(len(fmt.levels))]

        def one(i: Index) -> None:
            digits = window_of(fmt, digits_of(i, slots), [axes[role].base for role in self.roles])
            inside = [
                is_below(digits[level], self.storage.level_sizes[level])
                for level, expr in enumerate(fmt.exprs)
                if not expr.mod
            ]
            b.only_if(all_of(*inside), lambda: self._scatter(tile, axes, digits))

        threads.share(int(b.product(slots)), one)

    def _scatter(self, tile: SharedTile, axes: Mapping[str, Axis], digits: list[Index]) -> None:
        cursor = levels.start(self.storage.format)
        for digit in digits:
            cursor = descend_static(self.storage, cursor, digit)
        place = {role: b.sub(cursor.coords[d], axes[role].base) for d, role in enumerate(self.roles)}
        store_inside(self.storage, cursor, tile, place)


def store_inside(storage: levels.Storage, cursor: levels.Cursor, tile: SharedTile, place: Mapping[str, Index]) -> None:
    """Store the element at ``cursor`` at ``place`` of the tile, if that is a place of it."""
    row, column = (place[role] for role in tile.shape.roles)
    within = [is_below(place[role], extent) for role, extent in zip(tile.shape.roles, tile.shape.extents)]
    b.only_if(all_of(*within), lambda: tile.store(levels.load_value(storage, cursor.position), row, column))


def slots_of(fmt: Format, level: int, extents: Sequence[int]) -> int:
    """Entries of static ``level`` below one parent that can fall into a tile of ``extents``."""
    expr, kind = fmt.exprs[level], fmt.levels[level]
    if expr.mod:
        return kind.g if kind.kind == "nm" else expr.mod
    extent = extents[expr.dim]
    if extent % expr.div == 0:
        return extent // expr.div
    return 1 if expr.div % extent == 0 else extent // expr.div + 2


def window_of(fmt: Format, digits: Sequence[Index], bases: Sequence[Index]) -> list[Index]:
    """Digits of levels from the outermost on, counted from those of the tile at ``bases``: as counted from zero."""
    return [
        digit if expr.mod else b.add(digit, b.div(bases[expr.dim], expr.div)) for digit, expr in zip(digits, fmt.exprs)
    ]


def descend_static(storage: levels.Storage, cursor: levels.Cursor, digit: Index) -> levels.Cursor:
    """One level down, to coordinate ``digit`` of a dense level or slot ``digit`` of a group."""
    level = storage.format.levels[cursor.level]
    if level.is_dense:
        size = storage.level_sizes[cursor.level]
        return levels.descend(storage, cursor, b.add(b.mul(cursor.position, size), digit), digit)
    position = b.add(b.mul(cursor.position, level.g), digit)
    return levels.descend(storage, cursor, position, levels.load_coordinate(storage, cursor.level, position))


def digits_of(i: Index, radices: Sequence[int]) -> list[Index]:
    """Mixed-radix digits of ``i``, most significant first."""
    out: list[Index] = []
    for radix in reversed(radices):
        out.append(b.mod(i, radix))
        i = b.div(i, radix)
    return out[::-1]
