"""The source that expands a static format into a shared tile: load sparse, compute dense."""

import dataclasses
from collections.abc import Mapping, Sequence

from pith.formats import Format

from .. import builder as b
from .. import levels
from ..builder import Index
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
        slots = [self._slots(level, axes) for level in range(len(fmt.levels))]

        def one(i: Index) -> None:
            digits = _digits(i, slots)
            for level, expr in enumerate(fmt.exprs):
                if not expr.mod:
                    digits[level] = b.add(digits[level], b.div(axes[self.roles[expr.dim]].base, expr.div))
            inside = [
                is_below(digits[level], self.storage.level_sizes[level])
                for level, expr in enumerate(fmt.exprs)
                if not expr.mod
            ]
            b.only_if(all_of(*inside), lambda: self._scatter(tile, axes, digits))

        threads.share(int(b.product(slots)), one)

    def _slots(self, level: int, axes: Mapping[str, Axis]) -> int:
        """Entries of ``level`` below one parent that can fall into a tile."""
        expr, kind = self.storage.format.exprs[level], self.storage.format.levels[level]
        if expr.mod:
            return kind.g if kind.kind == "nm" else expr.mod
        extent = axes[self.roles[expr.dim]].extent
        if extent % expr.div == 0:
            return extent // expr.div
        return 1 if expr.div % extent == 0 else extent // expr.div + 2

    def _scatter(self, tile: SharedTile, axes: Mapping[str, Axis], digits: list[Index]) -> None:
        cursor = levels.start(self.storage.format)
        for digit in digits:
            cursor = _descend(self.storage, cursor, digit)
        place = {role: b.sub(cursor.coords[d], axes[role].base) for d, role in enumerate(self.roles)}
        within = [is_below(place[role], extent) for role, extent in zip(tile.shape.roles, tile.shape.extents)]

        def store() -> None:
            row, column = (place[role] for role in tile.shape.roles)
            tile.store(levels.load_value(self.storage, cursor.position), row, column)

        b.only_if(all_of(*within), store)


def _descend(storage: levels.Storage, cursor: levels.Cursor, digit: Index) -> levels.Cursor:
    level = storage.format.levels[cursor.level]
    if level.is_dense:
        size = storage.level_sizes[cursor.level]
        return levels.descend(storage, cursor, b.add(b.mul(cursor.position, size), digit), digit)
    position = b.add(b.mul(cursor.position, level.g), digit)
    return levels.descend(storage, cursor, position, levels.load_coordinate(storage, cursor.level, position))


def _digits(i: Index, radices: list[int]) -> list[Index]:
    """Mixed-radix digits of ``i``, most significant first."""
    out: list[Index] = []
    for radix in reversed(radices):
        out.append(b.mod(i, radix))
        i = b.div(i, radix)
    return out[::-1]


def unsupported_level(fmt: Format) -> str | None:
    """The first level of ``fmt`` that the GPU lowering cannot expand, or None."""
    return next((str(level) for level in fmt.levels if not level.is_static or level.kind == "band"), None)
