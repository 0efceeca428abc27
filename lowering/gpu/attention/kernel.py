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

from ... import builder as b
from ...builder import Index
from ..staging import Threads
from ..tiles import SharedMemory, SharedTile, is_below
from ..warp import WARP
from .body import Body, Tiles
from .keys import Stream, key_stream
from .plan import Plan, query_tile, shared_tiles
from .problem import Operands, Problem
from .rows import QueryTile, Row, hull_of, look_up, mark_tokens, place_of, span_of_block
from .softmax import Masks, Softmax
from .staging import Pipeline, clear_columns, copy_rows


def emit_attention(o: Operands, problem: Problem, plan: Plan, of_tokens: bool) -> None:
    """Emit the body of a kernel with grid (tiles of queries, heads, batch); ``of_tokens``: of global tokens."""
    _Block.begin(o, problem, plan, of_tokens).run()


@dataclasses.dataclass(frozen=True)
class _Block:
    """One block of threads.

    Attributes:
        where: sequence and number of the tile of queries; ``head``: of the queries.
        room: all shared memory by name.
    """

    o: Operands
    problem: Problem
    body: Body
    stages: int
    tile: QueryTile
    where: tuple[ir.Value, ir.Value]
    head: ir.Value
    threads: Threads
    tiles: Tiles
    room: dict[str, SharedTile]

    @classmethod
    def begin(cls, o: Operands, problem: Problem, plan: Plan, of_tokens: bool) -> "_Block":
        """The block this thread is of."""
        number, head, batch = (gpu.block_id(d) for d in (gpu.Dimension.x, gpu.Dimension.y, gpu.Dimension.z))
        threads = Threads(plan.body.threads, gpu.thread_id(gpu.Dimension.x))
        memory = SharedMemory.open()
        room = {n: memory.take(*t) for n, t in shared_tiles(problem, plan.body, of_tokens).items()}
        handed = (room["weights"],) if "weights" in room else ()
        tiles = Tiles(room["query"], room["key"], room["value"], handed)
        tile = query_tile(o, problem, plan, number, of_tokens)
        where = (batch, number)
        return cls(o, problem, plan.body, plan.stages, tile, where, head, threads, tiles, room)

    def run(self) -> None:
        """All of it."""
        rows = self._rows()
        hull = hull_of(rows, self.body.column_lanes)
        span = span_of_block(hull, self.threads.number, self.room["span"])
        stream = key_stream(self.o, self.problem, self.where, span, self.body.keys, self.room.get("records"))
        masks = Masks(stream, rows, hull)
        softmax, sums = self._meet(stream, masks)
        self._write(rows, softmax, sums)

    def _rows(self) -> list[Row]:
        batch, _ = self.where
        skipped = self.room.get("marks")
        if skipped is not None:
            mark_tokens(self.o, self.tile, batch, skipped, self.threads)
        return [look_up(self.o, self.tile, batch, i, skipped) for i in self.body.rows(self.threads.number)]

    def _meet(self, stream: Stream, masks: Masks) -> tuple[Softmax, list[ir.Value]]:
        """Walk the stream; returns the state and the sums behind its last tile."""
        body, thread = self.body, self.threads.number
        pipeline = Pipeline(
            self.o,
            stream,
            self.tiles,
            (self.where[0], self._key_head()),
            self.stages,
            self.threads,
        )
        self._copy_queries()
        started = pipeline.start()
        held = self._held(started)
        factor = scale_of(self.o)
        first = Softmax.start(len(masks.rows))
        n = len(masks.rows)

        def meet(tile: ir.Value, *carried: ir.Value) -> list[ir.Value]:
            state, sums = Softmax(list(carried[:n]), list(carried[n : 2 * n])), list(carried[2 * n :])
            stage = pipeline.next(tile, started)
            tiles = self.tiles.of_stage(stage)
            products = body.score(tiles, held, thread)
            scores = [[arith.mulf(x, factor) for x in held_row] for held_row in products]
            scores, delicate = self._hide(masks, scores, tile, stage)
            state, weights, fades = state.meet(scores, body.row_lanes)
            shows = functools.partial(masks.shows, tile, stage)
            sums = body.accumulate(tiles, body.fade(sums, fades), weights, thread, delicate, shows)
            return [*state.most, *state.totals, *sums]

        end = b.for_loop(0, b.value(stream.tiles), meet, [*first.most, *first.totals, *body.zeros()])
        return Softmax(end[:n], end[n : 2 * n]), end[2 * n :]

    def _hide(
        self, masks: Masks, scores: list[list[ir.Value]], tile: ir.Value, stage: Index
    ) -> tuple[list[list[ir.Value]], ir.Value]:
        """Scores without what is hidden, and whether hidden values could reach sums."""
        body, thread = self.body, self.threads.number
        flat = [x for row in scores for x in row]
        i1 = ir.IntegerType.get_signless(1)

        def edge() -> list[ir.Value]:
            shown = masks.hide(scores, tile, stage, body.columns(thread))
            return [*(x for row in shown for x in row), body.is_delicate(self.tiles.of_stage(stage), thread)]

        types = [*(x.type for x in flat), i1]
        condition = masks.is_edge(tile, stage, thread)
        *out, delicate = b.if_else(condition, edge, lambda: [*flat, arith.constant(i1, 0)], types)
        across = len(scores[0])
        return [out[i : i + across] for i in range(0, len(out), across)], delicate

    def _key_head(self) -> Index:
        """The head of keys and values that the queries' head reads."""
        return b.div(self.head, b.div(self.o.heads, b.dim_size(self.o.key, 1)))

    def _copy_queries(self) -> None:
        tile, batch = self.tiles.query, self.where[0]
        clear_columns(tile, self.problem.depth, self.threads)

        def at(i: Index) -> tuple[ir.Value, ir.Value]:
            return place_of(self.o, self.tile, batch, i)

        copy_rows(self.o.query, (batch, self.head), at, tile, self.threads)

    def _held(self, started: ir.Value) -> list[ir.Value]:
        """What is held of the queries, whose copies are in the first group."""
        nvgpu.device_async_wait(started, num_groups=self.stages - 2)
        gpu.barrier()
        return self.body.hold(self.tiles, self.threads.number)

    def _write(self, rows: Sequence[Row], softmax: Softmax, sums: list[ir.Value]) -> None:
        """Store results and logarithms of live rows; -inf and zeros where no key was met."""
        body, thread = self.body, self.threads.number
        totals = softmax.all_totals(body.row_lanes)
        f32 = ir.F32Type.get()
        zero, one = (arith.constant(f32, x) for x in (0.0, 1.0))
        features = body.features(thread)
        lane = b.mod(b.mod(thread, WARP), 2 * max(body.row_lanes))
        first_lane = arith.cmpi(arith.CmpIPredicate.eq, b.value(lane), b.value(0))
        for row, most, total, held in zip(rows, softmax.most, totals, body.results(sums)):
            empty = arith.cmpf(arith.CmpFPredicate.OEQ, total, zero)
            factor = arith.select(empty, zero, arith.divf(one, total))
            at = [self.where[0], self.head, row.place]

            def store(row=row, held=held, factor=factor, at=at) -> None:
                for feature, x in zip(features, held):
                    self._store(arith.mulf(x, factor), [*at, b.value(feature)])

            b.only_if(row.live, store)
            if self.o.lse is not None:
                log2 = arith.addf(nvvm.log2(total), most)
                lse = arith.mulf(log2, arith.constant(f32, math.log(2.0)))
                own = arith.andi(row.live, first_lane)
                b.only_if(own, lambda lse=lse, at=at: memref.store(lse, self.o.lse, at))

    def _store(self, x: ir.Value, at: list[ir.Value]) -> None:
        element = self.problem.element
        inside = None if self.body.width == self.problem.width else is_below(at[-1], self.problem.width)
        narrow = x if x.type == element else arith.truncf(element, x)
        b.only_if(inside, lambda: memref.store(narrow, self.o.out, at))


def scale_of(o: Operands) -> ir.Value:
    """The factor that makes powers of two of scores: scale * log2(e), rounded once."""
    f32, log2e = ir.F32Type.get(), math.log2(math.e)
    if isinstance(o.scale, int | float):
        return arith.constant(f32, o.scale * log2e)
    return arith.truncf(f32, arith.mulf(o.scale, arith.constant(o.scale.type, log2e)))
