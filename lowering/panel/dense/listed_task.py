"""What a task of a product of dense matrices does: panels are packed, before or along, whole or in blocks."""

import functools
from collections.abc import Callable, Sequence

from pith._mlir import ir

from ... import builder as b
from ...builder import Index
from ...isa import Isa
from ...linalg.contraction import DenseContraction
from ...transpose import Transform
from ..ahead import Ahead
from ..arithmetic import bytes_of
from ..batch import Operand
from ..loops import Loops, Point
from ..pack import Panel, clear_rows, pack_group
from ..variant import CHUNK_ROWS, Variant, dense_variant
from ..walk import Walk
from ..write import added_to, as_it_is
from .blocking import long_chunk
from .compact import Compact, copy_rows
from .cut import CUT_REDS, Cut
from .cut_product import CutProduct
from .few_dots import FewDots, few_dot_rows
from .few_rows import FEW_ROWS, FewRows
from .pack_ahead import PackAhead, most_each, suits
from .pack_along import FEW_UNPACKED_ROWS, LEAST_BYTES, pack_along
from .product import DenseProduct
from .tile import DenseTile

#: The first, and one past the last.
Span = tuple[Index, Index]

#: Panels that are multiplied together, and those of their task.
Members = tuple[Span, Span]

Runner = Callable[[Panel, Index, Index], None]  # run(panel, first column, chunk)


