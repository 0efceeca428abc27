"""Writing finished tiles to the output, in the output's own order."""

from collections.abc import Sequence

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..transpose import Transform, copy_transposed
from .arithmetic import add as add_values


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
) -> None:
    """Store ``transform(tile[:rows, :cols], at)`` at ``corner`` of the output.

    Shapes: out: ``(rows, cols)`` of the whole product, or ``(cols, rows)`` when ``transposed``.
    Args:
        transform: is given vectors along the output's last dimension, or scalars, and where they go.
        step: elements of those vectors, where the output is stored like the tile.
    """
    first_row, first_col = corner
    rows, cols = extent

    def tile_at(r: Index, j: Index) -> list[ir.Value]:
        return [b.value(r), b.value(j)]

    def out_at(r: Index, j: Index) -> list[ir.Value]:
        row, col = b.value(b.add(first_row, r)), b.value(b.add(first_col, j))
        return [col, row] if transposed else [row, col]

    if transposed:
        copy_transposed(tile, tile_at, out, lambda j, r: out_at(r, j), rows, cols, transform)
        return
    lanes = tile.type.shape[1]

    def vectors(r: Index, j: Index, width: int) -> None:
        value = vector.load(ir.VectorType.get([width], tile.type.element_type), tile, tile_at(r, j))
        at = out_at(r, j)
        vector.store(transform(value, at), out, at)

    def whole(r: Index) -> None:
        if lanes % step:
            vectors(r, 0, lanes)
        else:
            b.for_loop(0, lanes, lambda j: vectors(r, j, step), step=step)

    def ragged(r: Index) -> None:
        def element(j: Index) -> None:
            at = out_at(r, j)
            memref.store(transform(memref.load(tile, tile_at(r, j)), at), out, at)

        b.for_loop(0, cols, element)

    full = arith.cmpi(arith.CmpIPredicate.eq, b.value(cols), b.value(lanes))
    b.if_else(full, lambda: b.for_loop(0, rows, whole), lambda: b.for_loop(0, rows, ragged))
