"""Emit the kernel of an attention: a block owns a tile of queries of one head.

Code it emits::

    rows, hull                                which queries, and what they see
    queries -> shared memory, held in registers
    for each tile of the stream of keys:      (:mod:`.keys`) absent keys are not loaded
      wait for its copies; barrier; begin the copies of a later tile
      scores = scale * log2(e) * <query, key>
      where some row of the warp does not see all of the tile:   scores = -inf; are its values finite?
      weights = exp2(scores - largest); sums = sums * fade + weights @ values
    out = sums / totals; lse = log(totals) + largest
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

from pith._mlir import arith, gpu, ir, memref, nvgpu, nvvm
from pith._mlir import math as math_dialect

from ... import builder as b
from ...builder import Index
from ..warp import WARP
from .block import Block
from .body import Tiles
from .keys import IntervalStream, Stream
from .problem import load, log2_scale
from .rows import Row
from .softmax import Masks, Softmax
from .staging import Pipeline

#: Stands for a factor of zero, whose product with -inf would be NaN; scores up to 1e30 times it are zero beside a 1.
_LEAST_FACTOR = 1.0e-37


@dataclasses.dataclass(frozen=True)
class Attention(Block):
    """The forward pass."""

    def compute(self, stream: Stream, masks: Masks) -> None:
        room, body = self.room, self.plan.body
        tiles = Tiles(room["query"], room["key"], room["value"], self.plan.handed(room))
        pipeline = Pipeline(self.o, stream, tiles, self.key_head, self.plan.stages, self.threads)
        self.copy_queries(self.o.query, room["query"])
        started = pipeline.start()
        # The queries are in the first group of copies.
        nvgpu.device_async_wait(started, num_groups=self.plan.stages - 2)
        gpu.barrier()
        factor, n = self._make_positive(log2_scale(self.o)), len(masks.rows)
        held = body.hold(tiles, self.threads.number)

        def meet(tile: ir.Value, *carried: ir.Value) -> list[ir.Value]:
            state, sums = Softmax(list(carried[:n]), list(carried[n : 2 * n])), list(carried[2 * n :])
            stage = pipeline.next(tile, started)
            state, sums = self._meet(masks, tiles.of_stage(stage), held, factor, (tile, stage), (state, sums))
            return [*state.most, *state.totals, *sums]

        first = Softmax.start(n)
        end = b.for_loop(0, b.value(stream.tiles), meet, [*first.most, *first.totals, *body.zeros()])
        self._write(masks.rows, Softmax(end[:n], end[n : 2 * n]), end[2 * n :])

    def _make_positive(self, factor: ir.Value) -> ir.Value:
        """The size of the factor of the scores, whose sign goes to the queries: the largest product is then that of
        the largest score. Has a barrier where the factor is negative."""
        queries = self.room["query"]
        rows, columns = queries.shape.extents
        negative = arith.cmpf(arith.CmpFPredicate.OLT, factor, arith.constant(factor.type, 0.0))

        def one(i: Index) -> None:
            row, column = b.div(i, columns), b.mod(i, columns)
            queries.store(arith.negf(queries.load(row, column)), row, column)

        def turn() -> None:
            self.threads.share(rows * columns, one)
            gpu.barrier()

        b.only_if(negative, turn)
        size = arith.select(negative, arith.negf(factor), factor)
        return arith.maximumf(size, arith.constant(factor.type, _LEAST_FACTOR))

    def _meet(
        self, masks: Masks, tiles: Tiles, held, factor: ir.Value, where, before
    ) -> tuple[Softmax, list[ir.Value]]:
        """State and sums after tile ``where`` (its number and stage), from those ``before`` it."""
        (tile, stage), (state, sums) = where, before
        body, thread = self.plan.body, self.threads.number
        products = body.score(tiles, held, thread)
        if self.o.bias is not None and isinstance(masks.stream, IntervalStream):
            first = masks.stream.start(tile)
            products = self._biased(self.o.bias, products, factor, masks.rows, first)
            factor = arith.constant(factor.type, 1.0)
        products, delicate = self.at_edges(masks, products, tile, stage, lambda: body.is_delicate(tiles, thread))
        state, weights, fades = state.meet(products, factor, body.row_lanes)
        shows = functools.partial(masks.shows, tile, stage)
        return state, body.accumulate(tiles, body.fade(sums, fades), weights, thread, delicate, shows)

    def _biased(
        self, bias: ir.Value, products: list[list[ir.Value]], factor: ir.Value, rows: Sequence[Row], first: Index
    ) -> list[list[ir.Value]]:
        """Scores in powers of two; keys past the end, which are hidden, repeat the last key's bias."""
        last = b.sub(self.o.keys, 1)
        keys = [b.minimum(b.add(first, c), last) for c in self.plan.body.columns(self.threads.number)]
        batch, head = (b.minimum(i, b.sub(b.dim_size(bias, d), 1)) for d, i in enumerate((self.where[0], self.head)))
        log2e, shared = arith.constant(factor.type, math.log2(math.e)), bias.type.shape[3] == 1

        def score(row: Row, key: Index, product: ir.Value) -> ir.Value:
            own = load(bias, [batch, head, key, 0 if shared else row.place])
            return math_dialect.fma(product, factor, arith.mulf(own, log2e))

        return [[score(row, key, x) for key, x in zip(keys, held)] for row, held in zip(rows, products)]

    def _write(self, rows: Sequence[Row], softmax: Softmax, sums: list[ir.Value]) -> None:
        """Store results and logarithms of live rows; zeros and -inf where no key was met."""
        body, thread = self.plan.body, self.threads.number
        zero, one = (arith.constant(ir.F32Type.get(), x) for x in (0.0, 1.0))
        totals, features = softmax.all_totals(body.row_lanes), body.features(thread)
        for row, most, total, values in zip(rows, softmax.most, totals, body.results(sums)):
            empty = arith.cmpf(arith.CmpFPredicate.OEQ, total, zero)
            factor = arith.select(empty, zero, arith.divf(one, total))
            self.store_row(self.o.out, row, features, values, factor)
            if self.o.lse is not None:
                self._write_lse(self.o.lse, row, most, total)

    def _write_lse(self, out: ir.Value, row: Row, most: ir.Value, total: ir.Value) -> None:
        """The natural logarithm of a row's sum of weights, by the first of the lanes that hold the row."""
        lane = b.mod(b.mod(self.threads.number, WARP), 2 * max(self.plan.body.row_lanes))
        first = arith.cmpi(arith.CmpIPredicate.eq, b.value(lane), b.value(0))
        lse = arith.mulf(arith.addf(nvvm.log2(total), most), arith.constant(most.type, math.log(2.0)))
        at = [self.where[0], self.head, row.place]
        b.only_if(arith.andi(row.live, first), lambda: memref.store(lse, out, at))
