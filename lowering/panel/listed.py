"""Products of dense matrices, whole or along lists of rows, columns, contracted coordinates: panels, tiles, streams.

Code it emits for ``out[outer, row, col] += lhs[outer, row, red] * rhs[outer, red, col]``::

    scf.parallel (outer loops that index out, group of columns, part of the rows)
      for outer loops that are summed over  (then some groups are one task: for each of them)
        pack rhs[listed reds, listed columns of the group] into panels
        for each chunk of the part's listed rows
          for each panel: register tiles, their rows read and written where the list says

Only panels are copied, as long as the list is; dense operands are read and written through it. A task packs what it
multiplies with, which costs about as much as four rows do (``parts.py``), or lets its first tile of rows pack it
(``pack_along.py``); a few rows meet what is not packed (``few_rows.py``, ``few_dots.py``). What sticks out on the
right, outputs stored by columns and epilogues behind several strips go through a tile in memory.
"""

import functools
from collections.abc import Callable, Sequence

from pith._mlir import arith, ir

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from ..linalg.contraction import DenseContraction
from ..transpose import Transform
from .ahead import Ahead
from .arithmetic import bytes_of
from .batch import Operand
from .blocking import LISTED_PACKING_ROWS, PACKING_ROWS, long_chunk, most_panels
from .compact import Compact, copy_left, copy_rows
from .dense_product import DenseProduct
from .dense_tile import DenseTile
from .few_dots import FewDots, few_dot_rows
from .few_rows import FEW_ROWS, FewRows
from .loops import Loops, Point
from .pack import Panel, clear_rows, pack_group
from .pack_along import FEW_UNPACKED_ROWS, LEAST_BYTES, pack_along
from .parts import part_rows
from .variant import CHUNK_ROWS, Variant, dense_variant
from .walk import Walk
from .write import added_to, as_it_is, clear_columns

_Span = tuple[Index, Index]  # the first, and one past the last

Runner = Callable[[Panel, Index, Index], None]  # run(panel, first column, chunk)


