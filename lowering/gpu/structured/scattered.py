"""The source that expands what is stored below the entries of an index stream: groups the sparse body cannot take."""

import dataclasses
from collections.abc import Mapping, Sequence

from ... import builder as b
from ...builder import Index
from ...sparse import levels
from ..product.encoded import digits_of
from ..product.staging import Filler, Threads
from ..product.tiles import Axis, SharedTile, TileShape, all_of, is_below
from .stored import Stored
from .stream import first_of


@dataclasses.dataclass(frozen=True)
class ScatteredSource:
    """A matrix whose choices along k many rows share, and whose entries hold groups with a choice of their own.

    The tile is cleared; then each stored element goes to its place below its entry. Entries do not cross tiles.

    Attributes:
        stored: the matrix.
        role: of its rows.
    """

    stored: Stored
    role: str

    def prepare(self, shapes: Sequence[TileShape], axes: Mapping[str, Axis], threads: Threads) -> Filler:
        split = self.stored.split
        below = range(split.stream, len(split.format.levels))
        slots = [self._slots(i) for i in below]
        (shape,) = shapes
        counts = [shape.extent("k") // split.width, *(s for i, s in zip(below, slots) if self._is_along(i))]

        def fill(tiles: Sequence[SharedTile], k: Axis) -> None:
            def one(i: Index) -> None:
                row, rest = b.mod(i, shape.extent(self.role)), b.div(i, shape.extent(self.role))
                element, exists = axes[self.role].at(row)
                number, *digits = digits_of(rest, counts)
                entry = b.add(b.div(k.base, split.width), number)
                listed = is_below(b.mul(entry, split.width), k.length)
                b.only_if(
                    all_of(exists, listed), lambda: self._scatter(tiles[0], row, element, number, entry, digits, k)
                )

            threads.share(int(b.product(counts)) * shape.extent(self.role), one)

        return Filler(fill, asynchronous=False, needs_clearing=True)

    def _is_along(self, i: int) -> bool:
        return self.stored.split.format.exprs[i].dim == self.stored.split.depth

    def _slots(self, i: int) -> int:
        expr, level = self.stored.split.format.exprs[i], self.stored.split.format.levels[i]
        return level.g if level.kind == "nm" else expr.mod

    def _scatter(
        self, tile: SharedTile, row: Index, element: Index, number: Index, entry: Index, digits: list[Index], k: Axis
    ) -> None:
        split = self.stored.split
        cursor = self.stored.entry(element, entry, first_of(k), lookup=False)
        cursor = dataclasses.replace(cursor, coords=(0, 0))
        left = iter(digits)
        for i in range(split.stream, len(split.format.levels)):
            cursor = self.stored.step(cursor, i, next(left) if self._is_along(i) else self.stored.row_digit(element, i))
        along = b.add(b.mul(number, split.width), cursor.coords[split.depth])
        place = {self.role: row, "k": along}
        value = levels.load_value(self.stored.storage, cursor.position)
        tile.store(value, *(place[role] for role in tile.shape.roles))
