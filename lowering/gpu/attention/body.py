"""What the kernel asks of a body: scores of a tile of keys, and sums of its values, in the registers of a block."""

import dataclasses
from collections.abc import Callable
from typing import Protocol

from pith._mlir import ir

from ...builder import Index
from ..product.tiles import SharedTile, TileShape

#: ``shows(u)``: for each row of this thread, whether it is shown the key at place ``u`` of a tile.
Shows = Callable[[Index], list[ir.Value]]


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Shared tiles of a block.

    Attributes:
        query, key, value: rows of them, of keys and values those of one stage.
        weights: where a body hands weights over in memory, one tile; none of others.
    """

    query: SharedTile
    key: SharedTile
    value: SharedTile
    weights: tuple[SharedTile, ...] = ()

    def of_stage(self, stage: Index) -> "Tiles":
        """The same with keys and values of another stage."""
        key, value = (tile.of_stage(stage) for tile in (self.key, self.value))
        return dataclasses.replace(self, key=key, value=value)


class Body(Protocol):
    """A thread holds scores and sums of some rows (queries); all of its rows have the same columns (keys)."""

    @property
    def depth(self) -> int:
        """Features of queries and keys in shared memory: padded."""
        ...

    @property
    def width(self) -> int:
        """Features of values, padded."""
        ...

    @property
    def keys(self) -> int:
        """Keys of a tile."""
        ...

    @property
    def queries(self) -> int:
        """Queries of a tile."""
        ...

    @property
    def threads(self) -> int:
        """Threads of a block."""
        ...

    @property
    def run(self) -> int:
        """Features of a thread that are neighbours."""
        ...

    @property
    def row_lanes(self) -> tuple[int, ...]:
        """Distances of lanes that hold other columns of the same rows."""
        ...

    @property
    def column_lanes(self) -> tuple[int, ...]:
        """Distances of lanes that hold other rows."""
        ...

    def layout(self) -> list[TileShape]:
        """The tiles of :class:`Tiles` in order, keys and values of one stage."""
        ...

    def rows(self, thread: ir.Value) -> list[Index]:
        """Rows of this thread."""
        ...

    def columns(self, thread: ir.Value) -> list[Index]:
        """Places of a tile of keys whose scores this thread holds."""
        ...

    def features(self, thread: ir.Value) -> list[Index]:
        """Features whose sums this thread holds."""
        ...

    def zeros(self) -> list[ir.Value]:
        """Sums of nothing."""
        ...

    def hold(self, tiles: Tiles, thread: ir.Value) -> list[ir.Value]:
        """What of the queries is kept in registers for :meth:`score`."""
        ...

    def score(self, tiles: Tiles, held: list[ir.Value], thread: ir.Value) -> list[list[ir.Value]]:
        """Products of queries and keys, by row and column of this thread."""
        ...

    def fade(self, sums: list[ir.Value], factors: list[ir.Value]) -> list[ir.Value]:
        """Sums times a factor per row."""
        ...

    def is_delicate(self, tiles: Tiles, thread: ir.Value) -> ir.Value:
        """Whether hidden values could reach sums; the same for all lanes of a warp."""
        ...

    def accumulate(
        self,
        tiles: Tiles,
        sums: list[ir.Value],
        weights: list[list[ir.Value]],
        thread: ir.Value,
        delicate: ir.Value,
        shows: Shows,
    ) -> list[ir.Value]:
        """``sums + weights @ values``; what is not ``shows``n to a row has no influence, where values are delicate."""
        ...

    def results(self, sums: list[ir.Value]) -> list[list[ir.Value]]:
        """Sums by row and feature."""
        ...
