"""Where the sums of dense tiles go: from registers to the output, or through a tile in memory where that is not so."""

import dataclasses
from collections.abc import Mapping

from pith._mlir import ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..panel.arithmetic import CACHE_LINE, bytes_of
from ..panel.walk import Walk
from ..panel.write import write_tile
from ..transpose import Transform
from .dots import DotUnit
from .unit import TileUnit


@dataclasses.dataclass(frozen=True)
class Corner:
    """A block of the output.

    Attributes:
        rows: those of its chunk.
        row, col: the first position in ``rows`` and the first column.
        height, width: rows and columns of a block.
    """

    rows: Walk
    row: Index
    col: Index
    height: int
    width: int

    def position(self, row: Index) -> ir.Value:
        """What a row of the block is in the output; past the last the last again."""
        return b.value(self.rows.at(b.minimum(b.add(self.row, row), b.sub(self.rows.count, 1))))


@dataclasses.dataclass(frozen=True)
class Results:
    """The output of a product on tiles.

    Attributes:
        unit: what multiplies.
        out: ``(rows, cols)``, or ``(cols, rows)`` when ``transposed``.
        cols: the walk over columns.
        transform: makes what is stored of finished sums.
        rooms: memory for the sums of a block, by its tiles of columns.
    """

    unit: TileUnit
    out: ir.Value
    transposed: bool
    cols: Walk
    transform: Transform
    rooms: Mapping[int, ir.Value]

    @property
    def from_registers(self) -> bool:
        """Sums are vectors, and lie in the output as in registers."""
        return isinstance(self.unit, DotUnit) and not self.transposed and not self.cols.is_listed

    def ask(self, block: Corner, row: Index) -> None:
        """Ask for the lines that a row of a block is written to; after the last row for that row again."""
        if not self.from_registers:
            return
        here = block.position(b.minimum(row, block.height - 1))
        for lane in range(0, block.width, CACHE_LINE // bytes_of(self.out.type.element_type)):
            memref.prefetch(self.out, [here, b.value(self.cols.at(b.add(block.col, lane)))], True, 3, True)

    def store(self, block: Corner, sums: list[ir.Value]) -> None:
        """Store what becomes of the sums of a block."""
        width = b.minimum(block.width, b.sub(self.cols.count, block.col))

        def through_memory() -> None:
            tiles = block.width // self.unit.columns
            self.unit.store(sums, tiles, self.rooms[tiles], (0, 0))
            extent = (b.minimum(block.height, b.sub(block.rows.count, block.row)), width)
            corner, columns = (block.row, block.col), self.unit.columns
            place = (self.out, self.transposed, corner, extent, self.transform, columns, block.rows, self.cols)
            write_tile(self.rooms[tiles], *place)

        if self.from_registers:
            b.if_else(b.less(width, block.width), through_memory, lambda: self._store_vectors(block, sums))
        else:
            through_memory()

    def _store_vectors(self, block: Corner, sums: list[ir.Value]) -> None:
        """All are made before any is stored, for the last row may be there several times."""
        assert isinstance(self.unit, DotUnit)
        across = [b.value(self.cols.at(b.add(block.col, lane))) for lane in range(0, block.width, self.unit.lanes)]
        places = [[row, col] for row in map(block.position, range(block.height)) for col in across]
        finished = [self.transform(value, at) for value, at in zip(sums, places)]
        for value, at in zip(finished, places):
            vector.store(value, self.out, at)
