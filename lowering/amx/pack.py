"""Layout of the dense operand for tiles: groups of contracted coordinates beside each other.

``panels[n][p][j * group + g]`` is ``dense[p * group + g, 16 * n + j]``, and zero past the edges: 16
consecutive rows of a panel are the right operand of a tile product.
"""

import dataclasses

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from .unit import COLUMNS, TileUnit


@dataclasses.dataclass(frozen=True)
class Panels:
    """The packed dense operand on its way.

    Attributes:
        unit: element type and group.
        source: the dense operand, ``(reds, cols)``, or ``(cols, reds)`` when ``transposed``.
        buffer: ``(ceil(cols / 16), tiles * 16, 16 * group)``.
    """

    unit: TileUnit
    source: ir.Value
    transposed: bool
    buffer: ir.Value
    reds: Index
    cols: Index
    tiles: Index


def pack(p: Panels, panel: ir.Value) -> None:
    """Fill one panel: whole groups of 16 whole columns by vectors, the rest element by element."""
    first = b.mul(panel, COLUMNS)
    width = b.minimum(COLUMNS, b.sub(p.cols, first))
    groups = b.div(p.reds, p.unit.group)
    last = b.mul(p.tiles, COLUMNS)

    def elements(lo: Index, hi: Index) -> None:
        def element(row: Index, j: Index) -> None:
            for g in range(p.unit.group):
                _copy_or_clear(p, panel, row, j, g, first, width)

        b.for_loop(lo, hi, lambda row: b.for_loop(0, COLUMNS, lambda j: element(row, j)))

    whole = _copy_columns if p.transposed else _interleave_rows
    full = arith.cmpi(arith.CmpIPredicate.eq, b.value(width), b.value(COLUMNS))
    b.if_else(
        full,
        lambda: b.for_loop(0, groups, lambda row: whole(p, panel, row, first)),
        lambda: elements(0, groups),
    )
    elements(groups, last)


def _copy_or_clear(p: Panels, panel: ir.Value, row: Index, j: Index, g: int, first: Index, width: Index) -> None:
    """One element, zero past the edges."""
    k, col = b.value(b.add(b.mul(row, p.unit.group), g)), b.value(b.add(first, j))
    less = arith.CmpIPredicate.ult
    inside = arith.andi(arith.cmpi(less, k, b.value(p.reds)), arith.cmpi(less, b.value(j), b.value(width)))
    at = [col, k] if p.transposed else [k, col]
    (value,) = b.if_else(
        inside, lambda: [memref.load(p.source, at)], lambda: [b.zero_of(p.unit.element)], [p.unit.element]
    )
    memref.store(value, p.buffer, [panel, b.value(row), b.value(b.add(b.mul(j, p.unit.group), g))])


def _interleave_rows(p: Panels, panel: ir.Value, row: Index, first: Index) -> None:
    """One group of rows of 16 columns."""
    type_ = ir.VectorType.get([COLUMNS], p.unit.element)
    top = b.mul(row, p.unit.group)
    rows = [vector.load(type_, p.source, [b.value(b.add(top, g)), b.value(first)]) for g in range(p.unit.group)]
    vector.store(interleave(rows), p.buffer, [panel, b.value(row), b.value(0)])


def interleave(parts: list[ir.Value]) -> ir.Value:
    """``[x0, y0, ..., x1, y1, ...]`` of a power of two of vectors ``x``, ``y``, ..."""
    if len(parts) == 1:
        return parts[0]
    even, odd = interleave(parts[0::2]), interleave(parts[1::2])
    lanes = even.type.shape[0]
    return vector.shuffle(even, odd, [lane // 2 + lane % 2 * lanes for lane in range(2 * lanes)])


def _copy_columns(p: Panels, panel: ir.Value, row: Index, first: Index) -> None:
    """One group of 16 columns that are stored as rows: the group is contiguous already."""
    type_ = ir.VectorType.get([p.unit.group], p.unit.element)
    k = b.value(b.mul(row, p.unit.group))
    for j in range(COLUMNS):
        group = vector.load(type_, p.source, [b.value(b.add(first, j)), k])
        vector.store(group, p.buffer, [panel, b.value(row), b.value(j * p.unit.group)])
