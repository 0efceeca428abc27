"""Attention itself: scores, weights and sums of values of a block of queries."""

from __future__ import annotations

import dataclasses
import math

from pith._mlir import arith, ir, memref, vector
from pith._mlir import math as math_dialect

from .. import builder as b
from ..builder import Index
from ..panel.arithmetic import CACHE_LINE, bytes_of
from ..transpose import copy_transposed
from .meeting import Chunk, Meeting, widening
from .operands import load, narrowed, scratch, store
from .queries import QueryBlock, Span
from .sizes import shared_row
from .tile import Softmax


@dataclasses.dataclass(frozen=True)
class Forward(Meeting):
    """Keys are met for their values."""

    state: Softmax

    @classmethod
    def of(cls, block: QueryBlock, span: Span) -> Forward:
        """Nothing met yet."""
        o = block.operands
        state = Softmax.start(block.blocking, block.transposed(o.query, scaled=True), o.width)
        return cls(block, span, widening(block), state)

    def meet(self, chunk: Chunk) -> None:
        o, state = self.block.operands, self.state
        state.score(chunk.keys, chunk.count, o.depth, lambda u: self._fetch(b.add(chunk.first, u)))
        if o.bias is not None:
            self._add(o.bias, chunk)

        def hide() -> list[ir.Value]:
            state.hide(chunk.position, chunk.count, chunk.bounds)
            return [state.is_finite(chunk.values, chunk.count, o.width)]

        if chunk.edge is None:
            (is_plain,) = hide()
        else:
            true = arith.constant(chunk.edge.type, 1)
            (is_plain,) = b.if_else(chunk.edge, hide, lambda: [true], [true.type])
        state.weigh(chunk.count)
        b.if_else(
            is_plain,
            lambda: state.accumulate(chunk.values, chunk.count, o.width),
            lambda: state.accumulate_seen(chunk.values, chunk.count, o.width),
        )

    def _fetch(self, key: Index) -> None:
        """Fetch a row that the block will write and one that the next block reads: one for each tile of keys.

        Stores wait for lines that the core does not own, and the next block's queries would wait for the third level:
        12 heads of 1024 queries with windows of 128 keys 8.6 to 7.9 ms (Emerald Rapids, 2026-11-22).
        """
        block, o = self.block, self.block.operands
        number = b.minimum(b.div(key, block.blocking.rows), block.blocking.queries - 1)
        next_query = b.minimum(b.add(block.end, number), b.sub(o.queries, 1))
        for memory, place, writes in ((o.out, block.place(number), True), (o.query, next_query, False)):
            for d in range(0, memory.type.get_dim_size(3), CACHE_LINE // bytes_of(memory.type.element_type)):
                at = [block.batch, block.head, b.value(place), b.value(d)]
                memref.prefetch(memory, at, writes, 3, True)

    def _add(self, bias: ir.Value, chunk: Chunk) -> None:
        """Add what the keys' scores are biased by, in powers of two; queries past the block's end read nothing."""
        block, state = self.block, self.state
        row = [b.value(shared_row(bias, block.batch)), b.minimum(block.head, b.sub(b.dim_size(bias, 1), 1))]
        mask = ir.VectorType.get([block.blocking.lanes], ir.IntegerType.get_signless(1))
        places = [b.add(block.first, q) for q in block.blocking.starts()]
        live = [vector.create_mask(mask, [b.value(b.sub(block.end, place))]) for place in places]
        log2e, nothing = state.splat(math.log2(math.e)), state.splat(0.0)
        shared = bias.type.shape[3] == 1

        def of(key: ir.Value, place: Index, alive: ir.Value) -> ir.Value:
            at = [*row, key]
            if shared:
                return vector.broadcast(log2e.type, load(bias, [*at, 0]))
            return vector.maskedload(log2e.type, bias, [b.value(i) for i in (*at, place)], alive, nothing)

        def one(u: ir.Value) -> None:
            key = chunk.position(u)
            for q, place, alive in zip(block.blocking.starts(), places, live):
                state.put(vector.fma(of(key, place, alive), log2e, state.get(state.scores, u, q)), state.scores, u, q)

        b.for_loop(0, chunk.count, one)

    def write(self) -> None:
        o, state = self.block.operands, self.state
        state.finish(o.width)
        write_rows(self.block, state.sums, o.out)
        if o.lse is not None:
            lse = o.lse
            self.block.for_each(lambda i, at: store(_log_sum(state, i), lse, at))


def write_rows(block: QueryBlock, sums: ir.Value, out: ir.Value) -> None:
    """Store ``(features, queries)``, transposed, where the block's own queries are."""
    width, queries = sums.type.shape
    rows = scratch([queries, width], sums.type.element_type)
    copy_transposed(
        sums,
        lambda d, i: [b.value(d), b.value(i)],
        rows,
        lambda i, d: [b.value(i), b.value(d)],
        rows=width,
        cols=queries,
    )
    element = out.type.element_type

    def row(i: ir.Value, at: list[ir.Value]) -> None:
        b.for_loop(0, width, lambda d: store(narrowed(load(rows, [i, d]), element), out, [*at, d]))

    block.for_each(row)


def _log_sum(state: Softmax, i: ir.Value) -> ir.Value:
    """The natural logarithm of a query's sum of exponentials."""
    largest, total = load(state.largest, [i]), load(state.total, [i])
    log2 = arith.addf(math_dialect.log2(total), largest)
    return arith.mulf(log2, arith.constant(log2.type, math.log(2.0)))
