"""Layout of the dense operand for tiles: groups of contracted coordinates beside each other.

``panels[n][positions * t + p][j * group + g]`` is ``dense[t * pitch + p * group + g, 16 * n + j]``, and zero past
the edges: ``positions`` rows of a panel are the right operand of a tile product.
"""

import dataclasses

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..panel.walk import Walk
from .unit import COLUMNS, TileUnit


@dataclasses.dataclass(frozen=True)
class Panels:
    """The packed dense operand on its way.

    Attributes:
        unit: element type and group.
        source: the dense operand, ``(reds, cols)``, or ``(cols, reds)`` when ``transposed``.
        buffer: ``(ceil(cols / 16), tiles * positions, 16 * group)``.
        tiles: tiles along the contracted dimension.
        pitch: contracted coordinates in a tile, a multiple of ``group``.
        red_walk, col_walk: what positions stand for in the source, by default themselves.
    """

    unit: TileUnit
    source: ir.Value
    transposed: bool
    buffer: ir.Value
    reds: Index
    cols: Index
    tiles: Index
    pitch: int
    red_walk: Walk | None = None
    col_walk: Walk | None = None

    @property
    def has_vectors(self) -> bool:
        """Neighbours in a group or in a row of the panel are neighbours in the source."""
        walk = self.red_walk if self.transposed else self.col_walk
        return walk is None or not walk.is_listed

    def place(self, k: Index, col: Index) -> list[ir.Value]:
        """Where the element at two positions is in the source."""
        red = b.value(self.red_walk.at(k) if self.red_walk else k)
        at = b.value(self.col_walk.at(col) if self.col_walk else col)
        return [at, red] if self.transposed else [red, at]


def pack(p: Panels, panel: Index, slot: Index | None = None) -> None:
    """Fill one panel: whole groups of 16 whole columns by vectors, the rest element by element.

    Args:
        slot: where it goes in the buffer, by default where it is in the operand.
    """
    first, panel = b.mul(panel, COLUMNS), b.value(panel if slot is None else slot)
    width = b.minimum(COLUMNS, b.sub(p.cols, first))
    full = arith.cmpi(arith.CmpIPredicate.eq, b.value(width), b.value(COLUMNS))
    used = p.pitch // p.unit.group
    zero = vector.broadcast(p.unit.panel_row, b.zero_of(p.unit.element))

    def tile(t: Index) -> None:
        top, row = b.mul(t, p.pitch), b.mul(t, p.unit.positions)
        whole = b.div(b.minimum(p.pitch, b.sub(p.reds, b.minimum(top, p.reds))), p.unit.group)

        def elements(lo: Index, hi: Index) -> None:
            def group(r: Index, j: Index) -> None:
                for g in range(p.unit.group):
                    at = b.add(b.add(top, b.mul(r, p.unit.group)), g)
                    _copy_or_clear(p, [panel, b.value(b.add(row, r))], at, j, g, first, width)

            b.for_loop(lo, hi, lambda r: b.for_loop(0, COLUMNS, lambda j: group(r, j)))

        def vectors() -> None:
            pack_row = _copy_columns if p.transposed else _interleave_rows

            def one(r: Index) -> None:
                pack_row(p, [panel, b.value(b.add(row, r))], b.add(top, b.mul(r, p.unit.group)), first)

            b.for_loop(0, whole, one)

        if p.has_vectors:
            b.if_else(full, vectors, lambda: elements(0, whole))
        else:
            elements(0, whole)
        elements(whole, used)
        rest = p.unit.positions
        b.for_loop(used, rest, lambda r: vector.store(zero, p.buffer, [panel, b.value(b.add(row, r)), b.value(0)]))

    b.for_loop(0, p.tiles, tile)


def _copy_or_clear(p: Panels, where: list[ir.Value], k: Index, j: Index, g: int, first: Index, width: Index) -> None:
    """One element of row ``where`` of the panels, zero past the edges."""
    less = arith.CmpIPredicate.ult
    inside = arith.andi(arith.cmpi(less, b.value(k), b.value(p.reds)), arith.cmpi(less, b.value(j), b.value(width)))
    (value,) = b.if_else(
        inside,
        lambda: [memref.load(p.source, p.place(k, b.add(first, j)))],
        lambda: [b.zero_of(p.unit.stored)],
        [p.unit.stored],
    )
    memref.store(p.unit.packed(value), p.buffer, [*where, b.value(b.add(b.mul(j, p.unit.group), g))])


def _interleave_rows(p: Panels, where: list[ir.Value], k: Index, first: Index) -> None:
    """One group of rows of 16 columns."""
    type_ = ir.VectorType.get([COLUMNS], p.unit.stored)
    rows = [vector.load(type_, p.source, p.place(b.add(k, g), first)) for g in range(p.unit.group)]
    vector.store(p.unit.packed(interleave(rows)), p.buffer, [*where, b.value(0)])


def interleave(parts: list[ir.Value]) -> ir.Value:
    """``[x0, y0, ..., x1, y1, ...]`` of a power of two of vectors ``x``, ``y``, ..."""
    if len(parts) == 1:
        return parts[0]
    even, odd = interleave(parts[0::2]), interleave(parts[1::2])
    lanes = even.type.shape[0]
    return vector.shuffle(even, odd, [lane // 2 + lane % 2 * lanes for lane in range(2 * lanes)])


def _copy_columns(p: Panels, where: list[ir.Value], k: Index, first: Index) -> None:
    """One group of 16 columns that are stored as rows: the group is contiguous already."""
    type_ = ir.VectorType.get([p.unit.group], p.unit.stored)
    for j in range(COLUMNS):
        group = vector.load(type_, p.source, p.place(k, b.add(first, j)))
        vector.store(p.unit.packed(group), p.buffer, [*where, b.value(j * p.unit.group)])
