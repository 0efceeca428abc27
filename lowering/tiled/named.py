"""Rows that share their coordinates, listed for dot instructions: dwords of values, and the names of panel rows.

For ``height`` rows that store the same coordinates, ``k0, k1, ...``, and dwords of ``group`` elements::

    tiles[q][r]  = values of row r at k(group q), k(group q + 1), ...       zeros behind the last
    names[q][g]  = k(group q + g)                                           row 0 behind the last

Nothing is dense here but the dword: a tile is made of coordinates that are neighbours in the list. Values are turned
by vectors, coordinates of groups decoded by vectors; both serve all columns of a task. Per coordinate that is about a
cycle, where multiplying takes one to three for every panel (Emerald Rapids, 2026-11).
"""

import dataclasses
import math

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..panel.stored.widen import first_value
from ..sparse.levels import Cursor, Storage, descend, start, walk
from .expand import Rows as TaskRows
from .groups import GroupLevel
from .named_unit import NamedRows, NamedUnit
from .source import Step

#: Coordinates of one vector.
LANES = 16


@dataclasses.dataclass(frozen=True)
class Listed:
    """Memory for what a task's rows list.

    Attributes:
        height: rows that share their coordinates.
        tiles: ``(dwords, height, group)``; those of rows that share begin at whole vectors.
        names: contracted coordinates, ``group`` per dword.
        spans: ``(blocks of rows, 2)``: where the dwords of each begin and end.
        offsets: what the sums of rows start from, where that is not zero.
    """

    rows: TaskRows
    unit: NamedUnit
    height: int
    tiles: ir.Value
    names: ir.Value
    spans: ir.Value
    offsets: ir.Value | None

    @property
    def storage(self) -> Storage:
        """The sparse operand."""
        return self.rows.storage

    @property
    def together(self) -> int:
        """Dwords of each row that fill a vector."""
        return max(1, self.unit.lanes // self.height)

    def entries(self, block: Index) -> Index:
        """How many coordinates the blocks before ``block`` have."""
        return b.div(first_value(self.storage, 1, block), self.height)


def list_rows(rows: TaskRows, unit: NamedUnit) -> Listed:
    """List the rows of a task."""
    height = rows.storage.format.exprs[0].div
    lo, most = b.div(rows.first, height), rows.count // height
    hi = b.minimum(b.add(lo, most), rows.storage.level_sizes[0])
    i32, index = ir.IntegerType.get_signless(32), ir.IndexType.get()
    empty = b.alloc([1], i32)
    out = Listed(rows, unit, height, empty, empty, empty, None)
    entries = b.sub(out.entries(hi), out.entries(lo))
    dwords = b.add(b.ceildiv(entries, unit.group), most * out.together)
    offsets = b.alloc([most * height], unit.acc) if unit.takes_offsets else None
    out = dataclasses.replace(
        out,
        tiles=b.alloc([dwords, height, unit.group], unit.element),
        names=b.alloc([b.add(b.mul(dwords, unit.group), LANES)], i32),
        spans=b.alloc([most, 2], index),
        offsets=offsets,
    )
    b.for_loop(lo, hi, lambda block, at: _list_block(out, block, b.sub(block, lo), at), [b.value(0)])
    return out


def _list_block(out: Listed, block: Index, number: Index, first: ir.Value) -> list[ir.Value]:
    """List one block of rows, dwords from ``first`` on; returns where those of the next begin."""
    group, position = out.unit.group, out.entries(block)
    count = b.sub(out.entries(b.add(block, 1)), position)
    end = b.add(first, b.ceildiv(count, group))
    for i, x in enumerate((first, end)):
        memref.store(b.value(x), out.spans, [b.value(number), b.value(i)])
    _turn(out, b.mul(position, out.height), first, count)
    _name(out, block, b.mul(first, group))
    names = vector.broadcast(
        ir.VectorType.get([group], out.names.type.element_type), b.zero_of(out.names.type.element_type)
    )
    vector.store(names, out.names, [b.value(b.add(b.mul(first, group), count))])
    vectors = b.ceildiv(count, group * out.together)
    if out.offsets is not None:
        _add_up(out, first, vectors, b.mul(number, out.height))
    return [b.value(b.add(first, b.mul(vectors, out.together)))]


def _turn(out: Listed, position: Index, first: Index, count: Index) -> None:
    """Values from ``position`` on, stored coordinate by coordinate, as dwords of rows."""
    group, height, unit = out.unit.group, out.height, out.unit

    def turn(entry: Index, dwords: int) -> None:
        size = dwords * group * height
        loaded = vector.load(
            ir.VectorType.get([size], unit.stored), out.storage.values, [b.value(b.add(position, b.mul(entry, height)))]
        )
        order = [(q * group + g) * height + r for q in range(dwords) for r in range(height) for g in range(group)]
        _store(out, b.add(first, b.div(entry, group)), unit.widened(vector.shuffle(loaded, loaded, order)))

    def one(entry: Index, row: Index) -> None:
        at = [b.value(b.add(b.add(position, b.mul(entry, height)), row))]
        where = [b.value(b.add(first, b.div(entry, group))), b.value(row), b.value(b.mod(entry, group))]
        memref.store(unit.widened(memref.load(out.storage.values, at)), out.tiles, where)

    wide = group * out.together
    whole, whole_dwords = (b.mul(b.div(count, n), n) for n in (wide, group))
    zero = vector.broadcast(ir.VectorType.get([wide * height], unit.element), b.zero_of(unit.element))
    b.for_loop(0, whole, lambda e: turn(e, out.together), step=wide, rolled=True)
    b.only_if(b.less(whole, count), lambda: _store(out, b.add(first, b.div(whole, group)), zero))
    if out.together > 1:
        b.for_loop(whole, whole_dwords, lambda e: turn(e, 1), step=group, rolled=True)
    b.for_loop(
        whole_dwords, count, lambda e: b.for_loop(0, height, lambda r: one(e, r), rolled=True) and None, rolled=True
    )


def _store(out: Listed, dword: Index, values: ir.Value) -> None:
    """Write whole dwords of all rows."""
    flat = _flat(out.tiles)
    vector.store(values, flat, [b.value(b.mul(dword, out.height * out.unit.group))])


def _flat(tiles: ir.Value) -> ir.Value:
    type_ = ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], tiles.type.element_type)
    return memref.collapse_shape(type_, tiles, [[0, 1, 2]])


