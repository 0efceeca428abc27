"""The source of the sparse body: 2:4 values and coordinates of a tile, straight from what a format stores.

Nothing is packed beforehand. Whole rows of ``nm(2:4)`` are stored as the hardware wants them and copied. Otherwise a
thread makes eight values and one halfword of coordinates at a time, four groups of 4 elements along k: it transposes
what is stored by groups (``V(16)C1(2:8)->C0(2:4)``), two rows at once. At most 2 of 8, 12, ... and 1 of 4 are packed
to 2 of 4 on the way, as VENOM does, with a zero at a place that is free. Groups that a row may lack
(``C1(3:4)->C0(2:4)``) are searched for among those that it has, and are zeros where it lacks them.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

from pith._mlir import arith, ir, memref, vector

from ... import builder as b
from ...builder import Index
from ...sparse import levels
from ..patterns.lists import as_i32, i32, word
from ..product.staging import Filler, Finish, Threads
from ..product.tiles import Axis, SharedTile, TileShape, all_of, is_below
from .pairs import (
    GROUP,
    GROUP_BITS,
    RowCopies,
    copies_rows,
    has_row_pairs,
    is_plain,
    only_where,
    position_above,
    row_pair,
    shifted,
    values_at,
)
from .sparse_mma import HALFWORD
from .stored import Stored
from .stream import end_of, place_of

#: Coordinates of four empty groups: 0 and 1 each. Equal ones are not defined.
_EMPTY = 0x4444


@dataclasses.dataclass(frozen=True)
class PackedSource:
    """A matrix whose format chooses at most 2 of every 4 elements (:attr:`Split.chosen`).

    Attributes:
        stored: the matrix.
        role: of its rows.
    """

    stored: Stored
    role: str

    def prepare(self, shapes: Sequence[TileShape], axes: Mapping[str, Axis], threads: Threads) -> Filler:
        rows, quads = shapes[0].extents[0], shapes[1].extents[1] // 2
        if self.stored.split.rows == 0 and copies_rows(self.stored, axes["k"]):
            copy = RowCopies(self.stored, rows, axes[self.role], threads)
            return Filler(copy.fill, asynchronous=True)
        some = 2 if has_row_pairs(self.stored) else 1
        # Neighbouring threads read neighbours in memory.
        by_rows = some == 1 and self.stored.split.rows == 0
        tasks = []
        for i, taken in threads.unrolled(rows // some * quads):
            row = b.div(i, quads) if by_rows else b.mod(i, rows // some)
            quad = b.mod(i, quads) if by_rows else b.div(i, rows // some)
            tasks.append((b.mul(row, some), quad, taken, axes[self.role].at(b.mul(row, some))))

        def fill(tiles: Sequence[SharedTile], k: Axis) -> Finish:
            loaded = [self._load(some, element, exists, quad, k) for _, quad, _, (element, exists) in tasks]

            def finish() -> None:
                for (row, quad, taken, _), parts in zip(tasks, loaded):
                    b.only_if(taken, lambda r=row, q=quad, p=parts: _store(tiles, r, q, p))

            return finish

        return Filler(fill, asynchronous=False)

    def _load(self, some: int, row: Index, exists: ir.Value | None, quad: Index, k: Axis) -> list[ir.Value]:
        """Eight values and a halfword of each of ``some`` rows: zeros where rows or groups do not exist."""
        values = ir.VectorType.get([HALFWORD // 2], self.stored.storage.values.type.element_type)
        i16 = ir.IntegerType.get_signless(16)
        first, listed = place_of(k, b.mul(quad, HALFWORD))
        present = all_of(exists, listed)

        def empty() -> list[ir.Value]:
            zero = b.zero_of(values.element_type)
            return [vector.broadcast(values, zero), arith.constant(i16, _EMPTY)] * some

        def read() -> list[ir.Value]:
            return row_pair(self.stored, row, first, k) if some == 2 else self._quad(row, first, k)

        return read() if present is None else b.if_else(present, read, empty, [values, i16] * some)

    def _quad(self, row: Index, first: Index, k: Axis) -> list[ir.Value]:
        parts = [self._group(row, first, j, k) for j in range(HALFWORD // GROUP)]
        halfword = functools.reduce(arith.ori, (shifted(p[1], GROUP_BITS * j) for j, p in enumerate(parts)))
        elements = [vector.extract(p[0], [], [e]) for p in parts for e in (0, 1)]
        type_ = ir.VectorType.get([len(elements)], elements[0].type)
        return [vector.from_elements(type_, elements), arith.trunci(ir.IntegerType.get_signless(16), halfword)]

    def _group(self, row: Index, first: Index, j: int, k: Axis) -> tuple[ir.Value, ir.Value]:
        """Two values and four bits of coordinates of group ``j``; zeros behind the end and where there is none."""
        place, inside = b.add(first, GROUP * j), None
        if j and self.stored.split.width % HALFWORD:
            inside, place = is_below(place, end_of(k)), b.minimum(place, b.sub(end_of(k), 1))
        position, present = position_above(self.stored, row, place, k)
        return only_where(all_of(inside, present), *self._pair(position, place), _EMPTY & 15)

    def _pair(self, position: Index, place: Index) -> tuple[ir.Value, ir.Value]:
        storage, split = self.stored.storage, self.stored.split
        level, last = split.format.levels[-1], len(split.format.levels) - 1
        if is_plain(self.stored):
            byte = memref.load(storage.metadata[last, "coordinates"], [b.value(b.div(position, 2))])
            bits = arith.shrui(arith.extui(i32(), byte), as_i32(b.mul(b.mod(position, 2), GROUP_BITS)))
            return values_at(self.stored, b.mul(position, 2), 2), arith.andi(bits, word(15))
        slots = [b.add(b.mul(position, level.g), s) for s in range(level.g)]
        coordinates = [as_i32(levels.load_coordinate(storage, last, s)) for s in slots]
        elements = [levels.load_value(storage, s) for s in slots]
        part = as_i32(b.mod(b.div(b.mod(place, split.width), GROUP), level.h // GROUP))
        return packed_pair(coordinates, elements, part)


def packed_pair(
    coordinates: Sequence[ir.Value], elements: Sequence[ir.Value], part: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """Values and coordinates as 2 of 4 of the stored elements (one or two, in order) that lie in group ``part``.

    One alone is first, and 3 is free for the zero behind it, unless that is where it is: then 0 is, before it.
    """
    two, zero = word(2), b.zero_of(elements[0].type)
    here = [arith.cmpi(arith.CmpIPredicate.eq, arith.shrui(c, two), part) for c in coordinates]
    inside = [arith.andi(c, word(3)) for c in coordinates]
    held = [arith.select(h, v, zero) for h, v in zip(here, elements)]
    one, value = inside[-1], held[-1]
    if len(elements) == 2:
        one, value = arith.select(here[0], inside[0], one), arith.select(here[0], held[0], value)
    last = arith.cmpi(arith.CmpIPredicate.eq, one, word(3))
    low, high = arith.select(last, zero, value), arith.select(last, value, zero)
    bits = arith.select(last, word(0b1100), arith.ori(one, word(0b1100)))
    if len(elements) == 2:
        both = arith.andi(*here)
        low, high = arith.select(both, held[0], low), arith.select(both, held[1], high)
        bits = arith.select(both, arith.ori(inside[0], arith.shli(inside[1], two)), bits)
    return vector.from_elements(ir.VectorType.get([2], zero.type), [low, high]), bits


def _store(tiles: Sequence[SharedTile], row: Index, quad: Index, parts: Sequence[ir.Value]) -> None:
    i8 = ir.VectorType.get([2], ir.IntegerType.get_signless(8))
    for i, (values, halfword) in enumerate(zip(parts[::2], parts[1::2])):
        tiles[0].store_vector(values, b.add(row, i), b.mul(quad, HALFWORD // 2))
        single = vector.broadcast(ir.VectorType.get([1], halfword.type), halfword)
        tiles[1].store_vector(vector.bitcast(i8, single), b.add(row, i), b.mul(quad, 2))
