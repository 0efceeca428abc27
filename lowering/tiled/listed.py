"""Products along lists, and of dense operands, on tiles: rows are gathered into tiles, panels packed along the lists.

The loops and tasks are those of :mod:`pith.lowering.panel.dense.listed`. In a task::

    pack rhs[listed reds, listed columns of the group] into panels               (pack.py)
    for each chunk of the part's listed rows
      gather lhs[listed rows, listed reds] into tiles, zeros behind them (SRead)
      for each few panels, for each few tiles of rows
        sums = tiles x panels                                                   (block.py)
        out[listed rows, listed columns] = what is made of them (SWrite)
"""

import functools
from collections.abc import Callable, Sequence

from pith._mlir import ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from ..linalg.contraction import DenseContraction
from ..panel.dense.listed import ListedEmitter
from ..panel.dense.listed_rest import RestEmitter
from ..panel.dense.listed_task import Members
from ..panel.loops import Point
from ..panel.variant import Variant
from ..panel.walk import Walk
from ..panel.write import added_to, as_it_is, write_tile
from .block import Block, fill_offsets, offsets_room, scratch
from .dots import DotUnit, dot_unit
from .expand import TileRows, copy_row
from .pack import Panels, pack
from .source import Expanded
from .unit import COLUMNS, TileUnit, amx_unit

#: Panels of one task: rows are gathered once for 256 columns, and panels of 1024 bf16 still fit an L2 of 1 MiB.
TASK_PANELS = 16

#: Rows that are gathered together.
CHUNK = 64


def listed_unit(c: DenseContraction, sums: ir.Type, isa: Isa) -> TileUnit | None:
    """What multiplies the factors of a product into ``sums`` on tiles; None where that is no gain."""
    if c.static_size(c.col) == 1:
        return None
    return amx_unit(c.factor, sums, isa) or dot_unit(c.factor, sums, isa)


def listed_emitter(
    c: DenseContraction, sums: ir.Type, isa: Isa, unlisted: Walk | None = None
) -> Callable[..., ListedEmitter]:
    """The loops around the tasks of a product, called as :class:`ListedEmitter` is: on tiles where that is a gain.

    ``unlisted``: rows that become zero, where none is on tiles.
    """
    unit = listed_unit(c, sums, isa)
    kernel = ListedEmitter if unlisted is None else functools.partial(RestEmitter, unlisted)
    of_registers = functools.partial(kernel, sums=sums)
    return of_registers if unit is None else functools.partial(TileListedEmitter, unit)


class TileListedEmitter(ListedEmitter):
    """The loops around tasks whose body are tiles; arguments as of :class:`ListedEmitter`, and the unit."""

    def __init__(self, unit: TileUnit, c: DenseContraction, buffers: Sequence[ir.Value], *args, **kwargs):
        super().__init__(c, buffers, *args, **{**kwargs, "sums": unit.acc})
        self.tiled = unit
        self.height, self.width = (1, unit.column_tiles) if isinstance(unit, DotUnit) else (2, 2)
        self._use(Variant(COLUMNS, unit.rows))
        self.chunk = CHUNK

    def _panels_per_task(self) -> Index:
        return TASK_PANELS

    def emit(self) -> None:
        """See :class:`ListedEmitter`; rows are gathered by their tasks, so nothing is copied before."""
        self._emit_tasks()

    def _multiply(self, point: Point, rows: Walk, members: Members) -> None:
        unit, cols, reds = self.tiled, self.loops.cols(point), self.loops.reds(point)
        tiles = b.ceildiv(reds.count, unit.depth)
        first, last = members[0]
        count = b.sub(last, first)
        panels = self._packed(point, first, count, tiles)
        gathered = TileRows(unit, self.chunk, tiles)
        buffer, offsets = gathered.alloc(), offsets_room(unit, self.chunk, on_stack=False)
        block = Block(unit, Expanded(unit, buffer, tiles), panels, self.height, offsets)
        rooms = {width: scratch(unit, self.height, width, on_stack=False) for width in {1, self.width}}
        out = self.out.matrix(point, self.c.row, self.c.col)
        transform = self._finish(point, out) or (as_it_is if self.fresh else added_to(out))

        def write(part: Walk, g: Index, slot: Index, width: int) -> None:
            room, row, col = rooms[width], b.mul(g, block.rows), b.mul(b.add(first, slot), COLUMNS)
            unit.store(block.sums(g, slot, width), width, room, (0, 0))
            extent = (
                b.minimum(block.rows, b.sub(part.count, row)),
                b.minimum(COLUMNS * width, b.sub(cols.count, col)),
            )
            write_tile(room, out, self.c.out_transposed, (row, col), extent, transform, COLUMNS, part, cols)

        def chunk(number: Index) -> None:
            part = rows.part(b.mul(number, self.chunk), self.chunk)
            self._gather(gathered, buffer, point, part, reds)
            groups = b.ceildiv(part.count, block.rows)
            fill_offsets(unit, block.source, offsets, b.mul(groups, self.height))
            whole = b.mul(b.div(count, self.width), self.width)
            for lo, hi, width in ((0, whole, self.width), (whole, count, 1)):
                b.for_loop(
                    lo,
                    hi,
                    lambda slot, w=width: b.for_loop(0, groups, lambda g: write(part, g, slot, w)) and None,
                    step=width,
                )

        b.for_loop(0, b.ceildiv(rows.count, self.chunk), chunk)

    def _packed(self, point: Point, first: Index, count: Index, tiles: Index) -> ir.Value:
        """The task's ``count`` panels of ``rhs`` from number ``first`` on."""
        unit, cols, reds = self.tiled, self.loops.cols(point), self.loops.reds(point)
        panels = b.alloc([self.group, b.mul(tiles, unit.positions), COLUMNS * unit.group], unit.element)
        source = self.rhs.matrix(point, self.c.red, self.c.col)
        packing = Panels(
            unit, source, self.c.rhs_transposed, panels, reds.count, cols.count, tiles, unit.depth, reds, cols
        )
        b.for_loop(0, count, lambda slot: pack(packing, b.add(first, slot), slot))
        return panels

    def _gather(self, gathered: TileRows, buffer: ir.Value, point: Point, rows: Walk, reds: Walk) -> None:
        """Copy what is listed of ``lhs`` into tiles."""
        source, transposed = self.lhs.matrix(point, self.c.row, self.c.red), self.c.lhs_transposed

        def line(r: Index) -> None:
            row = b.value(rows.at(r))

            def read(k: Index, lanes: int) -> ir.Value:
                red = b.value(reds.at(k))
                at = [red, row] if transposed else [row, red]
                if lanes == 1:
                    return memref.load(source, at)
                return vector.load(ir.VectorType.get([lanes], self.tiled.stored), source, at)

            copy_row(gathered, buffer, r, reds.count, read, 1 if reds.is_listed or transposed else None)

        b.for_loop(0, rows.count, line)
