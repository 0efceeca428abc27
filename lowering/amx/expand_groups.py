"""Expansion of groups by vectors: a row of a tile at a time, without a loop over its elements.

A row of a tile covers whole groups, so where its values and coordinates begin is a multiple of a
constant, and what each lane may hold is known now: one value per choice of slots, and it holds it when
the coordinates of those slots are the lane's own. Per choice that is a shuffle of the values, and per
level a shuffle of the bytes of coordinates, an ``and`` and a comparison with constants.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence

from pith._mlir import arith, ir, vector
from pith.formats import Format

from .. import builder as b
from ..builder import Index
from .expand import Rows, clear, expand_elements
from .unit import ROWS

#: Most choices of slots: beyond, one element at a time is less work.
MOST_CHOICES = 16


@dataclasses.dataclass(frozen=True)
class _Level:
    """An ``nm`` level: ``g`` of ``h`` children of ``div`` coordinates each, coordinates of ``width`` bits."""

    number: int
    g: int
    h: int
    div: int
    width: int

    @property
    def is_dense(self) -> bool:
        return self.g == self.h


@dataclasses.dataclass(frozen=True)
class GroupLayout:
    """Groups of contracted coordinates whose rows fill rows of tiles.

    Attributes:
        span: coordinates of one group.
        groups: groups in a row of a tile.
        levels: the levels of a group, outermost first.
    """

    span: int
    groups: int
    levels: tuple[_Level, ...]

    @classmethod
    def of(cls, fmt: Format, row_dim: int, depth: int) -> "GroupLayout | None":
        """The layout of a format whose rows are groups of ``nm`` levels; None for others and for unwieldy ones."""
        red_dim = 1 - row_dim
        if [e.dim for e in fmt.exprs] != [row_dim] + [red_dim] * (len(fmt.exprs) - 1) or len(fmt.exprs) < 3:
            return None
        span, below = fmt.exprs[1].div, range(2, len(fmt.levels))
        if fmt.exprs[0].div != 1 or fmt.exprs[-1].div != 1 or not all(level.is_dense for level in fmt.levels[:2]):
            return None
        if depth % span or any(fmt.levels[i].kind != "nm" for i in below):
            return None
        levels = tuple(_Level(i, fmt.levels[i].g, fmt.levels[i].h, fmt.exprs[i].div, fmt.coord_bits(i)) for i in below)
        layout = cls(span, depth // span, levels)
        return layout if layout._is_handy() else None

    def _is_handy(self) -> bool:
        """True when there are few choices, and coordinates of a tile's row begin on bytes."""
        sparse = [(n, level) for n, level in enumerate(self.levels) if not level.is_dense]
        if not sparse or math.prod(level.g for _, level in sparse) > MOST_CHOICES:
            return False
        return all(level.width <= 8 and self.entries(n) * level.width % 8 == 0 for n, level in sparse)

    def entries(self, n: int) -> int:
        """Positions of level ``n`` in a row of a tile."""
        return self.groups * math.prod(level.g for level in self.levels[: n + 1])

    def choices(self) -> itertools.product:
        """All choices of a slot per level; in dense levels the lane decides."""
        return itertools.product(*([None] if level.is_dense else range(level.g) for level in self.levels))

    def path(self, lane: int, slots: Sequence[int | None]) -> list[tuple[int, int]]:
        """Per level, the position that a lane looks at for a choice of slots, and its own coordinate there."""
        position, rest = divmod(lane, self.span)
        out = []
        for level, slot in zip(self.levels, slots):
            coordinate, rest = divmod(rest, level.div)
            position = position * level.g + (coordinate if slot is None else slot)
            out.append((position, coordinate))
        return out


def expand_by_vectors(rows: Rows, layout: GroupLayout) -> ir.Value:
    """All tiles of the rows, by vectors where rows are whole tiles, and else one element at a time."""
    tiles = rows.alloc()
    stored = b.mul(rows.storage.level_sizes[1], layout.span)
    whole = arith.cmpi(arith.CmpIPredicate.eq, b.value(stored), b.value(b.mul(rows.tiles, rows.unit.depth)))
    b.if_else(whole, lambda: _expand_rows(rows, layout, tiles), lambda: expand_elements(rows, tiles))
    return tiles


def _expand_rows(rows: Rows, layout: GroupLayout, tiles: ir.Value) -> None:
    count = b.minimum(rows.count, b.sub(rows.storage.level_sizes[0], rows.first))

    def tile(r: Index, t: Index) -> None:
        number = b.add(b.mul(b.add(rows.first, r), rows.tiles), t)
        where = [b.value(x) for x in (b.div(r, ROWS), t, b.mod(r, ROWS), 0)]
        vector.store(_tile_row(rows, layout, number), tiles, where)

    b.for_loop(0, count, lambda r: b.for_loop(0, rows.tiles, lambda t: tile(r, t)))
    b.for_loop(0, rows.tiles, lambda slot: clear(rows, tiles, slot, count))


def _tile_row(rows: Rows, layout: GroupLayout, number: Index) -> ir.Value:
    """Row ``number`` of all rows of tiles, as a vector."""
    depth, element = rows.unit.depth, rows.unit.element
    bits = ir.IntegerType.get_signless(32 // rows.unit.group)
    values = _load(rows.storage.values, number, layout.entries(len(layout.levels) - 1), bits)
    coordinates = {
        n: _load(
            rows.storage.metadata[level.number, "coordinates"],
            number,
            layout.entries(n) * level.width // 8,
            ir.IntegerType.get_signless(8),
        )
        for n, level in enumerate(layout.levels)
        if not level.is_dense
    }
    out = _constant([0] * depth, bits)
    for slots in layout.choices():
        paths = [layout.path(lane, slots) for lane in range(depth)]
        chosen = vector.shuffle(values, values, [path[-1][0] for path in paths])
        tests = [_is_own(layout.levels[n], [p[n] for p in paths], c) for n, c in coordinates.items()]
        out = arith.select(functools.reduce(arith.andi, tests), chosen, out)
    return out if bits == element else vector.bitcast(ir.VectorType.get([depth], element), out)


def _is_own(level: _Level, looks: list[tuple[int, int]], coordinates: ir.Value) -> ir.Value:
    """Per lane, whether the coordinate at the position it looks at is its own."""
    places = [divmod(position * level.width, 8) for position, _ in looks]
    i8 = ir.IntegerType.get_signless(8)
    packed = vector.shuffle(coordinates, coordinates, [byte for byte, _ in places])
    masks = _constant([(2**level.width - 1) << bit for _, bit in places], i8)
    own = _constant([coordinate << bit for (_, bit), (_, coordinate) in zip(places, looks)], i8)
    return arith.cmpi(arith.CmpIPredicate.eq, arith.andi(packed, masks), own)


def _load(buffer: ir.Value, number: Index, count: int, bits: ir.Type) -> ir.Value:
    """Piece ``number`` of a buffer cut into pieces of ``count`` elements, as integers."""
    type_ = ir.VectorType.get([count], buffer.type.element_type)
    loaded = vector.load(type_, buffer, [b.value(b.mul(number, count))])
    return loaded if type_.element_type == bits else vector.bitcast(ir.VectorType.get([count], bits), loaded)


def _constant(numbers: list[int], element: ir.Type) -> ir.Value:
    type_ = ir.VectorType.get([len(numbers)], element)
    attributes = [ir.IntegerAttr.get(element, n) for n in numbers]
    return arith.constant(type_, ir.DenseElementsAttr.get(attributes, type_))
