"""The body for f16 and bf16: scores and sums on ``mma.sync.m16n8k16``, accumulated in f32 registers.

A warp owns ``16 * down`` queries and all keys of a tile. Lane l holds, of every 16 x 8 fragment of scores or sums,
rows ``l // 4`` and ``l // 4 + 8``, columns ``2 (l % 4)`` and ``2 (l % 4) + 1``. Two neighbouring fragments of scores,
rounded, are one 16 x 16 fragment of the left operand of the second product as they lie: weights never leave registers.
Source: PTX ISA, "Matrix Fragments for mma.m16n8k16" and "ldmatrix".
"""

import dataclasses
import math
from collections.abc import Callable

from pith._mlir import arith, ir, nvgpu, vector

from ... import builder as b
from ...builder import Index
from ..mma import _fragment as fragment
from ..tiles import SharedTile, TileShape, tile_shape
from ..warp import WARP
from .body import Tiles
from .lanes import any_lane

#: Features whose query fragments stay in registers (128 of them: 32 registers per 16 rows); else they are read again.
HELD_FEATURES = 128

#: ``step(left, right, acc)``: one product of fragments, added to ``acc``.
Step = Callable[[ir.Value, ir.Value, ir.Value], ir.Value]


@dataclasses.dataclass(frozen=True)
class MmaBody:
    """Scores and sums of ``warps`` warps with ``16 * down`` queries each.

    Attributes:
        element: f16 or bf16.
        depth, width: features of queries and of values, padded to multiples of 16.
        keys: of a tile, a multiple of 16.
    """

    element: ir.Type
    depth: int
    width: int
    warps: int
    down: int
    keys: int

    #: Distances of lanes that hold other columns of the same rows, and of lanes that hold other rows.
    row_lanes = (1, 2)
    column_lanes = (4, 8, 16)

    @property
    def threads(self) -> int:
        return WARP * self.warps

    @property
    def queries(self) -> int:
        """Rows of the tile of queries."""
        return 16 * self.down * self.warps

    def layout(self) -> list[TileShape]:
        """Shared tiles of queries, keys and values; roles are those of the product that reads them."""
        sizes = {("m", "k"): (self.queries, self.depth), ("n", "k"): (self.keys, self.depth)}
        sizes[("k", "n")] = self.keys, self.width
        return [tile_shape(roles, extents, self.element) for roles, extents in sizes.items()]

    def rows(self, thread: ir.Value) -> list[Index]:
        """Rows of the tile of queries that this thread holds scores and sums of."""
        first = b.add(b.mul(b.div(thread, WARP), 16 * self.down), b.div(b.mod(thread, WARP), 4))
        return [b.add(first, 16 * i + 8 * half) for i in range(self.down) for half in (0, 1)]

    def columns(self, thread: ir.Value) -> list[Index]:
        """Keys of a tile whose scores this thread holds, of each of its rows."""
        return self._columns(thread, self.keys)

    def features(self, thread: ir.Value) -> list[Index]:
        """Features whose sums this thread holds, of each of its rows."""
        return self._columns(thread, self.width)

    def _columns(self, thread: ir.Value, size: int) -> list[Index]:
        first = b.mul(b.mod(thread, 4), 2)
        return [b.add(first, 8 * j + odd) for j in range(size // 8) for odd in (0, 1)]

    def zeros(self) -> list[ir.Value]:
        """Sums of nothing."""
        return [_splat(0.0, 2, ir.F32Type.get())] * (self.down * self.width // 8)

    def hold(self, tiles: Tiles, thread: ir.Value) -> list[ir.Value]:
        """What of the queries is kept in registers for :meth:`score`."""
        return self._query_fragments(tiles.query, thread) if self.depth <= HELD_FEATURES else []

    def _query_fragments(self, queries: SharedTile, thread: ir.Value) -> list[ir.Value]:
        """16 x 16 fragments of this warp's queries, by step of features and 16 rows."""
        lane, row = b.mod(thread, WARP), b.mul(b.div(thread, WARP), 16 * self.down)
        places = [(b.add(row, 16 * i), k) for k in range(0, self.depth, 16) for i in range(self.down)]
        return [fragment(queries, "m", first, k, lane, 2) for first, k in places]

    def score(self, tiles: Tiles, held: list[ir.Value], thread: ir.Value) -> list[list[ir.Value]]:
        """Products of queries and keys, by row and column of this thread."""
        left = held or self._query_fragments(tiles.query, thread)
        lane = b.mod(thread, WARP)
        acc = [_splat(0.0, 2, ir.F32Type.get())] * (self.down * self.keys // 8)
        across = self.keys // 8
        for step, k in enumerate(range(0, self.depth, 16)):
            for j in range(0, across, 2):
                pair = _halves(fragment(tiles.key, "n", 8 * j, k, lane, 2, wide=False))
                for i in range(self.down):
                    for side, right in enumerate(pair):
                        at = i * across + j + side
                        acc[at] = _mma(left[step * self.down + i], right, acc[at])
        return [
            [vector.extract(acc[i * across + j], [], [half, odd]) for j in range(across) for odd in (0, 1)]
            for i in range(self.down)
            for half in (0, 1)
        ]

    def fade(self, sums: list[ir.Value], factors: list[ir.Value]) -> list[ir.Value]:
        """Sums times a factor per row of this thread."""
        pair = ir.VectorType.get([2], ir.F32Type.get())
        across = self.width // 8
        out = []
        for i in range(self.down):
            factor = _stack([vector.broadcast(pair, f) for f in factors[2 * i : 2 * i + 2]])
            out += [arith.mulf(x, factor) for x in sums[i * across : (i + 1) * across]]
        return out

    def accumulate(
        self,
        tiles: Tiles,
        sums: list[ir.Value],
        weights: list[list[ir.Value]],
        thread: ir.Value,
        delicate: ir.Value,
    ) -> list[ir.Value]:
        """``sums + weights @ values``.

        Where weights are zero, ``delicate`` values have no influence even where they are not finite.
        """
        left, across, lane = self._weight_fragments(weights), self.width // 8, b.mod(thread, WARP)

        def product(step: Step) -> list[ir.Value]:
            acc = list(sums)
            for k in range(self.keys // 16):
                for j in range(0, across, 2):
                    pair = _halves(fragment(tiles.value, "n", 8 * j, 16 * k, lane, 2, wide=False))
                    for i in range(self.down):
                        for side, right in enumerate(pair):
                            at = i * across + j + side
                            acc[at] = step(left[k * self.down + i], right, acc[at])
            return acc

        return b.if_else(delicate, lambda: product(_mma_of_seen), lambda: product(_mma), [x.type for x in sums])

    def _weight_fragments(self, weights: list[list[ir.Value]]) -> list[ir.Value]:
        """16 x 16 fragments of the weights, by step of keys and 16 rows."""
        pair = ir.VectorType.get([2], self.element)
        out = []
        for k in range(self.keys // 16):
            for i in range(self.down):
                parts = []
                for column in (4 * k, 4 * k + 2):
                    for row in weights[2 * i : 2 * i + 2]:
                        narrow = [arith.truncf(self.element, w) for w in row[column : column + 2]]
                        parts.append(vector.from_elements(pair, narrow))
                out.append(_stack(parts))
        return out

    def is_delicate(self, tiles: Tiles, thread: ir.Value) -> ir.Value:
        """Whether some value is infinite or NaN; the same for all lanes of a warp."""
        total = zero = _splat(0.0, 4, self.element)
        lane = b.mod(thread, WARP)
        for k in range(self.keys // 16):
            for j in range(0, self.width // 8, 2):
                four = fragment(tiles.value, "n", 8 * j, 16 * k, lane, 2, wide=False)
                total = arith.addf(total, arith.mulf(four, zero))
        parts = [vector.extract(total, [], [i, odd]) for i in range(4) for odd in (0, 1)]
        one = parts[0]
        for part in parts[1:]:
            one = arith.addf(one, part)
        return any_lane(arith.cmpf(arith.CmpFPredicate.UNO, one, one))

    def results(self, sums: list[ir.Value]) -> list[list[ir.Value]]:
        """Sums by row and feature of this thread."""
        across = self.width // 8
        return [
            [vector.extract(sums[i * across + j], [], [half, odd]) for j in range(across) for odd in (0, 1)]
            for i in range(self.down)
            for half in (0, 1)
        ]


def _mma(left: ir.Value, right: ir.Value, acc: ir.Value) -> ir.Value:
    return nvgpu.mma_sync(acc.type, left, right, acc, [16, 8, 16])


def _mma_of_seen(left: ir.Value, right: ir.Value, acc: ir.Value) -> ir.Value:
    """``acc + left @ right`` in which zeros of ``left`` hide what is not finite in ``right``.

    Finite values are multiplied as ever. For each kind of other values a product with their places tells the sums
    that some weight above zero meets one.
    """
    element = right.type.element_type
    zero, one = _splat(0.0, 2, element), _splat(1.0, 2, element)
    none = _splat(0.0, 2, ir.F32Type.get())
    infinite = [arith.cmpf(arith.CmpFPredicate.OEQ, right, _splat(x, 2, element)) for x in (math.inf, -math.inf)]
    nan = arith.cmpf(arith.CmpFPredicate.UNO, right, right)
    finite = right
    for kind in (*infinite, nan):
        finite = arith.select(kind, zero, finite)
    acc = _mma(left, finite, acc)
    for kind, x in ((infinite[0], math.inf), (infinite[1], -math.inf), (nan, math.nan)):
        met = _mma(left, arith.select(kind, one, zero), none)
        there = arith.cmpf(arith.CmpFPredicate.OGT, met, none)
        acc = arith.addf(acc, arith.select(there, _splat(x, 2, ir.F32Type.get()), none))
    return acc


def _halves(four: ir.Value) -> list[ir.Value]:
    """The two fragments of a right operand that four matrices are."""
    return [_stack([vector.extract(four, [], [2 * side + i]) for i in (0, 1)]) for side in (0, 1)]


def _stack(pairs: list[ir.Value]) -> ir.Value:
    """Vectors of two as the rows of one."""
    out = _splat(0.0, len(pairs), pairs[0].type.element_type)
    for i, pair in enumerate(pairs):
        out = vector.insert(pair, out, [], [i])
    return out


def _splat(x: float, rows: int, element: ir.Type) -> ir.Value:
    type_ = ir.VectorType.get([rows, 2], element)
    return arith.constant(type_, ir.DenseElementsAttr.get_splat(type_, ir.FloatAttr.get(element, x)))
