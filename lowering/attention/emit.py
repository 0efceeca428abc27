"""One attention op as a parallel loop over sequences, heads and blocks of queries.

Code it emits (B: queries of a block; R: rows of a register tile; all vectors are across queries)::

    scf.parallel (sequence, head, block)
      places, live, seen, span                          which queries, and what they see
      queries[D][B] = scale * log2(e) * query^T
      stream of keys: an interval, or a list of positions
      for each chunk of the stream
        for each R keys        scores[u][:] = <key u, queries>            R x vectors accumulators over D
        if some query does not see all of the chunk       scores = -inf there
        weights = exp2(scores - largest), totals
        for each R features    sums[d][:] = sums[d][:] * fade + value[u][d] * weights[u][:]     over the chunk
      out[places] = (sums / totals)^T;  lse[places] = log(totals) + largest

Blocks of global tokens come after the others: their queries are gathered, see all that is in reach, and
are left out of the blocks they lie in.
"""

from __future__ import annotations

import dataclasses
import math

from pith._mlir import arith, ir, memref
from pith._mlir import math as math_dialect
from pith.dialect import AttentionOp

from .. import builder as b
from ..bfloat16 import round_to_bfloat16
from ..builder import Index
from ..isa import Isa
from ..panel.arithmetic import convert
from ..transpose import copy_transposed
from .keys import BlockLists, KeyStream, flag_tokens, sort_blocks, stream_of
from .operands import CHUNK_KEYS, Blocking, Operands, scratch
from .queries import LO, REACH_LO, QueryBlock, Span
from .tile import Row, Softmax


