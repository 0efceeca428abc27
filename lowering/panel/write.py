"""Writing finished tiles to the output, in the output's own order."""

from collections.abc import Callable, Sequence

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..numbers import plus
from ..transpose import Transform, copy_transposed, tile_width
from .walk import Walk


def as_it_is(value: ir.Value, at: Sequence[Index]) -> ir.Value:
    """The transform of a product that overwrites its output."""
    return value


def added_to(out: ir.Value) -> Transform:
    """The transform of a product that adds to ``out``."""

    def add(value: ir.Value, at: Sequence[Index]) -> ir.Value:
        where = [b.value(i) for i in at]
        is_vector = isinstance(value.type, ir.VectorType)
        return plus(vector.load(value.type, out, where) if is_vector else memref.load(out, where), value)

    return add


def write_tile(
    tile: ir.Value,
    out: ir.Value,
    transposed: bool,
    corner: tuple[Index, Index],
    extent: tuple[Index, Index],
    transform: Transform,
    step: int,
    row_walk: Walk | None = None,
    col_walk: Walk | None = None,
) -> None:
    """Store ``transform(tile[:rows, :cols], at)`` at ``corner`` of the output.

    Shapes: out: ``(rows, cols)`` of the whole product, or ``(cols, rows)`` when ``transposed``.
    Args:
        transform: is given vectors along the output's last dimension, or scalars, and where they go.
        step: elements of those vectors, where the output is stored like the tile.
        row_walk, col_walk: the rows and columns that positions stand for, by default themselves.
    """
    down, across = (
        Walk(count, walk.ids if walk else None, b.add(walk.first if walk else 0, first))
        for walk, first, count in zip((row_walk, col_walk), corner, extent)
    )
    if across.is_listed or (transposed and down.is_listed):
        _scatter(tile, out, transposed, down, across, transform)
    elif transposed:
        copy_transposed(
            tile,
            lambda r, j: [b.value(r), b.value(j)],
            out,
            lambda j, r: [b.value(across.at(j)), b.value(down.at(r))],
            down.count,
            across.count,
            transform,
        )
    else:
        _write_rows(tile, out, down, across, transform, step)


def _write_rows(tile: ir.Value, out: ir.Value, down: Walk, across: Walk, transform: Transform, step: int) -> None:
    """Rows of the tile to rows of the output, in vectors."""
    lanes, element = tile.type.shape[1], tile.type.element_type

    def vectors(r: Index, row: ir.Value, j: Index, width: int) -> None:
        here, at = [b.value(r), b.value(j)], [row, b.value(across.at(j))]
        if width == 1:
            memref.store(transform(memref.load(tile, here), at), out, at)
            return
        value = vector.load(ir.VectorType.get([width], element), tile, here)
        vector.store(transform(value, at), out, at)

    def whole(r: Index) -> None:
        row = b.value(down.at(r))
        if lanes % step:
            vectors(r, row, 0, lanes)
        else:
            b.for_loop(0, lanes, lambda j: vectors(r, row, j, step), step=step, rolled=True)

    def ragged(r: Index) -> None:
        row = b.value(down.at(r))
        b.by_vectors(across.count, tile_width(element), lambda j, n: vectors(r, row, j, n))

    _each_row(down.count, across.count, lanes, whole, ragged)


def _scatter(tile: ir.Value, out: ir.Value, transposed: bool, down: Walk, across: Walk, transform: Transform) -> None:
    """One element after the other: neighbours in the tile are none in the output."""
    lanes = tile.type.shape[1]

    def element(r: Index, j: Index, row: ir.Value) -> None:
        col = b.value(across.at(j))
        at = [col, row] if transposed else [row, col]
        memref.store(transform(memref.load(tile, [b.value(r), b.value(j)]), at), out, at)

    def whole(r: Index) -> None:
        row = b.value(down.at(r))
        for j in range(lanes):
            element(r, j, row)

    def ragged(r: Index) -> None:
        row = b.value(down.at(r))
        b.for_loop(0, across.count, lambda j: element(r, j, row), rolled=True)

    _each_row(down.count, across.count, lanes, whole, ragged)


def _each_row(rows: Index, cols: Index, lanes: int, whole: Callable, ragged: Callable) -> None:
    """``whole(r)`` for every row of a tile that is as wide as it can be, else ``ragged(r)``."""
    full = arith.cmpi(arith.CmpIPredicate.eq, b.value(cols), b.value(lanes))
    b.if_else(full, lambda: b.for_loop(0, rows, whole, rolled=True), lambda: b.for_loop(0, rows, ragged, rolled=True))


def fill_block(
    out: ir.Value, rows: tuple[Index, Index], cols: tuple[Index, Index], lanes: int, finish: Transform
) -> None:
    """Store what ``finish`` makes of zero in a block of a matrix, vectors of ``lanes`` at a time."""
    element = out.type.element_type
    type_ = ir.VectorType.get([lanes], element)
    whole = b.add(cols[0], b.mul(b.div(b.sub(cols[1], cols[0]), lanes), lanes))

    def line(row: Index) -> None:
        def some(col: Index) -> None:
            at = [b.value(row), b.value(col)]
            vector.store(finish(vector.broadcast(type_, b.zero_of(element)), at), out, at)

        def one(col: Index) -> None:
            at = [b.value(row), b.value(col)]
            memref.store(finish(b.zero_of(element), at), out, at)

        b.for_loop(cols[0], whole, some, step=lanes)
        b.for_loop(whole, cols[1], one)

    b.for_loop(rows[0], rows[1], line)


def clear_columns(out: ir.Value, transposed: bool, rows: Index, span: tuple[Index, Index], lanes: int) -> None:
    """Zero some columns of every row of a matrix, which holds columns as rows when ``transposed``."""
    corners = (span, (0, rows)) if transposed else ((0, rows), span)
    fill_block(out, *corners, lanes, as_it_is)
