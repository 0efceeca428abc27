"""The matrix-product template: packed panels of the dense operand, results in registers.

Code it emits for ``out[row, col] += sparse[row, red] * dense[red, col]``::

    scf.parallel (panel)            pack dense[:, panel*L : +L] into panels[panel][red][L], zero-filled
    scf.parallel (panel, chunk)     tile[rows of the chunk][L] on the stack
      for each strip of contracted coordinates that fits L1 (when a dense level cuts them)
        for each R rows of the chunk
          acc : R x vector<L>       the levels below the rows (stream.py):
            acc[r] += value[r] * panels[panel][red][0:L]
          tile[rows] = acc
      out[rows, cols] += tile       (= tile when out is zero-filled: the fill then has no reader)

L and R are the variant's (variant.py). The panel is where raggedness and orientation of the dense
side end: ``dense`` and ``out`` may be stored either way, and no column count needs to divide L.
The dense operand may be a vector. Of batches, one matrix is multiplied after the other.
Formats whose rows are not visited one by one keep all results of a chunk in the tile (scatter.py).
"""

import dataclasses
from collections.abc import Callable

from pith._mlir import bufferization, ir, memref, vector
from pith.formats.pack_digits import may_repeat

from .. import builder as b
from ..builder import Index
from ..contraction import Matmul
from ..destination import result_buffer
from ..epilogue.match import Epilogue
from ..epilogue.values import BoundEpilogue, bind
from ..isa import Isa
from ..levels import Storage
from ..stored_batch import matrix_of
from ..transpose import tile_width
from .arithmetic import Arithmetic, bytes_of
from .batch import Operand
from .lanes import lane_tile
from .pack import Panel, clear_rows, pack_panel
from .rows import visit_rows
from .scatter import scatter_rows
from .tile import RegisterTile
from .variant import CHUNK_ROWS, PANEL_BYTES, STRIP_BYTES, Roles, Variant, default_variant
from .widen import Stored, in_one_piece
from .write import added_to, as_it_is, write_tile

#: Attributes of a linalg op that the generator reads: the variant, and a divisor of the contracted size.
VARIANT_ATTRIBUTE, MULTIPLE_ATTRIBUTE = "pith.variant", "pith.multiple"


