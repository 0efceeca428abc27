"""The source of unstructured weights: load sparse, compute dense.

A tile is cleared, then what the format lists inside of it is scattered to its place: lists of coordinates
(``compressed``) and bitmaps, below dense levels, with blocks or groups below them. Several threads share a list, each
takes every J-th entry. Along k lists are read once: a thread remembers where it stopped. Other lists are searched, as
every step meets new ones.

Source: Xia et al., Flash-LLM, VLDB 2023 (load as sparse, compute as dense).
"""

import dataclasses
from collections.abc import Mapping, Sequence

from pith._mlir import arith, ir, memref
from pith._mlir import math as math_dialect
from pith.formats import Format

from ... import builder as b
from ...builder import Index
from ...sparse import levels
from ..patterns.lists import as_index, i32, word
from ..product.encoded import descend_static, digits_of, slots_of, store_inside, window_of
from ..product.staging import Filler, Threads
from ..product.tiles import Axis, SharedTile, TileShape, all_of, is_below

_LISTS = ("compressed", "loose_compressed", "bitmask")
#: Threads that share one list, at most: more would find nothing in a tile of 64 elements that are 10 % full.
_SHARE = 8


def list_level(fmt: Format) -> int | None:
    """The one level of ``fmt`` that is a list or a bitmap, below dense ones and above static ones; None without it."""
    at = [i for i, level in enumerate(fmt.levels) if not level.is_static]
    if fmt.diagonal is not None or len(at) != 1 or fmt.levels[at[0]].kind not in _LISTS:
        return None
    before = fmt.levels[: at[0]]
    return at[0] if all(level.is_dense for level in before) and fmt.levels[at[0]].unique else None


@dataclasses.dataclass(frozen=True)
class ScannedSource:
    """A matrix with one level that is a list or a bitmap (:func:`list_level`)."""

    storage: levels.Storage
    roles: tuple[str, ...]

    def prepare(self, shapes: Sequence[TileShape], axes: Mapping[str, Axis], threads: Threads) -> Filler:
        scan = _Scan(self, axes, threads)
        return Filler(scan.fill, asynchronous=False, needs_clearing=True)


