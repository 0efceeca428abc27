"""The matrix-product template: packed panels of the dense operand, accumulators in registers.

Code it emits for ``out[row, col] += sparse[row, red] * dense[red, col]``::

    scf.parallel (block)            pack dense[:, block*W : +W] into panel[block][red][W], zero-filled
    scf.parallel (block, chunk)     tile[rows of chunk][W] on the stack
      for each strip of contracted coordinates that fits L1 (when a dense level cuts them)
        loops over the row levels   (lowering/levels.py)
          acc : vector<W>           loops over the levels below the last row level:
            acc += value * panel[block][red][0:W]
          tile[row] = acc
      out[rows, cols] += tile      (= tile when out is zero-filled: the fill then has no reader)

The panel is where raggedness and orientation of the dense side end: ``dense`` and ``out`` may be
stored either way, and no column count needs to divide W. Levels of the row dimension that stand
below a contracted level (row sharing V, blocks) keep their accumulators in the tile.
"""

import dataclasses

from pith._mlir import arith, bufferization, ir, memref, vector

from . import builder as b
from .builder import Index
from .contraction import Matmul, zero_filled
from .destination import buffer_to_overwrite, is_exclusive
from .levels import Cursor, Storage, descend, load_value, start, walk, walk_range
from .transpose import copy_transposed

#: Bytes of one panel row. 256 = 8 AVX2 or 4 AVX-512 registers of accumulators: enough independent
#: FMA chains (latency 4, two a cycle) and room for the broadcast among 16 AVX2 registers.
PANEL_BYTES = 256

#: Rows per parallel task: a 64 x 256-byte tile is 16 KiB, half of a 32 KiB L1.
CHUNK_ROWS = 64

#: Contracted coordinates per strip: 96 panel rows are 24 KiB, which stay in L1 beside the tile while
#: every row of the chunk passes over them (from L2 one core gets a third of L1's bandwidth).
STRIP_REDS = 96

#: Multiply-adds that take about as long as one scalar operation (one AVX2 register of f32).
VECTOR_OPERATIONS = 8


