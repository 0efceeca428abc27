"""Products where every block of rows has contracted coordinates of its own: packed micro-tiles times panels.

Around the tasks of :mod:`pith.lowering.panel.dense.listed`, with blocks of rows for rows. Before them, in parallel, the
listed micro-tiles of ``lhs`` are copied behind each other in the order in which register tiles read them: those of a
block together, and of a block the rows of one tile together. In a task::

    for each block of rows
      for each panel
        for each R rows of the block
          acc : R x vector<L> = 0
          for each micro-tile e that the block lists, for each of its contracted coordinates k
            acc[r] += values[tile][e][k][r] * panel[coordinate[e] * depth + k]
          out = acc

A block that lists nothing stores zeros, so an output that starts from zeros need not be filled before.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from pith._mlir import arith, ir, memref, vector

from ... import builder as b
from ...builder import Index
from ...isa import Isa
from ...linalg.contraction import DenseContraction
from ...transpose import Transform, tile_width
from ..arithmetic import convert, multiply_add
from ..batch import Sharing
from ..loops import Loops, Point
from ..pack import Panel
from ..variant import block_variant
from ..walk import Walk
from ..write import added_to, as_it_is, write_tile
from .blocking import PACKING_ROWS
from .listed import ListedEmitter
from .listed_task import Runner

#: Vector multiply-adds in one trip of the loop over micro-tiles, at least.
TRIP_OPERATIONS = 32

#: Operations that copying a value counts as: 2.4 ns where each comes from a line of its own (1024^3 with 1 % of the
#: elements or of the 32x1, Emerald Rapids, 2026-11-22).
_ELEMENT_WORK = 8

#: Contracted coordinates of a micro-tile that are unrolled, at most.
MOST_DEPTH = 8


@dataclasses.dataclass(frozen=True)
class Blocks:
    """The micro-tiles that blocks of rows list.

    Attributes:
        rows, reds: extent of a micro-tile.
        coordinates: along the contracted dimension, in units of ``reds``.
        count: how many micro-tiles are listed.
        range: where the list of a block begins, and its length: ``range(point, block)``.
        loops: outer loops on the pattern, and how many neighbours share a list.
    """

    rows: int
    reds: int
    coordinates: ir.Value
    count: Index
    range: Callable[[Point, Index], tuple[Index, Index]]
    loops: Mapping[int, int]


class BlockEmitter(ListedEmitter):
    """The loops around tasks of blocks."""

    def __init__(
        self,
        c: DenseContraction,
        buffers: Sequence[ir.Value],
        isa: Isa,
        fresh: bool,
        finish: Transform | None,
        loops: Loops,
        blocks: Blocks,
        sums: ir.Type | None = None,
    ):
        super().__init__(c, buffers, isa, fresh, finish, loops, sums=sums)
        self.blocks, self.unit = blocks, blocks.rows
        size = 8 if isinstance(self.element, ir.F64Type) else 4
        self._use(block_variant(blocks.rows, c.static_size(c.col), size, isa))
        self.chunk, self.few, self.packs_along = 1, 0, False
        self.vectors = max(1, self.lanes // self.vector)
        own = tuple((d, blocks.loops.get(d)) for d in c.outer if d in self.lhs.dims)
        self.sharing = Sharing(self.lhs, own)
        self.tiles = -(-blocks.rows // self.variant.rows)
        #: Values of one micro-tile, with what the last register tile has too many.
        self.size = self.tiles * self.variant.rows * blocks.reds
        self.values = b.alloc([b.product([self.sharing.count, blocks.count, self.size])], self.element)

    def emit(self) -> None:
        self._pack_values()
        self._emit_tasks()

    def _work(self) -> Index:
        per_column = b.product([self.blocks.count, self.blocks.rows * self.blocks.reds])
        points = b.product([self.blocks.loops.get(d) or self.loops.outer[d].count for d in self.c.outer])
        return b.div(b.product([points, per_column, self.loops.most_cols]), self.vector)

    def _packing_rows(self) -> Index:
        """A block reads what its micro-tiles meet of a panel, all of which is packed."""
        listed = b.maximum(b.product([self.blocks.count, self.blocks.reds, self.unit]), 1)
        reds = b.product([self.rhs.size(self.c.red), self.loops.most_rows])
        return b.ceildiv(b.mul(reds, PACKING_ROWS), listed)

    def _depth(self, reds: Walk) -> Index:
        return b.mul(b.ceildiv(reds.count, self.blocks.reds), self.blocks.reds)

    def _stream(self, point: Point, entries: tuple[Index, Index], tile: Index) -> Index:
        """Where the values begin that a register tile of a block reads; matrices that share lists have their own."""
        first = b.add(b.mul(self.sharing.number(point), self.blocks.count), entries[0])
        return b.add(b.mul(first, self.size), b.product([tile, entries[1], self.variant.rows * self.blocks.reds]))

    def _pack_values(self) -> None:
        loops = [d for d in self.c.outer if d in self.lhs.dims or d in self.blocks.loops]
        sizes = [self.loops.outer[d].count for d in loops]

        def pack(*at: ir.Value) -> None:
            point = {d: self.loops.outer[d].at(i) for d, i in zip(loops, at[:-1])}
            entries = self.blocks.range(point, at[-1])
            lhs = self.lhs.matrix(point, self.c.row, self.c.red)
            row = b.mul(at[-1], self.blocks.rows)

            def tile(t: Index) -> None:
                rows = [b.add(b.mul(t, self.variant.rows), r) for r in range(self.variant.rows)]
                if self.unit % self.variant.rows:
                    rows = [b.minimum(r, self.unit - 1) for r in rows]
                self._pack_tile(lhs, [b.add(row, r) for r in rows], entries, self._stream(point, entries, t))

            b.for_loop(0, self.tiles, tile)

        elements = b.product([self.blocks.count, self.blocks.rows * self.blocks.reds])
        b.parallel_loop([*sizes, self.loops.most_rows], pack, work=b.mul(elements, _ELEMENT_WORK))

    def _pack_tile(self, lhs: ir.Value, rows: list[Index], entries: tuple[Index, Index], target: Index) -> None:
        """Copy the rows of one register tile out of all micro-tiles of a block; what sticks out of ``lhs`` is zero."""
        deep, most = self.blocks.reds, (self.out.size(self.c.row), self.rhs.size(self.c.red))

        def load(row: Index, red: Index) -> ir.Value:
            at = (red, row) if self.c.lhs_transposed else (row, red)
            return convert(memref.load(lhs, [b.value(i) for i in at]), self.element)

        def guarded(row: Index, red: Index) -> ir.Value:
            inside = arith.andi(b.less(row, most[0]), b.less(red, most[1]))
            zero = b.zero_of(self.element)
            return b.if_else(inside, lambda: [load(row, red)], lambda: [zero], [self.element])[0]

        def one(e: Index) -> None:
            first = b.mul(b.load_index(self.blocks.coordinates, b.add(entries[0], e)), deep)
            at = b.add(target, b.mul(e, deep * len(rows)))

            def copy(read) -> None:
                def column(k: Index) -> None:
                    for r, row in enumerate(rows):
                        place = b.value(b.add(at, b.add(b.mul(k, len(rows)), r)))
                        memref.store(read(row, b.add(first, k)), self.values, [place])

                b.for_loop(0, deep, column)

            if deep == self.unit == 1:  # nothing sticks out
                copy(load)
                return
            whole = arith.cmpi(arith.CmpIPredicate.ule, b.value(b.add(first, deep)), b.value(most[1]))
            whole = arith.andi(whole, b.less(rows[-1], most[0]))
            in_row = len(rows) == 1 and not self.c.lhs_transposed
            inner = (lambda: self._copy_row(lhs, rows[0], first, at)) if in_row else lambda: copy(load)
            b.if_else(whole, inner, lambda: copy(guarded))

        b.for_loop(0, entries[1], one)

    def _copy_row(self, lhs: ir.Value, row: Index, red: Index, at: Index) -> None:
        """Copy a micro-tile that is part of one row."""

        def some(k: Index, lanes: int) -> None:
            type_ = ir.VectorType.get([lanes], lhs.type.element_type)
            loaded = vector.load(type_, lhs, [b.value(row), b.value(b.add(red, k))])
            vector.store(convert(loaded, self.element), self.values, [b.value(b.add(at, k))])

        b.by_vectors(self.blocks.reds, self.vector, some)

    def _room_for_chunk(self, reds: Walk) -> None:
        """None: values were widened when they were packed."""

    def _runner(self, point: Point, rows: Walk, cols: Walk, reds: Walk, widened: ir.Value | None) -> Runner:
        out = self.out.matrix(point, self.c.row, self.c.col)
        high = self.tiles * self.variant.rows
        sums = memref.alloc(ir.MemRefType.get([high, self.lanes], self.element), [], [], alignment=64)
        transform = self.finish or (as_it_is if self.fresh else added_to(out))

        def run(panel: Panel, first_col: Index, chunk: Index) -> None:
            block = rows.at(chunk)
            entries = self.blocks.range(point, block)
            row = b.mul(block, self.unit)
            height = b.minimum(self.unit, b.sub(self.out.size(self.c.row), row))
            width = b.minimum(self.lanes, b.sub(cols.count, first_col))

            def tiles(target: ir.Value, at: tuple[Index, Index], change: Transform) -> None:
                self._tiles(panel, point, entries, target, at, change)

            def in_place() -> None:
                tiles(out, (row, b.add(cols.first, first_col)), transform)

            def through_tile() -> None:
                tiles(sums, (0, 0), as_it_is)
                step = self.lanes if self.finish is None else 2 * tile_width(self.element)
                corner, extent = (row, first_col), (height, width)
                write_tile(sums, out, self.c.out_transposed, corner, extent, transform, step, None, cols)

            if self.c.out_transposed or cols.is_listed:
                through_tile()
                return
            whole = [
                arith.cmpi(arith.CmpIPredicate.eq, b.value(n), b.value(m))
                for n, m in ((height, self.unit), (width, self.lanes))
                if not (isinstance(n, int) and n == m)
            ]
            if not whole:
                in_place()
            else:
                b.if_else(whole[0] if len(whole) == 1 else arith.andi(*whole), in_place, through_tile)

        return run

    def _tiles(
        self,
        panel: Panel,
        point: Point,
        entries: tuple[Index, Index],
        target: ir.Value,
        at: tuple[Index, Index],
        change: Transform,
    ) -> None:
        """The register tiles of a block with one panel; results go to ``target`` from ``at`` on."""
        type_ = ir.VectorType.get([self.lanes], self.element)
        zero = vector.broadcast(type_, b.zero_of(self.element))

        def tile(t: Index) -> None:
            rows = [b.add(b.mul(t, self.variant.rows), i) for i in range(self.variant.rows)]
            if self.unit % self.variant.rows:
                rows = [b.minimum(row, self.unit - 1) for row in rows]
            accs = [zero] * len(rows)
            accs = self._multiply_entries(panel, entries, self._stream(point, entries, t), accs)
            places = [[b.value(b.add(at[0], row)), b.value(at[1])] for row in rows]
            for made, place in zip([change(acc, place) for acc, place in zip(accs, places)], places):
                vector.store(made, target, place)

        b.for_loop(0, self.tiles, tile)

    def _multiply_entries(
        self, panel: Panel, entries: tuple[Index, Index], stream: Index, accs: list[ir.Value]
    ) -> list[ir.Value]:
        """``acc[r] += values[stream][e][k][r] * panel[coordinate[e] * depth + k]`` over a block's entries."""
        first, count = entries
        depth, rows, type_ = self.blocks.reds, self.variant.rows, accs[0].type

        def one(at: Index, red: Index, accs: list[ir.Value]) -> list[ir.Value]:
            x = vector.load(type_, panel.panels, [panel.number, b.value(red), b.value(0)])
            scalars = [memref.load(self.values, [b.value(b.add(at, r))]) for r in range(rows)]
            return [multiply_add(vector.broadcast(type_, a), x, acc) for a, acc in zip(scalars, accs)]

        def entry(e: Index, accs: list[ir.Value]) -> list[ir.Value]:
            red = b.mul(b.load_index(self.blocks.coordinates, b.add(first, e)), depth)
            base = b.add(stream, b.mul(e, depth * rows))
            unrolled = max(u for u in range(1, MOST_DEPTH + 1) if depth % u == 0)

            def some(k: Index, *inner: ir.Value) -> list[ir.Value]:
                accs = list(inner)
                for u in range(unrolled):
                    accs = one(b.add(base, b.mul(b.add(k, u), rows)), b.add(red, b.add(k, u)), accs)
                return accs

            return b.for_loop(0, depth, some, accs, step=unrolled)

        def several(number: int):
            def body(e: Index, *accs: ir.Value) -> list[ir.Value]:
                inner = list(accs)
                for u in range(number):
                    inner = entry(b.add(e, u), inner)
                return inner

            return body

        trip = max(1, TRIP_OPERATIONS // (rows * self.vectors * min(depth, MOST_DEPTH)))
        whole = b.mul(b.div(count, trip), trip)
        accs = b.for_loop(0, whole, several(trip), accs, step=trip)
        return b.for_loop(whole, count, several(1), accs) if trip > 1 else accs