def _add_up(out: Listed, first: Index, vectors: Index, row: Index) -> None:
    """The offsets of the rows of a block, from ``row`` on."""
    unit, height = out.unit, out.height
    lanes = height * out.together
    sums = ir.VectorType.get([lanes], unit.acc)
    type_ = ir.VectorType.get([lanes * unit.group], unit.element)

    def add(v: Index, total: ir.Value) -> list[ir.Value]:
        at = b.mul(b.add(first, b.mul(v, out.together)), height * unit.group)
        return [unit.add_offset(total, vector.load(type_, _flat(out.tiles), [b.value(at)]))]

    (total,) = b.for_loop(0, vectors, add, [vector.broadcast(sums, b.zero_of(unit.acc))])
    while lanes > height:
        lanes //= 2
        halves = [vector.shuffle(total, total, list(range(at, at + lanes))) for at in (0, lanes)]
        total = arith.addi(*halves)
    vector.store(arith.subi(vector.broadcast(total.type, b.zero_of(unit.acc)), total), out.offsets, [b.value(row)])


def _name(out: Listed, block: Index, first: Index) -> None:
    """The coordinates of a block of rows, from name ``first`` on."""
    storage, red = out.storage, 1 - out.rows.row_dim
    top = descend(storage, start(storage.format), block, block)
    last = len(storage.format.levels) - 1

    def leaf(at: Cursor, inner: list[ir.Value]) -> list[ir.Value]:
        (where,) = inner
        memref.store(arith.index_castui(out.names.type.element_type, b.value(at.coords[red])), out.names, [where])
        return [b.value(b.add(where, 1))]

    decoder = Decoder.of(storage)
    if decoder is None:
        walk(storage, top, leaf, [b.value(first)], until=last)
        return
    groups = storage.level_sizes[1]
    base, period = b.mul(block, groups), decoder.period
    before = b.minimum(b.mod(b.sub(period, b.mod(base, period)), period), groups)
    whole = b.add(before, b.mul(b.div(b.sub(groups, before), decoder.groups), decoder.groups))

    def some(c: Index, where: ir.Value) -> list[ir.Value]:
        vector.store(decoder.coordinates(b.add(base, c), c), out.names, [where])
        return [b.value(b.add(where, decoder.entries(-1)))]

    def one(c: Index, where: ir.Value) -> list[ir.Value]:
        return walk(storage, descend(storage, top, b.add(base, c), c), leaf, [where], until=last)

    where = b.for_loop(0, before, one, [b.value(first)], rolled=True)
    where = b.for_loop(before, whole, some, where, step=decoder.groups)
    b.for_loop(whole, groups, one, where, rolled=True)


