"""Groups that ``nm(2:4)`` levels store, read in pieces: rows by asynchronous copies, or two rows of a block at once."""

import functools
from collections.abc import Sequence

from pith._mlir import arith, ir, memref, vector

from ... import builder as b
from ...builder import Index
from ..patterns.lists import i32, word
from ..product.staging import Threads, async_copy
from ..product.tiles import Axis, SharedTile, all_of, is_below, pick
from .sparse_mma import BYTE, COORDINATES, HALFWORD
from .stored import Stored
from .stream import end_of, first_of

#: Elements along k of a 2:4 group, and bits of its coordinates.
GROUP, GROUP_BITS = 4, 4


def is_plain(stored: Stored) -> bool:
    """Whether groups are 2 of 4 with coordinates of 2 bits: four of them are a halfword as the hardware wants it."""
    fmt = stored.split.format
    last = len(fmt.levels) - 1
    return (fmt.levels[last].g, fmt.levels[last].h, fmt.coord_bits(last)) == (2, GROUP, 2)


def copies_rows(stored: Stored, k: Axis) -> bool:
    """Whether rows of values and coordinates are copied: 64 elements along k follow each other, and k is whole."""
    whole = isinstance(k.size, int) and k.size % COORDINATES == 0
    return (
        is_plain(stored)
        and whole
        and stored.run(stored.split.depth, len(stored.split.format.levels) - 1) % COORDINATES == 0
    )


def has_row_pairs(stored: Stored) -> bool:
    """Whether groups of two rows at the same place follow each other: one byte holds the coordinates of both."""
    return is_plain(stored) and stored.run(stored.split.row, len(stored.split.format.levels) - 1) % 2 == 0


def position_above(stored: Stored, row: Index, place: Index, k: Axis) -> tuple[Index, ir.Value | None]:
    """(position above the chosen level, whether it exists; None: it does) of what a row has at ``place`` along k."""
    split = stored.split
    cursor = stored.entry(row, b.div(place, split.width), first_of(k), lookup=False)
    return stored.below(cursor, row, b.mod(place, split.width), len(split.format.levels) - 1)


def values_at(stored: Stored, position: Index, lanes: int) -> ir.Value:
    """``lanes`` values from a multiple of ``lanes`` on."""
    element = stored.storage.values.type.element_type
    type_ = ir.VectorType.get([lanes], element)
    return vector.load(type_, stored.storage.values, [b.value(position)], alignment=lanes * element.width // 8)


class RowCopies:
    """Asynchronous copies of rows: eight values, and the 8 bytes of coordinates of 64 elements, at a time."""

    def __init__(self, stored: Stored, rows: int, axis: Axis, threads: Threads):
        self.stored, self.rows, self.axis, self.threads = stored, rows, axis, threads

    def fill(self, tiles: Sequence[SharedTile], k: Axis) -> None:
        """Fill both tiles with what lies at ``k``, which exists. Rows that do not have the coordinates of row 0."""
        values, coordinates = tiles
        self._each(values.shape.extents[1] // 8, lambda row, i: self._values(values, row, i, k))
        self._each(coordinates.shape.extents[1] // BYTE, lambda row, i: self._coordinates(coordinates, row, i, k))

    def _each(self, pieces: int, copy) -> None:
        for i, taken in self.threads.unrolled(self.rows * pieces):
            b.only_if(taken, lambda i=i: copy(b.div(i, pieces), b.mod(i, pieces)))

    def _position(self, row: Index, along: Index, k: Axis) -> tuple[Index, ir.Value | None]:
        element, exists = self.axis.at(row)
        position, _ = position_above(self.stored, pick(exists, element, 0), b.add(k.base, along), k)
        return position, exists

    def _values(self, tile: SharedTile, row: Index, i: Index, k: Axis) -> None:
        position, exists = self._position(row, b.mul(i, HALFWORD), k)
        source = [b.value(b.mul(position, 2))]
        async_copy(tile, row, b.mul(i, 8), self.stored.storage.values, source, 8, pick(exists, 8, 0))

    def _coordinates(self, tile: SharedTile, row: Index, i: Index, k: Axis) -> None:
        position, _ = self._position(row, b.mul(i, COORDINATES), k)
        buffer = self.stored.storage.metadata[len(self.stored.split.format.levels) - 1, "coordinates"]
        async_copy(tile, row, b.mul(i, BYTE), buffer, [b.value(b.div(position, 2))], BYTE, BYTE)


def row_pair(stored: Stored, row: Index, first: Index, k: Axis) -> list[ir.Value]:
    """Eight values and a halfword of coordinates of row ``row``, which is even, then those of the next row."""
    split = stored.split
    buffer = stored.storage.metadata[len(split.format.levels) - 1, "coordinates"]
    pieces, held = [], []
    for j in range(HALFWORD // GROUP):
        place, inside = b.add(first, GROUP * j), None
        if j and split.width % HALFWORD:
            inside, place = is_below(place, end_of(k)), b.minimum(place, b.sub(end_of(k), 1))
        position, present = position_above(stored, row, place, k)
        byte = arith.extui(i32(), memref.load(buffer, [b.value(b.div(position, 2))]))
        piece, both = only_where(all_of(inside, present), values_at(stored, b.mul(position, 2), 4), byte, 0x44)
        pieces.append(piece)
        held.append(both)
    joined = functools.reduce(arith.ori, (shifted(x, 8 * j) for j, x in enumerate(held)))
    out = []
    for i in (0, 1):
        elements = [vector.extract(p, [], [2 * i + e]) for p in pieces for e in (0, 1)]
        out.append(vector.from_elements(ir.VectorType.get([8], elements[0].type), elements))
        out.append(_even_nibbles(joined if i == 0 else arith.shrui(joined, word(GROUP_BITS))))
    return out


def only_where(
    present: ir.Value | None, values: ir.Value, coordinates: ir.Value, otherwise: int
) -> tuple[ir.Value, ir.Value]:
    """Values and coordinates of what is there; else zeros and ``otherwise``."""
    if present is None:
        return values, coordinates
    zero = vector.broadcast(values.type, b.zero_of(values.type.element_type))
    return arith.select(present, values, zero), arith.select(present, coordinates, word(otherwise))


def _even_nibbles(octets: ir.Value) -> ir.Value:
    """The low halves of four bytes, next to each other."""
    x = arith.andi(octets, word(0x0F0F0F0F))
    x = arith.andi(arith.ori(x, arith.shrui(x, word(4))), word(0x00FF00FF))
    return arith.trunci(ir.IntegerType.get_signless(16), arith.ori(x, arith.shrui(x, word(8))))


def shifted(x: ir.Value, bits: int) -> ir.Value:
    """``x`` some bits further up."""
    return arith.shli(x, word(bits)) if bits else x
