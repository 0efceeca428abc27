"""Products along lists, and of dense operands, on tiles: rows are gathered into tiles, panels packed along the lists.

The loops and tasks are those of :mod:`pith.lowering.panel.dense.listed`. In a task::

    pack rhs[listed reds, listed columns of the group] into panels               (pack.py, next_panels.py)
    for each chunk of the part's listed rows
      gather lhs[listed rows, listed reds] into tiles, zeros behind them (SRead)
      for each few panels, for each few tiles of rows
        sums = tiles x panels                                                   (block.py)
        out[listed rows, listed columns] = what is made of them (SWrite)        (results.py)
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from ..linalg.contraction import DenseContraction
from ..panel.dense.listed import ListedEmitter
from ..panel.dense.listed_rest import RestEmitter
from ..panel.dense.listed_task import Members, Span
from ..panel.loops import Point
from ..panel.variant import Variant
from ..panel.walk import Walk
from ..panel.write import added_to, as_it_is
from .block import Block, fill_offsets, offsets_room, scratch
from .dots import DotUnit, dot_unit
from .expand import TileRows, copy_row
from .next_panels import PART, NextPanels
from .pack import Panels, pack, pack_panels
from .results import Corner, Results
from .source import Expanded
from .unit import COLUMNS, TileUnit, amx_unit

#: Panels of one task: rows are gathered once for 256 columns, and panels of 1024 bf16 still fit an L2 of 1 MiB.
TASK_PANELS = 16

#: Of one that packs panels while others are multiplied: rows are gathered half as often, and of the packed matrix twice
#: as much is read of a page. 8 and 64 experts of 512x1024 bf16, 4096 tokens: 22.1 and 25.6 ms, with 16 panels 22.9 and
#: 26.6; two experts for each 42.6 and 46.1, 44.1 and 49.0 (Zen 4, one thread, 2026-11).
AHEAD_PANELS = 32

#: Rows that are gathered together.
CHUNK = 64

#: Rows of a tile from which on the last ones of a list take a tile of half as many, where they are no more.
HALVED_ROWS = 8

#: Chunks, the last of a list, in which the next panels are packed: caches would not keep them longer.
LATE_CHUNKS = 2


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

    next_panels: NextPanels | None = None

    def __init__(self, unit: TileUnit, c: DenseContraction, buffers: Sequence[ir.Value], *args, **kwargs):
        super().__init__(c, buffers, *args, **{**kwargs, "sums": unit.acc})
        self.tiled = unit
        self.height, self.width = (1, unit.column_tiles) if isinstance(unit, DotUnit) else (2, 2)
        self._use(Variant(COLUMNS, unit.rows))
        self.chunk = CHUNK

    def _panels_per_task(self) -> Index:
        if not self._packs_next:
            return TASK_PANELS
        panels = b.ceildiv(self.loops.most_cols, COLUMNS)
        return b.minimum(b.mul(b.ceildiv(panels, b.mul(b.thread_count(), PART)), PART), AHEAD_PANELS)

    @property
    def _packs_next(self) -> bool:
        """Tasks sum over matrices that they pack, and pack the next while they multiply; measured with AVX-512 only."""
        listed = self.loops.lists_cols or self.loops.all_reds is not None or self.c.rhs_transposed
        apart = len(self.summed) == 1 and self.summed[0] in self.rhs.dims
        return self.isa.has_masks and isinstance(self.tiled, DotUnit) and apart and not listed

    def emit(self) -> None:
        """See :class:`ListedEmitter`; rows are gathered by their tasks, so nothing is copied before."""
        self._emit_tasks()

    def _task(self, at: Sequence[Index], first: Index, most: Index, groups: Span) -> None:
        if self._packs_next:
            tiles = b.ceildiv(self.rhs.size(self.c.red), self.tiled.depth)
            self.next_panels = NextPanels.of(self.tiled, self.group, tiles)
        super()._task(at, first, most, groups)

    def _multiply(self, point: Point, rows: Walk, members: Members) -> None:
        unit, cols, reds = self.tiled, self.loops.cols(point), self.loops.reds(point)
        tiles = b.ceildiv(reds.count, unit.depth)
        first, last = members[0]
        packed = self._packed(point, members, tiles)
        gathered = TileRows(unit, self.chunk, tiles)
        buffer, offsets = gathered.alloc(), offsets_room(unit, self.chunk, on_stack=False)
        block = Block(unit, Expanded(unit, buffer, tiles), packed.panels, self.height, offsets)
        low, results = _low(block), self._results(point, cols)
        chunks = b.ceildiv(rows.count, self.chunk)

        def chunk(number: Index) -> None:
            part = rows.part(b.mul(number, self.chunk), self.chunk)
            groups = b.div(b.add(part.count, low.rows - 1), block.rows) if low else b.ceildiv(part.count, block.rows)
            filled = b.mul(b.ceildiv(part.count, unit.rows), unit.rows) if results.from_registers else part.count
            self._gather(gathered, buffer, point, part, reds, filled)
            fill_offsets(unit, block.source, offsets, b.mul(b.ceildiv(part.count, block.rows), self.height))
            meanwhile = packed.meanwhile(b.less(chunks, b.add(number, LATE_CHUNKS + 1)))

            def write(kind: Block, group: Index, slot: Index, width: int) -> None:
                corner = (b.mul(group, block.rows), b.mul(b.add(first, slot), COLUMNS))
                place = Corner(part, *corner, kind.rows, COLUMNS * width)

                def besides(tile: Index) -> None:
                    results.ask(place, tile)
                    meanwhile()

                results.store(place, kind.sums(group, b.add(packed.slot, slot), width, besides))

            def panels(slot: Index, width: int) -> None:
                b.for_loop(0, groups, lambda group: write(block, group, slot, width))
                if low is not None:
                    left = b.less(b.mul(groups, block.rows), part.count)
                    b.only_if(left, functools.partial(write, low, groups, slot, width))

            count = b.sub(last, first)
            whole = b.mul(b.div(count, self.width), self.width)
            b.for_loop(0, whole, lambda slot: panels(slot, self.width), step=self.width)
            b.for_loop(whole, count, lambda slot: panels(slot, 1))

        b.for_loop(0, chunks, chunk)

    def _results(self, point: Point, cols: Walk) -> Results:
        """Where sums go."""
        rooms = {width: scratch(self.tiled, self.height, width, on_stack=False) for width in {1, self.width}}
        out = self.out.matrix(point, self.c.row, self.c.col)
        transform = self._finish(point, out) or (as_it_is if self.fresh else added_to(out))
        return Results(self.tiled, out, self.c.out_transposed, cols, transform, rooms)

    def _packing(self, point: Point, buffer: ir.Value, tiles: Index) -> Panels:
        """How ``rhs`` at ``point`` gets into panels."""
        unit, cols, reds = self.tiled, self.loops.cols(point), self.loops.reds(point)
        source, turned = self.rhs.matrix(point, self.c.red, self.c.col), self.c.rhs_transposed
        return Panels(unit, source, turned, buffer, reds.count, cols.count, tiles, unit.depth, reds, cols)

    def _packed(self, point: Point, members: Members, tiles: Index) -> "_Packed":
        """The panels of a group, packed, and what packs those of the next while they are multiplied."""
        unit, (first, last) = self.tiled, members[0]
        count = b.sub(last, first)
        if (ahead := self.next_panels) is None:
            shape = [self.group, b.mul(tiles, unit.positions), COLUMNS * unit.group]
            panels = b.alloc(shape, unit.element)
            packing = self._packing(point, panels, tiles)
            b.for_loop(0, count, lambda slot: pack(packing, b.add(first, slot), slot))
            return _Packed(panels)
        slot, done = ahead.take(self._number(point, first))
        pack_panels(self._packing(point, ahead.panels, tiles), first, count, slot, done)
        point, span = self._next(point, members)
        packing = self._packing(point, ahead.panels, tiles)
        rows = ahead.expect(self._number(point, span[0]), slot, packing, span)
        return _Packed(ahead.panels, slot, rows, ahead.part(slot, packing, span))

    def _number(self, point: Point, panel: Index) -> Index:
        """Of a group of panels of the matrix at a point of the loop that is summed over."""
        return b.add(b.mul(point[self.summed[0]], b.ceildiv(self.loops.most_cols, COLUMNS)), panel)

    def _next(self, point: Point, members: Members) -> tuple[Point, Span]:
        """The next group of panels: of this matrix, or the first of the next one."""
        ((_, end), (begin, last)), (loop,) = members, self.summed
        more = b.less(end, last)
        after = b.minimum(b.add(point[loop], 1), b.sub(self.rhs.size(loop), 1))
        index = arith.select(more, b.value(point[loop]), b.value(after))
        first = arith.select(more, b.value(end), b.value(begin))
        return {**point, loop: index}, (first, b.minimum(b.add(first, self.group), last))

    def _gather(self, gathered: TileRows, buffer: ir.Value, point: Point, rows: Walk, reds: Walk, count: Index) -> None:
        """Copy ``count`` rows of what is listed of ``lhs`` into tiles, past the last the last again."""
        source, transposed = self.lhs.matrix(point, self.c.row, self.c.red), self.c.lhs_transposed

        def line(r: Index) -> None:
            row = b.value(rows.at(r if count is rows.count else b.minimum(r, b.sub(rows.count, 1))))

            def read(k: Index, lanes: int) -> ir.Value:
                red = b.value(reds.at(k))
                at = [red, row] if transposed else [row, red]
                if lanes == 1:
                    return memref.load(source, at)
                return vector.load(ir.VectorType.get([lanes], self.tiled.stored), source, at)

            copy_row(gathered, buffer, r, reds.count, read, 1 if reds.is_listed or transposed else None)

        b.for_loop(0, count, line)


@dataclasses.dataclass(frozen=True)
class _Packed:
    """Panels of a group from ``slot`` on; ``part`` packs a part of the next, of which ``rows`` are packed so."""

    panels: ir.Value
    slot: Index = 0
    rows: Index = 0
    part: Callable[[Index], None] | None = None

    def meanwhile(self, when: ir.Value) -> Callable[[], None]:
        """What tiles do besides."""
        if (part := self.part) is None:
            return lambda: None
        rows = arith.select(when, b.value(self.rows), b.value(0))
        return lambda: part(rows)


def _low(block: Block) -> Block | None:
    """Half as many rows, for what is left of them; None where blocks are low."""
    unit = block.unit
    if not isinstance(unit, DotUnit) or unit.rows < HALVED_ROWS:
        return None
    return dataclasses.replace(block, unit=dataclasses.replace(unit, rows=unit.rows // 2), apart=block.rows)
