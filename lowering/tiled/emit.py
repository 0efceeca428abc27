"""The matrix product on tiles.

Code it emits for ``out[row, col] += sparse[row, red] * dense[red, col]``::

    scf.parallel (panel)             pack 16 columns of dense                          (pack.py)
    scf.parallel (rows, columns)
      expand the rows into tiles, where they are not stored as tiles                 (expand.py)
      for each few tiles of columns
        for each few tiles of rows
          sums = zeros
          for each tile of the rows that is there                                    (source.py)
            sums[r][c] += a[r] * dense[c]                                (unit.py: AMX, dots.py)
          out[...] = sums, or what an epilogue makes of them

Expanding costs a pass over the rows, and serves all columns of the task. Raggedness ends in the
packed operands, which are zero past the edges, and in the way sums are written.
"""

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, bufferization, ir

from .. import builder as b
from ..bufferization.destination import result_buffer
from ..builder import Index
from ..epilogue.match import Epilogue
from ..epilogue.values import bind
from ..panel.write import added_to, as_it_is, write_tile
from ..sparse.levels import Storage
from ..transpose import Transform
from .block import Block, fill_offsets, offsets_room, scratch
from .choice import Source
from .expand import Rows, expand_all, expand_matrix, expand_present
from .expand_groups import expand_by_vectors
from .match import TileProduct, acc_is_float
from .named import Named, list_rows
from .named_unit import NamedUnit
from .pack import Panels, pack
from .source import Blocks, Expanded, Listed, Matrix, TileSource
from .special import Corrected, add_special, clear_special, had_special

#: Columns of one task: 256 are worth expanding rows for, and leave work to divide.
TASK_COLUMNS = 256

#: Columns that an epilogue computes on at once.
EPILOGUE_COLUMNS = 16

#: Bytes of a way of L1, and how many ways the smallest has. More rows than that, a multiple of a way apart, push each
#: other out of it; then they are copied into tiles. 8 and 16 columns times bytes, 1024x4096: 0.71 to 0.43 ms, 4096x4096
#: 3.1 to 2.2 (one core of Zen 4, 2026-11-23).
WAY_BYTES, LEAST_WAYS = 4096, 8

#: Multiply-adds that take about as long as one scalar operation: a tile product is 16 cycles.
TILE_OPERATIONS = 512


@dataclasses.dataclass(frozen=True)
class _Emitter:
    """Everything the pieces of the kernel share.

    Attributes:
        out, transposed: the output as a matrix, and whether it is stored ``[col, row]``.
        transform: what is stored of a sum; None when it is the sum.
        flags: which panels had infinities or NaNs, where these matter.
    """

    p: TileProduct
    storage: Storage
    panels: Panels
    out: ir.Value
    transposed: bool
    rows: Index
    transform: Transform | None
    flags: ir.Value | None

    @property
    def column_tiles(self) -> Index:
        return b.ceildiv(self.panels.cols, self.p.unit.columns)

    @property
    def task_tiles(self) -> int:
        """Tiles of columns in one task."""
        return TASK_COLUMNS // self.p.unit.columns


def emit_tiles(p: TileProduct, storage: Storage, epilogue: Epilogue | None = None) -> ir.Value:
    """Emit the kernel at the insertion point; returns the result tensor, that of the epilogue when there is one."""
    bound = bind(epilogue) if epilogue else None
    m = p.matmul
    dense, init = m.generic.inputs[m.dense], m.generic.init
    out, fresh = (bound.out, bound.addend is None) if bound else result_buffer(init)
    transposed = m.out_transposed != bound.transposed if bound else m.out_transposed
    rows = b.dim_size(out, 1 if transposed else 0)
    panels = _panels(p, storage, dense, cols=b.dim_size(out, 0 if transposed else 1))
    transform = bound.apply if bound else None if fresh else added_to(out)
    e = _Emitter(p, storage, panels, out, transposed, rows, transform, _flags(p, panels))
    b.parallel_loop(
        [b.ceildiv(panels.cols, p.unit.panel_columns)], lambda n: _pack(e, n), work=b.mul(panels.reds, panels.cols)
    )
    work = b.div(b.mul(b.mul(rows, panels.reds), panels.cols), TILE_OPERATIONS)
    extents = [b.ceildiv(rows, p.task_rows), b.ceildiv(e.column_tiles, e.task_tiles)]
    b.parallel_loop(extents, lambda task, chunk: _task(e, task, chunk), work=work)
    return bound.result() if bound else bufferization.to_tensor(init.type, out, restrict=True, writable=True)


