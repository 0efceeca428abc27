"""The matrix-product template: packed panels of the dense operand, results in registers.

Code it emits for ``out[row, col] += sparse[row, red] * dense[red, col]``::

    scf.parallel (panel)            pack dense[:, panel*L : +L] into panels[panel][red][L], zero-filled
    scf.parallel (panel, chunk)     tile[rows of the chunk][L] on the stack
      for each strip of contracted coordinates that fits L1 (when a dense level cuts them)
        for each R rows of the chunk
          acc : R x vector<L>       the levels below the rows (stream.py):
            acc[r] += value[r] * panels[panel][red][0:L]
          tile[rows] = acc          (the last strip to out, where its rows are as wide: results.py)
      out[rows, cols] += tile       (= tile when out is zero-filled: the fill then has no reader)

L and R are the variant's (variant.py). The panel is where raggedness and orientation of the dense
side end: ``dense`` and ``out`` may be stored either way, and no column count needs to divide L.
What is one panel as it lies is not packed. The dense operand may be a vector. Of batches, one matrix is multiplied
after the other. Windows of images are packed from the image (windows.py); where there are many panels of them, by the
task that multiplies with them.
Formats whose rows are not visited one by one keep all results of a chunk in the tile (scatter.py).
"""

import dataclasses
import functools
from collections.abc import Callable

from pith._mlir import arith, bufferization, ir, memref

from ... import builder as b
from ...bufferization.destination import result_buffer
from ...builder import Index
from ...epilogue.match import Epilogue
from ...epilogue.values import BoundEpilogue, bind
from ...isa import Isa
from ...sparse.contraction import Matmul
from ...sparse.levels import Storage
from ...sparse.stored_batch import matrix_of
from ...transpose import tile_width
from ..arithmetic import bytes_of
from ..batch import Operand
from ..pack import Panel
from ..variant import MOST_CHUNK_ROWS, PANEL_BYTES, STRIP_BYTES, Roles
from ..write import added_to, as_it_is, write_tile
from .register_tile import VARIANT_ATTRIBUTE, register_tile
from .results import Results, clear, results_of
from .rows import most_units, task_units, visit_rows
from .scatter import scatter_rows
from .sources import Image, source_of
from .tile import RegisterTile


