"""Dense tile bodies: what a block does with an lhs tile and an rhs tile in shared memory.

Bodies know nothing of sparsity. A body says how many threads it takes, how its tiles lie in shared memory, how to
multiply them, and how the sums get back there, a slab of rows at a time, for the threads to write them out.
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from pith._mlir import arith, ir, math, memref, vector

from ... import builder as b
from ...builder import Index
from .tiles import SharedTile, TileShape, tile_shape

WARP = 32
#: The tiles of one operand: values alone, or values and what says where they belong.
Tiles = Sequence[SharedTile]


class Body(Protocol):
    """What the kernel generator asks of a body: an m x n x k tile product."""

    @property
    def m(self) -> int:
        """Rows of the output tile."""
        ...

    @property
    def n(self) -> int:
        """Columns of the output tile."""
        ...

    @property
    def k(self) -> int:
        """Terms that a step adds to each sum."""
        ...

    @property
    def threads(self) -> int:
        """Threads of a block."""
        ...

    def layout(self, lhs: ir.Type, rhs: ir.Type) -> tuple[list[TileShape], list[TileShape]]:
        """Shared tiles of lhs and rhs of these element types."""
        ...

    def zeros(self) -> list[ir.Value]:
        """This thread's accumulators."""
        ...

    def step(self, lhs: Tiles, rhs: Tiles, acc: Sequence[ir.Value], thread: ir.Value) -> list[ir.Value]:
        """``acc + lhs @ rhs`` for one pair of tiles."""
        ...

    @property
    def lag(self) -> int:
        """Steps before the current one whose tiles may still be read when :meth:`step` returns, at most."""
        ...

    def settle(self, steps: int) -> None:
        """Wait until tiles are read of the last ``steps`` steps only; without any, the sums are there."""
        ...

    def publish(self) -> None:
        """Make what this thread wrote to shared tiles visible to the body, before the barrier behind which it reads."""
        ...

    @property
    def slabs(self) -> int:
        """Parts the output tile is written back in; each is ``slab_rows`` of its rows."""
        ...

    @property
    def slab_rows(self) -> int:
        """Rows of the output tile in one slab."""
        ...

    def slab_shape(self) -> TileShape:
        """A slab of sums in shared memory, ``("m", "n")``."""
        ...

    def deposit(self, acc: Sequence[ir.Value], slab: int, tile: SharedTile, thread: ir.Value) -> None:
        """Store this thread's sums of a slab."""
        ...

    def slab_row(self, slab: int, row: Index) -> Index:
        """Which row of the output tile is row ``row`` of a slab."""
        ...


class Synchronous:
    """A body that is done with its tiles when a step returns, and reads them as any code does."""

    lag = 0

    def settle(self, steps: int) -> None:
        """There is nothing to wait for."""

    def publish(self) -> None:
        """A barrier is enough."""


@dataclasses.dataclass(frozen=True)
class FmaBody(Synchronous):
    """f32 fused multiply-adds: a 16 x 16 square of threads, each with (m/16) x (n/16) accumulators.

    Thread t is (t // 16, t % 16). Operands are read in vectors: of 4 neighbours along k, or, where memory
    is contiguous along the rows (columns) instead, of up to 4 neighbouring rows (columns).

    Attributes:
        m, n, k: the block's tile.
        fast: the role along which lhs and rhs are contiguous.
    """

    m: int
    n: int
    k: int
    fast: tuple[str, str] = ("k", "n")
    threads = 256
    side = 16

    def layout(self, lhs: ir.Type, rhs: ir.Type) -> tuple[list[TileShape], list[TileShape]]:
        extents = {"m": self.m, "n": self.n, "k": self.k}
        orders = [("k", role) if f == role else (role, "k") for role, f in zip("mn", self.fast)]
        shapes = [tile_shape(order, (extents[order[0]], extents[order[1]]), lhs) for order in orders]
        return [shapes[0]], [shapes[1]]

    def zeros(self) -> list[ir.Value]:
        zero = arith.constant(ir.F32Type.get(), 0.0)
        return [zero] * (self.m // self.side * (self.n // self.side))

    def step(self, lhs: Tiles, rhs: Tiles, acc: Sequence[ir.Value], thread: ir.Value) -> list[ir.Value]:
        row, column = b.div(thread, self.side), b.mod(thread, self.side)
        depth = min(4, self.k)

        def some(k0: Index, *inner: ir.Value) -> list[ir.Value]:
            left = self._operand(lhs[0], "m", row, k0, depth)
            right = self._operand(rhs[0], "n", column, k0, depth)
            out = list(inner)
            for x, y in zip(left, right):
                out = [math.fma(p, q, out[i * len(y) + j]) for i, p in enumerate(x) for j, q in enumerate(y)]
            return out

        return b.for_loop(0, self.k, some, list(acc), step=depth)

    def _lanes(self, role: str, fast: str) -> int:
        """Neighbouring rows (columns) of one thread."""
        each = (self.m if role == "m" else self.n) // self.side
        return 1 if fast == "k" else next(v for v in (4, 2, 1) if each % v == 0)

    def _places(self, role: str, at: Index) -> list[Index]:
        """Rows (columns) of the thread whose row (column) in the square is ``at``."""
        lanes = self._lanes(role, self.fast["mn".index(role)])
        extent = self.m if role == "m" else self.n
        first = [b.add(b.mul(at, lanes), start) for start in range(0, extent, self.side * lanes)]
        return [b.add(f, lane) for f in first for lane in range(lanes)]

    def _operand(self, tile: SharedTile, role: str, at: Index, k0: Index, depth: int) -> list[list[ir.Value]]:
        """For each of ``depth`` k from ``k0`` on, this thread's elements of one operand."""
        places = self._places(role, at)
        if tile.shape.roles[1] == "k":
            vectors = [tile.load_vector(depth, p, k0) for p in places]
            return [[vector.extract(v, [], [d]) for v in vectors] for d in range(depth)]
        lanes = self._lanes(role, role)
        out = []
        for d in range(depth):
            vectors = [tile.load_vector(lanes, b.add(k0, d), p) for p in places[::lanes]]
            out.append([vector.extract(v, [], [lane]) for v in vectors for lane in range(lanes)])
        return out

    @property
    def slabs(self) -> int:
        return self.m // self.side

    @property
    def slab_rows(self) -> int:
        return self.side

    def slab_shape(self) -> TileShape:
        return TileShape(("m", "n"), (self.side, self.n), ir.F32Type.get(), self.n)

    def deposit(self, acc: Sequence[ir.Value], slab: int, tile: SharedTile, thread: ir.Value) -> None:
        across = self.n // self.side
        columns = self._places("n", b.mod(thread, self.side))
        for value, column in zip(acc[slab * across : (slab + 1) * across], columns):
            memref.store(value, tile.memory, [b.value(x) for x in (0, b.div(thread, self.side), column)])

    def slab_row(self, slab: int, row: Index) -> Index:
        return self._places("m", row)[slab]