def _flags(p: TileProduct, panels: Panels) -> ir.Value | None:
    """One flag per panel, when tiles hold zeros that are not stored and the dense side has infinities."""
    if not acc_is_float(p.unit) or p.source in (Source.DENSE, Source.BLOCKS):
        return None
    return b.alloc([b.ceildiv(panels.cols, p.unit.panel_columns)], ir.IntegerType.get_signless(16))


def _pack(e: _Emitter, panel: ir.Value) -> None:
    pack(e.panels, panel)
    if e.flags is not None:
        clear_special(e.panels, e.flags, panel)


def _panels(p: TileProduct, storage: Storage, dense: ir.Value, cols: Index) -> Panels:
    m, unit = p.matmul, p.unit
    outermost = max(
        (i for i, e in enumerate(storage.format.exprs) if e.dim == m.red_dim), key=lambda i: storage.format.exprs[i].div
    )
    stored = b.mul(storage.level_sizes[outermost], storage.format.exprs[outermost].div)
    tiles = b.ceildiv(stored, p.pitch)
    source = b.buffer_of(dense)
    row = unit.panel_columns * unit.together
    buffer = b.alloc([b.ceildiv(cols, unit.panel_columns), b.mul(tiles, unit.panel_rows), row], unit.element)
    reds = b.dim_size(dense, 1 if m.dense_transposed else 0)
    return Panels(unit, source, m.dense_transposed, buffer, reds, cols, tiles, p.pitch)


def _task(e: _Emitter, task: ir.Value, chunk: ir.Value) -> None:
    """Multiply the rows of a task with a chunk of the columns."""
    first = b.mul(task, e.p.task_rows)
    rooms = {width: scratch(e.p.unit, e.p.height(width), width) for width in _widths(e.p)}
    lo = b.mul(chunk, e.task_tiles)
    hi = b.minimum(b.add(lo, e.task_tiles), e.column_tiles)
    _with_source(e, first, lambda source: _columns(e, source, rooms, first, (lo, hi)))


def _widths(p: TileProduct) -> set[int]:
    """Tiles of columns that are in registers together."""
    return {1, p.column_tiles} if p.unit.panel_tiles == 1 else {1, 2, p.column_tiles}


def _with_source(e: _Emitter, first: Index, use: Callable[[TileSource], None]) -> None:
    """Provide the tiles of the rows from ``first`` on to the code that ``use`` emits."""
    p, m, tiles = e.p, e.p.matmul, e.panels.tiles
    rows = Rows(p.unit, p.task_rows, tiles, e.storage, m.row_dim, m.red_dim, first, p.pitch)
    if p.source is Source.BLOCKS:
        use(Blocks(p.unit, e.storage, m.red_dim, b.div(first, p.unit.rows)))
    elif isinstance(p.unit, NamedUnit):
        use(Named(p.unit, list_rows(rows, p.unit)))
    elif p.source is Source.ALL_TILES:
        use(Expanded(p.unit, expand_by_vectors(rows, p.groups) if p.groups else expand_all(rows), tiles))
    elif p.source is Source.PRESENT_TILES:
        use(Listed(p.unit, expand_present(rows)))
    elif p.unit.widens:
        use(Expanded(p.unit, expand_matrix(rows, b.product(e.storage.level_sizes[1:])), tiles))
    else:
        stride = b.product(e.storage.level_sizes[1:])
        matrix = Matrix(p.unit, e.storage.values, first, stride, tiles)
        end = b.value(b.add(first, p.task_rows))
        fits = arith.andi(
            arith.cmpi(arith.CmpIPredicate.ule, end, b.value(e.rows)),
            arith.cmpi(arith.CmpIPredicate.eq, b.value(stride), b.value(b.mul(tiles, p.unit.depth))),
        )
        if p.height(1) * p.unit.rows > LEAST_WAYS:
            fits = arith.andi(fits, _stays_in_l1(e, stride))
        b.if_else(fits, lambda: use(matrix), lambda: use(Expanded(p.unit, expand_matrix(rows, stride), tiles)))


