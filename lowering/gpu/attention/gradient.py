"""Emit the kernel of a gradient of attention: weights are computed again from the logarithms of their sums.

Code it emits (by query; by key, queries and keys change places, and logarithms and delta are those of columns)::

    for each tile of the stream of keys:
      scores = scale * log2(e) * <query, key>; products = <gradient of the result, value>
      weights = exp2(scores - lse * log2(e)), 0 where hidden
      changes = weights * (products - delta)
      sums += changes @ keys                    by key also: pair sums += weights @ gradients of the result
    out = scale * sums; pair_out = pair sums

Source: recomputation as in FlashAttention (NeurIPS 2022). No atomic additions: each side's gradients have a kernel.
"""

import dataclasses
import functools
import math

from pith._mlir import arith, gpu, ir
from pith._mlir import math as math_ops

from ... import builder as b
from ...builder import Index
from ..product.tiles import SharedTile
from .block import Block
from .body import Body, Tiles
from .keys import Stream
from .problem import load, log2_scale, plain_scale
from .softmax import Masks, exp2
from .staging import Pipeline

#: Below every logarithm of a sum: where that is -inf there is no weight, and no infinity to subtract.
_LEAST = -1.0e30

#: Rows of the tile of numbers.
_LSE, _DELTA = range(2)


@dataclasses.dataclass(frozen=True)
class Gradient(Block):
    """The backward pass of one side."""

    def compute(self, stream: Stream, masks: Masks) -> None:
        room, plan = self.room, self.plan
        tiles = Tiles(room["query"], room["key"], room["value"])
        beside = self._note_numbers if plan.by_key else None
        pipeline = Pipeline(self.o, stream, tiles, self.key_head, plan.stages, self.threads, beside)
        self.copy_queries(self.o.query, room["query"])
        self.copy_queries(self.o.own_pair, room["pair"])
        started, factor = pipeline.start(), log2_scale(self.o)
        own = [self._numbers_of(row.place) for row in masks.rows] if not plan.by_key else []
        n = len(plan.body.zeros())

        def meet(tile: ir.Value, *sums: ir.Value) -> list[ir.Value]:
            stage = pipeline.next(tile, started)
            weights, changes = self._weigh(masks, factor, own, tile, stage)
            shows = functools.partial(masks.shows, tile, stage)
            out = self._accumulate(plan.body, "query", "key", stage, list(sums[:n]), changes, shows)
            if not plan.by_key:
                return out
            if plan.handed(room):
                gpu.barrier()  # the room of the changes is that of the weights
            return out + self._accumulate(plan.pair, "pair", "value", stage, list(sums[n:]), weights, shows)

        zeros = plan.body.zeros() + (plan.pair.zeros() if plan.by_key else [])
        sums = b.for_loop(0, b.value(stream.tiles), meet, zeros)
        self._write(masks, plan.body, self.o.out, plain_scale(self.o), sums[:n])
        if plan.by_key:
            one = arith.constant(ir.F32Type.get(), 1.0)
            self._write(masks, plan.pair, self.o.pair_out, one, sums[n:])

    def _weigh(
        self, masks: Masks, factor: ir.Value, own: list[tuple[ir.Value, ir.Value]], tile: ir.Value, stage: Index
    ) -> tuple[list[list[ir.Value]], list[list[ir.Value]]]:
        """Weights of a tile, and what they contribute to the gradient of one's own, by row and column."""
        room, plan, thread = self.room, self.plan, self.threads.number
        key, value = (room[name].of_stage(stage) for name in ("key", "value"))
        scores = plan.body.score(Tiles(room["query"], key, key), [], thread)
        products = plan.pair.score(Tiles(room["pair"], value, value), [], thread)
        columns = plan.body.columns(thread)
        if plan.by_key:
            numbers = room["numbers"].of_stage(stage)
            other = [(numbers.load(_LSE, c), numbers.load(_DELTA, c)) for c in columns]
            pairs = [other] * len(scores)
        else:
            pairs = [[mine] * len(columns) for mine in own]
        exponents = [
            [math_ops.fma(x, factor, arith.negf(lse)) for x, (lse, _) in zip(row, given)]
            for row, given in zip(scores, pairs)
        ]
        exponents, _ = self.at_edges(masks, exponents, tile, stage)
        weights, changes = [], []
        for row, met, given in zip(exponents, products, pairs):
            weights.append([exp2(x) for x in row])
            change = [arith.subf(x, delta) for x, (_, delta) in zip(met, given)]
            changes.append([arith.mulf(w, x) for w, x in zip(weights[-1], change)])
        return weights, changes

    def _accumulate(
        self, body: Body, own: str, other: str, stage: Index, sums: list[ir.Value], factors: list[list[ir.Value]], shows
    ) -> list[ir.Value]:
        """``sums + factors @ rows of the others``, which are finite."""
        rows = self.room[other].of_stage(stage)
        tiles = Tiles(self.room[own], rows, transposed(rows), self.plan.handed(self.room))
        false = arith.constant(ir.IntegerType.get_signless(1), 0)
        return body.accumulate(tiles, sums, factors, self.threads.number, false, shows)

    def _numbers_of(self, query: ir.Value) -> tuple[ir.Value, ir.Value]:
        """The logarithm, in powers of two, and delta of a query."""
        at = [self.where[0], self.head, query]
        lse, delta = load(self.o.lse, at), load(self.o.delta, at)
        lse = arith.mulf(lse, arith.constant(lse.type, math.log2(math.e)))
        return arith.maximumf(lse, arith.constant(lse.type, _LEAST)), delta

    def _note_numbers(self, stream: Stream, tile: ir.Value, stage: Index) -> None:
        """Store the numbers of a tile's columns; zeros where there is none."""
        shared, zero = self.room["numbers"].of_stage(stage), arith.constant(ir.F32Type.get(), 0.0)

        def one(u: Index) -> None:
            key = stream.at(tile, u)
            numbers = b.if_else(
                key.exists, lambda: list(self._numbers_of(key.position)), lambda: [zero] * 2, [zero.type] * 2
            )
            for row, x in enumerate(numbers):
                shared.store(x, row, u)

        self.threads.share(self.plan.body.keys, one)

    def _write(self, masks: Masks, body: Body, out: ir.Value, factor: ir.Value, sums: list[ir.Value]) -> None:
        features = body.features(self.threads.number)
        for row, values in zip(masks.rows, body.results(sums)):
            self.store_row(out, row, features, values, factor)


def transposed(tile: SharedTile) -> SharedTile:
    """A tile of ``(others, features)`` as the right operand of a product over the others: the same memory."""
    return dataclasses.replace(tile, shape=dataclasses.replace(tile.shape, roles=("k", "n")))
