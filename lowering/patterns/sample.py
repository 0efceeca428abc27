"""``pith.sample`` on a CPU: windows of flags, in which the micro-tiles of every candidate are counted.

A window is 32 words: a bit per element, a row per word. The rows of a micro-tile are or-ed, then its columns
by shifts of all words at once, so a candidate costs some tens of vector instructions per window.
"""

from __future__ import annotations

import dataclasses

from pith._mlir import arith, bufferization, ir, memref, vector
from pith._mlir import math as math_dialect

from .. import builder as b
from ..builder import Index
from ..storage.tree import buffer_of
from .presence import WORD, Presence, integer, limit_of, require_testable
from .scan import below, is_set, partial_word, search_row, word_of

#: Rows of a window; its columns are the bits of a word.
ROWS = 32

#: Fractions of 2^32 of a low-discrepancy sequence in the plane (powers of the inverse plastic number).
_STEPS = (3242174889, 2447445414)


def lower_sample(op: ir.OpView) -> ir.Value:
    """The share of empty micro-tiles per candidate, as a tensor."""
    require_testable(op, op.source.type.element_type)
    source, tiles = buffer_of(op.source), buffer_of(op.tiles)
    candidates = b.dim_size(tiles, 0)
    presence = Presence(source, limit_of(op.threshold, op.source.type.element_type))
    seen, empty = (b.alloc([candidates], integer(WORD)) for _ in range(2))

    def clear(c: Index) -> None:
        for counts in (seen, empty):
            memref.store(word_of(0), counts, [b.value(c)])

    b.for_loop(0, candidates, clear)
    _Sample(presence, tiles, op.windows, seen, empty).run()
    shares = b.alloc([candidates], ir.F64Type.get())
    b.for_loop(0, candidates, lambda c: memref.store(share(empty, seen, c), shares, [b.value(c)]))
    return bufferization.to_tensor(op.operation.results[0].type, shares, restrict=True, writable=True)


def share(part: ir.Value, whole: ir.Value, at: Index) -> ir.Value:
    """Entry ``at`` of ``part`` over that of ``whole``; 1.0 where there is nothing."""
    f64 = ir.F64Type.get()
    numbers = [arith.uitofp(f64, memref.load(m, [b.value(at)])) for m in (part, whole)]
    none = arith.cmpf(arith.CmpFPredicate.OEQ, numbers[1], b.zero_of(f64))
    return arith.select(none, arith.constant(f64, 1.0), arith.divf(*numbers))


def spread(number: Index, visited: Index, cells: tuple[Index, Index]) -> list[ir.Value]:
    """Row and column of the ``number``-th of ``visited`` places in a grid: all of them in order, or spread evenly."""
    everything = arith.cmpi(arith.CmpIPredicate.uge, b.value(visited), b.value(b.mul(*cells)))
    in_order = [b.div(number, b.maximum(cells[1], 1)), b.mod(number, b.maximum(cells[1], 1))]
    out = []
    for step, size, exact in zip(_STEPS, cells, in_order):
        fraction = arith.andi(b.value(b.mul(b.add(number, 1), step)), b.value((1 << 32) - 1))
        place = arith.shrui(b.value(b.mul(fraction, size)), b.value(32))
        out.append(arith.select(everything, b.value(exact), place))
    return out


