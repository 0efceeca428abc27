"""Expansion of groups by vectors: a row of a tile at a time, without a loop over its elements.

A row of a tile covers whole groups, so where its values and coordinates begin is a multiple of a
constant, and what each lane may hold is known now: one value per choice of slots, and it holds it when
the coordinates of those slots are the lane's own. Per choice that is a shuffle of the values, and per
level a shuffle of the bytes of coordinates, an ``and`` and a comparison with constants.
"""

import functools

from pith._mlir import arith, ir, vector

from .. import builder as b
from ..builder import Index
from .expand import Rows, clear, expand_elements
from .groups import GroupLayout, GroupLevel


def expand_by_vectors(rows: Rows, layout: GroupLayout) -> ir.Value:
    """All tiles of the rows, by vectors where rows are whole tiles, and else one element at a time."""
    tiles = rows.alloc()
    stored = b.mul(rows.storage.level_sizes[1], layout.span)
    whole = arith.cmpi(arith.CmpIPredicate.eq, b.value(stored), b.value(b.mul(rows.tiles, layout.pitch)))
    b.if_else(whole, lambda: _expand_rows(rows, layout, tiles), lambda: expand_elements(rows, tiles))
    return tiles


def _expand_rows(rows: Rows, layout: GroupLayout, tiles: ir.Value) -> None:
    count = b.minimum(rows.count, b.sub(rows.storage.level_sizes[0], rows.first))

    def tile(r: Index, t: Index) -> None:
        number = b.add(b.mul(b.add(rows.first, r), rows.tiles), t)
        vector.store(_tile_row(rows, layout, number), tiles, rows.place(r, t, 0))

    b.for_loop(0, count, lambda r: b.for_loop(0, rows.tiles, lambda t: tile(r, t)))
    b.for_loop(0, rows.tiles, lambda slot: clear(rows, tiles, slot, count))


def _tile_row(rows: Rows, layout: GroupLayout, number: Index) -> ir.Value:
    """Row ``number`` of all rows of tiles, as a vector."""
    depth = rows.unit.depth
    bits = ir.IntegerType.get_signless(b.bits_of(rows.unit.stored))
    values = _load(rows.storage.values, number, layout.entries(len(layout.levels) - 1), bits)
    coordinates = {
        n: _load_bits(rows.storage.metadata[level.number, "coordinates"], number, layout.entries(n) * level.width)
        for n, level in enumerate(layout.levels)
        if not level.is_dense
    }
    out = b.integers([0] * depth, bits)
    for slots in layout.choices():
        paths = [layout.path(lane, slots) for lane in range(layout.pitch)]
        chosen = vector.shuffle(values, values, _padded([path[-1][0] for path in paths], depth))
        tests = [_is_own(layout.levels[n], [p[n] for p in paths], c, depth) for n, c in coordinates.items()]
        out = arith.select(functools.reduce(arith.andi, tests), chosen, out)
    stored = out if bits == rows.unit.stored else vector.bitcast(ir.VectorType.get([depth], rows.unit.stored), out)
    return rows.unit.widened(stored)


def _is_own(level: GroupLevel, looks: list[tuple[int, int]], coordinates: ir.Value, depth: int) -> ir.Value:
    """Per lane, whether the coordinate at the position it looks at is its own; never beyond the pitch."""
    places = [divmod(position * level.width, 8) for position, _ in looks]
    i8 = ir.IntegerType.get_signless(8)
    packed = vector.shuffle(coordinates, coordinates, _padded([byte for byte, _ in places], depth))
    masks = b.integers(_padded([(2**level.width - 1) << bit for _, bit in places], depth), i8)
    own = [coordinate << bit for (_, bit), (_, coordinate) in zip(places, looks)]
    return arith.cmpi(arith.CmpIPredicate.eq, arith.andi(packed, masks), b.integers(_padded(own, depth, fill=1), i8))


def _padded(numbers: list[int], depth: int, fill: int = 0) -> list[int]:
    return numbers + [fill] * (depth - len(numbers))


def _load_bits(buffer: ir.Value, number: Index, bits: int) -> ir.Value:
    """Piece ``number`` of a bit string cut into pieces of ``bits``, as bytes from the piece's first bit on."""
    i8 = ir.IntegerType.get_signless(8)
    if bits % 8 == 0:
        return _load(buffer, number, bits // 8, i8)
    first = b.mul(number, bits)
    byte = vector.load(ir.VectorType.get([1], i8), buffer, [b.value(b.div(first, 8))])
    shift = arith.trunci(i8, arith.index_cast(ir.IntegerType.get_signless(32), b.value(b.mod(first, 8))))
    return arith.shrui(byte, vector.broadcast(byte.type, shift))


def _load(buffer: ir.Value, number: Index, count: int, bits: ir.Type) -> ir.Value:
    """Piece ``number`` of a buffer cut into pieces of ``count`` elements, as integers."""
    type_ = ir.VectorType.get([count], buffer.type.element_type)
    loaded = vector.load(type_, buffer, [b.value(b.mul(number, count))])
    return loaded if type_.element_type == bits else vector.bitcast(ir.VectorType.get([count], bits), loaded)
