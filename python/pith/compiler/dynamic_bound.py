"""Decided products of arrays, ready to be run again: their kernels, and up to what count they pay.

Between two products the caches hold nothing of the interpreter: what a call looks up and checks then takes 0.3 ms,
what a bound product still does 0.1 ms (2026-11-21, AVX2, busy machine).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..patterns.finding import kernel_for
from .dynamic_choice import Choice, multiplier
from .dynamic_run import Multiply, Product, cells_of


@dataclasses.dataclass(frozen=True, slots=True)
class Bound:
    """A product whose micro-tiles are packed, or gathered in place.

    Attributes:
        left: whether the sparse operand is the left one.
        locate: ``locate(sparse operand, threshold)`` lists its micro-tiles.
        most: micro-tiles up to which that is faster than dense.
        multiply: ``multiply(sparse operand, other operand, list, out)``.
    """

    left: bool
    locate: Callable[[Any, float], Any]
    most: float
    multiply: Multiply

    def run(self, x: np.ndarray, y: np.ndarray, out: np.ndarray) -> bool:
        """Write ``x @ y`` to ``out``; False, and nothing is written, where too much is there."""
        sparse, other = (x, y) if self.left else (y, x)
        listed = self.locate(sparse, 0.0)
        if len(listed) > self.most:
            return False
        self.multiply(sparse, other, listed, out)
        return True


def bind(p: Product, choice: Choice, density: float | None = None) -> Bound | None:
    """What runs a choice for operands like those of ``p``; None for dense, and for operands in another layout.

    Args:
        density: share of the micro-tiles that is about to be there; what the choice says by default.
    """
    chosen = choice.decision.chosen
    tile = chosen.micro_tile
    if not tile or not (p.x.flags.c_contiguous and p.y.flags.c_contiguous):
        return None
    axes, extents = cells_of(tile)
    share = choice.table.nearest(p.extents).table.break_even(tile) if choice.table is not None else 1.0
    most = share * math.prod(-(-p.x.shape[d] // n) for d, n in zip(axes, extents))
    density = 1.0 - chosen.covered if density is None else density
    locate = kernel_for(p.x, axes, extents, None, False)
    return Bound(p.side == "left", locate, most, multiplier(p, choice, density))
