"""Layout of the dense operand for tiles: groups of contracted coordinates beside each other.

``panels[n][positions * t + p][j * group + g]`` is ``dense[t * pitch + p * group + g, 16 * n + j]``, and zero past
the edges: ``positions`` rows of a panel are the right operand of a tile product. Of units that interleave rows in
registers (named_unit.py) panels hold one coordinate a row, ``positions`` being a number of rows that are packed in one
go; 16, and the order in a row, are the unit's.
"""

import dataclasses
import functools
from collections.abc import Callable

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..panel.ahead import SECOND_LEVEL
from ..panel.arithmetic import CACHE_LINE, bytes_of
from ..panel.walk import Walk
from .unit import COLUMNS, TileUnit

#: Panels whose rows are interleaved together, and contracted coordinates between those and the ones that are fetched.
PACKED_PANELS, PACKED_AHEAD = 4, 16

#: Groups of rows between the one that is packed while others are multiplied and the one that is asked for.
PART_AHEAD = 4


@dataclasses.dataclass(frozen=True)
class Panels:
    """The packed dense operand on its way.

    Attributes:
        unit: element type and group.
        source: the dense operand, ``(reds, cols)``, or ``(cols, reds)`` when ``transposed``.
        buffer: ``(ceil(cols / 16), tiles * positions, 16 * group)``, or what the unit says instead.
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
    columns, together = p.unit.panel_columns, p.unit.together
    first, panel = b.mul(panel, columns), b.value(panel if slot is None else slot)
    width = b.minimum(columns, b.sub(p.cols, first))
    full = arith.cmpi(arith.CmpIPredicate.eq, b.value(width), b.value(columns))
    used = p.pitch // together
    zero = vector.broadcast(p.unit.panel_row, b.zero_of(p.unit.element))

    def tile(t: Index) -> None:
        top, row = b.mul(t, p.pitch), b.mul(t, p.unit.panel_rows)
        whole = b.div(b.minimum(p.pitch, b.sub(p.reds, b.minimum(top, p.reds))), together)

        def place(r: Index) -> list[ir.Value]:
            return [panel, b.value(b.add(row, r))]

        def elements(lo: Index, hi: Index) -> None:
            b.for_loop(lo, hi, lambda r: _copy_elements(p, place, r, top, first, width))

        def vectors() -> None:
            pack_row = _copy_columns if p.transposed else _interleave_rows
            b.for_loop(0, whole, lambda r: pack_row(p, place(r), b.add(top, b.mul(r, together)), first))

        def ragged() -> None:
            room = _room(p)
            b.for_loop(0, whole, lambda r: _copy_ragged(p, room, place(r), b.add(top, r), first, width))

        if p.has_vectors:
            in_parts = together == 1 and not p.transposed
            b.if_else(full, vectors, ragged if in_parts else lambda: elements(0, whole))
        else:
            elements(0, whole)
        elements(whole, used)
        b.for_loop(used, p.unit.panel_rows, lambda r: vector.store(zero, p.buffer, [*place(r), b.value(0)]))

    b.for_loop(0, p.tiles, tile)


def pack_panels(p: Panels, first: Index, count: Index, base: Index = 0, begin: Index = 0) -> None:
    """Fill ``count`` panels from number ``first`` on, into the slots from ``base`` on: whole ones some at a time.

    The tiles before ``begin`` are there already.
    """
    whole = 0
    if p.has_vectors and not p.transposed and p.unit.together > 1:
        full = b.div(p.cols, p.unit.panel_columns)
        whole = b.minimum(count, b.sub(full, b.minimum(first, full)))
        whole = b.mul(b.div(whole, PACKED_PANELS), PACKED_PANELS)
        b.for_loop(0, whole, lambda i: _pack_together(p, b.add(first, i), b.add(base, i), begin), step=PACKED_PANELS)
    b.for_loop(whole, count, lambda i: pack(p, b.add(first, i), b.add(base, i)))


def pack_part(p: Panels, first: Index, base: Index, group: Index, count: int) -> None:
    """A group of rows of ``count`` whole panels from number ``first`` on; asks for one that is packed later."""
    k, columns, last = b.mul(group, p.unit.together), p.unit.panel_columns, b.sub(p.reds, 1)
    for g in range(p.unit.together):
        later = b.minimum(b.add(k, PART_AHEAD * p.unit.together + g), last)
        for j in range(0, count * columns, CACHE_LINE // bytes_of(p.unit.stored)):
            memref.prefetch(p.source, p.place(later, b.add(b.mul(first, columns), j)), False, SECOND_LEVEL, True)
    for i in range(count):
        _interleave_rows(p, [b.value(b.add(base, i)), b.value(group)], k, b.mul(b.add(first, i), columns))


def _pack_together(p: Panels, panel: Index, slot: Index, begin: Index) -> None:
    """:data:`PACKED_PANELS` whole panels, a group of rows of all of them at a time."""
    columns, together = p.unit.panel_columns, p.unit.together
    slots = [b.value(b.add(slot, i)) for i in range(PACKED_PANELS)]
    firsts = [b.mul(b.add(panel, i), columns) for i in range(PACKED_PANELS)]
    used, zero = p.pitch // together, vector.broadcast(p.unit.panel_row, b.zero_of(p.unit.element))
    line, last = CACHE_LINE // bytes_of(p.unit.stored), b.sub(p.reds, 1)

    def tile(t: Index) -> None:
        top, row = b.mul(t, p.pitch), b.mul(t, p.unit.panel_rows)
        whole = b.div(b.minimum(p.pitch, b.sub(p.reds, b.minimum(top, p.reds))), together)

        def place(i: int, r: Index) -> list[ir.Value]:
            return [slots[i], b.value(b.add(row, r))]

        def group(r: Index) -> None:
            k = b.add(top, b.mul(r, together))
            for g in range(together):
                later = b.minimum(b.add(k, PACKED_AHEAD + g), last)
                for j in range(0, PACKED_PANELS * columns, line):
                    memref.prefetch(p.source, p.place(later, b.add(firsts[0], j)), False, 3, True)
            for i, first in enumerate(firsts):
                _interleave_rows(p, place(i, r), k, first)

        b.for_loop(0, whole, group)
        for i, first in enumerate(firsts):
            at = functools.partial(place, i)
            b.for_loop(whole, used, lambda r, at=at, f=first: _copy_elements(p, at, r, top, f, columns), rolled=True)
            b.for_loop(used, p.unit.panel_rows, lambda r, at=at: vector.store(zero, p.buffer, [*at(r), b.value(0)]))

    b.for_loop(begin, p.tiles, tile)


def _copy_elements(
    p: Panels, place: Callable[[Index], list[ir.Value]], r: Index, top: Index, first: Index, width: Index
) -> None:
    """Row ``r`` of a tile, element by element."""

    def group(j: Index) -> None:
        for g in range(p.unit.together):
            at = b.add(b.add(top, b.mul(r, p.unit.together)), g)
            _copy_or_clear(p, place(r), at, j, g, first, width)

    b.for_loop(0, p.unit.panel_columns, group)


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
    memref.store(p.unit.packed(value), p.buffer, [*where, b.value(p.unit.lane(j, g))])


def _interleave_rows(p: Panels, where: list[ir.Value], k: Index, first: Index) -> None:
    """One group of rows of a panel's columns."""
    type_ = ir.VectorType.get([p.unit.panel_columns], p.unit.stored)
    rows = [vector.load(type_, p.source, p.place(b.add(k, g), first)) for g in range(p.unit.together)]
    vector.store(p.unit.packed_row(interleave(rows)), p.buffer, [*where, b.value(0)])


