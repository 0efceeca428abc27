"""Elements of a vector at the packed coordinates of several stored elements: what ``gather`` tiles (lanes.py) read."""

import dataclasses
import functools
from collections.abc import Sequence

from pith._mlir import arith, ir, vector
from pith.dialect import PermuteOp

from ... import builder as b
from ...builder import Index
from ...sparse.levels import Storage
from ...sparse.words import load_word
from ..pack import Panel
from .members import Position, identity

#: Elements of a quarter or half of a register, within which a permutation is one operation of one cycle.
QUAD = 4

#: Bytes of a word of coordinates: one broadcast from memory.
_WORD = 4


@dataclasses.dataclass(frozen=True)
class Slot:
    """One lane of a gathering vector: a stored element.

    Attributes:
        chosen: levels and positions of the coordinates, still packed, that add to its contracted coordinate.
        red, red_offset: the rest of that, as a member has it.
    """

    chosen: tuple[tuple[int, Position], ...]
    red: Index
    red_offset: int


@dataclasses.dataclass(frozen=True)
class Window:
    """Part of ``x`` no wider than one permutation, and the lanes whose groups lie in it."""

    red: Index
    start: int
    lanes: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Gather:
    """Takes from the one column of ``panel`` what packed coordinates ask for.

    Attributes:
        type: of a register.
        reach: contracted coordinates that a lane chooses from.
        pairs: a permutation takes from two registers, wide enough for groups of groups: lanes add up their coordinates.
            4096x4096 over a dense product, one core of Emerald Rapids, with quarters and in pairs: 2:4 1.54, 1.76;
            1:4 3.2, 3.7; 2:8 2.85, 3.15; C1(2:4)->C0(2:4) 1.9, 3.2 (2026-11).
        parts: into how many parts a register is cut that are permuted each in itself. Permutations across a
            register of 256 bits are three operations on a Zen 3 core, two cycles, and within 128 bits one, half a
            cycle; that is worth loading the parts one by one (1:4, 4096x4096: 1.8 to 1.0 ms, 2026-11).
    """

    storage: Storage
    panel: Panel
    type: ir.VectorType
    reach: int
    parts: int = 1
    pairs: bool = False

    @property
    def lanes(self) -> int:
        """Elements of a register."""
        return self.type.shape[0]

    def __call__(self, slots: Sequence[Slot]) -> ir.Value:
        """The elements at the coordinates of ``slots``, one per lane."""
        if self.pairs:
            return self._from_pairs(slots)
        width = self.lanes // self.parts
        halves = -(-self.reach // width)
        cut = [windows(slots[i : i + width], self.reach, halves * width) for i in range(0, self.lanes, width)]
        index = self._index(slots, [w for part in cut for w in part for _ in w.lanes], (width, 2 * width))
        low = self._taken(cut, index, 0)
        if halves == 1:
            return low
        # The bit that says which half of a window, at the sign's place: blends look there.
        i32 = index.type.element_type
        upper = arith.shli(index, b.integers([32 - width.bit_length()] * self.lanes, i32))
        upper = arith.cmpi(arith.CmpIPredicate.slt, upper, b.integers([0] * self.lanes, i32))
        return arith.select(upper, self._taken(cut, index, width), low)

    def _from_pairs(self, slots: Sequence[Slot]) -> ir.Value:
        """The elements of ``slots``, out of two registers at a time, or out of one where that holds all of them."""
        width = self.lanes
        cut = windows(slots, self.reach, width)
        if len(cut) > 1:
            width = 2 * self.lanes
            cut = windows(slots, self.reach, width)
        index, out = self._index(slots, [w for w in cut for _ in w.lanes], (width,)), None
        for w in cut:
            source = self.panel.row(ir.VectorType.get([width], self.type.element_type), w.red, w.start)
            taken = PermuteOp.build(source, index).result
            order = [self.lanes + i if i in w.lanes else i for i in range(self.lanes)]
            out = taken if out is None else vector.shuffle(out, taken, order)
        return out

    def _index(self, slots: Sequence[Slot], ranges: Sequence[Window], whole: tuple[int, ...]) -> ir.Value:
        """Where in its window the element of each lane is.

        Args:
            ranges: the window of each lane.
            whole: bits above those that count up to one of these numbers do not matter.
        """
        shifts, parts = [s.red_offset - w.start for s, w in zip(slots, ranges)], []
        for i, (level, _) in enumerate(slots[0].chosen):
            div = self.storage.format.exprs[level].div
            positions = [s.chosen[i][1] for s in slots]
            one = self._coordinates(level, positions, whole if len(slots[0].chosen) == 1 else ())
            if div > 1:
                one = arith.muli(one, b.integers([div] * self.lanes, one.type.element_type))
            parts.append(one)
        index = functools.reduce(arith.addi, parts)
        return arith.addi(index, b.integers(shifts, index.type.element_type)) if any(shifts) else index

    def _taken(self, cut: Sequence[Sequence[Window]], index: ir.Value, offset: int) -> ir.Value:
        """What each lane would take if its coordinate were less than a part's width past ``offset``."""
        n, width, out = self.lanes, self.lanes // self.parts, None
        for turn in range(max(map(len, cut))):
            sources = [part[min(turn, len(part) - 1)] for part in cut]
            taken = self._permuted([(w.red, w.start + offset) for w in sources], index)
            lanes = [i * width + lane for i, part in enumerate(cut) if turn < len(part) for lane in part[turn].lanes]
            out = taken if out is None else vector.shuffle(out, taken, [n + i if i in lanes else i for i in range(n)])
        return out

    def _permuted(self, sources: Sequence[tuple[Index, int]], index: ir.Value) -> ir.Value:
        """A register of what lies at ``sources``, a part at each, permuted part by part."""
        width = self.lanes // self.parts
        part = ir.VectorType.get([width], self.type.element_type)
        loaded = [self.panel.row(part, red, start) for red, start in sources]
        if self.parts == 1:
            return PermuteOp.build(loaded[0], index).result
        while len(loaded) > 1:
            sizes = [2 * x.type.shape[0] for x in loaded[::2]]
            loaded = [vector.shuffle(x, y, list(range(n))) for x, y, n in zip(loaded[::2], loaded[1::2], sizes)]
        shape = [self.parts, width]
        rows = vector.shape_cast(ir.VectorType.get(shape, self.type.element_type), loaded[0])
        index = vector.shape_cast(ir.VectorType.get(shape, index.type.element_type), index)
        return vector.shape_cast(self.type, PermuteOp.build(rows, index).result)

    def _coordinates(self, level: int, positions: Sequence[Position], whole: tuple[int, ...]) -> ir.Value:
        """Coordinates of a level, one per lane, as i32; bits above them stay where one of ``whole`` counts them all."""
        width, first = self.storage.format.coord_bits(level), positions[0]
        buffer = self.storage.metadata[level, "coordinates"]
        i32 = ir.IntegerType.get_signless(32)
        type_ = ir.VectorType.get([self.lanes], i32)
        if width >= 8:
            narrow = vector.load(
                ir.VectorType.get([self.lanes], buffer.type.element_type), buffer, [b.value(first.value)]
            )
            return narrow if width == 32 else arith.extui(type_, narrow)
        bits = [p.offset * width for p in positions]
        per_word = next(n for n in (16, 8, 4) if n <= self.lanes and _fit(bits, n, width))
        words, shifts = [], []
        for lane in range(0, self.lanes, per_word):
            some = bits[lane : lane + per_word]
            word, start = self._word(level, first, some[0] // 8, (some[-1] + width + 7) // 8)
            words.append(vector.broadcast(type_, arith.index_cast(i32, word)))
            shifts += [bit - 8 * start for bit in some]
        n, word = self.lanes, words[0]
        for i in range(1, len(words)):
            word = vector.shuffle(word, words[i], [n + lane if lane >= i * per_word else lane for lane in range(n)])
        word = arith.shrui(word, b.integers(shifts, i32))
        if 2**width in whole:
            return word  # no more bits are read
        return arith.andi(word, b.integers([2**width - 1] * self.lanes, i32))

    def _word(self, level: int, first: Position, start: int, end: int) -> tuple[ir.Value, int]:
        """A word with the bytes ``start`` to ``end`` of the coordinates of the block around, and where it starts.

        Whole words of the block, so that neighbours share a load.
        """
        width, buffer = self.storage.format.coord_bits(level), self.storage.metadata[level, "coordinates"]
        span = first.count * first.scale * width // 8
        whole = (w for w in (start // _WORD * _WORD, span - _WORD) if 0 <= w <= start and end <= w + _WORD <= span)
        at = next(whole, None)
        size = end - start if at is None else _WORD
        at = start if at is None else at
        base = b.div(b.mul(first.base, first.scale * width), 8)
        return load_word(buffer, b.add(base, at), size), at


def _fit(bits: Sequence[int], lanes: int, width: int) -> bool:
    """True when words hold the coordinates of ``lanes`` lanes each, ``width`` bits wide; ``bits``: where they begin."""
    firsts = range(0, len(bits), lanes)
    return all(bits[i + lanes - 1] + width - bits[i] // 8 * 8 <= 8 * _WORD for i in firsts)


def windows(slots: Sequence[Slot], h: int, width: int) -> list[Window]:
    """Ranges of ``x``, each ``width`` long, that hold the groups of ``h`` that the slots are in.

    Example:
        >>> [w.lanes for w in windows([Slot((), 0, 4 * (i // 2)) for i in range(4)], 4, 4)]
        [(0, 1), (2, 3)]
    """
    out: list[Window] = []
    for lane, s in enumerate(slots):
        if out and identity(out[-1].red) == identity(s.red) and s.red_offset + h - out[-1].start <= width:
            out[-1] = dataclasses.replace(out[-1], lanes=(*out[-1].lanes, lane))
        else:
            out.append(Window(s.red, s.red_offset, (lane,)))
    return out
