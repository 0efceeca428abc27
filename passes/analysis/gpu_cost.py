"""Predicted time of a structured op on a GPU nobody measured: flops, bytes and occupancy of a tiled kernel.

The kernel is the one the lowering makes: a block of threads owns a tile of the result, loops over tiles of what is
contracted, and keeps a few of them on their way in shared memory. Multiprocessors work off the blocks in waves; the
last wave is as slow as its fullest multiprocessor.
"""

from __future__ import annotations

import dataclasses
import math

from pith.programs.chips import Chip
from pith.programs.occupancy import Occupancy, occupancy

from .tile_cost import Candidate, Tile, tile_name
from .workload import Workload

#: Stages of a tile on its way through shared memory, where they fit.
STAGES = 4

#: Bytes of a tile along what is contracted.
_DEPTH_BYTES = 64

#: Sums a thread holds at most, and threads of a block: four warps, eight where the sums are too many for them.
_SUMS, _THREADS = 128, (128, 256)

#: Registers of a thread besides its sums: fragments, addresses, loop counters. Packed products of f16 have 96 with 32
#: sums and 128 with 64 (ptxas 13.0, sm_90, 2026-11).
_OTHER_REGISTERS = 64

#: Warps that keep a multiprocessor's four schedulers busy while some of them wait: two each. An assumption.
_BUSY_WARPS = 8

#: Rows of what a warpgroup multiplies at once.
_GROUP_ROWS = 64

#: Bytes per clock that L2 delivers to one multiprocessor: 5.9 to 7.7 TB/s on the chips from A100 on. An assumption.
_L2_BYTES = 32

#: Bytes that the memory system moves for one element read alone.
_SECTOR = 32

#: Seconds from the end of one kernel to the work of the next in a CUDA graph. An assumption.
_LAUNCH = 2e-6

#: Kernels that list the micro-tiles, besides the product: one clears the count, one reads the operand.
_DETECTION = 2

#: Result tiles the dense kernel may use: the model takes the best, as the lowering's plan does.
_DENSE_TILES = ((128, 256), (256, 128), (128, 128), (128, 64), (64, 128), (64, 64), (32, 128), (32, 64), (16, 64))

#: Element type by bytes, as the chips' rates name it.
_ELEMENTS = {1: "i8", 2: "f16", 4: "f32", 8: "f64"}


@dataclasses.dataclass(frozen=True)
class _Grid:
    """How an op is divided.

    Attributes:
        blocks: that have something to do.
        steps: tiles of contracted elements per block.
        flops: of one step.
        loaded, stored: bytes from L2 per step, and of the result's tile once per block.
        resident: what a multiprocessor holds.
        warpgroups: whether they take such tiles, where a chip has them.
    """

    blocks: int
    steps: float
    flops: float
    loaded: float
    stored: float
    resident: Occupancy
    warpgroups: bool = False


