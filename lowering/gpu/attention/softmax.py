"""Online softmax of the rows of a thread: what is hidden, weights relative to the largest score so far, totals."""

import dataclasses
from collections.abc import Sequence

from pith._mlir import arith, ir, math, nvvm

from ... import builder as b
from ...builder import Index
from ..warp import WARP, any_lane, fold, reduce_lanes
from .keys import MET, IntervalStream, Stream
from .problem import i32
from .rows import Hull, Interval, Row

#: Where the largest score of a row starts: finite, so that rows that see nothing subtract no infinities.
LEAST = -3.0e38


@dataclasses.dataclass(frozen=True)
class Masks:
    """Which keys of a tile the rows of a thread are shown.

    Attributes:
        hull: of the rows of the warp.
    """

    stream: Stream
    rows: Sequence[Row]
    hull: Hull

    def is_edge(self, tile: ir.Value, stage: Index, thread: ir.Value) -> ir.Value:
        """Whether some row of the warp does not see all keys of ``tile``; the same for all of its lanes."""
        if isinstance(self.stream, IntervalStream):
            first = i32(self.stream.start(tile))
            before = arith.cmpi(arith.CmpIPredicate.slt, first, self.hull.all_from)
            end = arith.addi(first, i32(self.stream.width))
            return arith.ori(before, arith.cmpi(arith.CmpIPredicate.sgt, end, self.hull.all_to))
        seen = Interval(self.hull.all_from, arith.maxsi(arith.subi(self.hull.all_to, self.hull.all_from), i32(0)))
        lane, width, here = b.mod(thread, WARP), self.stream.width, self.stream.records.of_stage(stage)
        records = [here.load(0, b.add(lane, u)) for u in range(0, width - WARP + 1, WARP)]
        if width % WARP:  # tiles are multiples of 16: the other lanes look at a key twice
            records.append(here.load(0, b.add(b.mod(lane, width % WARP), width // WARP * WARP)))
        inside = fold([seen.holds(r) for r in records], arith.andi)
        true = arith.constant(inside.type, 1)
        edge = any_lane(arith.xori(inside, true))
        late = self.stream.of_tokens(tile)
        return edge if late is None else arith.ori(edge, late)

    def hide(
        self, scores: list[list[ir.Value]], tile: ir.Value, stage: Index, columns: Sequence[Index]
    ) -> list[list[ir.Value]]:
        """-inf for what is hidden."""
        hidden = arith.constant(ir.F32Type.get(), float("-inf"))
        shown = [self.shows(tile, stage, c) for c in columns]
        return [[arith.select(by_row[i], x, hidden) for x, by_row in zip(held, shown)] for i, held in enumerate(scores)]

    def shows(self, tile: ir.Value, stage: Index, place: Index) -> list[ir.Value]:
        """Whether the rows are shown the key at a place of a tile."""
        if isinstance(self.stream, IntervalStream):
            key = i32(b.add(self.stream.start(tile), place))
        else:
            key = self.stream.records.of_stage(stage).load(0, place)
        late = self.stream.of_tokens(tile)
        return [self._shows(row, key, late) for row in self.rows]

    def _shows(self, row: Row, key: ir.Value, late: ir.Value | None) -> ir.Value:
        """Whether a row is shown a key; ``late``: it is one of the tokens behind the other keys."""
        if late is None or row.reach is None:
            return row.seen.holds(key)
        position = arith.andi(key, i32(~MET))
        seen = row.seen.holds(position)
        met = arith.andi(seen, arith.cmpi(arith.CmpIPredicate.ne, arith.andi(key, i32(MET)), i32(0)))
        new = arith.andi(row.reach.holds(position), arith.xori(met, arith.constant(met.type, 1)))
        return arith.select(late, new, seen)


@dataclasses.dataclass(frozen=True)
class Softmax:
    """Per row of a thread: the largest score so far, and this lane's part of the sum of weights relative to it.

    The largest is in powers of two: a product times ``factor`` > 0.
    """

    most: list[ir.Value]
    totals: list[ir.Value]

    @classmethod
    def start(cls, rows: int) -> "Softmax":
        """No key met."""
        f32 = ir.F32Type.get()
        return cls([arith.constant(f32, LEAST)] * rows, [arith.constant(f32, 0.0)] * rows)

    def meet(
        self, products: list[list[ir.Value]], factor: ir.Value, row_lanes: Sequence[int]
    ) -> tuple["Softmax", list[list[ir.Value]], list[ir.Value]]:
        """(the state after these keys, their weights, what the sums so far are to be multiplied with)."""
        most, totals, weights, fades = [], [], [], []
        for held, old, total in zip(products, self.most, self.totals):
            # A NaN stays: all weights of its row are NaN then.
            largest = reduce_lanes(fold(held, arith.maximumf), row_lanes, arith.maximumf)
            new = arith.maximumf(old, arith.mulf(largest, factor))
            fade = exp2(arith.subf(old, new))
            below = arith.negf(new)
            own = [exp2(math.fma(x, factor, below)) for x in held]
            most.append(new)
            totals.append(math.fma(total, fade, fold(own, arith.addf)))
            weights.append(own)
            fades.append(fade)
        return Softmax(most, totals), weights, fades

    def all_totals(self, row_lanes: Sequence[int]) -> list[ir.Value]:
        """The sums of the weights of all lanes."""
        return [reduce_lanes(t, row_lanes, arith.addf) for t in self.totals]


def exp2(x: ir.Value) -> ir.Value:
    """``2 ** x`` in one instruction: results below the least normal number are zero, or it would take four."""
    return nvvm.ex2(x, ftz=True)