@dataclasses.dataclass(frozen=True)
class _Sample:
    """Counts micro-tiles; ``seen`` and ``empty`` have an entry per candidate."""

    presence: Presence
    tiles: ir.Value
    windows: ir.Value
    seen: ir.Value
    empty: ir.Value

    def run(self) -> None:
        """Visit all windows, then the micro-tiles that do not fit into one."""
        rows, columns = self._sizes
        words, joined = (b.alloc([ROWS], integer(WORD)) for _ in range(2))
        candidates = b.dim_size(self.tiles, 0)
        heads = b.alloc([candidates], integer(WORD))
        b.for_loop(0, candidates, lambda c: memref.store(heads_of(self._tile(c)[1]), heads, [b.value(c)]))
        grid = (b.ceildiv(rows, ROWS), b.ceildiv(columns, WORD))
        windows = b.minimum(self.windows, b.mul(*grid))

        def window(i: Index) -> None:
            top, left = (b.mul(at, extent) for at, extent in zip(spread(i, windows, grid), (ROWS, WORD)))
            height, width = b.minimum(ROWS, b.sub(rows, top)), b.minimum(WORD, b.sub(columns, left))
            self._flag(words, top, left, height, width)
            inside = arith.select(b.less(width, WORD), below(b.minimum(width, WORD - 1)), word_of(-1))

            def candidate(c: Index) -> None:
                tile = self._tile(c)
                head = arith.andi(memref.load(heads, [b.value(c)]), inside)
                b.only_if(self._fits(tile), lambda: self._count(c, tile, words, joined, height, head))

            b.for_loop(0, candidates, candidate)

        b.for_loop(0, windows, window)

        def large(c: Index) -> None:
            tile = self._tile(c)
            b.if_else(self._fits(tile), lambda: None, lambda: self._search(c, tile))

        b.for_loop(0, candidates, large)

    @property
    def _sizes(self) -> tuple[Index, Index]:
        return b.dim_size(self.presence.source, 0), b.dim_size(self.presence.source, 1)

    def _tile(self, candidate: Index) -> tuple[ir.Value, ir.Value]:
        sides = (memref.load(self.tiles, [b.value(candidate), b.value(i)]) for i in range(2))
        rows, columns = (arith.index_castui(ir.IndexType.get(), side) for side in sides)
        return arith.maxui(rows, b.value(1)), arith.maxui(columns, b.value(1))

    def _fits(self, tile: tuple[ir.Value, ir.Value]) -> ir.Value:
        return arith.andi(b.less(tile[0], ROWS + 1), b.less(tile[1], WORD + 1))

    def _flag(self, words: ir.Value, top: Index, left: Index, height: Index, width: Index) -> None:
        """A word per row of the window."""
        whole = arith.cmpi(arith.CmpIPredicate.eq, b.value(width), b.value(WORD))

        def row(r: Index) -> None:
            at = b.add(top, r)
            (word,) = b.if_else(
                whole,
                lambda: [self.presence.word([at, left])],
                lambda: [partial_word(self.presence, [at], left, arith.minui(b.value(width), b.value(WORD - 1)))],
                [integer(WORD)],
            )
            memref.store(word, words, [b.value(r)])

        b.for_loop(0, height, row)

    def _count(
        self,
        candidate: Index,
        tile: tuple[ir.Value, ir.Value],
        words: ir.Value,
        joined: ir.Value,
        height: Index,
        heads: ir.Value,
    ) -> None:
        """Add the micro-tiles of a window of ``height`` rows that start at the columns ``heads`` to the counts."""
        down = b.minimum(b.div(ROWS, tile[0]), b.ceildiv(height, tile[0]))
        b.for_loop(0, ROWS, lambda i: memref.store(word_of(0), joined, [b.value(i)]))

        def join(i: Index) -> None:
            first = b.mul(i, tile[0])
            end = b.minimum(b.add(first, tile[0]), height)

            def add(r: Index, word: ir.Value) -> list[ir.Value]:
                return [arith.ori(word, memref.load(words, [b.value(r)]))]

            memref.store(b.for_loop(first, end, add, [word_of(0)])[0], joined, [b.value(i)])

        b.for_loop(0, down, join)
        type_ = ir.VectorType.get([ROWS], integer(WORD))
        present = arith.andi(ored(vector.load(type_, joined, [b.value(0)]), tile[1]), vector.broadcast(type_, heads))
        found = vector.reduction(integer(WORD), vector.CombiningKind.ADD, math_dialect.ctpop(present))
        total = arith.muli(math_dialect.ctpop(heads), arith.index_cast(integer(WORD), b.value(down)))
        self._add(candidate, total, arith.subi(total, found))

    def _search(self, candidate: Index, tile: tuple[ir.Value, ir.Value]) -> None:
        """Look at micro-tiles themselves, two per window, each until something is found."""
        rows, columns = self._sizes
        grid = (b.ceildiv(rows, tile[0]), b.ceildiv(columns, tile[1]))
        visited = b.minimum(b.mul(self.windows, 2), b.mul(*grid))

        def one(i: Index, missing: ir.Value) -> list[ir.Value]:
            top, left = (b.mul(at, side) for at, side in zip(spread(i, visited, grid), tile))
            bottom, right = b.minimum(b.add(top, tile[0]), rows), b.minimum(b.add(left, tile[1]), columns)

            def row(r: Index, word: ir.Value) -> list[ir.Value]:
                return b.if_else(
                    is_set(word),
                    lambda: [word],
                    lambda: [search_row(self.presence, [r], left, right, word)],
                    [word.type],
                )

            (word,) = b.for_loop(top, bottom, row, [word_of(0)])
            empty = arith.extui(integer(WORD), arith.cmpi(arith.CmpIPredicate.eq, word, word_of(0)))
            return [arith.addi(missing, empty)]

        (missing,) = b.for_loop(0, visited, one, [word_of(0)])
        self._add(candidate, arith.index_cast(integer(WORD), b.value(visited)), missing)

    def _add(self, candidate: Index, seen: ir.Value, empty: ir.Value) -> None:
        for counts, number in ((self.seen, seen), (self.empty, empty)):
            at = [b.value(candidate)]
            memref.store(arith.addi(memref.load(counts, at), number), counts, at)


def ored(words: ir.Value, extent: ir.Value) -> ir.Value:
    """Bit i of every word (one, or a vector of them): whether any of its bits from i up to ``i + extent`` is set."""

    def shifted(words: ir.Value, by: ir.Value) -> ir.Value:
        places = arith.index_cast(integer(WORD), by)
        lanes = vector.broadcast(words.type, places) if isinstance(words.type, ir.VectorType) else places
        return arith.ori(words, arith.shrui(words, lanes))

    def double(done: ir.Value, words: ir.Value) -> list[ir.Value]:
        return [b.value(b.mul(done, 2)), shifted(words, done)]

    def more(done: ir.Value, words: ir.Value) -> ir.Value:
        return arith.cmpi(arith.CmpIPredicate.ule, b.value(b.mul(done, 2)), extent)

    done, words = b.while_loop([b.value(1), words], more, double)
    return shifted(words, arith.subi(extent, done))


def heads_of(extent: ir.Value) -> ir.Value:
    """The first bit of every whole group of ``extent`` bits in a word."""

    def add(j: Index, word: ir.Value) -> list[ir.Value]:
        shift = arith.index_cast(integer(WORD), b.value(b.mul(j, extent)))
        return [arith.ori(word, arith.shli(word_of(1), shift))]

    return b.for_loop(0, b.div(WORD, extent), add, [word_of(0)])[0]