@dataclasses.dataclass(frozen=True)
class _Emitter:
    """Everything the pieces of the template share."""

    m: Matmul
    storage: Storage
    roles: Roles
    tile: RegisterTile
    rows: Index
    cols: Index
    reds: Index
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

    @property
    def chunk_units(self) -> int | None:
        """Coordinates of the first level per task, or None when it does not cut the rows."""
        if not self.roles.unit:
            return None
        group = self.tile.group
        return max(1, CHUNK_ROWS // (self.roles.unit * group)) * group

    def strip_units(self, tile: RegisterTile) -> int | None:
        """Coordinates of the second level per strip of ``tile``, or None when that level cannot be cut."""
        if self.roles.has_cursors and tile.variant.strip and not tile.widens:
            return max(1, tile.variant.strip // self.roles.format.exprs[1].div)
        if not self.roles.has_strips:
            return None
        depth = self.roles.format.exprs[1].div * tile.block
        reds = STRIP_BYTES // (self.lanes * bytes_of(tile.element))
        reds = min(reds, tile.exact_terms or reds)
        return max(1, reds // depth) * tile.block


def emit_panel(m: Matmul, storage: Storage, isa: Isa, epilogue: Epilogue | None = None) -> ir.Value:
    """Emit the kernel at the insertion point; returns the result tensor, that of the epilogue when there is one."""
    bound = bind(epilogue) if epilogue else None
    g = m.generic
    dense, init = g.inputs[m.dense], g.init
    out, fresh = (bound.out, bound.addend is None) if bound else result_buffer(init)
    source, target = Operand(b.buffer_of(dense), g.loops(m.dense)), Operand(out, g.loops(2))

    def multiply(point: dict[int, Index]) -> None:
        part = storage if m.batch is None else matrix_of(storage, point[m.batch])
        x, y = source.columns(point, m.red, m.col), target.columns(point, m.row, m.col)
        e = _emitter(m, part, isa, x, y, fresh, bound)
        stored = _stored_size(e.roles, m.red_dim, e.reds)
        panels = b.alloc([e.panels, b.add(stored, e.tile.pad), e.lanes], e.tile.element)
        _pack(e, x, panels, stored)
        _tasks(e, panels, y)

    _around(m.outer, target, {}, multiply)
    return bound.result() if bound else bufferization.to_tensor(init.type, out, restrict=True, writable=True)


def _emitter(
    m: Matmul, storage: Storage, isa: Isa, x: ir.Value, y: ir.Value, fresh: bool, bound: BoundEpilogue | None
) -> _Emitter:
    """What multiplies a stored matrix by the matrix ``x`` into ``y``."""
    roles = Roles.of(storage.format, m.row_dim)
    transposed = m.out_transposed != (bound is not None and bound.transposed)
    cols = b.dim_size(y, 0 if transposed else 1)
    tile = _register_tile(m, storage, roles, cols, isa)
    rows, reds = b.dim_size(y, 1 if transposed else 0), b.dim_size(x, 1 if m.dense_transposed else 0)
    return _Emitter(m, storage, roles, tile, rows, cols, reds, fresh, bound)


def _around(loops: tuple[int, ...], target: Operand, point: dict[int, Index], body: Callable) -> None:
    """Call ``body`` inside of ``loops``, with the coordinate of each."""
    if not loops:
        body(point)
        return
    first, *rest = loops
    b.for_loop(0, target.size(first), lambda c: _around(tuple(rest), target, {**point, first: c}, body))


def _pack(e: _Emitter, source: ir.Value, panels: ir.Value, stored: Index) -> None:
    """Fill the panels with a matrix of the dense operand."""
    unsigned, turned = e.tile.arithmetic.dense_unsigned, e.m.dense_transposed

    def pack(panel: ir.Value) -> None:
        pack_panel(source, turned, panels, panel, e.reds, e.cols, e.lanes, unsigned=unsigned)
        if stored is not e.reds:
            clear_rows(panels, panel, e.reds, stored, e.lanes)

    b.parallel_loop([e.panels], pack, work=b.mul(e.reds, e.cols))


def _tasks(e: _Emitter, panels: ir.Value, out: ir.Value) -> None:
    """Multiply chunks of rows with panels, in parallel."""
    work = b.div(b.mul(b.dim_size(e.storage.values, 0), e.cols), 8)  # one vector operation is as long as a scalar one
    units = e.chunk_units
    if units is None:
        b.parallel_loop([e.panels], lambda panel: _task(e, panels, out, panel, 0, None), work=work)
        return
    chunks = b.ceildiv(e.storage.level_sizes[0], units)
    b.parallel_loop([e.panels, chunks], lambda panel, c: _task(e, panels, out, panel, c, units), work=work)


def _stored_size(roles: Roles, dim: int, size: Index) -> Index:
    """Size of a dimension as it is stored: that of a padded format is rounded up."""
    divisor = roles.format.divisors()[dim]
    if not roles.format.padded or divisor == 1 or (isinstance(size, int) and size % divisor == 0):
        return size
    return b.mul(b.ceildiv(size, divisor), divisor)


def _register_tile(m: Matmul, storage: Storage, roles: Roles, cols: Index, isa: Isa) -> RegisterTile:
    arithmetic = Arithmetic.of(m)
    if arithmetic.most_terms and (not roles.has_strips or may_repeat(roles.format)):
        arithmetic = arithmetic.whole  # sums cannot be cut where they would stop being exact
    size = bytes_of(arithmetic.element)
    attributes = m.generic.op.operation.attributes
    if VARIANT_ATTRIBUTE in attributes:
        variant = Variant.parse(ir.StringAttr(attributes[VARIANT_ATTRIBUTE]).value)
    else:
        variant = default_variant(roles, cols if isinstance(cols, int) else None, size, isa)
    multiple = ir.IntegerAttr(attributes[MULTIPLE_ATTRIBUTE]).value if MULTIPLE_ATTRIBUTE in attributes else 1
    vectors = max(1, variant.lanes * size // isa.vector_bytes)
    stored = Stored(storage.values, arithmetic, storage.quantized)
    tile = RegisterTile(storage, roles, variant, multiple, vectors, arithmetic, stored)
    if not storage.quantized or in_one_piece(storage):
        tile = lane_tile(storage, roles, tile, isa)
    if tile.exact_terms and tile.block * roles.format.exprs[1].div > tile.exact_terms:
        whole = arithmetic.whole
        return RegisterTile(storage, roles, variant, multiple, vectors, whole, Stored(storage.values, whole))
    return tile


def _task(e: _Emitter, panels: ir.Value, out: ir.Value, panel: ir.Value, chunk: Index, units: int | None) -> None:
    """Multiply one chunk of rows with one panel and add the tile to the output."""
    first_row, count = _row_range(e, chunk, units)
    tile = _tile(e, _stored_size(e.roles, e.m.row_dim, e.rows) if units is None else units * e.roles.unit)

    if e.strip_units(e.tile) is not None or not e.roles.direct:
        sums = e.tile.arithmetic.sums
        zero = vector.broadcast(ir.VectorType.get([e.lanes], sums), b.zero_of(sums))
        b.for_loop(0, count, lambda r: vector.store(zero, tile, [b.value(r), b.value(0)]))
    first_col = b.mul(panel, e.lanes)
    width = b.minimum(e.lanes, b.sub(e.cols, first_col))

    if units is None or not e.roles.direct:
        scatter_rows(e.tile, e.m, tile, Panel(panels, panel), first_row, chunk, units)
    else:
        _visit(e, tile, Panel(panels, panel), width, b.mul(chunk, units), units)
    _write(e, tile, out, (first_row, first_col), (count, width))


def _visit(e: _Emitter, results: ir.Value, panel: Panel, width: Index, lo: Index, units: int) -> None:
    """Visit a chunk's rows, with half the lanes where that is enough for the panel's ``width``."""

    def visit(registers: RegisterTile) -> None:
        visit_rows(registers, panel, results, lo, units, e.strip_units(registers))

    tail = e.tail
    if tail is None:
        visit(e.tile)
        return
    narrow = b.less(b.value(width), b.value(tail.variant.lanes + 1))
    b.if_else(narrow, lambda: visit(tail), lambda: visit(e.tile))


def _write(
    e: _Emitter, tile: ir.Value, out: ir.Value, corner: tuple[Index, Index], extent: tuple[Index, Index]
) -> None:
    """Write a finished tile, through the epilogue in steps of two machine vectors: its values stay in registers."""
    if e.epilogue is None:
        write_tile(tile, out, e.m.out_transposed, corner, extent, as_it_is if e.fresh else added_to(out), e.lanes)
        return
    transposed = e.m.out_transposed != e.epilogue.transposed
    write_tile(tile, out, transposed, corner, extent, e.epilogue.apply, 2 * tile_width(e.tile.arithmetic.sums))


def _row_range(e: _Emitter, chunk: Index, units: int | None) -> tuple[Index, Index]:
    if units is None:
        return 0, e.rows
    step = units * e.roles.unit
    first = b.mul(chunk, step)
    return first, b.minimum(step, b.sub(e.rows, first))


def _tile(e: _Emitter, rows: Index) -> ir.Value:
    sums = e.tile.arithmetic.sums
    if isinstance(rows, int) and rows <= 2 * CHUNK_ROWS:
        return memref.alloca(ir.MemRefType.get([rows, e.lanes], sums), [], [], alignment=64)
    return b.alloc([rows, e.lanes], sums)
