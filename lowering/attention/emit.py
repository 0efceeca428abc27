"""One attention op as a parallel loop over sequences, heads and blocks of queries.

Code it emits (B: queries of a block; R: rows of a register tile; all vectors are across queries)::

    scf.parallel (sequence, head, block)
      places, live, seen, span                          which queries, and what they see
      queries[D][B] = scale * log2(e) * query^T
      for each chunk of a stream of keys: an interval, blocks of it, then global tokens
        for each R keys        scores[u][:] = <key u, queries>            R x vectors accumulators over D
        where some query does not see all of the chunk                    scores = -inf
        weights = exp2(scores - largest), totals
        for each R features    sums[d][:] = sums[d][:] * fade + value[u][d] * weights[u][:]     over the chunk
      out[places] = (sums / totals)^T;  lse[places] = log(totals) + largest

Queries that are global tokens are left out there; tasks behind the blocks of a head gather them, a vector at a time,
while its keys are in L2: as a loop of their own 12 heads of 1024 took 3 to 5 % longer (Emerald Rapids, 2026-11-22).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, ir
from pith.dialect import AttentionGradOp, AttentionOp

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from .backward import Backward, GradOperands
from .cuts import Cuts, cut_queries
from .forward import Forward
from .keys import BlockLists, block_stream, flag_tokens, interval_stream, sort_blocks, token_stream
from .meeting import Meeting
from .operands import Blocking, Operands, buffer_of, destination_of, strides_of
from .queries import LO, REACH_LO, QueryBlock, Span


def emit_attention(op: AttentionOp, isa: Isa) -> list[ir.Value]:
    """Emit the kernel at the insertion point; returns the memory of the op's results."""
    o = Operands.of(op)
    _emit(o, isa, Forward.of)
    return [o.out] if o.lse is None else [o.out, o.lse]


def emit_attention_grad(op: AttentionGradOp, isa: Isa) -> list[ir.Value]:
    """Emit the kernel of a gradient at the insertion point; returns the memory of the op's results."""
    o = Operands.of_grad(op)
    pair_out = None if op.pair_out is None else destination_of(op.pair_out)
    given = GradOperands(buffer_of(op.own_pair), buffer_of(op.lse), buffer_of(op.delta), pair_out)
    _emit(o, isa, lambda block, span: Backward.of(given, block, span))
    return [o.out] if pair_out is None else [o.out, pair_out]


def _emit(o: Operands, isa: Isa, make: Callable[[QueryBlock, Span], Meeting]) -> None:
    blocking = Blocking.of(o.computed_type(), isa)
    flags = None if o.global_tokens is None else flag_tokens(o.global_tokens, b.maximum(o.keys, o.queries))
    lists = None if o.blocks is None else sort_blocks(o.blocks, b.ceildiv(o.queries, o.granularity[0]))
    cuts = cut_queries(o, blocking) if lists is None else None
    kernel = _Kernel(o, blocking, make, flags, lists, cuts)
    per_key = b.product([o.batch, o.heads, (o.depth + o.width) // blocking.lanes + 1])
    work = b.product([per_key, o.queries, b.minimum(o.keys, 256)])
    if o.global_tokens is None:
        kernel.run(kernel.tasks, kernel.task, work)
        return
    tokens, narrow = b.dim_size(o.global_tokens, 1), dataclasses.replace(kernel, blocking=blocking.narrow())
    blocks = kernel.tasks

    def task(batch: ir.Value, head: ir.Value, number: ir.Value) -> None:
        b.if_else(
            b.less(number, blocks),
            lambda: kernel.task(batch, head, number),
            lambda: narrow.token_task(batch, head, b.value(b.sub(number, blocks))),
        )

    count = b.add(blocks, b.ceildiv(tokens, narrow.blocking.queries))
    kernel.run(count, task, b.add(work, b.product([per_key, tokens, o.keys])))


@dataclasses.dataclass(frozen=True)
class _Kernel:
    """What all tasks share."""

    operands: Operands
    blocking: Blocking
    make: Callable[[QueryBlock, Span], Meeting]
    flags: ir.Value | None
    lists: BlockLists | None
    cuts: Cuts | None

    def run(self, count: Index, task: Callable[[ir.Value, ir.Value, ir.Value], None], work: Index) -> None:
        """``task(sequence, head, number)`` for ``count`` numbers per head, in the order that memory has.

        Where heads lie side by side, those of one block come after each other and find each other's cache lines;
        else the blocks of one head do, whose keys overlap.
        """
        heads, count = b.value(self.operands.heads), b.value(count)
        head_stride, row_stride = strides_of(self.operands.key)[1:3]
        interleaved = b.less(head_stride, row_stride)
        inner = arith.select(interleaved, heads, count)

        def one(batch: ir.Value, number: ir.Value) -> None:
            outer, rest = arith.divui(number, inner), arith.remui(number, inner)
            head, block = (arith.select(interleaved, *pair) for pair in ((rest, outer), (outer, rest)))
            task(batch, head, block)

        b.parallel_loop([self.operands.batch, b.mul(heads, count)], one, work)

    @property
    def parts(self) -> int:
        """Blocks of queries to a row of the pattern's blocks: a block lies in one row."""
        return -(-self.operands.granularity[0] // self.blocking.queries)

    @property
    def tasks(self) -> Index:
        """Tasks per head."""
        if self.cuts is not None:
            return self.cuts.most
        return b.mul(b.ceildiv(self.operands.queries, self.operands.granularity[0]), self.parts)

    def extent(self, batch: ir.Value, number: ir.Value) -> tuple[Index, Index]:
        """The queries of a task."""
        if self.cuts is not None:
            return self.cuts.extent(batch, number)
        o, tall = self.operands, self.operands.granularity[0]
        row = b.div(number, self.parts)
        first = b.add(b.mul(row, tall), b.mul(b.mod(number, self.parts), self.blocking.queries))
        end = b.minimum(b.add(first, self.blocking.queries), b.mul(b.add(row, 1), tall))
        return first, b.minimum(end, o.queries)

    def task(self, batch: ir.Value, head: ir.Value, number: ir.Value) -> None:
        """One block of queries that are no global tokens."""
        o = self.operands
        block = QueryBlock.at(o, self.blocking, self.flags, (batch, head), False, self.extent(batch, number))
        span = block.look_up()
        meeting = self.make(block, span)
        if self.lists is None:
            stream = interval_stream(span)
        else:
            stream = block_stream(block, span, self.lists, b.div(number, self.parts))
        meeting.run(stream, LO)
        if o.global_tokens is not None:
            tokens = token_stream(block, span, o.global_tokens)
            meeting.run(tokens, REACH_LO, but_for=LO if self.lists is None else None)
        meeting.write()

    def token_task(self, batch: ir.Value, head: ir.Value, number: ir.Value) -> None:
        """Some queries that are global tokens."""
        o, n = self.operands, self.blocking.queries
        first = b.mul(number, n)
        end = b.minimum(b.add(first, n), b.dim_size(o.global_tokens, 1))
        block = QueryBlock.at(o, self.blocking, self.flags, (batch, head), True, (first, end))
        span = block.look_up()
        meeting = self.make(block, span)
        meeting.run(interval_stream(span), LO)
        meeting.write()