def emit_attention(op: AttentionOp, isa: Isa) -> Operands:
    """Emit the kernel at the insertion point; returns the op's operands, ``out`` and ``lse`` written."""
    o = Operands.of(op)
    blocking = Blocking.of(o.computed_type(), isa)
    flags = None if o.global_tokens is None else flag_tokens(o.global_tokens, b.maximum(o.keys, o.queries))
    lists = None if o.blocks is None else sort_blocks(o.blocks, b.ceildiv(o.queries, o.granularity[0]))
    kernel = _Kernel(o, blocking, flags, lists)
    work = b.product([o.batch, o.heads, o.queries, b.minimum(o.keys, 256), (o.depth + o.width) // blocking.lanes + 1])
    b.parallel_loop([o.batch, o.heads, kernel.tasks], kernel.task, work)
    return o


@dataclasses.dataclass(frozen=True)
class _Kernel:
    """What all tasks share."""

    operands: Operands
    blocking: Blocking
    flags: ir.Value | None
    lists: BlockLists | None

    @property
    def tall(self) -> int:
        """Queries of one row of the pattern's blocks; all of a block of queries lie in one."""
        return self.operands.granularity[0] if self.lists is not None else self.blocking.queries

    @property
    def parts(self) -> int:
        """Blocks of queries to a row of the pattern's blocks."""
        return -(-self.tall // self.blocking.queries)

    @property
    def plain_tasks(self) -> Index:
        """Tasks per head but for global tokens."""
        return b.mul(b.ceildiv(self.operands.queries, self.tall), self.parts)

    @property
    def tasks(self) -> Index:
        """Tasks per head."""
        return b.add(self.plain_tasks, b.ceildiv(self.operands.tokens, self.blocking.queries))

    def task(self, batch: ir.Value, head: ir.Value, number: ir.Value) -> None:
        """One block of queries."""
        row, extent, is_global = self._extent(number)
        block = QueryBlock.at(self.operands, self.blocking, self.flags, (batch, head), is_global, extent)
        span = block.look_up()
        state = Softmax.start(self.blocking, block.transposed(), self.operands.width)
        stream = stream_of(block, span, self.lists, row)
        self._chunks(_Meeting(block, span, stream, state), False, (0, stream.count))
        if self.flags is not None:
            self._chunks(_Meeting(block, span, stream, state), True, (stream.count, stream.total))
        _write(block, state)

    def _extent(self, number: ir.Value) -> tuple[Index, tuple[Index, Index], ir.Value | None]:
        """Row of the pattern's blocks, the queries (or entries of the list of global tokens), which of them it is."""
        o, n = self.operands, self.blocking.queries
        row = b.div(number, self.parts)
        first = b.add(b.mul(row, self.tall), b.mul(b.mod(number, self.parts), n))
        end = b.minimum(b.minimum(b.add(first, n), b.mul(b.add(row, 1), self.tall)), o.queries)
        if self.flags is None:
            return row, (first, end), None
        is_global = arith.cmpi(arith.CmpIPredicate.uge, number, b.value(self.plain_tasks))
        entry = b.mul(b.sub(number, self.plain_tasks), n)
        extent = zip((entry, b.minimum(b.add(entry, n), o.tokens)), (first, end))
        first, end = (arith.select(is_global, b.value(t), b.value(p)) for t, p in extent)
        return row, (first, end), is_global

    def _chunks(self, meeting: _Meeting, of_tokens: bool, span: tuple[Index, Index]) -> None:
        lo, hi = span
        count = b.sub(hi, lo)
        pieces = b.maximum(b.ceildiv(count, CHUNK_KEYS), 1)
        step = b.mul(b.maximum(b.ceildiv(b.ceildiv(count, pieces), self.blocking.rows), 1), self.blocking.rows)
        b.for_loop(lo, hi, lambda u: meeting.chunk(u, b.minimum(step, b.sub(hi, u)), of_tokens), step=step)


@dataclasses.dataclass(frozen=True)
class _Meeting:
    """A block of queries and its stream of keys."""

    block: QueryBlock
    span: Span
    stream: KeyStream
    state: Softmax

    def chunk(self, first: ir.Value, count: Index, of_tokens: bool) -> None:
        """Entries ``first`` up to ``first + count`` of the stream."""
        o, state = self.block.operands, self.state
        keys, values = self._rows(o.key, first, count), self._rows(o.value, first, count)
        state.score(keys, count, o.depth)

        def position(u: Index) -> ir.Value:
            return self.stream.at(b.add(first, u))

        if of_tokens:
            state.hide(position, count, self.block.seen, REACH_LO)
        else:
            b.only_if(self._is_edge(first, count), lambda: state.hide(position, count, self.block.seen, LO))
        state.weigh(count)
        state.accumulate(values, count, o.width)

    def _is_edge(self, first: ir.Value, count: Index) -> ir.Value:
        """Some query does not see some key of the chunk."""
        ends = [first, b.sub(b.add(first, count), 1)]
        if self.stream.is_sorted:
            least, most = (self.stream.at(u) for u in ends)
        else:

            def widen(u: ir.Value, least: ir.Value, most: ir.Value) -> list[ir.Value]:
                at = self.stream.at(u)
                return [arith.minui(least, at), arith.maxui(most, at)]

            at = self.stream.at(first)
            least, most = b.for_loop(first, b.add(first, count), widen, [at, at])
        before = b.less(least, self.span.all_from)
        return arith.ori(before, arith.cmpi(arith.CmpIPredicate.uge, most, self.span.all_to))

    def _rows(self, source: ir.Value, first: ir.Value, count: Index) -> Row:
        """Where the features of the chunk's keys are; narrow ones are widened into scratch memory first."""
        o, block = self.block.operands, self.block
        shared = b.div(block.head, b.div(o.heads, b.dim_size(source, 1)))

        def stored(u: Index) -> tuple[ir.Value, list[ir.Value]]:
            return source, [block.batch, b.value(shared), self.stream.at(b.add(first, u))]

        if not o.is_narrow:
            return stored
        depth = source.type.get_dim_size(3)
        wide = scratch([CHUNK_KEYS, depth], block.blocking.element)

        def widen(u: ir.Value) -> None:
            memory, at = stored(u)
            b.for_loop(0, depth, lambda d: _widened(memory, [*at, d], wide, [u, d]))

        b.for_loop(0, count, widen)
        return lambda u: (wide, [b.value(u)])


def _widened(source: ir.Value, at: list[ir.Value], target: ir.Value, to: list[ir.Value]) -> None:
    x = memref.load(source, [b.value(i) for i in at])
    memref.store(convert(x, target.type.element_type), target, [b.value(i) for i in to])


def _write(block: QueryBlock, state: Softmax) -> None:
    """Store the results of the block's own queries."""
    o, blocking = block.operands, block.blocking
    state.finish(o.width)
    rows = scratch([blocking.queries, o.width], blocking.element)
    copy_transposed(
        state.sums,
        lambda d, i: [b.value(d), b.value(i)],
        rows,
        lambda i, d: [b.value(i), b.value(d)],
        rows=o.width,
        cols=blocking.queries,
    )

    def store(i: ir.Value) -> None:
        at = [block.batch, block.head, block.place(i)]
        b.for_loop(
            0,
            o.width,
            lambda d: memref.store(_narrowed(memref.load(rows, [i, b.value(d)]), o), o.out, [*at, b.value(d)]),
        )
        if o.lse is not None:
            memref.store(_log_sum(state, i), o.lse, at)

    def one(i: ir.Value) -> None:
        live = memref.load(block.live, [i])
        b.only_if(arith.cmpi(arith.CmpIPredicate.ne, live, b.zero_of(live.type)), lambda: store(i))

    b.for_loop(0, blocking.queries, one)


def _log_sum(state: Softmax, i: ir.Value) -> ir.Value:
    """The natural logarithm of a query's sum of exponentials."""
    largest, total = memref.load(state.largest, [i]), memref.load(state.total, [i])
    log2 = arith.addf(math_dialect.log2(total), largest)
    return arith.mulf(log2, arith.constant(log2.type, math.log(2.0)))


def _narrowed(x: ir.Value, o: Operands) -> ir.Value:
    element = o.out.type.element_type
    if x.type == element:
        return x
    return round_to_bfloat16(x) if isinstance(element, ir.BF16Type) else arith.truncf(element, x)
