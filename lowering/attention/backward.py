"""The gradient of attention: weights are computed again from the logarithms of their sums.

Queries and keys are in the same position here: those whose gradient is asked for are across lanes, the others
come by in a stream. What :mod:`.queries` and :mod:`.keys` call queries and keys are the former and the latter.
"""

from __future__ import annotations

import dataclasses
import math

from pith._mlir import arith, ir, vector

from .. import builder as b
from .exp2 import exp2_up_to_one
from .forward import write_rows
from .meeting import Chunk, Meeting, widening
from .operands import load, scratch, store
from .queries import QueryBlock, Span
from .tile import Softmax

#: Below every logarithm of a sum: where that is -inf, there is no weight, and no infinity to subtract.
_LEAST = -1.0e30


@dataclasses.dataclass(frozen=True)
class GradOperands:
    """What the gradient needs beyond :class:`.operands.Operands`, as memrefs.

    Attributes:
        own_pair: gradient of the result beside queries, values beside keys.
        lse, delta: of the queries.
        pair_out: gradient of the values; None where the gradient is that of the queries.
    """

    own_pair: ir.Value
    lse: ir.Value
    delta: ir.Value
    pair_out: ir.Value | None


@dataclasses.dataclass(frozen=True)
class Backward(Meeting):
    """Others are met for what they add to the gradients of one's own.

    Attributes:
        own: scores, then what they contribute to the gradient of one's own; ``pair``: products of gradients and
            values, then weights.
        numbers: ``(2, lanes)``: logarithms, base 2, and delta of the block's queries, when those are one's own.
    """

    given: GradOperands
    own: Softmax
    pair: Softmax
    numbers: ir.Value

    @classmethod
    def of(cls, given: GradOperands, block: QueryBlock, span: Span) -> Backward:
        """Nothing met yet."""
        o, blocking = block.operands, block.blocking
        own = Softmax.start(blocking, block.transposed(o.query, scaled=True), o.depth)
        pair = Softmax.start(blocking, block.transposed(given.own_pair, scaled=False), o.width)
        numbers = scratch([2, blocking.queries], blocking.element)
        made = cls(block, span, widening(block), given, own, pair, numbers)
        for state in (own, pair):
            for q in blocking.starts():
                state.put(state.splat(1.0), state.fade, q)
        if given.pair_out is None:
            b.for_loop(0, blocking.queries, made._note)
        return made

    def _note(self, i: ir.Value) -> None:
        for row, number in enumerate(self._numbers_of(self.block.place(i))):
            store(number, self.numbers, [row, i])

    def _numbers_of(self, query: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Logarithm, base 2, and delta of a query."""
        at = [self.block.batch, self.block.head, query]
        lse, delta = load(self.given.lse, at), load(self.given.delta, at)
        lse = arith.mulf(lse, arith.constant(lse.type, math.log2(math.e)))
        return arith.maximumf(lse, arith.constant(lse.type, _LEAST)), delta

    def meet(self, chunk: Chunk) -> None:
        o = self.block.operands
        self.own.score(chunk.keys, chunk.count, o.depth)
        self.pair.score(chunk.values, chunk.count, o.width)
        b.only_if(chunk.edge, lambda: self.own.hide(chunk.position, chunk.count, chunk.bounds))
        b.for_loop(0, chunk.count, lambda u: self._weigh(chunk, u))
        self.own.accumulate(chunk.keys, chunk.count, o.depth)
        if self.given.pair_out is not None:
            self.pair.accumulate(chunk.values, chunk.count, o.width)

    def _weigh(self, chunk: Chunk, u: ir.Value) -> None:
        """Make contributions of the scores of one of the others, and weights of its products."""
        type_, element = self.block.blocking.vector, None
        if self.given.pair_out is not None:
            element = [vector.broadcast(type_, x) for x in self._numbers_of(chunk.position(u))]
        for q in self.block.blocking.starts():
            lse, delta = element or (self.own.get(self.numbers, row, q) for row in (0, 1))
            weight = exp2_up_to_one(arith.subf(self.own.get(self.own.scores, u, q), lse))
            change = arith.mulf(weight, arith.subf(self.own.get(self.pair.scores, u, q), delta))
            self.own.put(change, self.own.scores, u, q)
            self.own.put(weight, self.pair.scores, u, q)

    def write(self) -> None:
        o, state = self.block.operands, self.own
        scale = (
            o.scale if isinstance(self.block.blocking.element, ir.F64Type) else arith.truncf(ir.F32Type.get(), o.scale)
        )
        factor = vector.broadcast(self.block.blocking.vector, scale)

        def feature(d: ir.Value) -> None:
            for q in self.block.blocking.starts():
                state.put(arith.mulf(state.get(state.sums, d, q), factor), state.sums, d, q)

        b.for_loop(0, o.depth, feature)
        write_rows(self.block, state.sums, o.out)
        if self.given.pair_out is not None:
            write_rows(self.block, self.pair.sums, self.given.pair_out)