def _stays_in_l1(e: _Emitter, stride: Index) -> ir.Value:
    """Whether the rows that one panel's columns meet together lie in different sets of L1, or columns are more."""
    bytes_ = b.bits_of(e.p.unit.stored) // 8
    apart = b.mod(b.mul(stride, bytes_), WAY_BYTES)
    more = arith.cmpi(arith.CmpIPredicate.ugt, b.value(e.panels.cols), b.value(e.p.unit.columns))
    return arith.ori(more, arith.cmpi(arith.CmpIPredicate.ne, b.value(apart), b.value(0)))


def _columns(
    e: _Emitter, source: TileSource, rooms: dict[int, ir.Value], first: Index, span: tuple[Index, Index]
) -> None:
    """All tiles of the output for a task: a few columns at a time, then those left over one at a time."""
    (lo, hi), wide = span, e.p.column_tiles
    whole = b.add(lo, b.mul(b.div(b.sub(hi, lo), wide), wide))

    def groups(height: int) -> Index:
        """Blocks of so many row tiles."""
        most, high = e.p.task_rows // (e.p.unit.rows * height), e.p.unit.rows * height
        return 1 if most == 1 else b.minimum(most, b.ceildiv(b.sub(e.rows, first), high))

    if isinstance(source, Named):
        offsets = source.listed.offsets
    else:
        offsets = offsets_room(e.p.unit, e.p.task_rows)
        fill_offsets(e.p.unit, source, offsets, groups(1))

    def columns(n: Index, width: int) -> None:
        block = Block(e.p.unit, source, e.panels.buffer, e.p.height(width), offsets)

        def rows(g: Index) -> None:
            _write(e, rooms[width], block.sums(g, n, width), b.add(first, b.mul(g, block.rows)), n)

        b.for_loop(0, groups(block.height), rows)

    b.for_loop(lo, whole, lambda n: columns(n, wide), step=wide)
    if e.p.unit.panel_tiles == 1:
        b.for_loop(whole, hi, lambda n: columns(n, 1))
    else:
        _by_width(b.sub(hi, whole), wide, lambda width: columns(whole, width))


def _by_width(count: Index, most: int, body: Callable[[int], None]) -> None:
    """``body(width)`` of the smallest power of two that ``count`` tiles, fewer than ``most``, fit; not for none."""

    def from_(width: int) -> None:
        if width == most:
            body(width)
        else:
            b.if_else(b.less(count, width + 1), lambda: body(width), lambda: from_(2 * width))

    b.only_if(b.less(0, count), lambda: from_(1))


def _write(e: _Emitter, room: ir.Value, sums: list[ir.Value], row: Index, n: Index) -> None:
    """The sums into the output: at once where they fit and overwrite it, else through the stack."""
    height, width = room.type.shape
    columns = e.p.unit.columns
    col = b.mul(n, columns)
    rows = b.minimum(height, b.sub(e.rows, b.minimum(row, e.rows)))
    cols = b.minimum(width, b.sub(e.panels.cols, col))
    panels = [b.add(b.div(n, e.p.unit.panel_tiles), c) for c in range(-(-width // e.p.unit.panel_columns))]
    special = had_special(e.flags, panels) if e.flags is not None else None

    def store(buffer: ir.Value, row: Index, col: Index) -> None:
        e.p.unit.store(sums, width // columns, buffer, (row, col))

    def through_stack() -> None:
        store(room, 0, 0)
        if special is not None:
            piece = Corrected(room, (row, col), cols)
            b.if_else(special, lambda: add_special(e.panels, e.storage, e.p.matmul.row_dim, piece))
        write_tile(room, e.out, e.transposed, (row, col), (rows, cols), e.transform or as_it_is, EPILOGUE_COLUMNS)

    if e.transposed or e.transform is not None:
        through_stack()
        return
    equal = arith.CmpIPredicate.eq
    direct = arith.andi(*(arith.cmpi(equal, b.value(x), b.value(y)) for x, y in ((rows, height), (cols, width))))
    if special is not None:
        direct = arith.andi(direct, arith.xori(special, arith.constant(special.type, 1)))
    b.if_else(direct, lambda: store(e.out, row, col), through_stack)