@dataclasses.dataclass(frozen=True)
class Emitter:
    """Everything the pieces of the template share.

    Attributes:
        rows, cols, reds: sizes of the product.
        units: coordinates of the first level per task, None where it does not cut the rows.
        fresh: the result is overwritten, else added to.
    """

    m: Matmul
    storage: Storage
    roles: Roles
    tile: RegisterTile
    rows: Index
    cols: Index
    reds: Index
    units: Index | None
    fresh: bool
    epilogue: BoundEpilogue | None

    @property
    def lanes(self) -> int:
        return self.tile.variant.lanes

    @property
    def tail(self) -> RegisterTile | None:
        """A tile of half the lanes for a last panel that is at most half full, where columns are many and unknown."""
        half = self.lanes // 2
        if (
            isinstance(self.cols, int)
            or VARIANT_ATTRIBUTE in self.m.generic.op.operation.attributes
            or self.lanes * bytes_of(self.tile.element) < PANEL_BYTES
            or not self.roles.direct
        ):
            return None
        variant = dataclasses.replace(self.tile.variant, lanes=half)
        return dataclasses.replace(self.tile, variant=variant, vectors=self.tile.vectors // 2)

    @property
    def panels(self) -> Index:
        return b.ceildiv(self.cols, self.lanes)

    def width(self, panel: Index) -> Index:
        """Columns of a panel that are the product's."""
        return b.minimum(self.lanes, b.sub(self.cols, b.mul(panel, self.lanes)))

    @property
    def stored(self) -> Index:
        """Contracted coordinates as the format has them."""
        return _stored_size(self.roles, self.m.red_dim, self.reds)

    @property
    def depth(self) -> Index:
        """Rows of a panel."""
        return b.add(self.stored, self.tile.pad)

    @property
    def work(self) -> Index:
        """About how many vector operations multiplying takes: one is as long as a scalar one."""
        return b.div(b.mul(b.dim_size(self.storage.values, 0), self.cols), 8)

    def stores_rows(self, out: ir.Value) -> bool:
        """True when a row's last strip may store where the product has it, if its panel is as wide as the tile."""
        alike = out.type.element_type == self.tile.arithmetic.sums and out.type.get_strides_and_offset()[0][1] == 1
        plain = self.fresh and self.epilogue is None and not self.m.out_transposed
        return alike and plain and self.tile.group == 1 and not self.roles.format.padded

    @property
    def chunks(self) -> Index:
        """Into how many tasks the rows are cut."""
        return 1 if self.units is None else b.ceildiv(self.storage.level_sizes[0], self.units)

    def strip_units(self, tile: RegisterTile) -> int | None:
        """Coordinates of the second level per strip of ``tile``, or None when that level cannot be cut."""
        if self.roles.has_cursors and tile.variant.strip and not tile.widens:
            return max(1, tile.variant.strip // self.roles.format.exprs[1].div)
        if not self.roles.has_strips:
            return None
        depth = self.roles.format.exprs[1].div * tile.block
        reds = STRIP_BYTES // (self.lanes * bytes_of(tile.panel_element))
        reds = min(reds, tile.exact_terms or reds)
        return max(1, reds // depth) * tile.block


#: Panels from which on a task packs its own: threads have as much to do as each other.
MANY_PANELS = 8


def emit_panel(m: Matmul, storage: Storage, isa: Isa, epilogue: Epilogue | None = None) -> ir.Value:
    """Emit the kernel at the insertion point; returns the result tensor, that of the epilogue when there is one."""
    bound = bind(epilogue) if epilogue else None
    g = m.generic
    init, source = g.init, source_of(m, isa)
    out, fresh = (bound.out, bound.addend is None) if bound else result_buffer(init)
    target = Operand(out, g.loops(2))

    def multiply(point: dict[int, Index]) -> None:
        part = storage if m.batch is None else matrix_of(storage, point[m.batch])
        y = target.columns(point, m.row, m.col)
        finish = bound.of_matrix([point.get(d) for d in g.loops(2)]) if bound and m.outer else bound
        e = _emitter(m, part, isa, source.reds, y, fresh, finish)
        if isinstance(source, Image):
            _pack_and_multiply(e, functools.partial(source.pack, e, point), y)
        else:
            _tasks(e, source.panels(e, point), y)

    _around(m.outer, target, {}, multiply)
    return bound.result() if bound else bufferization.to_tensor(init.type, out, restrict=True, writable=True)


def _emitter(
    m: Matmul, storage: Storage, isa: Isa, reds: Index, y: ir.Value, fresh: bool, bound: BoundEpilogue | None
) -> Emitter:
    """What multiplies a stored matrix by a dense one of ``reds`` rows into ``y``."""
    roles = Roles.of(storage.format, m.row_dim)
    transposed = m.out_transposed != (bound is not None and bound.transposed)
    cols = b.dim_size(y, 0 if transposed else 1)
    tile = register_tile(m, storage, roles, cols, isa)
    rows = b.dim_size(y, 1 if transposed else 0)
    return Emitter(m, storage, roles, tile, rows, cols, reds, task_units(tile), fresh, bound)


def _around(loops: tuple[int, ...], target: Operand, point: dict[int, Index], body: Callable) -> None:
    """Call ``body`` inside of ``loops``, with the coordinate of each."""
    if not loops:
        body(point)
        return
    first, *rest = loops
    b.for_loop(0, target.size(first), lambda c: _around(tuple(rest), target, {**point, first: c}, body))


def _pack_and_multiply(e: Emitter, pack: Callable[[ir.Value, Index, Index], None], out: ir.Value) -> None:
    """Pack each panel and multiply all rows with it: it stays in L2; few of them before all else, by all threads."""
    few = e.panels < MANY_PANELS if isinstance(e.panels, int) else b.less(e.panels, MANY_PANELS)
    shared = None if few is False else b.alloc([_if(few, e.panels, 0), e.depth, e.lanes], e.tile.panel_element)
    work = b.mul(e.reds, e.cols)
    if shared is not None:
        b.parallel_loop([_if(few, e.panels, 0)], lambda panel: pack(shared, panel, panel), work=work)
    if few is True:
        _tasks(e, shared, out)
        return

    def task(panel: ir.Value, part: Index = 0) -> None:
        panels, tile = b.alloc([_if(few, 0, 1), e.depth, e.lanes], e.tile.panel_element), _tile(e)
        b.for_loop(0, _if(few, 0, 1), lambda _: pack(panels, 0, panel), rolled=True)
        packed = Panel(panels if shared is None else arith.select(few, shared, panels), b.value(_if(few, panel, 0)))
        chunks = _if(few, part, 0), _if(few, b.add(part, 1), e.chunks)
        b.for_loop(*chunks, lambda chunk: _task(e, packed, tile, out, panel, chunk))

    extents = [e.panels] if few is False else [e.panels, _if(few, e.chunks, 1)]
    b.parallel_loop(extents, task, work=b.add(e.work, work))


def _if(condition: bool | ir.Value, then: Index, otherwise: Index) -> Index:
    """One of two indices."""
    if isinstance(condition, bool):
        return then if condition else otherwise
    return arith.select(condition, b.value(then), b.value(otherwise))


def _tasks(e: Emitter, panels: ir.Value, out: ir.Value) -> None:
    """Multiply chunks of rows with panels, in parallel."""

    def task(panel: ir.Value, *chunk: ir.Value) -> None:
        _task(e, Panel(panels, panel), _tile(e), out, panel, *chunk)

    extents = [e.panels] if e.units is None else [e.panels, e.chunks]
    b.parallel_loop(extents, task, work=e.work)


def _stored_size(roles: Roles, dim: int, size: Index) -> Index:
    """Size of a dimension as it is stored: that of a padded format is rounded up."""
    divisor = roles.format.divisors()[dim]
    if not roles.format.padded or divisor == 1 or (isinstance(size, int) and size % divisor == 0):
        return size
    return b.mul(b.ceildiv(size, divisor), divisor)


def _task(e: Emitter, packed: Panel, tile: ir.Value, out: ir.Value, panel: ir.Value, chunk: Index = 0) -> None:
    """Multiply one chunk of rows with one panel and add the ``tile`` to the output."""
    units, width = e.units, e.width(panel)
    first_row, count = _row_range(e, chunk, units)
    corner, narrow = (first_row, b.mul(panel, e.lanes)), None
    if units is None or not e.roles.direct:
        clear(tile, count)
        scatter_rows(e.tile, e.m, tile, packed, first_row, chunk, units)
    elif e.lanes == 1:
        if e.strip_units(e.tile) is not None:
            clear(tile, count)
        _visit(e, Results(tile), packed, width, b.mul(chunk, units), units)
    else:
        narrow = b.less(width, e.lanes) if e.stores_rows(out) else None
        _visit(e, results_of(tile, out, corner, count, narrow), packed, width, b.mul(chunk, units), units)
    b.only_if(narrow, lambda: _write(e, tile, out, corner, (count, width)))


def _visit(e: Emitter, results: Results, panel: Panel, width: Index, lo: Index, units: Index) -> None:
    """Visit a chunk's rows, with half the lanes where that is enough for the panel's ``width``."""

    def visit(registers: RegisterTile) -> None:
        visit_rows(registers, panel, results, lo, units, e.strip_units(registers))

    tail = e.tail
    if tail is None:
        visit(e.tile)
        return
    narrow = b.less(b.value(width), b.value(tail.variant.lanes + 1))
    b.if_else(narrow, lambda: visit(tail), lambda: visit(e.tile))


def _write(e: Emitter, tile: ir.Value, out: ir.Value, corner: tuple[Index, Index], extent: tuple[Index, Index]) -> None:
    """Write a finished tile, through the epilogue in steps of two machine vectors: its values stay in registers."""
    if e.epilogue is None:
        write_tile(tile, out, e.m.out_transposed, corner, extent, as_it_is if e.fresh else added_to(out), e.lanes)
        return
    transposed = e.m.out_transposed != e.epilogue.transposed
    write_tile(tile, out, transposed, corner, extent, e.epilogue.apply, 2 * tile_width(e.tile.arithmetic.sums))


def _row_range(e: Emitter, chunk: Index, units: Index | None) -> tuple[Index, Index]:
    if units is None:
        return 0, e.rows
    step = b.mul(units, e.roles.unit)
    first = b.mul(chunk, step)
    return first, b.minimum(step, b.sub(e.rows, first))


def _tile(e: Emitter) -> ir.Value:
    """Memory for the results of a task, and a row of zeros behind them."""
    sums, units = e.tile.arithmetic.sums, most_units(e.tile)
    rows = _stored_size(e.roles, e.m.row_dim, e.rows) if units is None else units * e.roles.unit
    if isinstance(rows, int) and rows <= 2 * MOST_CHUNK_ROWS:
        return memref.alloca(ir.MemRefType.get([rows + 1, e.lanes], sums), [], [], alignment=64)
    return b.alloc([b.add(rows, 1), e.lanes], sums)