class _Scan:
    """What the steps share: which lists are this thread's, and where it stopped in each."""

    def __init__(self, source: ScannedSource, axes: Mapping[str, Axis], threads: Threads):
        self.source, self.axes = source, dict(axes)
        self.fmt, self.at = source.storage.format, list_level(source.storage.format) or 0
        expr = self.fmt.exprs[self.at]
        self.role = source.roles[expr.dim]
        slots = [slots_of(self.fmt, i, self._extents()) for i in range(self.at)]
        lists = int(b.product(slots))
        self.share = max(s for s in (1, 2, 4, _SHARE) if s == 1 or s * lists <= threads.count)
        self.lists = [
            (digits_of(b.div(i, self.share), slots), b.mod(i, self.share), taken)
            for i, taken in threads.unrolled(lists * self.share)
        ]
        extent = axes[self.role].extent
        # A list along k that no entry of crosses from tile to tile is read from where the step before stopped.
        resumes = self.role == "k" and extent % expr.div == 0 and not expr.mod and self._resumes()
        self.cursors = [self._first(i) for i in range(len(self.lists))] if resumes else None

    def _extents(self) -> list[int]:
        return [self.axes[role].extent for role in self.source.roles]

    def _resumes(self) -> bool:
        """Whether the lists are the same at every step, and in order."""
        above = {self.source.roles[e.dim] for e in self.fmt.exprs[: self.at]}
        return "k" not in above and self.fmt.levels[self.at].ordered

    def fill(self, tiles: Sequence[SharedTile], k: Axis) -> None:
        for number, (_, _, taken) in enumerate(self.lists):
            b.only_if(taken, lambda n=number: self._scan(n, tiles[0], {**self.axes, "k": k}))

    def _parent(self, number: int, axes: Mapping[str, Axis]) -> tuple[levels.Cursor, ir.Value | None]:
        """The cursor above list ``number``, and whether it exists."""
        storage = self.source.storage
        bases = [axes[role].base for role in self.source.roles]
        digits = window_of(self.fmt, self.lists[number][0], bases)
        inside = [
            is_below(digit, storage.level_sizes[i]) for i, digit in enumerate(digits) if not self.fmt.exprs[i].mod
        ]
        cursor = levels.start(self.fmt)
        for digit in digits:
            cursor = descend_static(storage, cursor, digit)
        return cursor, all_of(*inside)

    def _first(self, number: int) -> ir.Value:
        """Where this thread is in list ``number``: a variable, which LLVM keeps in a register."""
        variable = memref.alloca(ir.MemRefType.get([1], ir.IndexType.get()), [], [])
        cursor, exists = self._parent(number, self.axes)

        def begin() -> list[ir.Value]:
            first = self._bounds(cursor)[0]
            shared = self.fmt.levels[self.at].kind == "bitmask"
            return [b.value(first if shared else b.add(first, self.lists[number][1]))]

        start = begin() if exists is None else b.if_else(exists, begin, lambda: [b.value(0)], [ir.IndexType.get()])
        memref.store(start[0], variable, [b.value(0)])
        return variable

    def _bounds(self, cursor: levels.Cursor) -> tuple[Index, Index]:
        """Positions of the entries below ``cursor``: first and end."""
        positions = self.source.storage.metadata[self.at, "positions"]
        loose = self.fmt.levels[self.at].kind == "loose_compressed"
        first = b.mul(cursor.position, 2 if loose else 1)
        return b.load_index(positions, first), b.load_index(positions, b.add(first, 1))

    def _scan(self, number: int, tile: SharedTile, axes: Mapping[str, Axis]) -> None:
        cursor, exists = self._parent(number, axes)
        bits = self.fmt.levels[self.at].kind == "bitmask"
        visit = self._visit_bits if bits else self._visit_list
        b.only_if(exists, lambda: visit(number, cursor, tile, axes))

    def _window(self, cursor: levels.Cursor, axes: Mapping[str, Axis]) -> tuple[Index, Index]:
        """Coordinates of the list's level that may lie in the tile: first and end."""
        expr = self.fmt.exprs[self.at]
        axis = axes[self.role]
        if expr.mod:
            return 0, expr.mod
        size = self.source.storage.level_sizes[self.at]
        end = b.ceildiv(b.add(axis.base, axis.extent), expr.div)
        return b.minimum(b.div(axis.base, expr.div), size), b.minimum(end, size)

    def _visit_list(self, number: int, cursor: levels.Cursor, tile: SharedTile, axes: Mapping[str, Axis]) -> None:
        storage, ordered = self.source.storage, self.fmt.levels[self.at].ordered
        low, high = self._window(cursor, axes)
        first, end = self._bounds(cursor)
        if self.cursors is not None:
            first = memref.load(self.cursors[number], [b.value(0)])
        elif ordered:
            first = b.add(self._lower_bound(first, end, low), self.lists[number][1])
        else:
            first = b.add(first, self.lists[number][1])

        def goes_on(q: ir.Value) -> ir.Value:
            i1 = ir.IntegerType.get_signless(1)
            inside = is_below(q, end)
            if not ordered:
                return inside

            def in_tile() -> list[ir.Value]:
                return [is_below(levels.load_coordinate(storage, self.at, q), high)]

            return b.if_else(inside, in_tile, lambda: [arith.constant(i1, 0)], [i1])[0]

        def visit(q: ir.Value) -> list[ir.Value]:
            coordinate = levels.load_coordinate(storage, self.at, q)
            self._scatter(levels.descend(storage, cursor, q, coordinate), tile, axes)
            return [b.value(b.add(q, self.share))]

        (stopped,) = b.while_loop([b.value(first)], goes_on, visit)
        if self.cursors is not None:
            memref.store(stopped, self.cursors[number], [b.value(0)])

    def _lower_bound(self, first: Index, end: Index, low: Index) -> Index:
        """The first position whose coordinate is not below ``low``."""

        def halve(lo: ir.Value, hi: ir.Value) -> list[ir.Value]:
            middle = b.value(b.div(b.add(lo, hi), 2))
            before = is_below(levels.load_coordinate(self.source.storage, self.at, middle), low)
            return [arith.select(before, b.value(b.add(middle, 1)), lo), arith.select(before, hi, middle)]

        return b.while_loop([b.value(first), b.value(end)], is_below, halve)[0]

    def _visit_bits(self, number: int, cursor: levels.Cursor, tile: SharedTile, axes: Mapping[str, Axis]) -> None:
        storage = self.source.storage
        low, high = self._window(cursor, axes)
        words, size = storage.metadata[self.at, "bits"], storage.level_sizes[self.at]
        base = b.mul(cursor.position, b.ceildiv(size, 8))

        def held(byte: Index) -> ir.Value:
            """The bits of a byte that lie in the window."""
            from_low = _mask(b.sub(low, b.mul(byte, 8)))
            below_high = _mask(b.sub(high, b.mul(byte, 8)))
            inside = arith.andi(below_high, arith.xori(from_low, word(255)))
            return arith.andi(arith.extui(i32(), memref.load(words, [b.value(b.add(base, byte))])), inside)

        if self.cursors is not None:
            rank = memref.load(self.cursors[number], [b.value(0)])
        else:
            rank = self._rank(cursor, low, lambda byte: memref.load(words, [b.value(b.add(base, byte))]))

        def visit(byte: Index, before: ir.Value) -> list[ir.Value]:
            bits = held(byte)
            mine = arith.cmpi(arith.CmpIPredicate.eq, b.value(b.mod(byte, self.share)), b.value(self.lists[number][1]))
            b.if_else(mine, lambda: self._scatter_bits(bits, byte, before, cursor, tile, axes))
            return [b.value(b.add(before, as_index(math_dialect.ctpop(bits))))]

        (stopped,) = b.for_loop(b.div(low, 8), b.ceildiv(high, 8), visit, [b.value(rank)])
        if self.cursors is not None:
            memref.store(stopped, self.cursors[number], [b.value(0)])

    def _rank(self, cursor: levels.Cursor, low: Index, load) -> Index:
        """Position of the first entry that is not below ``low``."""

        def count(byte: Index, before: ir.Value) -> list[ir.Value]:
            below = arith.andi(arith.extui(i32(), load(byte)), _mask(b.sub(low, b.mul(byte, 8))))
            return [b.value(b.add(before, as_index(math_dialect.ctpop(below))))]

        return b.for_loop(0, b.ceildiv(low, 8), count, [b.value(self._bounds(cursor)[0])])[0]

    def _scatter_bits(
        self, bits: ir.Value, byte: Index, before: ir.Value, cursor: levels.Cursor, tile: SharedTile, axes
    ) -> None:
        for bit in range(8):
            present = arith.cmpi(arith.CmpIPredicate.ne, arith.andi(bits, word(1 << bit)), word(0))
            below = math_dialect.ctpop(arith.andi(bits, word((1 << bit) - 1)))
            position = b.add(before, as_index(below))
            entry = levels.descend(self.source.storage, cursor, position, b.add(b.mul(byte, 8), bit))
            b.if_else(present, lambda e=entry: self._scatter(e, tile, axes))

    def _scatter(self, cursor: levels.Cursor, tile: SharedTile, axes: Mapping[str, Axis]) -> None:
        """Store everything below an entry that lies in the tile."""
        storage = self.source.storage
        below = range(self.at + 1, len(self.fmt.levels))
        slots = [slots_of(self.fmt, i, self._extents()) for i in below]

        def one(i: Index) -> None:
            leaf = cursor
            for digit in digits_of(i, slots):
                leaf = descend_static(storage, leaf, digit)
            place = {role: b.sub(leaf.coords[d], axes[role].base) for d, role in enumerate(self.source.roles)}
            store_inside(storage, leaf, tile, place)

        b.for_loop(0, int(b.product(slots)), one)


def _mask(count: Index) -> ir.Value:
    """The low ``count`` of 8 bits; none of them for negative counts, all for more than 8."""
    bounded = arith.maxsi(arith.minsi(arith.index_cast(i32(), b.value(count)), word(8)), word(0))
    return arith.subi(arith.shli(word(1), bounded), word(1))
