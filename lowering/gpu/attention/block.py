"""A block of threads and its tile of queries: what forward and backward kernels share.

In gradients of keys and values, queries and keys change places: what is called a query here is one's own, what is
called a key is what it meets.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Self

from pith._mlir import arith, gpu, ir, vector

from ... import builder as b
from ...builder import Index
from ..product.staging import Threads
from ..product.tiles import SharedMemory, SharedTile, is_below
from .keys import Stream, key_stream
from .plan import Plan, query_tile
from .problem import Operands, Problem
from .rows import QueryTile, Row, hull_of, look_up, mark_tokens, place_of, span_of_block
from .softmax import Masks
from .staging import clear_columns, copy_rows


@dataclasses.dataclass(frozen=True)
class Block:
    """One block of threads; subclasses say what it computes (:meth:`compute`).

    Attributes:
        where: sequence and number of the tile of queries; ``head``: of the queries.
        room: all shared memory by name.
    """

    o: Operands
    problem: Problem
    plan: Plan
    tile: QueryTile
    where: tuple[ir.Value, ir.Value]
    head: ir.Value
    threads: Threads
    room: dict[str, SharedTile]

    @classmethod
    def begin(cls, o: Operands, problem: Problem, plan: Plan, of_tokens: bool) -> Self:
        """The block this thread is of, in a grid of (tiles of queries, heads, batch)."""
        number, head, batch = (gpu.block_id(d) for d in (gpu.Dimension.x, gpu.Dimension.y, gpu.Dimension.z))
        # Last tiles first: with causality they have most keys, and what starts last should be over soon.
        number = arith.subi(arith.subi(gpu.grid_dim(gpu.Dimension.x), b.value(1)), number)
        threads = Threads(plan.body.threads, gpu.thread_id(gpu.Dimension.x))
        memory = SharedMemory.open()
        room = {name: memory.take(*tile) for name, tile in plan.tiles.items()}
        tile = query_tile(o, problem, plan, number, o.global_tokens if of_tokens else None)
        return cls(o, problem, plan, tile, (batch, number), head, threads, room)

    def run(self) -> None:
        """All of it."""
        body = self.plan.body
        rows = self._rows()
        hull = hull_of(rows, body.column_lanes)
        span = span_of_block(hull, self.threads.number, self.room["span"])
        stream = key_stream(self.o, self.problem, self.where, span, body.keys, self.room.get("records"))
        self.compute(stream, Masks(stream, rows, hull))

    def compute(self, stream: Stream, masks: Masks) -> None:
        """Emit what the block does with the keys of its queries."""
        raise NotImplementedError

    def _rows(self) -> list[Row]:
        batch, _ = self.where
        skipped = self.room.get("marks")
        if skipped is not None:
            mark_tokens(self.o, self.tile, batch, skipped, self.threads)
        return [look_up(self.o, self.tile, batch, i, skipped) for i in self.plan.body.rows(self.threads.number)]

    @property
    def key_head(self) -> tuple[ir.Value, Index]:
        """Sequence and head of the keys that the queries read."""
        return self.where[0], b.div(self.head, b.div(self.o.heads, b.dim_size(self.o.key, 1)))

    def copy_queries(self, source: ir.Value, shared: SharedTile) -> None:
        """Begin to copy the rows of the tile's queries, and clear the columns behind them."""
        clear_columns(shared, source.type.get_dim_size(3), self.threads)

        def at(i: Index) -> tuple[ir.Value, ir.Value]:
            return place_of(self.o, self.tile, self.where[0], i)

        copy_rows(source, (self.where[0], self.head), at, shared, self.threads)

    def at_edges(
        self,
        masks: Masks,
        scores: list[list[ir.Value]],
        tile: ir.Value,
        stage: Index,
        check: Callable[[], ir.Value] | None = None,
    ) -> tuple[list[list[ir.Value]], ir.Value]:
        """Scores without what is hidden, and what ``check`` says where something may be, else false."""
        flat, i1 = [x for row in scores for x in row], ir.IntegerType.get_signless(1)
        false = arith.constant(i1, 0)

        def edge() -> list[ir.Value]:
            shown = masks.hide(scores, tile, stage, self.plan.body.columns(self.threads.number))
            return [*(x for row in shown for x in row), check() if check else false]

        condition = masks.is_edge(tile, stage, self.threads.number)
        *out, checked = b.if_else(condition, edge, lambda: [*flat, false], [*(x.type for x in flat), i1])
        across = len(scores[0])
        return [out[i : i + across] for i in range(0, len(out), across)], checked

    def store_row(
        self, out: ir.Value, row: Row, features: Sequence[Index], values: Sequence[ir.Value], factor: ir.Value
    ) -> None:
        """Store a row's results times a factor, rounded once; nothing of a row that is not live."""
        width, element = out.type.get_dim_size(3), out.type.element_type
        at, run = [self.where[0], self.head, row.place], math.gcd(self.plan.body.run, width)

        def one(feature: Index, some: Sequence[ir.Value]) -> None:
            given = [arith.mulf(x, factor) for x in some]
            rounded = [x if x.type == element else arith.truncf(element, x) for x in given]
            made = vector.from_elements(ir.VectorType.get([run], element), rounded)
            vector.store(made, out, [*at, b.value(feature)], alignment=run * element.width // 8)

        def store() -> None:
            for n in range(0, len(values), run):
                # Lanes hold features of padding too, where there is some.
                inside = is_below(features[n], width) if self.plan.is_padded(width) else None
                b.only_if(inside, lambda n=n: one(features[n], values[n : n + run]))

        b.only_if(row.live, store)