@dataclasses.dataclass(frozen=True)
class GpuModel:
    """The static model of one chip; a tile database of the device is better where there is one."""

    chip: Chip

    def dense(self, work: Workload) -> Candidate:
        """The best of the dense kernel's tiles."""
        moved = work.far_bytes(None, 1.0) / self.chip.bandwidth
        grids = [self._grid(work, _tile(work, m, n), None, 1.0) for m, n in _DENSE_TILES]
        timed = [(self._seconds(work, g), g) for g in grids]
        seconds, grid = min(timed, key=lambda entry: entry[0])
        return Candidate("dense", max(seconds, moved) + _LAUNCH, note=self._note(grid, seconds, moved))

    def packed(self, work: Workload, axis: int, tile: Tile, covered: float | None = None) -> Candidate:
        """Detection, then the listed micro-tiles packed along ``axis`` into ``tile``."""
        micro = work.micro_tile(axis, tile)
        covered = work.covered(micro) if covered is None else covered
        kept = 1.0 - covered
        grid = self._grid(work, tile, axis, kept)
        seconds = self._seconds(work, grid)
        moved = work.far_bytes(axis, kept) / self.chip.bandwidth
        detect = work.operand_bytes(work.sparse_operand) / self.chip.bandwidth + _DETECTION * _LAUNCH
        cost = max(seconds, moved) + _LAUNCH + detect
        note = f"{self._note(grid, seconds, moved)}, detection {detect * 1e6:.0f} us"
        return Candidate(f"d{axis}:{tile_name(micro)}", cost, covered, axis, micro, tile, note=note)

    def tiles(self, work: Workload, axis: int) -> list[Tile]:
        """Tiles to try when packing along ``axis``.

        Micro-tiles of 16 to 128 elements (a tensor-core fragment is 16 rows high; longer ones cover worse); along
        ``axis`` 64 elements are packed where it indexes the result, 64 bytes where it is contracted.
        """
        dims = zip(work.operands[work.sparse_operand], work.block)
        cut = [d for d, extent in dims if d is not None and d != axis and extent]
        base = _tile(work, 64, 128 if _last(work) > 64 else 64)
        tiles = []
        for extent in (16, 32, 64, 128):
            tile = list(base)
            tile[axis] = 64 if axis in work.written else _DEPTH_BYTES // work.input_bytes
            for d in cut:
                tile[d] = extent
            tiles.append(_clipped(work, tile))
        return list(dict.fromkeys(tiles))

    def _grid(self, work: Workload, tile: Tile, axis: int | None, kept: float) -> _Grid:
        per_dim = [n * (kept if d == axis else 1.0) / t for d, (n, t) in enumerate(zip(work.extents, tile))]
        own = {*work.written, *_listed(work, axis)}
        blocks = math.prod(math.ceil(per_dim[d]) for d in own)
        steps = math.prod(per_dim[d] for d in range(len(tile)) if d not in own)
        inputs = range(len(work.operands) - 1)
        loaded = sum(work.tile_bytes(i, tile) * self._overfetch(work, i, axis, kept) for i in inputs)
        step = sum(work.tile_bytes(i, tile) for i in inputs)
        staged = int(step * max(min(STAGES, self.chip.max_shared_bytes // max(step, 1)), 1))
        sums = math.prod(tile[d] for d in work.written)
        threads = _THREADS[sums > _SUMS * _THREADS[0]]
        registers = min(math.ceil(sums / threads) + _OTHER_REGISTERS, 255)
        resident = occupancy(self.chip, threads, registers, staged)
        stored = work.tile_bytes(len(work.operands) - 1, tile) * (2 if axis in work.written else 1)
        rows = tile[work.written[-2]] if len(work.written) > 1 else 1
        groups = work.input_bytes == 2 and rows % _GROUP_ROWS == 0
        return _Grid(blocks, steps, math.prod(tile) * work.flops, loaded, stored, resident, groups)

    def _overfetch(self, work: Workload, operand: int, axis: int | None, kept: float) -> float:
        """Bytes moved per byte used: elements gathered one by one from rows come in whole sectors."""
        if axis is None or work.operands[operand][-1] != axis:
            return 1.0
        return min(_SECTOR / work.element_bytes[operand], 1.0 / max(kept, 1e-9))

    def _seconds(self, work: Workload, grid: _Grid) -> float:
        """All waves; infinite for tiles that do not fit."""
        if not grid.resident.blocks:
            return math.inf
        per_wave = grid.resident.blocks * self.chip.sms
        whole, rest = divmod(grid.blocks, per_wave)
        last = self._wave(work, grid, math.ceil(rest / self.chip.sms)) if rest else 0.0
        return whole * self._wave(work, grid, grid.resident.blocks) + last

    def _wave(self, work: Workload, grid: _Grid, blocks: int) -> float:
        """Seconds of a multiprocessor that holds ``blocks``."""
        warps = blocks * grid.resident.warps / grid.resident.blocks
        peak = self.chip.peak(_ELEMENTS.get(work.input_bytes, "f32"), grid.warpgroups)
        rate = peak / self.chip.sms * min(1.0, warps / _BUSY_WARPS)
        compute = blocks * grid.steps * grid.flops / rate
        moved = blocks * (grid.steps * grid.loaded + grid.stored) / (_L2_BYTES * self.chip.clock)
        return max(compute, moved)

    def _note(self, grid: _Grid, seconds: float, moved: float) -> str:
        waves = grid.blocks / max(grid.resident.blocks * self.chip.sms, 1)
        intensity = grid.steps * grid.flops / max(grid.steps * grid.loaded + grid.stored, 1.0)
        bound = "memory" if moved > seconds else "multiprocessors"
        return f"{grid.blocks} blocks, {grid.resident}, {waves:.2f} waves, {intensity:.0f} flop/B, bound by {bound}"


def _listed(work: Workload, axis: int | None) -> list[int]:
    """Contracted dimensions that have a list per tile: their tiles are blocks of their own, and add to the result."""
    if axis is None or axis not in work.written:
        return []
    dims = zip(work.operands[work.sparse_operand], work.block)
    return [d for d, extent in dims if d is not None and extent and d != axis and d not in work.written]


def _last(work: Workload) -> int:
    """Extent of the result's last dimension."""
    return work.extents[work.written[-1]] if work.written else 1


def _tile(work: Workload, m: int, n: int) -> Tile:
    """``m`` x ``n`` of the result's last two dimensions, 64 bytes of the first contracted one, 1 of all others."""
    tile = [1] * len(work.extents)
    contracted = [d for d in range(len(tile)) if d not in work.written]
    for d, extent in zip(reversed(work.written), (n, m)):
        tile[d] = extent
    for d in contracted[:1]:
        tile[d] = _DEPTH_BYTES // work.input_bytes
    return _clipped(work, tile)


def _clipped(work: Workload, tile: list[int]) -> Tile:
    """No tile is longer than what it covers, rounded up to a fragment's 16."""
    return tuple(min(t, -(-max(n, 1) // 16) * 16) for t, n in zip(tile, work.extents))
