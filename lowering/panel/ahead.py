"""Fetching rows that are packed next while this is multiplied."""

import dataclasses
from collections.abc import Callable

from pith._mlir import ir, memref

from .. import builder as b
from ..builder import Index
from .arithmetic import CACHE_LINE, bytes_of
from .walk import Walk

#: How near to the core: into the second level, where panels are packed from.
SECOND_LEVEL = 2


@dataclasses.dataclass(frozen=True)
class Ahead:
    """The rows that the panel which follows a panel is packed from.

    Every unrolled block of every register tile fetches one of them, so as many tiles as a block has contracted
    coordinates fetch them all.

    Attributes:
        source: ``(reds, cols)``.
        reds: which rows are packed.
        distance: columns from a panel to the one that follows it.
        lanes: columns of a panel.
    """

    source: ir.Value
    reds: Walk
    distance: Index
    lanes: int

    def fetch(self, tile: Index, blocks: Index, column: Index) -> Callable[[Index], None]:
        """What asks for the row that falls to a block of a register tile; after the last row for that row again.

        Args:
            tile: number of the tile among those that meet the panel.
            blocks: of a tile.
            column: the first of the panel that is multiplied.
        """
        before, last = b.mul(tile, blocks), b.sub(self.reds.count, 1)
        step = CACHE_LINE // bytes_of(self.source.type.element_type)

        def row(block: Index) -> None:
            red = b.value(self.reds.at(b.minimum(b.add(before, block), last)))
            for lane in range(0, self.lanes, step):
                at = b.value(b.add(b.add(column, self.distance), lane))
                memref.prefetch(self.source, [red, at], False, SECOND_LEVEL, True)

        return row
