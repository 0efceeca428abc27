"""The tiles of the output whose sums are in registers together, and what their sums start from."""

import dataclasses
from collections.abc import Callable

from pith._mlir import ir, memref

from .. import builder as b
from ..builder import Index
from .source import TileSource
from .unit import TileUnit


@dataclasses.dataclass(frozen=True)
class Block:
    """``height`` x ``width`` tiles of the output, of rows that ``source`` has tiles of.

    Attributes:
        panels: the packed dense operand, ``(panels, positions of all tiles, 16 * group)``.
        offsets: per row of the source, what its sums start from; None for zero.
        apart: rows between groups, by default those of a block.
    """

    unit: TileUnit
    source: TileSource
    panels: ir.Value
    height: int
    offsets: ir.Value | None
    apart: int = 0

    @property
    def rows(self) -> int:
        """Rows of a block."""
        return self.height * self.unit.rows

    def sums(
        self, group: Index, panel: Index, width: int, meanwhile: Callable[[Index], None] | None = None
    ) -> list[ir.Value]:
        """The sums of the rows of a group and of ``width`` panels from ``panel`` on.

        ``meanwhile`` is told the number of every tile along the rows, while it is multiplied.
        """
        unit = self.unit

        def step(load: Callable[[int], ir.Value], place: Index, sums: list[ir.Value]) -> list[ir.Value]:
            if meanwhile is not None:
                meanwhile(place)
            a = [load(r) for r in range(self.height)]
            at = b.value(b.mul(place, unit.positions))
            return unit.multiply(a, self.panels, lambda c: [b.value(b.add(panel, c)), at, b.value(0)], sums)

        start = unit.start(self.height, width, self.offsets, b.mul(group, self.apart or self.rows))
        return self.source.steps(b.mul(group, self.height), step, start)


def scratch(unit: TileUnit, height: int, width: int, on_stack: bool = True) -> ir.Value:
    """Memory for the sums in registers, when ``width`` tiles of columns are."""
    type_ = ir.MemRefType.get([unit.rows * height, unit.columns * width], unit.acc)
    return (memref.alloca if on_stack else memref.alloc)(type_, [], [], alignment=64)


def offsets_room(unit: TileUnit, rows: int, on_stack: bool = True) -> ir.Value | None:
    """Memory for what the sums of rows start from, where that is not zero."""
    if not unit.takes_offsets:
        return None
    type_ = ir.MemRefType.get([rows], unit.acc)
    return (memref.alloca if on_stack else memref.alloc)(type_, [], [], alignment=64)


def fill_offsets(unit: TileUnit, source: TileSource, offsets: ir.Value | None, tiles: Index) -> None:
    """Put down what the sums of the rows of ``tiles`` row tiles start from."""
    if offsets is None:
        return

    def tile(g: Index) -> None:
        sums = source.steps(g, lambda load, place, sums: unit.add_offsets(load(0), sums), unit.no_offsets())
        for r, total in enumerate(unit.offsets(sums)):
            memref.store(total, offsets, [b.value(b.add(b.mul(g, unit.rows), r))])

    b.for_loop(0, tiles, tile)