class ListedEmitter:
    """The loops around the tasks; :meth:`emit` emits them at the insertion point.

    Args:
        buffers: the operands of ``c`` as memrefs.
        fresh: the content of the output does not matter, where something is listed.
        finish: makes what is stored of what the product would store, for products without outer loops.
        finish_at: the same for any product: ``finish_at(point, out)`` for the product at ``point``, which stores in the
            matrix ``out``.
        once: every place of the output is the place of one product only, outer loops that are summed over included.
        sums: element type of panels and accumulators, by default that of the operands.
        variant: the register tile, by default the one that suits the number of columns.

    Attributes:
        unit: rows per position of the walk over rows.
        chunk: positions that pass over the panels together.
        group: panels of a task.
        few: positions for which nothing is packed.
        packs_along: panels are packed by the first tile of rows that meets them.
    """

    unit = 1
    group: Index = 1

    def __init__(
        self,
        c: DenseContraction,
        buffers: Sequence[ir.Value],
        isa: Isa,
        fresh: bool,
        finish: Transform | None,
        loops: Loops,
        finish_at: Callable[[Point, ir.Value], Transform] | None = None,
        once: bool = False,
        sums: ir.Type | None = None,
        variant: Variant | None = None,
    ):
        self.c, self.finish, self.loops, self.finish_at = c, finish, loops, finish_at
        self.lhs, self.rhs = (Operand(buffers[i], c.dims[i]) for i in (c.lhs, c.rhs))
        self.out = Operand(buffers[2], c.dims[2])
        self.shared = [d for d in c.outer if d in self.out.dims]
        self.summed = [d for d in c.outer if d not in self.out.dims]
        self.clears = fresh and bool(self.summed) and not once
        self.fresh = fresh and not self.clears
        self.element = sums or buffers[0].type.element_type
        size = 8 if isinstance(self.element, ir.F64Type) else 4
        self.isa, self.vector, self.l2_bytes = isa, isa.vector_bytes // size, isa.l2_bytes
        self.compact: Compact | None = None
        rows = loops.most_rows if isinstance(loops.most_rows, int) else None
        self._use(variant or dense_variant(c.static_size(c.col), size, isa, rows))
        rest = 0 if loops.lists_cols else (c.static_size(c.col) or 0) % self.lanes
        self.narrow = dense_variant(max(rest, self.vector), size, isa, rows)
        if not (rest or loops.lists_cols or c.out_transposed or c.factor != self.element):
            self.chunk = long_chunk(self.variant, self.l2_bytes)

    def _use(self, variant: Variant) -> None:
        """Make ``variant`` the shape of the register tile."""
        self.variant, self.lanes = variant, variant.lanes
        self.chunk = -(-CHUNK_ROWS // variant.rows) * variant.rows
        in_rows = not (self.c.rhs_transposed or self.c.out_transposed or self.loops.lists_cols)
        self.packs_along = in_rows and self.lanes * bytes_of(self.element) >= LEAST_BYTES
        unpacked = FEW_UNPACKED_ROWS if self.packs_along else FEW_ROWS
        self.few = few_dot_rows(self.isa) if self.c.rhs_transposed else unpacked

    def emit(self) -> None:
        self.compact = copy_left(self.c, self.lhs, self.rhs.size(self.c.red), self.loops, self.element)
        self._emit_tasks()

    def _panels_per_task(self) -> Index:
        """As many as stay in L2, within bounds."""
        most = most_panels(self.rhs.size(self.c.red), self.lanes, bytes_of(self.element), self.l2_bytes)
        panels = b.maximum(b.ceildiv(self.loops.most_cols, self.lanes), 1)
        packed = b.ceildiv(panels, b.ceildiv(panels, most))
        if not self.may_be_few:
            return packed
        few = b.less(self.loops.most_rows, self.few + 1)
        return arith.select(few, b.ceildiv(panels, b.thread_count()), b.value(packed))

    @property
    def may_be_few(self) -> bool:
        """Rows may be so few that panels are not worth packing, and ``rhs`` can be read in their place."""
        listed = self.loops.all_reds is not None if self.c.rhs_transposed else self.loops.lists_cols
        return (self.c.static_size(self.c.row) or 1) <= self.few and not listed

    def _emit_tasks(self) -> None:
        loops = self.loops
        self.group = self._panels_per_task()
        sizes = [loops.outer[d].count for d in self.shared]
        groups = b.ceildiv(loops.most_cols, b.mul(self.group, self.lanes))
        part = b.maximum(loops.most_rows, 1)
        if not self.summed:
            step = min(self.chunk, self.variant.rows)
            part = part_rows(loops.most_rows, b.product([*sizes, groups]), self._packing_rows(), step)
        some, parts = self._groups_per_task(groups), b.ceildiv(loops.most_rows, part)

        def task(*at: ir.Value) -> None:
            span = (first := b.mul(at[-2], some), b.minimum(b.add(first, some), groups))
            self._task(at[:-2], 0 if parts == 1 else b.mul(at[-1], part), part, span)

        # Parts of one group are neighbours: threads take neighbours, and a part may have less to do than another.
        extents = [*sizes, b.ceildiv(groups, some), parts]
        b.parallel_loop(extents, task, work=self._work())

    def _packing_rows(self) -> Index:
        """Positions of the walk over rows that take as long as packing the panels does."""
        return LISTED_PACKING_ROWS if self.loops.lists_cols else PACKING_ROWS

    def _groups_per_task(self, groups: Index) -> Index:
        """Groups of columns that a task walks for every point of the loops that it sums over: neighbours lie in the
        same pages, and one at a time 64 experts of 512x1024 f32 take 15 % longer (2026-11-21)."""
        return b.ceildiv(groups, b.thread_count()) if self.summed else 1

    def _work(self) -> Index:
        """About how many vector operations there are."""
        loops = self.loops
        sizes = [*(w.count for w in loops.outer.values()), loops.most_rows, loops.most_cols, self.rhs.size(self.c.red)]
        return b.div(b.product(sizes), self.vector)

    def _task(self, at: Sequence[Index], first: Index, most: Index, groups: _Span) -> None:
        point = {d: self.loops.outer[d].at(i) for d, i in zip(self.shared, at)}
        if self.clears:
            out = self.out.matrix(point, self.c.row, self.c.col)
            rows, cols = self.out.size(self.c.row), self.out.size(self.c.col)
            lo, hi = (b.minimum(b.product([g, self.group, self.lanes]), cols) for g in groups)
            clear_columns(out, self.c.out_transposed, rows, (lo, hi), self.vector)
        self._sum(self.summed, point, first, most, groups)

    def _sum(self, summed: Sequence[int], point: Point, first: Index, most: Index, groups: tuple[Index, Index]) -> None:
        """The loops that tasks run themselves, because they add to the same output, then the product."""
        if summed:
            loop, *rest = summed
            walk = self.loops.outer[loop]
            b.for_loop(0, walk.count, lambda i: self._sum(rest, {**point, loop: walk.at(i)}, first, most, groups))
            return
        rows = self.loops.rows(point).part(first, most)
        some = b.less(0, rows.count)
        if not self.summed:
            b.if_else(some, lambda: self._multiply(point, rows, groups[0]))
        else:
            b.if_else(some, lambda: b.for_loop(*groups, lambda g: self._multiply(point, rows, g)) and None)

    def _multiply(self, point: Point, rows: Walk, group: Index) -> None:
        packed, few = (functools.partial(f, point, rows, group) for f in (self._multiply_packed, self._multiply_few))
        if self.may_be_few:
            b.if_else(b.less(rows.count, self.few + 1), few, packed)
        else:
            packed()

    def _multiply_few(self, point: Point, rows: Walk, group: Index) -> None:
        cols, reds = self.loops.cols(point), self.loops.reds(point)
        lhs, lhs_reds = self._left(point, reds)
        rhs, out = self.rhs.matrix(point, self.c.red, self.c.col), self.out.matrix(point, self.c.row, self.c.col)
        finish = self._finish(point, out) or (as_it_is if self.fresh else added_to(out))
        width = b.mul(self.group, self.lanes)
        first = b.minimum(b.mul(group, width), cols.count)
        kernel = FewDots if self.c.rhs_transposed else FewRows
        kernel(lhs, rhs, out, self.c.out_transposed, rows, cols, lhs_reds, reds, finish, self.element, self.isa).emit(
            first, b.minimum(b.add(first, width), cols.count)
        )

    def _multiply_packed(self, point: Point, rows: Walk, group: Index) -> None:
        cols, reds = self.loops.cols(point), self.loops.reds(point)
        (first, last), depth = self.members(group, cols), self._depth(reds)
        count, chunks = b.sub(last, first), b.ceildiv(rows.count, self.chunk)
        again = b.minimum(b.sub(chunks, 1), 1) if self.packs_along else 1  # or all lie in one place
        panels = b.alloc([b.add(b.mul(b.sub(self.group, 1), again), 1), depth, self.lanes], self.element)
        widened = self._room_for_chunk(reds)
        run = self._runner(point, rows, cols, reds, widened)

        def all_panels(chunk: Index) -> None:
            if widened is not None:
                part = rows.part(b.mul(chunk, self.chunk), self.chunk)
                copy_rows(self.lhs.matrix(point, self.c.row, self.c.red), widened, part, reds)
            b.for_loop(0, count, lambda s: run(slot(s), b.mul(b.add(first, s), self.lanes), chunk))

        def slot(s: Index) -> Panel:
            return Panel(panels, b.value(b.mul(s, again)))

        if not self.packs_along:
            source = self.rhs.matrix(point, self.c.red, self.c.col)
            pack_group(source, self.c.rhs_transposed, panels, (first, last), reds, cols)
            b.for_loop(0, count, lambda s: clear_rows(panels, b.value(s), reds.count, depth, self.lanes))
        b.for_loop(0, chunks, all_panels)

    def _depth(self, reds: Walk) -> Index:
        """Rows of a panel."""
        return reds.count

    def _room_for_chunk(self, reds: Walk) -> ir.Value | None:
        """Memory for the rows of a chunk, where they are widened: for all panels of the task at once."""
        read_as_they_are = self.compact is not None or self.c.factor == self.element
        return None if read_as_they_are else b.alloc([self.chunk, reds.count], self.element)

    def _runner(self, point: Point, rows: Walk, cols: Walk, reds: Walk, widened: ir.Value | None) -> Runner:
        """What multiplies a chunk of the rows (in ``widened``, where that is) with a panel; called once per task."""
        product = self._product(point, rows, cols, reds, widened)
        sums, source = product.room(self.chunk, False), self.rhs.matrix(point, self.c.red, self.c.col)

        def run(panel: Panel, first_col: Index, chunk: Index) -> None:
            done = pack_along(product, panel, first_col, chunk, source, reds) if self.packs_along else 0
            product.run(panel, first_col, chunk, self.chunk, sums, done)

        return run

    def members(self, group: Index, cols: Walk) -> tuple[Index, Index]:
        """The panels of a group of columns: the first, and one past the last."""
        panels = b.ceildiv(cols.count, self.lanes)
        first = b.minimum(b.mul(group, self.group), panels)
        return first, b.minimum(b.add(first, self.group), panels)

    def _product(self, point: Point, rows: Walk, cols: Walk, reds: Walk, widened: ir.Value | None) -> DenseProduct:
        out = self.out.matrix(point, self.c.row, self.c.col)
        lhs, lhs_reds = self._left(point, reds) if widened is None else (widened, Walk(reds.count))

        def tile(variant: Variant) -> DenseTile:
            vectors = max(1, variant.lanes // self.vector)
            return DenseTile(lhs, rows, lhs_reds, variant, vectors, self.element)

        return DenseProduct(
            tile(self.variant),
            tile(self.narrow) if self.narrow.lanes < self.lanes else tile(self.variant),
            out,
            self.c.out_transposed,
            rows,
            cols,
            reds.count,
            self.fresh,
            self._finish(point, out),
            self.l2_bytes,
            self._ahead(point, cols, reds),
            widened is not None,
        )

    def _left(self, point: Point, reds: Walk) -> tuple[ir.Value, Walk]:
        """The left operand at ``point``, and its contracted coordinates."""
        if self.compact is None:
            return self.lhs.matrix(point, self.c.row, self.c.red), reds
        return self.compact.matrix(point), Walk(reds.count)

    def _finish(self, point: Point, out: ir.Value) -> Transform | None:
        return self.finish if self.finish_at is None else self.finish_at(point, out)

    def _ahead(self, point: Point, cols: Walk, reds: Walk) -> Ahead | None:
        """What follows a group of columns: tasks pack the next group of columns next, or for it the next point.

        64 experts of 512x1024 f32, 64 tokens each, on a Zen 3 core: 65 to 61 ms; 113 of 1024 rows, 1024x1024: 3.38 to
        3.14 ms (2026-11).
        """
        if self.c.rhs_transposed or cols.is_listed:
            return None
        source, distance = self.rhs.matrix(point, self.c.red, self.c.col), b.mul(self.group, self.lanes)
        return Ahead(source, reds, distance, self.lanes)
