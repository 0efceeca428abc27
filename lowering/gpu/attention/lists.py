"""Emit the kernel that lists, per tile of queries, the keys it meets: blocks of a pattern in view, tokens in reach.

One block of threads per list, in the layout of :mod:`.keys`. Entries keep the order of the pattern and of the
tokens: each round of threads looks at as many of them, votes say who keeps one, and counts of those before say where it
goes. A list serves all heads.
"""

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, gpu, ir, math, memref

from ... import builder as b
from ...attention.sizes import shared_row
from ...builder import Index
from ..product.staging import Threads
from ..product.tiles import SharedMemory, SharedTile, TileShape, is_below, tile_shape
from ..warp import WARP, fold, reduce_lanes
from .keys import MET, Layout
from .plan import Plan, block_row, query_tile
from .problem import Operands, Problem, i32, index, load
from .rows import Interval, interval, place_of

#: Threads of a block: entries looked at per round.
THREADS = 128
_WARPS = THREADS // WARP
_BEYOND = 2**31 - 1


def shapes() -> list[TileShape]:
    """Shared memory of a block: bounds of spans by warp, and how many entries each warp keeps."""
    i32_type = ir.IntegerType.get_signless(32)
    return [tile_shape(("warp", "bound"), (_WARPS, n), i32_type) for n in (4, 1)]


def emit_lists(o: Operands, problem: Problem, plan: Plan) -> None:
    """Emit the body of a kernel with grid (tiles of queries, rows of ``o.lists``)."""
    number, batch = gpu.block_id(gpu.Dimension.x), gpu.block_id(gpu.Dimension.y)
    threads = Threads(THREADS, gpu.thread_id(gpu.Dimension.x))
    memory = SharedMemory.open()
    spans, counts = (memory.take(s) for s in shapes())
    block = _Lister(o, problem, plan, number, batch, threads, counts, Layout.of(o, problem))
    seen, reach = block.spans(spans)
    blocks = b.value(0)
    if problem.granularity is not None:
        blocks = block.list_blocks(seen, problem.granularity[1])
    tokens = b.value(0)
    if o.global_tokens is not None:
        tokens = block.list_tokens(reach, blocks)

    def note() -> None:
        for at, count in enumerate((blocks, tokens)):
            block.put(i32(count), at)

    b.only_if(arith.cmpi(arith.CmpIPredicate.eq, threads.number, b.value(0)), note)


