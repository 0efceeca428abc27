"""Products of dense matrices, one or a batch: the same panels and tiles, without an index stream.

Code it emits for ``out[row, col] += lhs[row, red] * rhs[red, col]`` (L, R: lanes and rows of the tile)::

    scf.parallel (panel)                      pack rhs[:, panel*L : +L] into panels[panel][red][L]
    scf.parallel (chunk of rows, group)
      for each panel of the group
        for each strip of contracted coordinates that fits L1
          for each R rows of the chunk
            acc : R x vector<L>  = 0 or out[rows, cols];  acc[r] += lhs[row r, red] * panel[red];  out = acc

Whole panels of a row-major output are accumulated in place. What sticks out on the right, outputs
stored by columns and epilogues behind several strips go through a tile on the stack. In a batch
whose every product has a ``rhs`` of its own, tasks are panels of one product and pack for themselves.
"""

from collections.abc import Sequence

from pith._mlir import ir

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from ..linalg.contraction import DenseContraction
from ..transpose import Transform, copy_transposed
from .batch import Operand
from .dense_product import DenseProduct
from .dense_tile import DenseTile
from .pack import Panel, pack_panel
from .variant import CHUNK_ROWS, Variant, dense_variant
from .walk import Walk

#: Columns of one task: what a pass over a chunk's rows is good for, while chunks stay in L2.
GROUP_COLUMNS = 128


def emit_dense(
    c: DenseContraction,
    buffers: Sequence[ir.Value],
    isa: Isa,
    fresh: bool,
    finish: Transform | None,
    variant: Variant | None = None,
) -> None:
    """Emit the kernel at the insertion point.

    Args:
        buffers: the operands of ``c`` as memrefs.
        fresh: the content of the output does not matter.
        finish: makes what is stored of what the product would store, for products without outer loops.
        variant: of whole machine vectors, by default the one that suits the number of columns.
    """
    _Emitter(c, buffers, isa, fresh, finish, variant).emit()


