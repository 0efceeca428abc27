"""The dense body: a chunk of keys meets a block of queries. Queries are across lanes throughout.

Scores are kept by key, ``scores[key][query]``, sums by feature, ``sums[feature][query]``: both products broadcast an
element of K or V as it is stored, maxima and totals are taken lane by lane, and nothing is transposed but the
queries on their way in and the sums on their way out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..retain_loop_annotations import keep_rolled
from .exp2 import exp2_up_to_one
from .operands import CHUNK_KEYS, Blocking, scratch

#: Features of one unrolled step of a product for scores.
UNROLLED_FEATURES = 8

#: ``row(u)``: the memory of key ``u`` of a chunk, and the leading indices of its features.
Row = Callable[[Index], tuple[ir.Value, list[ir.Value]]]


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Which keys a vector of queries is shown: those in an interval, but for those in another.

    Attributes:
        inside, outside: first key and end of the intervals, vectors of i32.
    """

    inside: tuple[ir.Value, ir.Value]
    outside: tuple[ir.Value, ir.Value] | None = None

    def show(self, key: ir.Value) -> ir.Value:
        """Lanes that are shown ``key``."""
        shown = _between(self.inside, key)
        if self.outside is None:
            return shown
        return arith.andi(shown, arith.xori(_between(self.outside, key), arith.constant(shown.type, _true(shown.type))))


