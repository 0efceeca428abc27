"""The source of stored values that fill a tile without gaps: dense blocks, and formats that store every element.

Nothing is cleared and nothing scattered. Along k the tile's places are those of the format's index stream. What follows
each other both in a row of the tile and in memory goes 16, 8 or 4 bytes at a time by ``cp.async``, the rest through
registers.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from pith._mlir import ir, vector

from ... import builder as b
from ...builder import Index
from ...sparse import levels
from ..product.staging import Filler, Finish, Threads, async_copy
from ..product.tiles import Axis, SharedTile, TileShape, all_of, pick
from .stored import Stored
from .stream import first_of, place_of

#: What ``cp.async`` copies, in bytes.
_ASYNCHRONOUS = (16, 8, 4)
#: Row and column of the tile, and whether this thread has one.
_Place = tuple[Index, Index, ir.Value | None]


@dataclasses.dataclass(frozen=True)
class CopiedSource:
    """A matrix that stores every element below an entry of its stream (:attr:`Split.is_copy`), or below a group.

    Groups that a row may lack are searched for, and zero where it lacks them.

    Attributes:
        stored: the matrix.
        role: of its rows.
    """

    stored: Stored
    role: str

    def prepare(self, shapes: Sequence[TileShape], axes: Mapping[str, Axis], threads: Threads) -> Filler:
        (shape,) = shapes
        split = self.stored.split
        run = self.stored.run(split.depth if shape.roles[1] == "k" else split.row, len(split.format.levels))
        width = math.gcd(run, shape.chunk, shape.extents[1])
        copies = width * shape.width in _ASYNCHRONOUS
        if not copies:
            width = math.gcd(shape.chunk, shape.extents[1])
        columns = shape.extents[1] // width
        places: list[_Place] = [
            (b.div(i, columns), b.mul(b.mod(i, columns), width), taken)
            for i, taken in threads.unrolled(shape.extents[0] * columns)
        ]
        if copies:
            return Filler(lambda tiles, k: self._copy(tiles[0], places, axes, k, width), asynchronous=True)
        return Filler(lambda tiles, k: self._through_registers(tiles[0], places, axes, k, width), asynchronous=False)

    def _copy(self, tile: SharedTile, places: Sequence[_Place], axes: Mapping[str, Axis], k: Axis, width: int) -> None:
        def one(row: Index, column: Index) -> None:
            position, exists = self._at(tile.shape, row, column, axes, k)
            source = [b.value(pick(exists, position, 0))]
            async_copy(tile, row, column, self.stored.storage.values, source, width, pick(exists, width, 0))

        for row, column, taken in places:
            b.only_if(taken, lambda r=row, c=column: one(r, c))

    def _through_registers(
        self, tile: SharedTile, places: Sequence[_Place], axes: Mapping[str, Axis], k: Axis, width: int
    ) -> Finish:
        element = tile.shape.element
        loaded = []
        for row, column, _ in places:
            at = [self._at(tile.shape, row, b.add(column, e), axes, k) for e in range(width)]
            loaded.append([self._element(position, exists, element) for position, exists in at])

        def finish() -> None:
            for (row, column, taken), values in zip(places, loaded):
                run = vector.from_elements(ir.VectorType.get([width], element), values)
                b.only_if(taken, lambda v=run, r=row, c=column: tile.store_vector(v, r, c))

        return finish

    def _element(self, position: Index, exists: ir.Value | None, element: ir.Type) -> ir.Value:
        def load() -> list[ir.Value]:
            return [levels.load_value(self.stored.storage, position)]

        return load()[0] if exists is None else b.if_else(exists, load, lambda: [b.zero_of(element)], [element])[0]

    def _at(
        self, shape: TileShape, row: Index, column: Index, axes: Mapping[str, Axis], k: Axis
    ) -> tuple[Index, ir.Value | None]:
        """Position of the value at a place of the tile, and whether there is one."""
        along, across = (column, row) if shape.roles[1] == "k" else (row, column)
        split = self.stored.split
        element, exists = axes[self.role].at(across)
        place, listed = place_of(k, along)
        if split.searches:  # groups are read, so there must be one
            element, place = (pick(all_of(exists, listed), x, 0) for x in (element, place))
        cursor = self.stored.entry(element, b.div(place, split.width), first_of(k), lookup=False)
        position, held = self.stored.below(cursor, element, b.mod(place, split.width), len(split.format.levels))
        return position, all_of(exists, listed, held)