class _Emitter:
    """The loops around the tasks."""

    def __init__(
        self,
        c: DenseContraction,
        buffers: Sequence[ir.Value],
        isa: Isa,
        fresh: bool,
        finish: Transform | None,
        variant: Variant | None,
    ):
        self.c, self.fresh, self.finish = c, fresh, finish
        self.lhs, self.rhs = (Operand(buffers[i], c.dims[i]) for i in (c.lhs, c.rhs))
        self.out = Operand(buffers[2], c.dims[2])
        self.rows, self.cols = self.out.size(c.row), self.out.size(c.col)
        self.reds = self.rhs.size(c.red)
        self.outer = {d: self.out.size(d) for d in c.outer}
        self.element = buffers[0].type.element_type
        size = 8 if isinstance(self.element, ir.F64Type) else 4
        self.vector = isa.vector_bytes // size
        self.variant = variant or dense_variant(self.cols if isinstance(self.cols, int) else None, size, isa)
        self.narrow = dense_variant(self.vector, size, isa)
        self.lanes = self.variant.lanes
        self.panels = b.ceildiv(self.cols, self.lanes)
        self.chunk_rows = -(-CHUNK_ROWS // self.variant.rows) * self.variant.rows
        self.group = max(1, GROUP_COLUMNS // self.lanes)
        #: Inside a loop, what is on the stack would pile up: a parallel loop of one task vanishes.
        self.on_stack = c.op.operation.parent.name == "func.func"

    def emit(self) -> None:
        if self.c.lhs_transposed:
            self.lhs = self._turned(self.lhs)
        chunks, groups = b.ceildiv(self.rows, self.chunk_rows), b.ceildiv(self.panels, self.group)
        work = b.div(b.product([*self.outer.values(), self.rows, self.cols, self.reds]), self.vector)
        sizes = list(self.outer.values())
        if self.outer and set(self.c.outer) <= set(self.rhs.dims):
            b.parallel_loop([*sizes, groups], lambda *at: self._packing_task(at[:-1], at[-1], chunks), work=work)
            return
        panels = self._packed()
        b.parallel_loop([*sizes, chunks, groups], lambda *at: self._task(panels, at[:-2], at[-2], at[-1]), work=work)

    def _task(self, panels: ir.Value, point, chunk: Index, group: Index) -> None:
        product = self._product(point)
        sums = product.room(self.chunk_rows, self.on_stack)
        base = b.mul(self._linear(point), self.panels)

        def one(panel: Index) -> None:
            at = Panel(panels, b.value(b.add(base, panel)))
            product.run(at, b.mul(panel, self.lanes), chunk, self.chunk_rows, sums)

        b.for_loop(*self._members(group), one)

    def _packing_task(self, point, group: Index, chunks: Index) -> None:
        product = self._product(point)
        sums = product.room(self.chunk_rows, self.on_stack)
        panels = b.alloc([1, self.reds, self.lanes], self.element)
        source = self.rhs.matrix(dict(zip(self.c.outer, point)), self.c.red, self.c.col)

        def one(panel: Index) -> None:
            pack_panel(source, self.c.rhs_transposed, panels, panel, self.reds, self.cols, self.lanes, slot=0)
            at = Panel(panels, b.value(0))
            first_col = b.mul(panel, self.lanes)
            b.for_loop(0, chunks, lambda chunk: product.run(at, first_col, chunk, self.chunk_rows, sums))

        b.for_loop(*self._members(group), one)

    def _members(self, group: Index) -> tuple[Index, Index]:
        first = b.mul(group, self.group)
        return first, b.minimum(b.add(first, self.group), self.panels)

    def _product(self, point) -> DenseProduct:
        at = dict(zip(self.c.outer, point))
        lhs = self.lhs.matrix(at, self.c.row, self.c.red)

        def tile(variant: Variant) -> DenseTile:
            rows, reds = Walk(self.rows), Walk(self.reds)
            return DenseTile(lhs, rows, reds, variant, max(1, variant.lanes // self.vector), self.element)

        return DenseProduct(
            tile(self.variant),
            tile(self.narrow) if self.narrow.lanes < self.lanes else tile(self.variant),
            self.out.matrix(at, self.c.row, self.c.col),
            self.c.out_transposed,
            Walk(self.rows),
            Walk(self.cols),
            self.reds,
            self.fresh,
            self.finish,
        )

    def _linear(self, point) -> Index:
        """Number of the product's ``rhs`` among all."""
        number: Index = 0
        for d, i in zip(self.c.outer, point):
            if d in self.rhs.dims:
                number = b.add(b.mul(number, self.outer[d]), i)
        return number

    def _packed(self) -> ir.Value:
        """Panels of every ``rhs``: those of one after those of another."""
        own = [d for d in self.c.outer if d in self.rhs.dims]
        sizes = [self.outer[d] for d in own]
        panels = b.alloc([b.product([*sizes, self.panels]), self.reds, self.lanes], self.element)

        def pack(*at: ir.Value) -> None:
            point = dict(zip(own, at[:-1]))
            slot = b.add(b.mul(self._linear([point.get(d, 0) for d in self.c.outer]), self.panels), at[-1])
            source = self.rhs.matrix(point, self.c.red, self.c.col)
            pack_panel(source, self.c.rhs_transposed, panels, at[-1], self.reds, self.cols, self.lanes, slot=slot)

        b.parallel_loop([*sizes, self.panels], pack, work=b.product([*sizes, self.reds, self.cols]))
        return panels

    def _turned(self, lhs: Operand) -> Operand:
        """A copy of ``lhs`` with contiguous rows."""
        own = [d for d in self.c.outer if d in lhs.dims]
        sizes = [self.outer[d] for d in own]
        copy = Operand(b.alloc([*sizes, self.rows, self.reds], self.element), (*own, self.c.row, self.c.red))

        def turn(*at: ir.Value) -> None:
            point, first = dict(zip(own, at[:-1])), b.mul(at[-1], CHUNK_ROWS)
            count = b.minimum(CHUNK_ROWS, b.sub(self.rows, first))
            copy_transposed(
                lhs.matrix(point, self.c.row, self.c.red),
                lambda k, i: [b.value(k), b.value(b.add(first, i))],
                copy.matrix(point, self.c.row, self.c.red),
                lambda i, k: [b.value(b.add(first, i)), b.value(k)],
                rows=self.reds,
                cols=count,
            )

        b.parallel_loop(
            [*sizes, b.ceildiv(self.rows, CHUNK_ROWS)], turn, work=b.product([*sizes, self.rows, self.reds])
        )
        return copy