@dataclasses.dataclass(frozen=True)
class Softmax:
    """The state of a block of queries between chunks.

    Attributes:
        queries: ``(D, queries)``, scaled.
        scores: ``(chunk, queries)``: of the chunk at hand, then its weights.
        sums: ``(E, queries)``: of weights times values.
        largest, total, fade: ``(queries,)``: the largest score so far, the sum of the weights relative to it, and
            what a new largest score makes of the sums so far.
    """

    blocking: Blocking
    queries: ir.Value
    scores: ir.Value
    sums: ir.Value
    largest: ir.Value
    total: ir.Value
    fade: ir.Value

    @classmethod
    def start(cls, blocking: Blocking, queries: ir.Value, width: int) -> Softmax:
        """No key met. The largest score starts finite: rows that see nothing must not subtract infinities."""
        n, element = blocking.queries, blocking.element
        chunk = -(-CHUNK_KEYS // blocking.rows) * blocking.rows
        shapes = ([chunk, n], [width, n], [n], [n], [n])
        state = cls(blocking, queries, *(scratch(shape, element) for shape in shapes))
        zero = state.splat(0.0)
        least = state.splat(-1.0e308 if isinstance(element, ir.F64Type) else -3.0e38)
        for q in blocking.starts():
            state.put(least, state.largest, q)
            state.put(zero, state.total, q)
        b.for_loop(0, width, lambda d: [state.put(zero, state.sums, d, q) for q in blocking.starts()] and None)
        return state

    def splat(self, x: float) -> ir.Value:
        """A vector of ``x``."""
        type_ = self.blocking.vector
        return arith.constant(type_, ir.DenseElementsAttr.get_splat(type_, ir.FloatAttr.get(self.blocking.element, x)))

    def get(self, buffer: ir.Value, *at: Index) -> ir.Value:
        """A vector of queries."""
        return vector.load(self.blocking.vector, buffer, [b.value(i) for i in at])

    def put(self, x: ir.Value, buffer: ir.Value, *at: Index) -> None:
        """Store a vector of queries."""
        vector.store(x, buffer, [b.value(i) for i in at])

    def score(self, row: Row, count: Index, depth: int, meanwhile: Callable[[Index], None] = lambda u: None) -> None:
        """``scores[u] = <key u, queries>`` for ``u < count``; a last tile repeats the last key.

        ``meanwhile`` is told the first key of every register tile.
        """
        rows, starts = self.blocking.rows, self.blocking.starts()
        unrolled = UNROLLED_FEATURES if depth >= UNROLLED_FEATURES else 1
        whole = depth // unrolled * unrolled

        def tile(u: Index) -> None:
            meanwhile(u)
            last = b.sub(count, 1)
            keys = [row(u if i == 0 else b.minimum(b.add(u, i), last)) for i in range(rows)]

            def feature(d: Index, accs: list[ir.Value]) -> list[ir.Value]:
                return self._rank_one(keys, [d], [self.get(self.queries, d, q) for q in starts], accs)

            def some(d: Index, *accs: ir.Value) -> list[ir.Value]:
                out = list(accs)
                for e in range(unrolled):
                    out = feature(b.add(d, e), out)
                return out

            accs = keep_rolled(b.for_loop(0, whole, some, [self.splat(0.0)] * (rows * len(starts)), step=unrolled))
            for d in range(whole, depth):
                accs = feature(d, accs)
            for i in range(rows):
                for v, q in enumerate(starts):
                    self.put(accs[i * len(starts) + v], self.scores, b.add(u, i), q)

        b.for_loop(0, count, tile, step=rows)

    def _rank_one(
        self,
        keys: list[tuple[ir.Value, list[ir.Value]]],
        features: list[Index],
        vectors: list[ir.Value],
        accs: list[ir.Value],
    ) -> list[ir.Value]:
        """``accs[i][v] += x[i] * vectors[v]``, x being some features of one key, or one feature of some keys."""
        elements = [(memory, [*at, b.value(d)]) for memory, at in keys for d in features]
        out = []
        for i, (memory, at) in enumerate(elements):
            x = vector.broadcast(self.blocking.vector, memref.load(memory, at))
            out += [vector.fma(x, y, accs[i * len(vectors) + v]) for v, y in enumerate(vectors)]
        return out

    def is_finite(self, row: Row, count: Index, width: int) -> ir.Value:
        """True when the rows of ``count`` keys hold neither NaN nor infinities: zero times those is not zero."""
        lanes, type_ = self.blocking.lanes, self.blocking.vector
        zero = self.splat(0.0)
        starts, singles = range(0, width - width % lanes, lanes), range(width - width % lanes, width)

        def key(u: ir.Value, *totals: ir.Value) -> list[ir.Value]:
            memory, at = row(u)
            parts = [vector.load(type_, memory, [*at, b.value(d)]) for d in starts]
            parts += [vector.broadcast(type_, memref.load(memory, [*at, b.value(d)])) for d in singles]
            out = list(totals)
            for i, part in enumerate(parts):  # four chains of additions: one waits for itself
                out[i % 4] = vector.fma(part, zero, out[i % 4])
            return out

        totals = b.for_loop(0, count, key, [zero] * 4)
        total = arith.addf(arith.addf(totals[0], totals[1]), arith.addf(totals[2], totals[3]))
        one = vector.reduction(self.blocking.element, vector.CombiningKind.ADD, total)
        return arith.cmpf(arith.CmpFPredicate.ORD, one, one)

    def hide(self, position: Callable[[Index], ir.Value], count: Index, shown: list[Bounds]) -> None:
        """Make -inf of the scores of keys that the bounds, one per vector, do not show."""
        i32 = ir.IntegerType.get_signless(32)
        hidden = self.splat(float("-inf"))

        def one(u: ir.Value) -> None:
            key = vector.broadcast(ir.VectorType.get([self.blocking.lanes], i32), arith.index_cast(i32, position(u)))
            for q, bounds in zip(self.blocking.starts(), shown):
                self.put(arith.select(bounds.show(key), self.get(self.scores, u, q), hidden), self.scores, u, q)

        b.for_loop(0, count, one)

    def weigh(self, count: Index) -> None:
        """Make weights of the scores, relative to the largest so far, and add them to the totals."""
        starts = self.blocking.starts()

        def larger(u: ir.Value, *most: ir.Value) -> list[ir.Value]:
            return [_larger(self.get(self.scores, u, q), m) for q, m in zip(starts, most)]

        before = [self.get(self.largest, q) for q in starts]
        most = b.for_loop(0, count, larger, before)

        def weight(u: ir.Value, *totals: ir.Value) -> list[ir.Value]:
            out = []
            for q, m, total in zip(starts, most, totals):
                w = exp2_up_to_one(arith.subf(self.get(self.scores, u, q), m))
                self.put(w, self.scores, u, q)
                out.append(arith.addf(total, w))
            return out

        totals = b.for_loop(0, count, weight, [self.splat(0.0)] * len(starts))
        for q, old, new, total in zip(starts, before, most, totals):
            fade = exp2_up_to_one(arith.subf(old, new))
            self.put(fade, self.fade, q)
            self.put(new, self.largest, q)
            self.put(vector.fma(self.get(self.total, q), fade, total), self.total, q)

    def accumulate(self, row: Row, count: Index, width: int) -> None:
        """``sums = sums * fade + values^T weights``."""
        rows = self.blocking.rows
        whole = width // rows * rows
        b.for_loop(0, whole, lambda d: self._accumulate(row, count, d, rows), step=rows)
        if whole < width:
            self._accumulate(row, count, whole, width - whole)

    def accumulate_seen(self, row: Row, count: Index, width: int) -> None:
        """The same, but values of weight zero have no influence even where they are not finite. Slow."""
        b.for_loop(0, width, lambda d: self._accumulate(row, count, d, 1, skip_zeros=True))

    def _accumulate(self, row: Row, count: Index, first: Index, rows: int, skip_zeros: bool = False) -> None:
        starts = self.blocking.starts()
        features = [b.add(first, i) for i in range(rows)]
        zero = self.splat(0.0)

        def key(u: Index, *accs: ir.Value) -> list[ir.Value]:
            weights = [self.get(self.scores, u, q) for q in starts]
            out = self._rank_one([row(u)], features, weights, list(accs))
            if not skip_zeros:
                return out
            met = [arith.cmpf(arith.CmpFPredicate.UNE, w, zero) for w in weights]
            return [arith.select(m, new, old) for m, new, old in zip(met, out, accs)]

        fade = [self.get(self.fade, q) for q in starts]
        accs = [arith.mulf(self.get(self.sums, d, q), f) for d in features for q, f in zip(starts, fade)]
        accs = keep_rolled(b.for_loop(0, count, key, accs))
        for i, d in enumerate(features):
            for v, q in enumerate(starts):
                self.put(accs[i * len(starts) + v], self.sums, d, q)

    def finish(self, width: int) -> None:
        """Divide the sums by the totals; where no key was met they stay zero."""
        zero, one = self.splat(0.0), self.splat(1.0)
        factors = []
        for q in self.blocking.starts():
            total = self.get(self.total, q)
            empty = arith.cmpf(arith.CmpFPredicate.OEQ, total, zero)
            factors.append(arith.select(empty, zero, arith.divf(one, total)))

        def scale(d: ir.Value) -> None:
            for q, f in zip(self.blocking.starts(), factors):
                self.put(arith.mulf(self.get(self.sums, d, q), f), self.sums, d, q)

        b.for_loop(0, width, scale)


def _larger(x: ir.Value, y: ir.Value) -> ir.Value:
    """``x`` where it is above ``y``: a NaN in ``x`` is passed over."""
    return arith.select(arith.cmpf(arith.CmpFPredicate.OGT, x, y), x, y)


def _between(bounds: tuple[ir.Value, ir.Value], key: ir.Value) -> ir.Value:
    lo, hi = bounds
    return arith.andi(arith.cmpi(arith.CmpIPredicate.sle, lo, key), arith.cmpi(arith.CmpIPredicate.slt, key, hi))


def _true(type_: ir.VectorType) -> ir.DenseElementsAttr:
    return ir.DenseElementsAttr.get_splat(type_, ir.BoolAttr.get(True))
