"""An op as cost models see it: extents, operands, what is empty."""

from __future__ import annotations

import dataclasses
import math

from .tile_cost import Tile, covered_sparsity


@dataclasses.dataclass(frozen=True)
class Workload:
    """One structured op.

    Attributes:
        extents: of the iteration space.
        operands: iteration dimensions each operand's dimensions are indexed by (None: a compound expression); the
            init comes last.
        element_bytes: per operand.
        sparse_operand: the operand whose empty micro-tiles may be skipped.
        sparsity: share of its blocks that are empty.
        block: extents of its blocks; 0: the whole dimension, which no micro-tile cuts.
        flops: operations per point of the iteration space.
    """

    extents: tuple[int, ...]
    operands: tuple[tuple[int | None, ...], ...]
    element_bytes: tuple[int, ...]
    sparse_operand: int
    sparsity: float
    block: tuple[int, ...]
    flops: int = 2

    @property
    def written(self) -> tuple[int, ...]:
        """Dimensions that index the result."""
        return tuple(d for d in self.operands[-1] if d is not None)

    @property
    def input_bytes(self) -> int:
        """The widest element of an input."""
        return max(self.element_bytes[: max(len(self.operands) - 1, 1)])

    def micro_tile(self, axis: int, tile: Tile) -> Tile:
        """The sparse operand's slice of ``tile``: one long along ``axis``, 0 along what no micro-tile cuts."""
        dims = self.operands[self.sparse_operand]
        return tuple(0 if not b else 1 if d == axis or d is None else tile[d] for d, b in zip(dims, self.block))

    def covered(self, micro: Tile) -> float:
        """Share of micro-tiles expected to be empty."""
        cut = [(m, b) for m, b in zip(micro, self.block) if b]
        return covered_sparsity(self.sparsity, [m for m, _ in cut], [b for _, b in cut])

    def operand_bytes(self, operand: int) -> float:
        """Of a whole operand."""
        dims = self.operands[operand]
        return self.element_bytes[operand] * math.prod(self.extents[d] for d in dims if d is not None)

    def tile_bytes(self, operand: int, tile: Tile) -> float:
        """Of an operand's slice of ``tile``."""
        return self.element_bytes[operand] * math.prod(tile[d] for d in self.operands[operand] if d is not None)

    def far_bytes(self, axis: int | None, kept: float) -> float:
        """Bytes of all operands when a share ``kept`` of those that ``axis`` indexes is touched."""
        parts = ((self.operand_bytes(i), axis in dims) for i, dims in enumerate(self.operands))
        return sum(size * (kept if coupled and axis is not None else 1.0) for size, coupled in parts)
