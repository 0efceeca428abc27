"""Predicted time of a structured op, dense or packed along one axis: a roofline over tiles."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from pith.errors import UnsupportedError

from .tile_cost import Candidate, Tile, covered_sparsity, tile_name


@dataclasses.dataclass(frozen=True)
class Machine:
    """What the model knows of a target.

    Units: operations and bytes per second, seconds.
    """

    peak: dict[int, float]
    near_bandwidth: float
    far_bandwidth: float
    tile_overhead: float


#: One core with AVX-512, measured 2026-11 on a 2-core machine: f32 FMA 216 GF/s (f64 half of it), reads from L2
#: 165 GB/s, from DRAM 16 GB/s. 16-bit elements run at the f32 rate: only a packed AMX body would do better.
#: 50 ns a tile: the loop nest around it. The GPU entries are the vendor's data-sheet peaks of dense
#: f16 tensor cores, f32 and HBM; near bandwidth is shared memory (128 bytes a clock and SM).
MACHINES = {
    "cpu": Machine({2: 216e9, 4: 216e9, 8: 108e9}, 165e9, 16e9, 50e-9),
    "sm_80": Machine({2: 312e12, 4: 19.5e12, 8: 9.7e12}, 19.5e12, 1.56e12, 10e-9),
    "sm_90": Machine({2: 989e12, 4: 67e12, 8: 34e12}, 31e12, 3.35e12, 10e-9),
}


@dataclasses.dataclass(frozen=True)
class Workload:
    """An op as the model sees it.

    Attributes:
        extents: of the iteration space.
        operands: iteration dimensions each operand's dimensions are indexed by (None: a compound expression).
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


def machine(target: str) -> Machine:
    """The machine of a target name.

    Errors: :class:`pith.UnsupportedError` for a target without a model.
    """
    if target not in MACHINES:
        raise UnsupportedError(f"no cost model for target {target!r}", hint="one of " + ", ".join(MACHINES))
    return MACHINES[target]


def dense_candidate(work: Workload, target: Machine) -> Candidate:
    """Every point of the iteration space, every operand moved once; the tile shapes are the dense kernel's own."""
    compute = math.prod(work.extents) * work.flops / _peak(work, target)
    return Candidate("dense", max(compute, _far_bytes(work, None, 1.0) / target.far_bandwidth))


def packed_candidate(work: Workload, target: Machine, axis: int, tile: Tile, covered: float | None = None) -> Candidate:
    """Only the non-empty micro-tiles along ``axis``, packed densely into ``tile``.

    The micro-tile is the sparse operand's slice of the tile, one element long along ``axis`` (0 along what no
    micro-tile cuts). Operands that ``axis`` indexes are copied into the tile (one read and one write each),
    then read by the body. ``covered``: the share of empty micro-tiles, expected of the blocks unless told.
    """
    dims = work.operands[work.sparse_operand]
    micro = tuple(0 if not b else 1 if d == axis or d is None else tile[d] for d, b in zip(dims, work.block))
    if covered is None:
        cut = [(m, b) for m, b in zip(micro, work.block) if b]
        covered = covered_sparsity(work.sparsity, [m for m, _ in cut], [b for _, b in cut])
    visited = math.prod(work.extents) * (1.0 - covered)
    n_tiles = visited / math.prod(tile)
    per_operand = [_tile_bytes(work, i, tile) for i in range(len(work.operands))]
    coupled = [b for b, ds in zip(per_operand, work.operands) if axis in ds]
    # A packed init (the last operand) is gathered and scattered, an input gathered only.
    gathered = sum(coupled) + (per_operand[-1] if axis in work.operands[-1] else 0.0)
    compute = max(math.prod(tile) * work.flops / _peak(work, target), sum(per_operand) / target.near_bandwidth)
    near = n_tiles * (compute + 2 * gathered / target.near_bandwidth + target.tile_overhead)
    far = _far_bytes(work, axis, 1.0 - covered) / target.far_bandwidth
    # Detecting the pattern reads the sparse operand once more.
    detect = _operand_bytes(work, work.sparse_operand) / target.far_bandwidth
    return Candidate(f"d{axis}:{tile_name(micro)}", max(near, far) + detect, covered, axis, micro, tile)


def break_even(work: Workload, target: Machine, candidate: Candidate) -> float:
    """The largest share of listed micro-tiles at which a packed candidate is predicted no slower than dense."""
    dense = dense_candidate(work, target).cost
    low, high = 0.0, 1.0
    axis, tile = candidate.axis, candidate.tile
    if axis is None or packed_candidate(work, target, axis, tile, 0.0).cost <= dense:
        return high
    for _ in range(20):
        middle = (low + high) / 2
        cheap = packed_candidate(work, target, axis, tile, 1.0 - middle).cost <= dense
        low, high = (middle, high) if cheap else (low, middle)
    return low


def tile_choices(work: Workload, axis: int) -> list[Tile]:
    """Dense tiles to try when packing along ``axis``.

    The sparse operand's other dimensions take 1 to 32 elements (longer micro-tiles cover worse, shorter
    ones reuse less); 32 are packed along ``axis``; the remaining dimensions, which no pattern cuts, take 64.
    """
    dims = zip(work.operands[work.sparse_operand], work.block)
    sparse = [d for d, extent in dims if d is not None and d != axis and extent]
    tiles = []
    for height in (1, 4, 8, 16, 32):
        tile = [64] * len(work.extents)
        tile[axis] = 32
        for d in sparse:
            tile[d] = height
        tiles.append(tuple(min(t, max(n, 1)) for t, n in zip(tile, work.extents)))
    return list(dict.fromkeys(tiles))


def _peak(work: Workload, target: Machine) -> float:
    widest = max(work.element_bytes[: max(len(work.operands) - 1, 1)])
    return target.peak.get(widest, target.peak[4])


def _operand_bytes(work: Workload, operand: int) -> float:
    dims: Sequence[int | None] = work.operands[operand]
    return work.element_bytes[operand] * math.prod(work.extents[d] for d in dims if d is not None)


def _tile_bytes(work: Workload, operand: int, tile: Tile) -> float:
    return work.element_bytes[operand] * math.prod(tile[d] for d in work.operands[operand] if d is not None)


def _far_bytes(work: Workload, axis: int | None, kept: float) -> float:
    """Bytes moved when a share ``kept`` of the operands that ``axis`` indexes is touched."""
    parts = ((_operand_bytes(work, i), axis in dims) for i, dims in enumerate(work.operands))
    return sum(size * (kept if coupled and axis is not None else 1.0) for size, coupled in parts)
