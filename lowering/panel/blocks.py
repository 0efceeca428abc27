"""Products where every block of rows has contracted coordinates of its own: packed micro-tiles times panels.

Around the tasks of :mod:`pith.lowering.panel.listed`, with blocks of rows for rows. Before them, in parallel, the
listed micro-tiles of ``lhs`` are copied behind each other, those of a block together and each with its rows innermost,
so that what a register tile reads adjoins. In a task::

    for each block of rows
      for each panel
        for each R rows of the block
          acc : R x vector<L> = 0
          for each micro-tile e that the block lists, for each of its contracted coordinates k
            acc[r] += values[e][k][r] * panel[coordinate[e] * depth + k]
          out = acc

A block that lists nothing stores zeros, so an output that starts from zeros need not be filled before.
"""

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from ..linalg.contraction import DenseContraction
from ..transpose import Transform, copy_transposed, tile_width
from .listed import ListedEmitter, Loops, Point, Runner
from .pack import Panel
from .variant import PANEL_BYTES, Variant, fitting_lanes
from .walk import Walk
from .write import added_to, as_it_is, write_tile

#: Vector multiply-adds in one trip of the loop over micro-tiles, at least.
TRIP_OPERATIONS = 32

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
        loops: outer loops on the pattern.
    """

    rows: int
    reds: int
    coordinates: ir.Value
    count: Index
    range: Callable[[Point, Index], tuple[Index, Index]]
    loops: tuple[int, ...]


def block_variant(rows: int, columns: int | None, element_bytes: int, isa: Isa) -> Variant:
    """The register tile for blocks of ``rows`` rows.

    >>> from pith.lowering.isa import ISAS
    >>> [str(block_variant(n, None, 4, ISAS["avx2"])) for n in (1, 2, 7, 32)]
    ['lanes=64,rows=1', 'lanes=32,rows=2', 'lanes=16,rows=4', 'lanes=16,rows=4']
    """
    vector = max(1, isa.vector_bytes // element_bytes)
    most = 6 if isa.vector_registers <= 16 else 12
    # Rows that a tile has beyond the block's are lost, and a tile's panel rows are loaded for it alone.
    best = min(range(1, most + 1), key=lambda r: -(-rows // r) * (r + 1.5))
    if best == 1:
        return Variant(fitting_lanes(columns, vector, max(1, PANEL_BYTES // element_bytes)), 1)
    if columns is not None and columns <= vector:
        return Variant(fitting_lanes(columns, vector, vector), best)
    return Variant(vector * (4 if best == 2 else 2), best)


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
    ):
        super().__init__(c, buffers, isa, fresh, finish, loops)
        self.blocks, self.unit = blocks, blocks.rows
        size = 8 if isinstance(self.element, ir.F64Type) else 4
        self._use(block_variant(blocks.rows, c.static_size(c.col), size, isa))
        self.chunk = 1
        self.vectors = max(1, self.lanes // self.vector)
        self.own = [d for d in c.outer if d in self.lhs.dims and d not in blocks.loops]
        self.values = b.alloc(
            [b.mul(b.product([loops.outer[d].count for d in self.own]), blocks.count), blocks.reds, blocks.rows],
            self.element,
        )

    def emit(self) -> None:
        self._pack_values()
        super().emit()

    def _work(self) -> Index:
        per_column = b.product([self.blocks.count, self.blocks.rows * self.blocks.reds])
        points = b.product([self.loops.outer[d].count for d in self.c.outer if d not in self.blocks.loops])
        return b.div(b.product([points, per_column, self.loops.most_cols]), self.vector)

    def _depth(self, reds: Walk) -> Index:
        return b.mul(b.ceildiv(reds.count, self.blocks.reds), self.blocks.reds)

    def _first_value(self, point: Point) -> Index:
        """Where the micro-tiles at ``point`` of the outer loops begin: matrices that share a list have their own."""
        number: Index = 0
        for d in self.own:
            number = b.add(b.mul(number, self.loops.outer[d].count), point[d])
        return b.mul(number, self.blocks.count)

    def _pack_values(self) -> None:
        loops = [d for d in self.c.outer if d in self.lhs.dims or d in self.blocks.loops]
        sizes = [self.loops.outer[d].count for d in loops]

        def pack(*at: ir.Value) -> None:
            point = dict(zip(loops, at[:-1]))
            first, count = self.blocks.range(point, at[-1])
            base = b.add(self._first_value(point), first)
            lhs = self.lhs.matrix(point, self.c.row, self.c.red)
            row = b.mul(at[-1], self.blocks.rows)

            def one(e: Index) -> None:
                red = b.mul(b.load_index(self.blocks.coordinates, b.add(first, e)), self.blocks.reds)
                self._pack_tile(lhs, (row, red), b.value(b.add(base, e)))

            b.for_loop(0, count, one)

        elements = b.product([self.blocks.count, self.blocks.rows * self.blocks.reds])
        b.parallel_loop([*sizes, self.loops.most_rows], pack, work=elements)

    def _pack_tile(self, lhs: ir.Value, corner: tuple[Index, Index], slot: ir.Value) -> None:
        """Copy one micro-tile; what sticks out of ``lhs`` is zero."""
        rows, reds = self.blocks.rows, self.blocks.reds
        left = [b.sub(self.out.size(self.c.row), corner[0]), b.sub(self.rhs.size(self.c.red), corner[1])]
        sizes = (self.out.size(self.c.row), self.rhs.size(self.c.red))
        if all(isinstance(n, int) and n % g == 0 for n, g in zip(sizes, (rows, reds))):
            self._copy(lhs, corner, slot, rows, reds)
            return
        full = [arith.cmpi(arith.CmpIPredicate.uge, b.value(n), b.value(g)) for n, g in zip(left, (rows, reds))]

        def clipped() -> None:
            def clear(k: Index, r: Index) -> None:
                memref.store(b.zero_of(self.element), self.values, [slot, b.value(k), b.value(r)])

            b.for_loop(0, reds, lambda k: b.for_loop(0, rows, lambda r: clear(k, r)) and None)
            self._copy(lhs, corner, slot, b.minimum(rows, left[0]), b.minimum(reds, left[1]))

        b.if_else(arith.andi(*full), lambda: self._copy(lhs, corner, slot, rows, reds), clipped)

    def _copy(self, lhs: ir.Value, corner: tuple[Index, Index], slot: ir.Value, rows: Index, reds: Index) -> None:
        transposed = self.c.lhs_transposed

        def source_at(r: Index, k: Index) -> list[ir.Value]:
            row, red = b.value(b.add(corner[0], r)), b.value(b.add(corner[1], k))
            return [red, row] if transposed else [row, red]

        def target_at(k: Index, r: Index) -> list[ir.Value]:
            return [slot, b.value(k), b.value(r)]

        if self.blocks.rows > 1 and not transposed:
            copy_transposed(lhs, source_at, self.values, target_at, rows, reds)
            return

        def one(k: Index, r: Index) -> None:
            memref.store(memref.load(lhs, source_at(r, k)), self.values, target_at(k, r))

        b.for_loop(0, reds, lambda k: b.for_loop(0, rows, lambda r: one(k, r)) and None)

    def _runner(self, point: Point, rows: Walk, cols: Walk, reds: Walk) -> Runner:
        out = self.out.matrix(point, self.c.row, self.c.col)
        base = self._first_value(point)
        high = -(-self.unit // self.variant.rows) * self.variant.rows
        sums = memref.alloc(ir.MemRefType.get([high, self.lanes], self.element), [], [], alignment=64)
        transform = self.finish or (as_it_is if self.fresh else added_to(out))

        def run(panel: Panel, first_col: Index, chunk: Index) -> None:
            block = rows.at(chunk)
            first, count = self.blocks.range(point, block)
            row = b.mul(block, self.unit)
            height = b.minimum(self.unit, b.sub(self.out.size(self.c.row), row))
            width = b.minimum(self.lanes, b.sub(cols.count, first_col))

            def tiles(target: ir.Value, at: tuple[Index, Index], change: Transform) -> None:
                self._tiles(panel, (first, count), b.add(base, first), target, at, change)

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
        entries: tuple[Index, Index],
        base: Index,
        target: ir.Value,
        at: tuple[Index, Index],
        change: Transform,
    ) -> None:
        """The register tiles of a block with one panel; results go to ``target`` from ``at`` on."""
        type_ = ir.VectorType.get([self.lanes], self.element)
        zero = vector.broadcast(type_, b.zero_of(self.element))

        def tile(first: Index) -> None:
            rows = [b.add(first, i) for i in range(self.variant.rows)]
            if self.unit % self.variant.rows:
                rows = [b.minimum(row, self.unit - 1) for row in rows]
            accs = self._multiply_entries(panel, entries, base, rows, [zero] * len(rows), type_)
            places = [[b.value(b.add(at[0], row)), b.value(at[1])] for row in rows]
            for made, place in zip([change(acc, place) for acc, place in zip(accs, places)], places):
                vector.store(made, target, place)

        b.for_loop(0, self.unit, tile, step=self.variant.rows)

    def _multiply_entries(
        self, panel: Panel, entries, base: Index, rows, accs: list[ir.Value], type_
    ) -> list[ir.Value]:
        """``acc[r] += values[e][k][rows[r]] * panel[coordinate[e] * depth + k]`` over a block's entries."""
        first, count = entries
        depth = self.blocks.reds

        def one(e: Index, k: Index, red: Index, accs: list[ir.Value]) -> list[ir.Value]:
            slot, k = b.value(b.add(base, e)), b.value(k)
            x = vector.load(type_, panel.panels, [panel.number, b.value(red), b.value(0)])
            scalars = [memref.load(self.values, [slot, k, b.value(row)]) for row in rows]
            return [vector.fma(vector.broadcast(type_, a), x, acc) for a, acc in zip(scalars, accs)]

        def entry(e: Index, accs: list[ir.Value]) -> list[ir.Value]:
            red = b.mul(b.load_index(self.blocks.coordinates, b.add(first, e)), depth)
            unrolled = max(u for u in range(1, MOST_DEPTH + 1) if depth % u == 0)

            def some(k: Index, *inner: ir.Value) -> list[ir.Value]:
                accs = list(inner)
                for u in range(unrolled):
                    accs = one(e, b.add(k, u), b.add(red, b.add(k, u)), accs)
                return accs

            return b.for_loop(0, depth, some, accs, step=unrolled)

        def several(number: int):
            def body(e: Index, *accs: ir.Value) -> list[ir.Value]:
                inner = list(accs)
                for u in range(number):
                    inner = entry(b.add(e, u), inner)
                return inner

            return body

        trip = max(1, TRIP_OPERATIONS // (len(rows) * self.vectors * min(depth, MOST_DEPTH)))
        whole = b.mul(b.div(count, trip), trip)
        accs = b.for_loop(0, whole, several(trip), accs, step=trip)
        return b.for_loop(whole, count, several(1), accs) if trip > 1 else accs
