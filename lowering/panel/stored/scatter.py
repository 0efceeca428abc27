"""Rows that are visited many times, or in no order: their results stay in the tile in memory."""

from pith._mlir import ir, vector
from pith.formats.diagonals import last_level

from ... import builder as b
from ...builder import Index
from ...sparse.contraction import Matmul
from ...sparse.levels import Cursor, descend, start, walk
from ..arithmetic import multiply_add
from ..pack import Panel
from .tile import RegisterTile


def scatter_rows(
    shape: RegisterTile,
    m: Matmul,
    tile: ir.Value,
    panel: Panel,
    first_row: Index,
    chunk: Index,
    units: Index | None,
) -> None:
    """Add every stored element's product with its panel row to the tile's row.

    A row whose levels below are its own keeps its sum in a register while they last.
    """
    storage, type_ = shape.storage, shape.type
    last_row_level = 1 + last_level(storage.format, m.row_dim)

    def leaf(at: Cursor, inner: list[ir.Value]) -> list[ir.Value]:
        stored = vector.broadcast(type_, shape.values.scalar(0, at.position))
        return [multiply_add(stored, panel.row(type_, at.coords[m.red_dim]), inner[0])]

    def at_row(at: Cursor, carried: list[ir.Value]) -> list[ir.Value]:
        where = [b.value(b.sub(at.coords[m.row_dim], first_row)), b.value(0)]
        acc = vector.load(type_, tile, where)
        vector.store(walk(storage, at, leaf, [acc])[0], tile, where)
        return carried

    top = start(storage.format)
    if units is None:
        walk(storage, top, at_row, until=last_row_level)
        return
    lo = b.mul(chunk, units)
    hi = b.minimum(b.add(lo, units), storage.level_sizes[0])
    b.for_loop(lo, hi, lambda c: walk(storage, descend(storage, top, c, c), at_row, until=last_row_level))
