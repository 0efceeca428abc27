"""The body for f32: scores and sums by fused multiply-adds, weights through shared memory.

A block is eight half-warps. Thread t is lane ``t % 16`` of half-warp ``t // 16``; its rows are 8 apart, its keys and
features 16. Rows are read four features at a time: eight lanes then read all banks once.
"""

import dataclasses

from pith._mlir import arith, gpu, ir, math, vector

from ... import builder as b
from ...builder import Index
from ..product.tiles import TileShape, tile_shape
from .body import Shows, Tiles

#: Features read at once: 16 bytes.
STEP = 4
_ACROSS = 16
_DOWN = 8


@dataclasses.dataclass(frozen=True)
class FmaBody:
    """Scores and sums of 128 threads with ``down`` queries each.

    Attributes:
        depth, width: features of queries, padded to a multiple of 4, and of values, padded to one of 16.
        keys: of a tile, a multiple of 16.
    """

    depth: int
    width: int
    down: int
    keys: int

    threads = _ACROSS * _DOWN
    run = 1
    row_lanes = (1, 2, 4, 8)
    column_lanes = (16,)

    @property
    def queries(self) -> int:
        """Rows of the tile of queries."""
        return _DOWN * self.down

    def layout(self) -> list[TileShape]:
        """Shared tiles of queries, keys, values and weights."""
        f32 = ir.F32Type.get()
        rows = [tile_shape(("row", "feature"), (n, self.depth), f32) for n in (self.queries, self.keys)]
        # Neighbouring lanes read neighbouring values of one row. Two rows of weights are read at a time: four words
        # apart, they are in different banks.
        values = TileShape(("row", "feature"), (self.keys, self.width), f32, self.width)
        return [*rows, values, TileShape(("row", "key"), (self.queries, self.keys), f32, self.keys + STEP)]

    def rows(self, thread: ir.Value) -> list[Index]:
        """Rows of the tile of queries that this thread holds scores and sums of."""
        return [b.add(b.div(thread, _ACROSS), _DOWN * i) for i in range(self.down)]

    def columns(self, thread: ir.Value) -> list[Index]:
        """Keys of a tile whose scores this thread holds, of each of its rows."""
        return [b.add(b.mod(thread, _ACROSS), j) for j in range(0, self.keys, _ACROSS)]

    def features(self, thread: ir.Value) -> list[Index]:
        """Features whose sums this thread holds, of each of its rows."""
        return [b.add(b.mod(thread, _ACROSS), j) for j in range(0, self.width, _ACROSS)]

    def zeros(self) -> list[ir.Value]:
        """Sums of nothing."""
        return [arith.constant(ir.F32Type.get(), 0.0)] * (self.down * self.width // _ACROSS)

    def hold(self, tiles: Tiles, thread: ir.Value) -> list[ir.Value]:
        """What of the queries is kept in registers: nothing."""
        return []

    def score(self, tiles: Tiles, held: list[ir.Value], thread: ir.Value) -> list[list[ir.Value]]:
        """Products of queries and keys, by row and column of this thread."""
        rows, columns = self.rows(thread), self.columns(thread)

        def some(k: Index, *acc: ir.Value) -> list[ir.Value]:
            left, right = (
                [tile.load_vector(STEP, r, k) for r in which]
                for tile, which in ((tiles.query, rows), (tiles.key, columns))
            )
            out = list(acc)
            for e in range(STEP):
                xs, ys = ([vector.extract(v, [], [e]) for v in side] for side in (left, right))
                out = [math.fma(x, y, old) for (x, y), old in zip(((x, y) for x in xs for y in ys), out)]
            return out

        n = len(columns)
        zero = arith.constant(ir.F32Type.get(), 0.0)
        acc = b.for_loop(0, self.depth, some, [zero] * (self.down * n), step=STEP)
        return [acc[i * n : (i + 1) * n] for i in range(self.down)]

    def fade(self, sums: list[ir.Value], factors: list[ir.Value]) -> list[ir.Value]:
        """Sums times a factor per row of this thread."""
        n = self.width // _ACROSS
        return [arith.mulf(x, factors[i // n]) for i, x in enumerate(sums)]

    def is_delicate(self, tiles: Tiles, thread: ir.Value) -> ir.Value:
        """Whether hidden values could reach sums: assumed, as hiding them costs one selection per multiplication."""
        return arith.constant(ir.IntegerType.get_signless(1), 1)

    def accumulate(
        self,
        tiles: Tiles,
        sums: list[ir.Value],
        weights: list[list[ir.Value]],
        thread: ir.Value,
        delicate: ir.Value,
        shows: Shows,
    ) -> list[ir.Value]:
        """``sums + weights @ values``. Has a barrier.

        Where weights are zero, ``delicate`` values have no influence even where they are not finite.
        """
        (room,) = tiles.weights
        rows, columns = self.rows(thread), self.columns(thread)
        for row, held in zip(rows, weights):
            for column, weight in zip(columns, held):
                room.store(weight, row, column)
        gpu.barrier()
        zero = arith.constant(ir.F32Type.get(), 0.0)

        def product(keep_hidden: bool) -> list[ir.Value]:
            def key(u: Index, *acc: ir.Value) -> list[ir.Value]:
                left = [room.load(r, u) for r in rows]
                right = [tiles.value.load(u, f) for f in self.features(thread)]
                pairs = [(x, y) for x in left for y in right]
                out = [math.fma(x, y, old) for (x, y), old in zip(pairs, acc)]
                if not keep_hidden:
                    return out
                met = [arith.cmpf(arith.CmpFPredicate.UNE, x, zero) for x in left for _ in right]
                return [arith.select(m, new, old) for m, new, old in zip(met, out, acc)]

            return b.for_loop(0, self.keys, key, sums)

        return b.if_else(delicate, lambda: product(True), lambda: product(False), [x.type for x in sums])

    def results(self, sums: list[ir.Value]) -> list[list[ir.Value]]:
        """Sums by row and feature of this thread."""
        n = self.width // _ACROSS
        return [sums[i * n : (i + 1) * n] for i in range(self.down)]
