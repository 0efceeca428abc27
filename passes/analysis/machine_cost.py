"""Predicted time of a structured op on a CPU, dense or packed along one axis: a roofline over tiles."""

from __future__ import annotations

import dataclasses
import math

from .tile_cost import Candidate, Tile, tile_name
from .workload import Workload


@dataclasses.dataclass(frozen=True)
class Machine:
    """A core: operations per second by bytes of an element, bandwidths of L2 and of memory, seconds around a tile.

    Units: operations and bytes per second, seconds.
    """

    peak: dict[int, float]
    near_bandwidth: float
    far_bandwidth: float
    tile_overhead: float

    def dense(self, work: Workload) -> Candidate:
        """Every point of the iteration space, every operand moved once; the tile shapes are the dense kernel's own."""
        compute = math.prod(work.extents) * work.flops / self._rate(work)
        return Candidate("dense", max(compute, work.far_bytes(None, 1.0) / self.far_bandwidth))

    def packed(self, work: Workload, axis: int, tile: Tile, covered: float | None = None) -> Candidate:
        """Only the non-empty micro-tiles along ``axis``, packed densely into ``tile``.

        Operands that ``axis`` indexes are copied into the tile (one read and one write each), then read by the
        body. ``covered``: the share of empty micro-tiles, expected of the blocks unless told.
        """
        micro = work.micro_tile(axis, tile)
        covered = work.covered(micro) if covered is None else covered
        visited = math.prod(work.extents) * (1.0 - covered)
        n_tiles = visited / math.prod(tile)
        per_operand = [work.tile_bytes(i, tile) for i in range(len(work.operands))]
        coupled = [b for b, ds in zip(per_operand, work.operands) if axis in ds]
        # A packed init (the last operand) is gathered and scattered, an input gathered only.
        gathered = sum(coupled) + (per_operand[-1] if axis in work.operands[-1] else 0.0)
        compute = max(math.prod(tile) * work.flops / self._rate(work), sum(per_operand) / self.near_bandwidth)
        near = n_tiles * (compute + 2 * gathered / self.near_bandwidth + self.tile_overhead)
        far = work.far_bytes(axis, 1.0 - covered) / self.far_bandwidth
        # Detecting the pattern reads the sparse operand once more.
        detect = work.operand_bytes(work.sparse_operand) / self.far_bandwidth
        return Candidate(f"d{axis}:{tile_name(micro)}", max(near, far) + detect, covered, axis, micro, tile)

    def tiles(self, work: Workload, axis: int) -> list[Tile]:
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

    def _rate(self, work: Workload) -> float:
        return self.peak.get(work.input_bytes, self.peak[4])


#: One core with AVX-512, measured 2026-11 on a 2-core machine: f32 FMA 216 GF/s (f64 half of it), reads from L2
#: 165 GB/s, from DRAM 16 GB/s. 16-bit elements run at the f32 rate: only a packed AMX body would do better.
#: 50 ns a tile: the loop nest around it.
CPU = Machine({2: 216e9, 4: 216e9, 8: 108e9}, 165e9, 16e9, 50e-9)
