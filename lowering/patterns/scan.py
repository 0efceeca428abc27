"""Rows of bits, a word of 64 at a time: set from elements, and read as the cells that hold a set bit."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

from pith._mlir import arith, ir, memref
from pith._mlir import math as math_dialect

from .. import builder as b
from ..builder import Index
from .presence import WORD, Presence, integer, packed

_CMP = arith.CmpIPredicate

#: Cells of a word up to which all are visited: cheaper than a branch per cell that is guessed wrong (32 elements to
#: a cell, half of them present: detection takes 1.3 instead of 2 times the time of reading; 2026-11-21, AVX2).
_FEW_CELLS = 8

#: Words of a row that are searched between two branches: empty rows of 1024 f32 in 0.38 of the time that one word at a
#: time takes, as fast as they are summed (caches warm, 2026-11-21, AVX2).
_SEARCHED = 4


def word_of(number: int) -> ir.Value:
    """A constant word, given as a signed or an unsigned number."""
    return arith.constant(integer(WORD), number - (1 << WORD) if number >= 1 << (WORD - 1) else number)


def is_set(word: ir.Value) -> ir.Value:
    """Whether any bit is."""
    return arith.cmpi(_CMP.ne, word, word_of(0))


def partial_word(presence: Presence, row: Sequence[Index], at: Index, count: Index) -> ir.Value:
    """The bits of the ``count`` < 64 elements from ``at`` on in a row; nothing outside of the row is read.

    A load that would leave the row starts earlier, and its first bits are shifted out.
    """
    size = b.dim_size(presence.source, presence.source.type.rank - 1)

    def ending_inside(start: Index, lanes: int) -> ir.Value:
        inside = b.minimum(start, b.sub(size, lanes))
        word = presence.word([*row, inside], lanes)
        return arith.shrui(word, arith.index_cast(word.type, b.value(b.sub(start, inside))))

    def in_steps(lanes: int) -> Callable[[], list[ir.Value]]:
        def step(i: Index, so_far: ir.Value) -> list[ir.Value]:
            word = ending_inside(b.add(at, i), lanes)
            return [arith.ori(so_far, arith.shli(word, arith.index_cast(word.type, b.value(i))))]

        return lambda: b.for_loop(0, count, step, [word_of(0)], step=lanes)

    def short() -> list[ir.Value]:
        return _choose(size, 8, in_steps(8), in_steps(1))

    (word,) = _choose(size, WORD, lambda: [ending_inside(at, WORD)], short)
    return arith.andi(word, below(count))


def _choose(
    size: Index, least: int, large: Callable[[], list[ir.Value]], small: Callable[[], list[ir.Value]]
) -> list[ir.Value]:
    """``large()`` when ``size >= least``, else ``small()``; a size known now takes no branch."""
    if isinstance(size, int):
        return large() if size >= least else small()
    return b.if_else(b.less(size, least), small, large, [integer(WORD)])


def below(count: Index) -> ir.Value:
    """The word with the bits before ``count`` < 64 set."""
    one = arith.shli(word_of(1), arith.index_cast(integer(WORD), b.value(count)))
    return arith.subi(one, word_of(1))


def flag_row(presence: Presence, row: Sequence[Index], start: Index, count: Index, words: ir.Value, add: bool) -> None:
    """Set ``words`` (a memref) to the bits of ``count`` elements of a row from ``start`` on, or ``add`` them."""

    def put(w: Index, word: ir.Value) -> None:
        at = [b.value(w)]
        memref.store(arith.ori(memref.load(words, at), word) if add else word, words, at)

    whole, rest = b.div(count, WORD), b.mod(count, WORD)
    b.for_loop(0, whole, lambda w: put(w, presence.word([*row, b.add(start, b.mul(w, WORD))])))
    if isinstance(rest, int) and rest == 0:
        return
    at = b.add(start, b.mul(whole, WORD))
    b.if_else(b.less(0, rest), lambda: put(whole, partial_word(presence, row, at, rest)))


def search_row(presence: Presence, row: Sequence[Index], lo: Index, hi: Index, word: ir.Value) -> ir.Value:
    """A word that is not zero when ``word`` is not or an element of the row's ``[lo, hi)`` is present.

    The search ends where something is found: a branch per :data:`_SEARCHED` words, then one per word.
    """
    state = [b.value(lo), word]
    for words in (_SEARCHED, 1):
        state = _search_words(presence, row, state, hi, words)
    at, word = state
    rest = arith.minsi(arith.subi(b.value(hi), at), b.value(WORD - 1))
    unsure = arith.andi(b.less(0, rest), arith.cmpi(_CMP.eq, word, word_of(0)))
    return b.if_else(unsure, lambda: [partial_word(presence, row, at, rest)], lambda: [word], [integer(WORD)])[0]


def _search_words(presence: Presence, row: Sequence[Index], state: list[ir.Value], hi: Index, words: int) -> list:
    """Go on from ``(at, word)`` for as long as so many whole words are left and nothing was found."""
    elements = words * WORD

    def more(at: ir.Value, word: ir.Value) -> ir.Value:
        inside = arith.cmpi(_CMP.ule, b.value(b.add(at, elements)), b.value(hi))
        return arith.andi(inside, arith.cmpi(_CMP.eq, word, word_of(0)))

    def step(at: ir.Value, word: ir.Value) -> list[ir.Value]:
        found = [presence.flags_at([*row, b.add(at, i * WORD)]) for i in range(words)]
        return [b.value(b.add(at, elements)), packed(functools.reduce(arith.ori, found))]

    return b.while_loop(state, more, step)


@dataclasses.dataclass(frozen=True)
class Cells:
    """Finds the cells of ``run`` bits that hold a set one, word after word.

    Attributes:
        visit: ``visit(cell, n)`` for each of them; n counts what was found before it. It may be called for
            other cells too, before the one that is n-th.
    """

    run: int
    visit: Callable[[Index, Index], None]

    def in_words(self, word: Callable[[Index], ir.Value], lo: Index, bits: Index, found: Index) -> ir.Value:
        """Scan the words ``word(i)`` from ``lo`` on, which end at bit ``bits`` (counted from word 0).

        Returns the number of cells found, ``found`` before them included. Cost: one test per word, some
        instructions per cell found; where a word has few cells, some instructions per cell and no branch.
        """

        def step(w: Index, found: ir.Value, covered: ir.Value) -> list[ir.Value]:
            return self._scan(word(w), w, found, covered)

        end, state = b.ceildiv(bits, WORD), [b.value(found)]
        if WORD % self.run == 0 and WORD // self.run <= _FEW_CELLS:
            whole = b.div(bits, WORD)
            state = b.for_loop(lo, whole, lambda w, n: [self._all_cells(word(w), w, n)], state)
            lo = whole
        return b.for_loop(lo, end, step, [*state, b.value(0)])[0]

    def _all_cells(self, word: ir.Value, number: Index, found: ir.Value) -> ir.Value:
        """Visit every cell of a whole word as the next to be found, and count those that are."""
        cells = WORD // self.run
        if cells > 2:
            visit = functools.partial(self._visit_all, cells, word, number, found)
            return b.if_else(is_set(word), lambda: [visit()], lambda: [found], [found.type])[0]
        return self._visit_all(cells, word, number, found)

    def _visit_all(self, cells: int, word: ir.Value, number: Index, found: ir.Value) -> ir.Value:
        for c in range(cells):
            self.visit(b.add(b.mul(number, cells), c), found)
            own = word if cells == 1 else arith.andi(word, word_of(((1 << self.run) - 1) << (c * self.run)))
            found = b.value(b.add(found, arith.index_castui(ir.IndexType.get(), is_set(own))))
        return found

    def _scan(self, word: ir.Value, number: Index, found: ir.Value, covered: ir.Value) -> list[ir.Value]:
        """Visit the cells of word ``number``; bits before ``covered`` belong to a cell that was visited."""
        first = b.mul(number, WORD)
        if WORD % self.run:
            word = _clear_before(word, b.sub(covered, first))

        def take(word: ir.Value, found: ir.Value, covered: ir.Value) -> list[ir.Value]:
            bit = arith.index_cast(ir.IndexType.get(), math_dialect.cttz(word))
            cell = b.div(b.add(first, bit), self.run)
            self.visit(cell, found)
            found = b.value(b.add(found, 1))
            if self.run == 1:
                return [arith.andi(word, arith.subi(word, word_of(1))), found, covered]
            covered = b.value(b.mul(b.add(cell, 1), self.run))
            return [_clear_before(word, b.sub(covered, first)), found, covered]

        return b.while_loop([word, found, covered], lambda word, *_: is_set(word), take)[1:]


def _clear_before(word: ir.Value, place: Index) -> ir.Value:
    """``word`` without the bits before ``place``, which may lie before or behind the word."""
    place = b.value(place)
    inside = arith.maxsi(place, b.value(0))
    bounded = arith.index_cast(integer(WORD), arith.minsi(inside, b.value(WORD - 1)))
    kept = arith.andi(word, arith.shli(word_of(-1), bounded))
    return arith.select(arith.cmpi(_CMP.sge, place, b.value(WORD)), word_of(0), kept)