def _room(p: Panels) -> ir.Value:
    """Memory for a row with fewer columns than a panel, zeros behind them."""
    type_ = ir.VectorType.get([p.unit.panel_columns], p.unit.stored)
    room = memref.alloca(ir.MemRefType.get(type_.shape, p.unit.stored), [], [], alignment=64)
    vector.store(vector.broadcast(type_, b.zero_of(p.unit.stored)), room, [b.value(0)])
    return room


def _copy_ragged(p: Panels, room: ir.Value, where: list[ir.Value], k: Index, first: Index, width: Index) -> None:
    """A row of fewer columns than the panel has, put together in ``room``."""

    def copy(j: Index, lanes: int) -> None:
        type_ = ir.VectorType.get([lanes], p.unit.stored)
        vector.store(vector.load(type_, p.source, p.place(k, b.add(first, j))), room, [b.value(j)])

    b.by_vectors(width, COLUMNS, copy)
    row = vector.load(ir.VectorType.get([p.unit.panel_columns], p.unit.stored), room, [b.value(0)])
    vector.store(p.unit.packed_row(row), p.buffer, [*where, b.value(0)])


def interleave(parts: list[ir.Value]) -> ir.Value:
    """``[x0, y0, ..., x1, y1, ...]`` of a power of two of vectors ``x``, ``y``, ..."""
    if len(parts) == 1:
        return parts[0]
    even, odd = interleave(parts[0::2]), interleave(parts[1::2])
    lanes = even.type.shape[0]
    return vector.shuffle(even, odd, [lane // 2 + lane % 2 * lanes for lane in range(2 * lanes)])


def _copy_columns(p: Panels, where: list[ir.Value], k: Index, first: Index) -> None:
    """One group of a panel's columns that are stored as rows: the group is contiguous already."""
    type_ = ir.VectorType.get([p.unit.together], p.unit.stored)
    for j in range(p.unit.panel_columns):
        group = vector.load(type_, p.source, p.place(k, b.add(first, j)))
        vector.store(p.unit.packed(group), p.buffer, [*where, b.value(p.unit.lane(j, 0))])
