"""Elements of a vector at the packed coordinates of several stored elements: what ``gather`` tiles (lanes.py) read."""

import dataclasses
from collections.abc import Sequence

from pith._mlir import arith, ir, vector
from pith.dialect import PermuteOp

from .. import builder as b
from ..builder import Index
from ..levels import Storage
from .members import Position, identity
from .pack import Panel
from .words import load_word

#: Elements of a quarter or half of a register, within which a permutation is one operation of one cycle.
QUAD = 4

#: Bytes of a word of coordinates: one broadcast from memory.
_WORD = 4


@dataclasses.dataclass(frozen=True)
class Slot:
    """One lane of a gathering vector: a stored element, its coordinate still packed."""

    position: Position
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
    """Takes from the one column of ``panel`` what the coordinates of level ``level`` ask for.

    Attributes:
        type: of a register.
        parts: into how many parts a register is cut that are permuted each in itself. Permutations across a
            register of 256 bits are three operations on a Zen 3 core, two cycles, and within 128 bits one, half a
            cycle; that is worth loading the parts one by one (1:4, 4096x4096: 1.8 to 1.0 ms, 2026-11).
    """

    storage: Storage
    panel: Panel
    level: int
    type: ir.VectorType
    parts: int = 1

    @property
    def lanes(self) -> int:
        """Elements of a register."""
        return self.type.shape[0]

    def __call__(self, slots: Sequence[Slot]) -> ir.Value:
        """The elements at the coordinates of ``slots``, one per lane."""
        width, h = self.lanes // self.parts, self.storage.format.levels[self.level].h
        halves = -(-h // width)
        cut = [windows(slots[i : i + width], h, halves * width) for i in range(0, self.lanes, width)]
        starts = [w.start for part in cut for s in range(width) for w in part if s in w.lanes]
        shifts = [s.red_offset - start for s, start in zip(slots, starts)]
        index = self._coordinates(slots[0].position)
        if any(shifts):
            index = arith.addi(index, b.integers(shifts, index.type.element_type))
        low = self._taken(cut, index, 0)
        if halves == 1:
            return low
        # The bit that says which half of a window, at the sign's place: blends look there.
        i32 = index.type.element_type
        upper = arith.shli(index, b.integers([32 - width.bit_length()] * self.lanes, i32))
        upper = arith.cmpi(arith.CmpIPredicate.slt, upper, b.integers([0] * self.lanes, i32))
        return arith.select(upper, self._taken(cut, index, width), low)

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

    def _coordinates(self, first: Position) -> ir.Value:
        """Coordinates from ``first`` on, one per lane, as i32."""
        width = self.storage.format.coord_bits(self.level)
        buffer = self.storage.metadata[self.level, "coordinates"]
        i32 = ir.IntegerType.get_signless(32)
        type_ = ir.VectorType.get([self.lanes], i32)
        if width >= 8:
            narrow = vector.load(
                ir.VectorType.get([self.lanes], buffer.type.element_type), buffer, [b.value(first.value)]
            )
            return narrow if width == 32 else arith.extui(type_, narrow)
        per_word = next(n for n in (16, 8) if n <= self.lanes and n * width <= 8 * _WORD)
        words, shifts = [], []
        for lane in range(0, self.lanes, per_word):
            word, shift = self._word(buffer, first, lane * width // 8, per_word * width // 8, width)
            words.append(vector.broadcast(type_, arith.index_cast(i32, word)))
            shifts += [shift + i * width for i in range(per_word)]
        n = self.lanes
        word = words[0] if len(words) == 1 else vector.shuffle(*words, [i + n * (i // per_word) for i in range(n)])
        word = arith.shrui(word, b.integers(shifts, i32))
        if 2**width in (part := self.lanes // self.parts, 2 * part):
            return word  # no more bits are read
        return arith.andi(word, b.integers([2**width - 1] * self.lanes, i32))

    def _word(self, buffer: ir.Value, first: Position, byte: int, size: int, width: int) -> tuple[ir.Value, int]:
        """A word with the ``size`` bytes that are ``byte`` from the coordinate at ``first``, and the bit they begin at.

        Whole words of the block around, so that neighbours share a load.
        """
        start = byte + first.offset * width // 8
        span = first.count * first.scale * width // 8
        at = next((w for w in (start // _WORD * _WORD, span - _WORD) if 0 <= w <= start and w + _WORD <= span), None)
        if at is None or start + size > at + _WORD:
            at = start
        else:
            size = _WORD
        base = b.div(b.mul(first.base, first.scale * width), 8)
        return load_word(buffer, b.add(base, at), size), 8 * (start - at)


def windows(slots: Sequence[Slot], h: int, width: int) -> list[Window]:
    """Ranges of ``x``, each ``width`` long, that hold the groups of ``h`` that the slots are in.

    Example:
        >>> here = Position(0)
        >>> [w.lanes for w in windows([Slot(here, 0, 4 * (i // 2)) for i in range(4)], 4, 4)]
        [(0, 1), (2, 3)]
    """
    out: list[Window] = []
    for lane, s in enumerate(slots):
        if out and identity(out[-1].red) == identity(s.red) and s.red_offset + h - out[-1].start <= width:
            out[-1] = dataclasses.replace(out[-1], lanes=(*out[-1].lanes, lane))
        else:
            out.append(Window(s.red, s.red_offset, (lane,)))
    return out