class ListedTask:
    """What a task does with its panels; see :class:`ListedEmitter` for the loops around.

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
        may_cut: where rows are few, contracted coordinates may be cut into blocks (``cut.py``).
    """

    may_cut = True
    unit = 1
    group: Index = 1
    following: PackAhead | None = None

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

    @property
    def may_be_few(self) -> bool:
        """Rows may be so few that panels are not worth packing, and ``rhs`` can be read in their place."""
        listed = self.loops.all_reds is not None if self.c.rhs_transposed else self.loops.lists_cols
        return (self.c.static_size(self.c.row) or 1) <= self.few and not listed

    @property
    def cut(self) -> Cut | None:
        """How contracted coordinates are cut into blocks where rows are few, if they can be."""
        whole = self.compact is not None or self.c.factor != self.element or self.loops.all_reds is not None
        if whole or not (self.packs_along and self.may_cut):
            return None
        size, rhs, reds = bytes_of(self.element), self.rhs.buffer, self.rhs.size(self.c.red)
        total = b.mul(b.product([b.dim_size(rhs, i) for i in range(len(self.rhs.dims))]), size)
        panels = b.ceildiv(self.rhs.size(self.c.col), self.lanes)
        cut = Cut.of(self.variant.rows, self.chunk, total, (reds, panels), self.lanes * size, self.l2_bytes)
        return cut if cut.can_be(self.loops.most_rows, reds) else None

    def _multiply(self, point: Point, rows: Walk, members: Members) -> None:
        packed, few = (functools.partial(f, point, rows, members) for f in (self._multiply_packed, self._multiply_few))
        if self.may_be_few and isinstance(rows.count, int) and rows.count <= self.few:
            few()
        elif self.may_be_few:
            b.if_else(b.less(rows.count, self.few + 1), few, packed)
        else:
            packed()

    def _multiply_few(self, point: Point, rows: Walk, members: Members) -> None:
        cols, reds = self.loops.cols(point), self.loops.reds(point)
        lhs, lhs_reds = self._left(point, reds)
        rhs, out = self.rhs.matrix(point, self.c.red, self.c.col), self.out.matrix(point, self.c.row, self.c.col)
        finish = self._finish(point, out) or (as_it_is if self.fresh else added_to(out))
        first, last = (b.minimum(b.mul(panel, self.lanes), cols.count) for panel in members[0])
        kernel = FewDots if self.c.rhs_transposed else FewRows
        kernel(lhs, rhs, out, self.c.out_transposed, rows, cols, lhs_reds, reds, finish, self.element, self.isa).emit(
            first, last
        )

    def _multiply_packed(self, point: Point, rows: Walk, members: Members) -> None:
        cols, reds = self.loops.cols(point), self.loops.reds(point)
        (first, last), depth = members[0], self._depth(reds)
        count, chunks = b.sub(last, first), b.ceildiv(rows.count, self.chunk)
        cut = self.cut
        block = cut.choose(rows.count, CUT_REDS, b.maximum(depth, 1)) if cut else depth
        again = b.minimum(b.sub(chunks, 1), 1) if self.packs_along else 1  # or all lie in one place
        slots = b.add(b.mul(b.sub(self.group, 1), again), 1)
        self.following = following = self._pack_ahead(point, rows, cols, reds, members[0])
        panels = b.alloc([following.slots(slots) if following else slots, block, self.lanes], self.element)
        widened = self._room_for_chunk(reds)

        def all_panels(run: Runner, lo: Index, chunk: Index) -> None:
            if widened is not None:
                part = rows.part(b.mul(chunk, self.chunk), self.chunk)
                copy_rows(self.lhs.matrix(point, self.c.row, self.c.red), widened, part, reds)
            b.for_loop(0, count, lambda s: run(slot(s, lo), b.mul(b.add(first, s), self.lanes), chunk))

        def slot(s: Index, lo: Index) -> Panel:
            own = b.mul(s, again)
            return Panel(panels, following.slot(s, own) if following else b.value(own), lo)

        if not self.packs_along:
            self._pack(point, panels, members[0], reds, cols)
            b.for_loop(0, count, lambda s: clear_rows(panels, b.value(s), reds.count, depth, self.lanes))
        if cut is None:
            run = self._runner(point, rows, cols, reds, widened)
            b.for_loop(0, chunks, functools.partial(all_panels, run, 0))
            return
        runner = self._cut_product(point, rows, cols, reds, members, cut).runner()

        def one_block(lo: Index) -> None:
            run = runner((lo, b.minimum(b.add(lo, block), reds.count)))
            b.for_loop(0, chunks, functools.partial(all_panels, run, lo))

        b.for_loop(0, b.maximum(reds.count, 1), one_block, step=block)

    def _pack(self, point: Point, panels: ir.Value, members: Span, reds: Walk, cols: Walk) -> None:
        """Fill ``panels`` before they are multiplied."""
        source = self.rhs.matrix(point, self.c.red, self.c.col)
        pack_group(source, self.c.rhs_transposed, panels, members, reds, cols)

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
        return functools.partial(self._run, product, product.room(self.chunk, False), point, reds)

    def _run(
        self,
        product: DenseProduct,
        sums: ir.Value | None,
        point: Point,
        reds: Walk,
        panel: Panel,
        first_col: Index,
        chunk: Index,
    ) -> None:
        done: Index = 0
        if self.packs_along:
            source = self.rhs.matrix(point, self.c.red, self.c.col)
            done = pack_along(product, panel, first_col, chunk, source, reds, sums)
        product.run(panel, first_col, chunk, self.chunk, sums, done)

    def _cut_product(self, point: Point, rows: Walk, cols: Walk, reds: Walk, members: Members, cut: Cut) -> CutProduct:
        def packed(product: DenseProduct, sums: ir.Value | None, panel: Panel, first_col: Index, chunk: Index) -> None:
            self._run(product, sums, point, reds, panel, first_col, chunk)

        # Tasks of a matrix take its columns from left to right; one that sums over matrices takes the same of each.
        before_next = members[1] if self.summed else (0, b.ceildiv(cols.count, self.lanes))
        product, source = self._product(point, rows, cols, reds, None), self.rhs.matrix(point, self.c.red, self.c.col)
        return CutProduct(product, cut, source, reds, (members[0], before_next), self.chunk, packed)

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
            following=self.following,
        )

    def _packs_ahead(self, rows: Index) -> ir.Value | None:
        """Whether panels that so many rows meet are packed while the one before is; None where they never are."""
        if not self.packs_along or self.loops.all_reds is not None:
            return None
        span = (self.cut.bound if self.cut else self.few, self.chunk)
        vectors, reds = max(1, self.lanes // self.vector), self.rhs.size(self.c.red)
        each = most_each(reds, self.lanes * bytes_of(self.element), self.l2_bytes)
        return suits(rows, self.loops.most_rows, span, self.variant, vectors, reds, each)

    def _pack_ahead(self, point: Point, rows: Walk, cols: Walk, reds: Walk, members: Span) -> PackAhead | None:
        when = self._packs_ahead(rows.count)
        if when is None:
            return None
        source = self.rhs.matrix(point, self.c.red, self.c.col)
        return PackAhead(source, rows.count, reds, cols, members, self.variant, self.vector, when)

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
