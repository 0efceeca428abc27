"""The index stream of a product: visits stored elements and feeds them to a register tile.

Like :func:`pith.lowering.sparse.levels.walk`, but for several rows at once and with the innermost levels
unrolled: inside a block of groups every position is a constant away from the block's first, so
packed coordinates are loaded a word at a time and cut out by constant shifts.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

from pith._mlir import arith, ir

from ... import builder as b
from ...builder import Index
from ...sparse.levels import Cursor, Storage, load_coordinate, visit_level
from ...sparse.words import SHIFTED_BYTES, load_bits, load_word, piece
from ..arithmetic import whole_bytes
from ..roles import Roles
from ..variant import BLOCK_OPERATIONS, MOST_OPERATIONS
from .masks import visit_masks
from .members import Member, Position, by_position, identity, shared
from .runs import takes_together, visit_entries

#: What a coordinate of the unrolled level, and an element of a row, count as at least: they have addresses, too.
#: C1(3:4)->C0(2:4) of 4 columns compiles in 0.55 of the time for it, runs in 0.98 to 1.03 (Zen 4, 2026-11-23).
LEAST_OPERATIONS, ELEMENT_OPERATIONS = 8, 2

#: ``leaf(members, accumulators) -> accumulators``: the stored elements reached together.
Leaf = Callable[[Sequence[Member], list[ir.Value]], list[ir.Value]]


@dataclasses.dataclass
class Stream:
    """Visits the levels of ``storage`` below its rows.

    Attributes:
        windows: per inner row level, how many of its coordinates are in the tile at once.
        window_at: per inner row level that is visited in several windows, the window's number.
        multiple: a number known to divide the size of the contracted dimension.
        operations: vector multiply-adds per stored element.
        leaf: what to do with elements.
        longest: contracted coordinates of an unrolled block, at most; None: any number.
        turn: which part of the rows in a window is visited, and into how many parts they are cut.
        together: entries of a compressed last level that are visited in one go: each adds to sums of its own (runs.py).
        most: vector multiply-adds of an unrolled block, about.
        is_block: a row visits one block. In loops over several LLVM moves loads of values together once it sees through
            the address: 4096x4096x32 of 2:4 takes 1.08 times longer on two cores (Emerald Rapids, 2026-11-23).
        divides: blocks whose coordinates are packed divide their level. Else what is left takes a loop of its own.
    """

    storage: Storage
    roles: Roles
    windows: dict[int, int]
    window_at: dict[int, Index]
    multiple: int
    operations: int
    leaf: Leaf
    longest: int | None = None
    turn: tuple[int, int] = (0, 1)
    together: int = 1
    most: int = BLOCK_OPERATIONS
    is_block: bool = False
    divides: bool = False
    #: Words loaded so far, each with the base it was loaded for: that keeps the base's identity its own.
    _words: dict[object, tuple[ir.Value, Index]] = dataclasses.field(default_factory=dict)

    def visit(self, level: int, members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
        """Visit everything below ``members``, which stand above ``level``."""
        fmt = self.storage.format
        if level == len(fmt.levels):
            return self.leaf(members, accs)
        if level == self.roles.masked - 1:
            (member,) = members
            return visit_masks(self, level, member, accs)
        if fmt.exprs[level].dim == self.roles.row_dim:
            return self.visit(level + 1, self._rows(level, members), accs)
        if fmt.levels[level].is_dense:
            size = self.storage.level_sizes[level]
            if isinstance(size, int) and size * self._weight(level + 1, len(members)) <= self.most:
                return self._unrolled(level, members, accs, size)
            return self.range(level, members, 0, size, accs)
        if (kind := fmt.levels[level].kind) in ("nm", "band"):
            return (self._group if kind == "nm" else self._band)(level, members, accs)
        if self.operations == 1 and takes_together(self, level):
            return visit_entries(self, level, members, accs)
        return self._dynamic(level, members, accs)

    def range(self, level: int, members: Sequence[Member], lo: Index, hi: Index, accs: list[ir.Value]):
        """Visit coordinates ``[lo, hi)`` of a dense level of the contracted dimension, some at a time."""
        block = self._band_block(level) or self.block(level, len(members))
        some = self._some(level, members)
        if block == 1:
            return b.for_loop(lo, hi, some(1), accs)
        band = self.storage.format.levels[level].kind == "band"  # whose ends are cut off
        if self.cuts(level, block) and not band:
            return b.for_loop(lo, hi, some(block), accs, step=block)
        whole = b.add(lo, b.mul(b.div(b.sub(hi, lo), block), block))
        accs = b.for_loop(lo, whole, some(block), accs, step=block)
        return b.for_loop(whole, hi, some(1), accs) if band else self.rest(level, members, whole, hi, accs)

    def rest(self, level: int, members: Sequence[Member], lo: Index, hi: Index, accs: list[ir.Value]) -> list[ir.Value]:
        """Visit the last coordinates of a dense level of the contracted dimension, ``[lo, hi)``, less than a block.

        As many at a time as are known to divide them.
        """
        some = math.gcd(self.block(level, len(members)), self.divisor(level))
        return b.for_loop(lo, hi, self._some(level, members)(some), accs, step=some)

    def unrolled_block(self, level: int, members: Sequence[Member], lo: Index, accs: list[ir.Value]) -> list[ir.Value]:
        """Visit one block of coordinates of a dense level of the contracted dimension, those from ``lo`` on."""
        return self._some(level, members)(self.block(level, len(members)))(lo, *accs)

    def _some(self, level: int, members: Sequence[Member]) -> Callable[[int], Callable[..., list[ir.Value]]]:
        """``_some(...)(count)(c, *accs)`` visits ``count`` coordinates from ``c`` on, unrolled."""
        size, div = self.storage.level_sizes[level], self.storage.format.exprs[level].div
        bases = [b.mul(m.position.value, size) for m in members]

        def some(count: int) -> Callable[..., list[ir.Value]]:
            align = math.gcd(count, self.divisor(level))

            def body(c: Index, *inner: ir.Value) -> list[ir.Value]:
                at, starts = b.mul(c, div), [b.add(base, c) for base in bases]
                reds = shared(members, lambda red: b.add(red, at))
                accs = list(inner)
                with self.own_words():
                    for u in range(count):
                        below = [
                            m.at(Position(p, align=align, count=count, offset=u), red, u * div)
                            for m, p, red in zip(members, starts, reds)
                        ]
                        accs = self.visit(level + 1, below, accs)
                return accs

            return body

        return some

    def _band(self, level: int, members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
        """Visit the diagonals of a row that are inside the matrix; rows share none of their coordinates."""
        for m in members:
            first = b.sub(m.position.value, self.storage.format.levels[level].lower)
            extent = self.storage.level_sizes[level], self.storage.sizes[self.roles.red_dim]
            accs = self.range(level, [m.at(m.position, first)], *b.overlap(first, *extent), accs)
        return accs

    def _band_block(self, level: int) -> int:
        """The width of a band narrow enough to be one block: rows inside of the matrix take it whole. Else 0."""
        size = self.storage.level_sizes[level]
        narrow = self.storage.format.levels[level].kind == "band" and size * self.operations <= self.most
        return size if narrow else 0

    def block(self, level: int, members: int) -> int:
        """How many coordinates of a dense level are unrolled: what its coordinates' bytes ask for, and more."""
        if self.roles.masked:
            return 1  # a loop per mask below each
        weight, unit = self._weight(level + 1, members), self._unit(level, members)
        if not unit and (self.divides or not self._shifts(level, weight)):
            return 1
        block = max(1, unit) if unit * weight <= MOST_OPERATIONS else 1
        elements = 0 if self.divides else weight // (self.operations * members)
        most = self.most // max(weight, LEAST_OPERATIONS, ELEMENT_OPERATIONS * elements)
        if self.longest is not None:
            most = min(most, self.longest // self.storage.format.exprs[level].div)
        divides = self.divides and bool(self._bits_below(level, members))
        while 2 * block <= most and not (divides and not self.cuts(level, 2 * block)):
            block *= 2
        return block

    def _shifts(self, level: int, weight: int) -> bool:
        """True where words that begin inside a byte are shifted: in nested groups, with one column, in long blocks.

        Times over single groups, Zen 4 (2026-11), 64 columns: 2:4 0.92, nested 0.90, AVX2 1.04, 0.93; one column 0.5.
        """
        groups = sum(lvl.kind == "nm" for lvl in self.storage.format.levels[level + 1 :])
        return groups > 1 or self.operations == 1 or self.most > 16 * weight

    def _unit(self, level: int, members: int) -> int:
        """How many coordinates of a dense level have whole bytes of packed coordinates below; 0 where rows have not."""
        bits = self._bits_below(level, members)
        unit = math.lcm(*(8 // math.gcd(8, n) for n in bits))
        return unit if self.cuts(level, unit) else 0

    def cuts(self, level: int, block: int) -> bool:
        """True when ``block`` is known to divide the number of coordinates of ``level``."""
        return self.divisor(level) % block == 0

    def divisor(self, level: int) -> int:
        """What is known to divide the number of coordinates of ``level``."""
        size, div = self.storage.level_sizes[level], self.storage.format.exprs[level].div
        if isinstance(size, int):
            return size
        return self.multiple // div if self.multiple % div == 0 else 1

    def _bits_below(self, level: int, members: int) -> list[int]:
        """Bits of sub-byte coordinates per coordinate of ``level``, for each ``nm`` level the block unrolls."""
        out, entries = [], 1
        for i in range(level + 1, len(self.storage.format.levels)):
            lvl, size = self.storage.format.levels[i], self.storage.level_sizes[i]
            if not lvl.is_static or self.windows.get(i, size) != size or (lvl.is_dense and not isinstance(size, int)):
                break  # below, positions count from a base of their own
            if lvl.is_dense and i not in self.windows and size * self._weight(i + 1, members) > self.most:
                break
            entries *= lvl.g if lvl.kind == "nm" else size
            if lvl.has_coordinates and self.storage.format.coord_bits(i) < 8:
                out.append(entries * self.storage.format.coord_bits(i))
        return out

    def _weight(self, level: int, members: int) -> int:
        """Vector operations of everything from ``level`` down, loops of unknown length counted once."""
        out = members * self.operations
        for i in range(level, len(self.storage.format.levels)):
            lvl = self.storage.format.levels[i]
            size = self.storage.level_sizes[i]
            size = self.windows[i] // self.turn[1] if i in self.windows else size
            if lvl.is_static and (lvl.kind == "nm" or isinstance(size, int)):
                out *= lvl.g if lvl.kind == "nm" else size
        return out

    def _rows(self, level: int, members: Sequence[Member]) -> list[Member]:
        """Every member's rows under a dense level of the row dimension, those of the window.

        The window is the coordinate of a level of its own. What is constant of a position stays so: as part of its
        base it would be added up outside of loops, for every element, and spilled (Zen 3, 16x4: V(16)C0(2:4) takes 1.5
        times as long). Words of coordinates below begin at the window.
        """
        size, window = self.storage.level_sizes[level], self.windows[level]
        (turn, turns), out = self.turn, []
        rows = window // turns
        for m in members:
            position = m.position
            if window < size:
                parts = size // window
                base = b.add(b.mul(position.base, position.scale * parts), self.window_at[level])
                count = (position.count * position.scale - 1) * parts + 1  # the last window ends the block
                position = Position(base, count=count, offset=position.offset * parts)
            for i in range(rows):
                position_i = position.child(window, turn * rows + i)
                out.append(dataclasses.replace(m, row=m.row * rows + i, position=position_i))
        return out

    def _unrolled(self, level: int, members: Sequence[Member], accs: list[ir.Value], size: int) -> list[ir.Value]:
        div = self.storage.format.exprs[level].div
        for c in range(size):
            accs = self.visit(level + 1, [m.at(m.position.child(size, c), step=c * div) for m in members], accs)
        return accs

    def _group(self, level: int, members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
        g, div = self.storage.format.levels[level].g, self.storage.format.exprs[level].div
        for slot in range(g):
            below = []
            for m in members:
                position = m.position.child(g, slot)
                below.append(m.pick(position, b.mul(self._coordinate(level, position), div)))
            accs = self.visit(level + 1, below, accs)
        return accs

    def _coordinate(self, level: int, at: Position) -> Index:
        """The coordinate at a position: from a word of the block, unless that is a part of a byte."""
        width = self.storage.format.coord_bits(level)
        bits, buffer = at.scale * width, self.storage.metadata[level, "coordinates"]
        if width >= 8 or (at.count == 1 and bits % 8):
            return load_coordinate(self.storage, level, at.value)
        on_byte, span = at.align * bits % 8 == 0, at.count * bits
        first, size = piece(-(-span // 8), at.offset * width // 8, 8 if on_byte else SHIFTED_BYTES)
        key = (level, identity(at.base), first)
        if key not in self._words:
            if on_byte:
                begin = whole_bytes(at.base, bits) if self.is_block else b.div(b.mul(at.base, bits), 8)
                word = load_word(buffer, b.add(begin, first), size)
            else:
                word = load_bits(buffer, b.mul(at.base, bits), first, min(8 * size, span - 8 * first))
            self._words[key] = word, at.base
        shift = at.offset * width - 8 * first
        word, _ = self._words[key]
        shifted = arith.shrui(word, b.value(shift)) if shift else word
        return arith.andi(shifted, b.value(2**width - 1))

    def _dynamic(self, level: int, members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
        """Levels whose extent the data decides: members one after the other, unless they share the position."""
        for first, alike in by_position(members):

            def below(child: Cursor, inner: list[ir.Value], alike: Sequence[Member] = alike) -> list[ir.Value]:
                with self.own_words():
                    at, red = Position(child.position), child.coords[self.roles.red_dim]
                    return self.visit(level + 1, [m.at(at, red) for m in alike], inner)

            coords: list[Index] = [0, 0]
            coords[self.roles.red_dim] = first.red
            cursor = Cursor(level, first.position.value, tuple(coords))
            accs = visit_level(self.storage, cursor, below, accs)
        return accs

    @contextlib.contextmanager
    def own_words(self) -> Iterator[None]:
        """Words loaded inside a loop's body stay in it."""
        outer, self._words = self._words, {}
        yield
        self._words = outer