@dataclasses.dataclass(frozen=True)
class Decoder:
    """Coordinates of several groups of ``nm`` levels at once, one per lane.

    Attributes:
        groups: whole groups that a vector has lanes for, a multiple of ``period``.
        period: groups whose coordinates are whole bytes.
        span: contracted coordinates of a group.
    """

    storage: Storage
    levels: tuple[GroupLevel, ...]
    groups: int
    period: int
    span: int

    @classmethod
    def of(cls, storage: Storage) -> "Decoder | None":
        """The decoder of a format; None where its levels are no groups, or too large ones."""
        fmt = storage.format
        inner = range(2, len(fmt.levels) - 1)
        if not inner or not fmt.levels[1].is_dense or any(fmt.levels[i].kind != "nm" for i in inner):
            return None
        levels = tuple(
            GroupLevel(i, fmt.levels[i].g, fmt.levels[i].h, fmt.exprs[i].div, fmt.coord_bits(i)) for i in inner
        )
        one = cls(storage, levels, 1, 1, fmt.exprs[1].div)
        bits = [one.entries(n) * level.width for n, level in enumerate(levels) if not level.is_dense]
        period = math.lcm(*(8 // math.gcd(8, n) for n in bits))
        groups = LANES // (one.entries(-1) * period) * period
        return dataclasses.replace(one, groups=groups, period=period) if groups else None

    def entries(self, n: int) -> int:
        """Positions of level ``n`` in a vector's groups."""
        return self.groups * math.prod(level.g for level in self.levels[: n % len(self.levels) + 1])

    def coordinates(self, group: Index, first: Index) -> ir.Value:
        """Contracted coordinates of the groups from number ``group`` on, the first of which is its row's ``first``."""
        i32, count = ir.IntegerType.get_signless(32), self.entries(-1)
        lanes = [min(lane, count - 1) for lane in range(LANES)]
        total = b.integers([lane * self.groups // count * self.span for lane in lanes], i32)
        start_ = arith.index_castui(i32, b.value(b.mul(first, self.span)))
        total = arith.addi(total, vector.broadcast(total.type, start_))
        for n, level in enumerate(self.levels):
            at = [lane * self.entries(n) // count for lane in lanes]
            if level.is_dense:
                own = b.integers([p % level.g * level.div for p in at], i32)
            else:
                own = arith.muli(self._own(level, n, group, at), b.integers([level.div] * LANES, i32))
            total = arith.addi(total, own)
        return total

    def _own(self, level: GroupLevel, n: int, group: Index, at: list[int]) -> ir.Value:
        """Per lane, the coordinate number ``at`` of those of a level."""
        i32 = ir.IntegerType.get_signless(32)
        buffer, per_group = self.storage.metadata[level.number, "coordinates"], self.entries(n) // self.groups
        wide = level.width > 8
        size = self.entries(n) if wide else self.entries(n) * level.width // 8
        first = b.mul(group, per_group) if wide else b.div(b.mul(group, per_group * level.width), 8)
        loaded = vector.load(ir.VectorType.get([size], buffer.type.element_type), buffer, [b.value(first)])
        places = [(p, 0) if wide else divmod(p * level.width, 8) for p in at]
        picked = vector.shuffle(loaded, loaded, [place for place, _ in places])
        word = picked if picked.type.element_type == i32 else arith.extui(ir.VectorType.get([LANES], i32), picked)
        if level.width >= 8:
            return word
        word = arith.shrui(word, b.integers([bit for _, bit in places], i32))
        return arith.andi(word, b.integers([2**level.width - 1] * LANES, i32))


@dataclasses.dataclass(frozen=True)
class Named:
    """The dwords of a task's rows, and the panel rows that each is multiplied with: a :class:`.source.TileSource`."""

    unit: NamedUnit
    listed: Listed

    def steps(self, first: Index, step: Step, sums: list[ir.Value]) -> list[ir.Value]:
        """See :class:`.source.TileSource`."""
        height, spans = self.listed.height, self.listed.spans
        row = b.mul(first, self.unit.rows)
        block = b.value(b.div(row, height))
        within = b.value(b.sub(row, b.mul(block, height)))
        lo, hi = (memref.load(spans, [block, b.value(i)]) for i in range(2))

        def at(dword: Index, *inner: ir.Value) -> list[ir.Value]:
            place = b.value(dword)
            rows = NamedRows(self.listed.tiles, (place, within, b.value(0)), None, self.listed.names)
            return step(lambda r: rows, place, list(inner))

        return b.for_loop(lo, hi, at, sums)