@dataclasses.dataclass(frozen=True)
class _Emitter:
    """Everything the pieces of the template share."""

    m: Matmul
    storage: Storage
    rows: Index
    cols: Index
    reds: Index
    lanes: int
    element: ir.Type
    fresh: bool

    @property
    def vector_type(self) -> ir.VectorType:
        return ir.VectorType.get([self.lanes], self.element)

    @property
    def blocks(self) -> Index:
        return b.ceildiv(self.cols, self.lanes)

    @property
    def chunk_units(self) -> int | None:
        """Coordinates of the first level per task, or None when it does not cut the rows."""
        expr, level = self.storage.format.exprs[0], self.storage.format.levels[0]
        if expr.dim != self.m.row_dim or level.kind != "dense":
            return None
        return max(1, CHUNK_ROWS // expr.div)

    @property
    def last_row_level(self) -> int:
        """Index one past the last level of the row dimension."""
        return 1 + max(i for i, e in enumerate(self.storage.format.exprs) if e.dim == self.m.row_dim)

    @property
    def strip_units(self) -> int | None:
        """Coordinates per strip of the level below the rows, or None when that level cannot be cut."""
        fmt, below = self.storage.format, self.last_row_level
        if not self.rows_visited_once or below == len(fmt.levels) or fmt.levels[below].kind != "dense":
            return None
        return max(1, STRIP_REDS // fmt.exprs[below].div)

    @property
    def rows_visited_once(self) -> bool:
        """True when every row is visited, and only once: nothing but dense row levels down to the last one."""
        fmt = self.storage.format
        above = list(zip(fmt.exprs, fmt.levels))[: self.last_row_level]
        return all(e.dim == self.m.row_dim and level.is_dense for e, level in above)


def emit_panel(m: Matmul, storage: Storage) -> ir.Value:
    """Emit the kernel at the insertion point; returns the result tensor."""
    g = m.generic
    dense, init = g.inputs[m.dense], g.init
    exclusive = is_exclusive(init)
    destination = zero_filled(init)
    fresh = destination is not None
    destination = destination if fresh else init
    element = init.type.element_type
    lanes = PANEL_BYTES // (8 if isinstance(element, ir.F64Type) else 4)
    e = _Emitter(
        m,
        storage,
        rows=b.dim_size(destination, 1 if m.out_transposed else 0),
        cols=b.dim_size(destination, 0 if m.out_transposed else 1),
        reds=b.dim_size(dense, 1 if m.dense_transposed else 0),
        lanes=lanes,
        element=element,
        fresh=fresh,
    )
    source = bufferization.to_buffer(_memref(dense.type), dense, read_only=True)
    out = buffer_to_overwrite(destination, exclusive or not fresh)
    panels = _alloc(e, [e.blocks, e.reds, lanes])
    b.parallel_loop([e.blocks], lambda block: _pack(e, source, panels, block), work=b.mul(e.reds, e.cols))
    work = b.div(b.mul(b.dim_size(storage.values, 0), e.cols), VECTOR_OPERATIONS)
    units = e.chunk_units
    if units is None:
        b.parallel_loop([e.blocks], lambda block: _task(e, panels, out, block, 0, None), work=work)
    else:
        chunks = b.ceildiv(storage.level_sizes[0], units)
        b.parallel_loop([e.blocks, chunks], lambda block, c: _task(e, panels, out, block, c, units), work=work)
    return bufferization.to_tensor(init.type, out, restrict=True, writable=True)


def _pack(e: _Emitter, source: ir.Value, panels: ir.Value, block: ir.Value) -> None:
    """Copy one block of columns into its panel; columns past the edge become zero."""
    first = b.mul(block, e.lanes)
    width = b.minimum(e.lanes, b.sub(e.cols, first))

    def copy(k: Index, j: Index) -> None:
        value = memref.load(source, [b.value(k), b.value(b.add(first, j))])
        memref.store(value, panels, [block, b.value(k), b.value(j)])

    def clear(k: Index, j: Index) -> None:
        memref.store(b.zero_of(e.element), panels, [block, b.value(k), b.value(j)])

    def row(k: Index) -> None:
        if not e.m.dense_transposed:
            b.for_loop(0, width, lambda j: copy(k, j))
        b.for_loop(width, e.lanes, lambda j: clear(k, j))

    b.for_loop(0, e.reds, row)
    if e.m.dense_transposed:
        copy_transposed(
            source,
            lambda j, k: [b.value(b.add(first, j)), b.value(k)],
            panels,
            lambda k, j: [block, b.value(k), b.value(j)],
            rows=width,
            cols=e.reds,
        )


def _task(e: _Emitter, panels: ir.Value, out: ir.Value, block: ir.Value, chunk: Index, units: int | None) -> None:
    """Multiply one chunk of rows with one panel and add the tile to the output."""
    first_row, count = _row_range(e, chunk, units)
    tile_rows = e.rows if units is None else units * e.storage.format.exprs[0].div
    tile = _tile(e, tile_rows)
    strip = e.strip_units
    if strip is not None or not e.rows_visited_once:
        zero = vector.broadcast(e.vector_type, b.zero_of(e.element))
        b.for_loop(0, count, lambda r: vector.store(zero, tile, [b.value(r), b.value(0)]) and None)

    def leaf(at: Cursor, inner: list[ir.Value]) -> list[ir.Value]:
        return [_fma(e, panels, block, at, inner[0])]

    def rows(reduce) -> None:
        _walk_rows(e, chunk, units, lambda at, carried: _row(e, tile, first_row, at, reduce) or carried)

    if strip is None:
        rows(lambda at, acc: walk(e.storage, at, leaf, [acc])[0])
    else:
        size = e.storage.level_sizes[e.last_row_level]

        def one_strip(lo: Index) -> None:
            hi = b.minimum(b.add(lo, strip), size)
            rows(lambda at, acc: walk_range(e.storage, at, lo, hi, leaf, [acc])[0])

        b.for_loop(0, size, one_strip, step=strip)
    _write_back(e, tile, out, block, first_row, count)


def _row(e: _Emitter, tile: ir.Value, first_row: Index, at: Cursor, reduce) -> None:
    """Run ``reduce(at, accumulator)`` for one row, the accumulator kept in the tile between visits."""
    where = [b.value(b.sub(at.coords[e.m.row_dim], first_row)), b.value(0)]
    if e.rows_visited_once and e.strip_units is None:
        acc = vector.broadcast(e.vector_type, b.zero_of(e.element))
    else:
        acc = vector.load(e.vector_type, tile, where)
    vector.store(reduce(at, acc), tile, where)


def _row_range(e: _Emitter, chunk: Index, units: int | None) -> tuple[Index, Index]:
    if units is None:
        return 0, e.rows
    step = units * e.storage.format.exprs[0].div
    first = b.mul(chunk, step)
    return first, b.minimum(step, b.sub(e.rows, first))


def _walk_rows(e: _Emitter, chunk: Index, units: int | None, at_row) -> None:
    top = start(e.storage.format)
    if units is None:
        walk(e.storage, top, at_row, until=e.last_row_level)
        return
    lo = b.mul(chunk, units)
    hi = b.minimum(b.add(lo, units), e.storage.level_sizes[0])
    b.for_loop(lo, hi, lambda c: walk(e.storage, descend(e.storage, top, c, c), at_row, until=e.last_row_level))


def _fma(e: _Emitter, panels: ir.Value, block: ir.Value, at: Cursor, acc: ir.Value) -> ir.Value:
    """``acc + value * panel row``."""
    stored = vector.broadcast(e.vector_type, load_value(e.storage, at.position))
    red = b.value(at.coords[e.m.red_dim])
    row = vector.load(e.vector_type, panels, [block, red, b.value(0)])
    return vector.fma(stored, row, acc)


def _write_back(e: _Emitter, tile: ir.Value, out: ir.Value, block: ir.Value, first_row: Index, count: Index) -> None:
    """Add the tile to ``out[rows, cols]`` in the output's own order, for the columns that exist."""
    first_col = b.mul(block, e.lanes)
    width = b.minimum(e.lanes, b.sub(e.cols, first_col))

    def tile_at(r: Index, j: Index) -> list[ir.Value]:
        return [b.value(r), b.value(j)]

    def out_at(r: Index, j: Index) -> list[ir.Value]:
        row, col = b.value(b.add(first_row, r)), b.value(b.add(first_col, j))
        return [col, row] if e.m.out_transposed else [row, col]

    if e.m.out_transposed:
        copy_transposed(tile, tile_at, out, lambda j, r: out_at(r, j), count, width, accumulate=not e.fresh)
        return

    def element(r: Index, j: Index) -> None:
        computed = memref.load(tile, tile_at(r, j))
        at = out_at(r, j)
        memref.store(computed if e.fresh else arith.addf(memref.load(out, at), computed), out, at)

    b.for_loop(0, count, lambda r: b.for_loop(0, width, lambda j: element(r, j)) and None)


def _tile(e: _Emitter, rows: Index) -> ir.Value:
    if isinstance(rows, int) and rows <= 2 * CHUNK_ROWS:
        type_ = ir.MemRefType.get([rows, e.lanes], e.element)
        return memref.alloca(type_, [], [], alignment=64)
    return _alloc(e, [rows, e.lanes])


def _alloc(e: _Emitter, shape: list[Index]) -> ir.Value:
    dynamic = ir.ShapedType.get_dynamic_size()
    type_ = ir.MemRefType.get([s if isinstance(s, int) else dynamic for s in shape], e.element)
    return memref.alloc(type_, [s for s in shape if not isinstance(s, int)], [], alignment=64)


def _memref(type_: ir.RankedTensorType) -> ir.MemRefType:
    return ir.MemRefType.get(type_.shape, type_.element_type)
