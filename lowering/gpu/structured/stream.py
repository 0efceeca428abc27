"""The index stream of a format along k, as the axis that a run-time pattern on k would be."""

import dataclasses

from pith._mlir import ir

from ... import builder as b
from ...builder import Index
from ..product.tiles import Axis, PatternAxis, is_below
from .stored import Stored


@dataclasses.dataclass(frozen=True)
class StreamAxis(PatternAxis):
    """k, visiting the entries that a format stores for the rows of a block, in storage order.

    What lies between is skipped: the other operand is gathered through it (SRead), as for a list made at run time.

    Attributes:
        stored: the matrix.
        row: a row of the block.
    """

    stored: Stored = dataclasses.field(kw_only=True)
    row: Index = dataclasses.field(kw_only=True)

    def coordinate(self, micro: Index, listed: ir.Value) -> Index:
        def look_up() -> list[ir.Value]:
            cursor = self.stored.entry(self.row, micro, self.first)
            return [b.value(b.div(cursor.coords[self.stored.split.depth], self.granularity))]

        return b.if_else(listed, look_up, lambda: [b.value(0)], [ir.IndexType.get()])[0]

    @property
    def copies(self) -> bool:
        """Whether coordinates in memory are the stream's as they are, 32 bits each."""
        split = self.stored.split
        pairs = zip(split.format.exprs[: split.stream], split.format.levels)
        along = [level.kind for expr, level in pairs if expr.dim == split.depth]
        return along == ["compressed"] and split.format.crd_width == 32


def stream_axis(stored: Stored, row: Index, extent: int, size: Index) -> StreamAxis:
    """The axis of the block of rows that ``row`` begins."""
    split = stored.split
    first, count = stored.first_and_count(row)
    level = next(
        i
        for i, (e, level) in enumerate(zip(split.format.exprs, split.format.levels))
        if e.dim == split.depth and not level.is_dense
    )
    entries = stored.storage.metadata[level, "coordinates"]
    return StreamAxis(
        0, extent, size, entries=entries, first=first, count=count, granularity=split.width, stored=stored, row=row
    )


def place_of(k: Axis, place: Index) -> tuple[Index, ir.Value | None]:
    """(position along k in what is stored, whether it exists) of a place of a tile."""
    if not isinstance(k, StreamAxis):
        return k.at(place)
    position = b.add(k.base, place)
    return position, is_below(position, k.length)


def first_of(k: Axis) -> Index:
    """Where the list of a stream begins; 0 of other axes."""
    return k.first if isinstance(k, StreamAxis) else 0


def end_of(k: Axis) -> Index:
    """The position behind the last one along k."""
    return k.length if isinstance(k, StreamAxis) else k.size
