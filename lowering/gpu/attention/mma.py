"""The body for f16 and bf16: scores and sums on ``mma.sync.m16n8k16``, accumulated in f32 registers.

A warp owns ``16 * down`` queries and all keys of a tile. Lane l holds, of every 16 x 8 fragment of scores or sums,
rows ``l // 4`` and ``l // 4 + 8``, columns ``2 (l % 4)`` and ``2 (l % 4) + 1``. Two neighbouring fragments of scores,
rounded, are one 16 x 16 fragment of the left operand of the second product as they lie: weights never leave registers.
Source: PTX ISA, "Matrix Fragments for mma.m16n8k16" and "ldmatrix".
"""

import dataclasses
import functools
from collections.abc import Callable

from pith._mlir import arith, ir, nvgpu, vector

from ... import builder as b
from ...builder import Index
from ..product.mma import _fragment as fragment
from ..product.tiles import SharedTile, TileShape, tile_shape
from ..warp import WARP, any_lane, fold
from .body import Shows, Tiles

#: Registers of a thread for sums, scores and fragments of queries, up to which the latter are held; else they are read
#: again for every tile of keys. With more, ptxas (CUDA 13.0) spills some of them.
HELD_REGISTERS = 128


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

    run = 2
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
        registers = self.down * (self.width + self.keys + self.depth // 2) // 2
        return self._query_fragments(tiles.query, thread) if registers <= HELD_REGISTERS else []

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
        shows: Shows,
    ) -> list[ir.Value]:
        """``sums + weights @ values``.

        Weights of zero do not hide what is not finite. So ``delicate`` values are multiplied without it, and
        rows that are shown such a value get it added.
        """
        left, across, lane = self._weight_fragments(weights), self.width // 8, b.mod(thread, WARP)

        def product(prepare: Callable[[ir.Value], ir.Value]) -> list[ir.Value]:
            out = list(sums)
            for k in range(self.keys // 16):
                for j in range(0, across, 2):
                    four = fragment(tiles.value, "n", 8 * j, 16 * k, lane, 2, wide=False)
                    pair = _halves(prepare(four))
                    for i in range(self.down):
                        for side, right in enumerate(pair):
                            at = i * across + j + side
                            out[at] = _mma(left[k * self.down + i], right, out[at])
            return out

        def careful() -> list[ir.Value]:
            # Kept rolled: it hardly ever runs, and unrolled it would take the registers of the loop around it.
            one = functools.partial(self._add_not_finite, tiles.value, self.features(thread), shows)
            return b.for_loop(0, self.keys, one, product(_finite), rolled=True)

        return b.if_else(delicate, careful, lambda: product(lambda x: x), [x.type for x in sums])

    def _add_not_finite(
        self, values: SharedTile, features: list[Index], shows: Shows, key: Index, *sums: ir.Value
    ) -> list[ir.Value]:
        """``sums`` plus what is not finite of one value, in rows that are shown its key."""
        shown, zero = shows(key), arith.constant(ir.F32Type.get(), 0.0)
        pair = ir.VectorType.get([2], ir.F32Type.get())
        wide = [arith.extf(ir.F32Type.get(), values.load(key, f)) for f in features]
        left = [arith.select(_is_finite(x), zero, x) for x in wide]
        out = []
        for n, acc in enumerate(sums):
            i, j = divmod(n, self.width // 8)
            rows = [[arith.select(s, x, zero) for x in left[2 * j : 2 * j + 2]] for s in shown[2 * i : 2 * i + 2]]
            out.append(arith.addf(acc, _stack([vector.from_elements(pair, row) for row in rows])))
        return out

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
        one = fold([vector.extract(total, [], [i, odd]) for i in range(4) for odd in (0, 1)], arith.addf)
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


def _is_finite(x: ir.Value) -> ir.Value:
    """Whether x - x is zero: it is NaN for NaN and infinities."""
    nothing = arith.subf(x, x)
    return arith.cmpf(arith.CmpFPredicate.ORD, nothing, nothing)


def _finite(x: ir.Value) -> ir.Value:
    """A fragment with zeros for what is not finite."""
    return arith.select(_is_finite(x), x, _splat(0.0, x.type.shape[0], x.type.element_type))


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
