"""Cost models by target: what each of them answers, and the break-even share that follows."""

from __future__ import annotations

from typing import Protocol

from pith.errors import UnsupportedError
from pith.programs.chips import CHIPS

from .gpu_cost import GpuModel
from .machine_cost import CPU
from .tile_cost import Candidate, Tile
from .workload import Workload


class CostModel(Protocol):
    """Predicted times of one op on one target, in seconds."""

    def dense(self, work: Workload) -> Candidate:
        """The dense kernel."""
        ...

    def packed(self, work: Workload, axis: int, tile: Tile, covered: float | None = None) -> Candidate:
        """Detection, and the non-empty micro-tiles packed along ``axis`` into dense tiles.

        ``covered``: the share of empty micro-tiles, expected of the op's blocks unless told.
        """
        ...

    def tiles(self, work: Workload, axis: int) -> list[Tile]:
        """Dense tiles to try when packing along ``axis``."""
        ...


def cost_model(target: str) -> CostModel:
    """The model of a target name.

    Errors: :class:`pith.UnsupportedError` for a target without a model.

    Example:
        >>> type(cost_model("cpu")).__name__, cost_model("sm_90").chip.device
        ('Machine', 'H100 SXM')
    """
    if target == "cpu":
        return CPU
    if target not in CHIPS:
        raise UnsupportedError(f"no cost model for target {target!r}", hint="one of " + ", ".join(["cpu", *CHIPS]))
    return GpuModel(CHIPS[target])


def break_even(work: Workload, model: CostModel, candidate: Candidate) -> float:
    """The largest share of listed micro-tiles at which a packed candidate is predicted no slower than dense."""
    dense = model.dense(work).cost
    low, high = 0.0, 1.0
    axis, tile = candidate.axis, candidate.tile
    if axis is None or model.packed(work, axis, tile, 0.0).cost <= dense:
        return high
    for _ in range(20):
        middle = (low + high) / 2
        cheap = model.packed(work, axis, tile, 1.0 - middle).cost <= dense
        low, high = (middle, high) if cheap else (low, middle)
    return low