@dataclasses.dataclass(frozen=True)
class _Lister:
    """One block of threads, for tile ``number`` of queries of row ``batch`` of the lists."""

    o: Operands
    problem: Problem
    plan: Plan
    number: ir.Value
    batch: ir.Value
    threads: Threads
    counts: SharedTile
    layout: Layout

    def put(self, entry: ir.Value, at: Index) -> None:
        """Write an entry of the list."""
        memref.store(entry, self.o.lists, [b.value(i) for i in (self.batch, self.number, at)])

    def spans(self, shared: SharedTile) -> tuple[Interval, Interval]:
        """The hulls of what the tile's queries see, and of what they reach. Has a barrier."""
        o, tile = self.o, query_tile(self.o, self.problem, self.plan, self.number, None)
        zero, beyond = i32(0), i32(_BEYOND)

        def one(i: Index, *hull: ir.Value) -> list[ir.Value]:
            place, live = place_of(o, tile, self.batch, i)
            out = []
            for side, buffer in enumerate((o.intervals, o.reach)):
                first, end = hull[2 * side : 2 * side + 2]
                if buffer is not None:
                    own = interval(o, buffer, self.batch, place, live)
                    sees = arith.cmpi(arith.CmpIPredicate.sgt, own.count, zero)
                    first = arith.select(sees, arith.minsi(first, own.first), first)
                    end = arith.select(sees, arith.maxsi(end, arith.addi(own.first, own.count)), end)
                out += [first, end]
            return out

        start = [beyond, zero, beyond, zero]
        hull = b.for_loop(self.threads.number, self.plan.body.queries, one, start, step=THREADS)
        combine = (arith.minsi, arith.maxsi) * 2
        hull = [reduce_lanes(x, (1, 2, 4, 8, 16), c) for x, c in zip(hull, combine)]

        def note() -> None:
            for at, x in enumerate(hull):
                shared.store(x, b.div(self.threads.number, WARP), at)

        b.only_if(self._is_first_lane(), note)
        gpu.barrier()
        bounds = [fold([shared.load(w, at) for w in range(_WARPS)], c) for at, c in enumerate(combine)]
        made = [Interval(first, arith.maxsi(arith.subi(end, first), zero)) for first, end in (bounds[:2], bounds[2:])]
        return made[0], made[1]

    def _is_first_lane(self) -> ir.Value:
        lane = b.value(b.mod(self.threads.number, WARP))
        return arith.cmpi(arith.CmpIPredicate.eq, lane, b.value(0))

    def list_blocks(self, seen: Interval, wide: int) -> ir.Value:
        """List the columns of blocks, ``wide`` keys each, in the tile's row that overlap ``seen``; returns how many."""
        pattern = self.o.pattern
        capacity = b.div(b.sub(b.dim_size(pattern, 0), 1), 2)
        count = b.minimum(b.load_index(pattern, 0), capacity)
        row = b.value(block_row(self.problem, self.plan, self.number))
        first, end = index(seen.first), index(arith.addi(seen.first, seen.count))

        def look(entry: ir.Value, exists: ir.Value) -> tuple[ir.Value, ir.Value]:
            at = b.add(b.mul(arith.select(exists, entry, b.value(0)), 2), 1)
            at = arith.select(exists, b.value(at), b.value(0))
            own, column = index(load(pattern, [at])), load(pattern, [arith.select(exists, b.value(b.add(at, 1)), at)])
            start = b.mul(index(column), wide)
            here = arith.cmpi(arith.CmpIPredicate.eq, own, row)
            overlaps = arith.andi(b.less(start, end), b.less(first, b.add(start, wide)))
            return column, arith.andi(arith.andi(exists, here), overlaps)

        return self._keep(b.value(count), look, 2, self.layout.blocks)

    def list_tokens(self, reach: Interval, blocks: ir.Value) -> ir.Value:
        """List the tokens in ``reach``, :data:`.keys.MET` where the ``blocks`` listed hold them; returns how many."""
        tokens = self.o.global_tokens
        row = shared_row(tokens, self.batch)

        def look(entry: ir.Value, exists: ir.Value) -> tuple[ir.Value, ir.Value]:
            token = load(tokens, [row, arith.select(exists, entry, b.value(0))])
            inside = arith.andi(reach.holds(token), is_below(index(token), self.o.keys))
            return arith.addi(token, self._met(token, blocks)), arith.andi(exists, inside)

        return self._keep(b.value(b.dim_size(tokens, 1)), look, self.layout.tokens_at, self.layout.tokens)

    def _met(self, token: ir.Value, blocks: ir.Value) -> ir.Value:
        """:data:`.keys.MET` when the first part of the stream holds ``token``: an interval does, or a listed block."""
        if self.problem.granularity is None:
            return i32(MET)
        column = i32(b.div(index(token), self.problem.granularity[1]))

        def one(entry: ir.Value, met: ir.Value) -> list[ir.Value]:
            listed = load(self.o.lists, [self.batch, self.number, b.add(entry, 2)])
            same = arith.cmpi(arith.CmpIPredicate.eq, listed, column)
            return [arith.select(same, i32(MET), met)]

        return b.for_loop(0, blocks, one, [i32(0)])[0]

    def _keep(
        self,
        count: ir.Value,
        look: Callable[[ir.Value, ir.Value], tuple[ir.Value, ir.Value]],
        first: Index,
        room: Index,
    ) -> ir.Value:
        """Write what ``look`` at each of ``count`` entries says, where it says to keep it; returns how many.

        Every round has barriers, so what is written is visible to the block behind it.
        """
        lane, warp = b.mod(self.threads.number, WARP), b.div(self.threads.number, WARP)
        i32_type = ir.IntegerType.get_signless(32)

        def round_(start: ir.Value, kept: ir.Value) -> list[ir.Value]:
            entry = arith.addi(start, self.threads.number)
            made, keep = look(entry, is_below(entry, count))
            votes = gpu.ballot(i32_type, keep)
            before = arith.subi(arith.shli(i32(1), i32(lane)), i32(1))
            rank = index(math.ctpop(arith.andi(votes, before)))
            b.only_if(self._is_first_lane(), lambda: self.counts.store(math.ctpop(votes), warp, 0))
            gpu.barrier()
            by_warp = [index(self.counts.load(w, 0)) for w in range(_WARPS)]
            for w, own in enumerate(by_warp):
                earlier = arith.cmpi(arith.CmpIPredicate.ult, b.value(w), b.value(warp))
                rank = arith.addi(rank, arith.select(earlier, own, b.value(0)))
            at = arith.addi(kept, rank)
            b.only_if(arith.andi(keep, is_below(at, room)), lambda: self.put(made, b.add(at, first)))
            gpu.barrier()
            return [arith.addi(kept, fold(by_warp, arith.addi))]

        (kept,) = b.for_loop(0, count, round_, [b.value(0)], step=THREADS)
        return b.value(b.minimum(kept, room))
