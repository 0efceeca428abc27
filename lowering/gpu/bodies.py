"""Dense tile bodies: what a block does with an lhs tile and an rhs tile in shared memory.

Both bodies know nothing of sparsity. A body says how many threads it takes, how its tiles lie in
shared memory, how to multiply them, and which places of the output tile a thread ends up holding.
"""

import dataclasses
from typing import Protocol

from pith._mlir import arith, ir, math, memref, nvgpu, vector

from .. import builder as b
from ..builder import Index
from .tiles import SharedTile, TileShape, remainder

WARP = 32


class Body(Protocol):
    """What the kernel generator asks of a body."""

    @property
    def threads(self) -> int:
        """Threads of a block."""
        ...

    def layout(self, element: ir.Type) -> tuple[TileShape, TileShape]:
        """Shared tiles of lhs (m x k) and rhs (k x n)."""
        ...

    def zeros(self) -> list[ir.Value]:
        """This thread's accumulators."""
        ...

    def step(self, lhs: SharedTile, rhs: SharedTile, acc: list[ir.Value], thread: ir.Value) -> list[ir.Value]:
        """``acc + lhs @ rhs`` for one pair of tiles."""
        ...

    def places(self, thread: ir.Value) -> tuple[list[Index], list[Index]]:
        """Rows and columns of the output tile this thread holds (their whole product)."""
        ...

    def value(self, acc: list[ir.Value], row: int, column: int) -> ir.Value:
        """The f32 held for entry ``row`` of the rows and ``column`` of the columns of :meth:`places`."""
        ...


@dataclasses.dataclass(frozen=True)
class FmaBody:
    """f32 fused multiply-adds: a 16 x 16 square of threads, each with (m/16) x (n/16) accumulators.

    Thread t is (t // 16, t % 16); its rows and columns are 16 apart, so that neighbouring threads
    read neighbouring words of the rhs tile and write neighbouring words of the output.
    """

    m: int
    n: int
    k: int
    threads = 256
    side = 16

    def layout(self, element: ir.Type) -> tuple[TileShape, TileShape]:
        # One word of padding: the two thread rows of a warp then read different banks.
        return (
            TileShape(("m", "k"), (self.m, self.k), self.k + 1, element),
            TileShape(("k", "n"), (self.k, self.n), self.n, element),
        )

    def zeros(self) -> list[ir.Value]:
        zero = arith.constant(ir.F32Type.get(), 0.0)
        return [zero] * (self.m // self.side * (self.n // self.side))

    def places(self, thread: ir.Value) -> tuple[list[Index], list[Index]]:
        row, column = b.div(thread, self.side), remainder(thread, self.side)
        return (
            [b.add(row, i) for i in range(0, self.m, self.side)],
            [b.add(column, j) for j in range(0, self.n, self.side)],
        )

    def step(self, lhs: SharedTile, rhs: SharedTile, acc: list[ir.Value], thread: ir.Value) -> list[ir.Value]:
        rows, columns = self.places(thread)

        def one(k: Index, *inner: ir.Value) -> list[ir.Value]:
            left = [memref.load(lhs.memory, [b.value(r), b.value(k)]) for r in rows]
            right = [memref.load(rhs.memory, [b.value(k), b.value(c)]) for c in columns]
            pairs = [(x, y) for x in left for y in right]
            return [math.fma(x, y, old) for (x, y), old in zip(pairs, inner)]

        return b.for_loop(0, self.k, one, acc)

    def value(self, acc: list[ir.Value], row: int, column: int) -> ir.Value:
        return acc[row * (self.n // self.side) + column]


@dataclasses.dataclass(frozen=True)
class MmaBody:
    """f16 tensor cores, f32 accumulation: ``mma.sync.m16n8k16`` on fragments read by ``ldmatrix``.

    ``warps`` = (down, across) split the tile evenly. Lane l of a warp holds, of every 16 x 8
    fragment, rows l // 4 and l // 4 + 8 and columns 2 (l % 4) and 2 (l % 4) + 1.
    Source: PTX ISA, "Matrix Fragments for mma.m16n8k16" and "ldmatrix".
    """

    m: int
    n: int
    k: int
    warps: tuple[int, int]

    @property
    def threads(self) -> int:
        return WARP * self.warps[0] * self.warps[1]

    @property
    def fragments(self) -> tuple[int, int]:
        """Fragments of one warp: down, across."""
        return self.m // 16 // self.warps[0], self.n // 8 // self.warps[1]

    def layout(self, element: ir.Type) -> tuple[TileShape, TileShape]:
        # Eight halves (16 bytes) of padding: the eight rows of an ldmatrix then start in different
        # banks, and every row stays 16-byte aligned as ldmatrix requires.
        return (
            TileShape(("m", "k"), (self.m, self.k), self.k + 8, element),
            TileShape(("k", "n"), (self.k, self.n), self.n + 8, element),
        )

    def zeros(self) -> list[ir.Value]:
        type_ = ir.VectorType.get([2, 2], ir.F32Type.get())
        zero = arith.constant(type_, ir.DenseElementsAttr.get_splat(type_, ir.FloatAttr.get_f32(0.0)))
        down, across = self.fragments
        return [zero] * (down * across)

    def step(self, lhs: SharedTile, rhs: SharedTile, acc: list[ir.Value], thread: ir.Value) -> list[ir.Value]:
        down, across = self.fragments
        row0, column0 = self._corner(thread)
        lane = remainder(thread, WARP)
        for k in range(0, self.k, 16):
            # Lanes 0-15 address the rows of the left half of a 16 x 16 fragment, 16-31 of the right half.
            column = b.add(b.mul(b.div(lane, 16), 8), k)
            row = b.add(row0, remainder(lane, 16))
            left = [_ldmatrix(lhs, b.add(row, 16 * i), column, 4, False) for i in range(down)]
            depth = b.add(remainder(lane, 16), k)
            right = [_ldmatrix(rhs, depth, b.add(column0, 8 * j), 2, True) for j in range(across)]
            pairs = [(x, y) for x in left for y in right]
            acc = [nvgpu.mma_sync(old.type, x, y, old, [16, 8, 16]) for (x, y), old in zip(pairs, acc)]
        return acc

    def places(self, thread: ir.Value) -> tuple[list[Index], list[Index]]:
        down, across = self.fragments
        row0, column0 = self._corner(thread)
        lane = remainder(thread, WARP)
        row = b.add(row0, b.div(lane, 4))
        column = b.add(column0, b.mul(remainder(lane, 4), 2))
        return (
            [b.add(row, 16 * i + 8 * half) for i in range(down) for half in (0, 1)],
            [b.add(column, 8 * j + odd) for j in range(across) for odd in (0, 1)],
        )

    def value(self, acc: list[ir.Value], row: int, column: int) -> ir.Value:
        fragment = acc[row // 2 * self.fragments[1] + column // 2]
        return vector.extract(fragment, [], [row % 2, column % 2])

    def _corner(self, thread: ir.Value) -> tuple[Index, Index]:
        """Upper left place of this thread's warp."""
        warp = b.div(thread, WARP)
        down, across = self.warps
        return (
            b.mul(b.div(warp, across), self.m // down),
            b.mul(remainder(warp, across), self.n // across),
        )


def _ldmatrix(tile: SharedTile, row: Index, column: Index, count: int, transpose: bool) -> ir.Value:
    type_ = ir.VectorType.get([count, 2], ir.F16Type.get())
    return nvgpu.ldmatrix(type_, tile.memory, [b.value(row), b.value(column)], transpose, count)
