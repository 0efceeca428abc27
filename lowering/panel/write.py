"""Writing finished tiles to the output, in the output's own order."""

from collections.abc import Sequence

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..transpose import Transform, copy_transposed, tile_width
from .arithmetic import add as add_values
from .walk import Walk


def as_it_is(value: ir.Value, at: Sequence[Index]) -> ir.Value:
    """The transform of a product that overwrites its output."""
    return value


def added_to(out: ir.Value) -> Transform:
    """The transform of a product that adds to ``out``."""

    def add(value: ir.Value, at: Sequence[Index]) -> ir.Value:
        where = [b.value(i) for i in at]
        is_vector = isinstance(value.type, ir.VectorType)
        return add_values(vector.load(value.type, out, where) if is_vector else memref.load(out, where), value)

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
    first_row, first_col = corner
    rows, cols = extent
    row_at, col_at = (walk.at if walk is not None else b.value for walk in (row_walk, col_walk))
    if any(walk is not None and walk.is_listed for walk in (row_walk if transposed else None, col_walk)):
        _scatter(tile, out, transposed, corner, extent, transform, row_at, col_at)
        return

    def tile_at(r: Index, j: Index) -> list[ir.Value]:
        return [b.value(r), b.value(j)]

    def row_of(r: Index) -> ir.Value:
        return b.value(row_at(b.add(first_row, r)))

    def col_of(j: Index) -> ir.Value:
        return b.value(col_at(b.add(first_col, j)))

    if transposed:
        copy_transposed(tile, tile_at, out, lambda j, r: [col_of(j), row_of(r)], rows, cols, transform)
        return
    lanes = tile.type.shape[1]

    element = tile.type.element_type

    def vectors(r: Index, row: ir.Value, j: Index, width: int) -> None:
        at = [row, col_of(j)]
        if width == 1:
            memref.store(transform(memref.load(tile, tile_at(r, j)), at), out, at)
            return
        value = vector.load(ir.VectorType.get([width], element), tile, tile_at(r, j))
        vector.store(transform(value, at), out, at)

    def whole(r: Index) -> None:
        row = row_of(r)
        if lanes % step:
            vectors(r, row, 0, lanes)
        else:
            b.for_loop(0, lanes, lambda j: vectors(r, row, j, step), step=step, rolled=True)

    def ragged(r: Index) -> None:
        row = row_of(r)
        b.by_vectors(cols, tile_width(element), lambda j, n: vectors(r, row, j, n))

    full = arith.cmpi(arith.CmpIPredicate.eq, b.value(cols), b.value(lanes))
    b.if_else(full, lambda: b.for_loop(0, rows, whole, rolled=True), lambda: b.for_loop(0, rows, ragged, rolled=True))


def _scatter(
    tile: ir.Value, out: ir.Value, transposed: bool, corner, extent, transform: Transform, row_at, col_at
) -> None:
    """One element after the other: neighbours in the tile are none in the output."""
    lanes = tile.type.shape[1]

    def element(r: Index, j: Index, row: ir.Value) -> None:
        col = b.value(col_at(b.add(corner[1], j)))
        at = [col, row] if transposed else [row, col]
        memref.store(transform(memref.load(tile, [b.value(r), b.value(j)]), at), out, at)

    def whole(r: Index) -> None:
        row = b.value(row_at(b.add(corner[0], r)))
        for j in range(lanes):
            element(r, j, row)

    def ragged(r: Index) -> None:
        row = b.value(row_at(b.add(corner[0], r)))
        b.for_loop(0, extent[1], lambda j: element(r, j, row), rolled=True)

    full = arith.cmpi(arith.CmpIPredicate.eq, b.value(extent[1]), b.value(lanes))
    rows = extent[0]
    b.if_else(full, lambda: b.for_loop(0, rows, whole, rolled=True), lambda: b.for_loop(0, rows, ragged, rolled=True))
