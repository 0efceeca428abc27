"""Decided products of arrays, ready to be run, and run again: what finds and multiplies micro-tiles, and up to what
count that pays.

Between two products the caches hold nothing of the interpreter: what a call looks up and checks then takes 0.3 ms,
what a bound product still does 0.1 ms (2026-11-21, AVX2, busy machine).
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from ...tuning.tiles import IN_PLACE, TileTable
from .choice import Choice
from .dense import add_bias
from .run import Attempt, Product, Tile, cells_in, in_place, packed, run_dense


@dataclasses.dataclass(frozen=True, slots=True)
class Bound:
    """A product whose micro-tiles are packed, or gathered in place.

    Attributes:
        attempt: multiplies unless too much is there.
        most: micro-tiles up to which that is faster than dense.
    """

    attempt: Attempt
    most: int

    def run(self, x: np.ndarray, y: np.ndarray, out: np.ndarray, bias: np.ndarray | None = None) -> bool:
        """Write ``x @ y + bias`` to ``out``; False, and nothing is written, where too much is there."""
        if self.attempt(x, y, self.most, out) > self.most:
            return False
        if bias is not None:
            add_bias(out, bias)
        return True


def bind(p: Product, choice: Choice) -> Bound | None:
    """What runs a choice for operands like those of ``p``; None for dense."""
    chosen = choice.decision.chosen
    tile = chosen.micro_tile
    if not tile:
        return None
    cells = cells_in(p, tile)
    # All micro-tiles there are is dense.
    most = cells if choice.table is None else min(int(_break_even(choice.table, p.extents, tile) * cells), cells - 1)
    return Bound((in_place if chosen.way == IN_PLACE else packed)(p, tile), most)


@functools.lru_cache(maxsize=4096)
def _break_even(table: TileTable, extents: tuple[int, int, int], tile: Tile) -> float:
    return table.nearest(extents).table.break_even(tile)


def run(product: Product, choice: Choice, out: np.ndarray, bound: Bound | None, bias: np.ndarray | None = None) -> str:
    """Compute what was chosen; what ran in the end: after detection the exact count may still say dense.

    Args:
        bound: what :func:`bind` makes of the choice.
        bias: a number per column that is added, or None.
    """
    if not out.size or not product.x.size:
        out[...] = 0 if bias is None else bias
        return "dense"
    x, y = (product.x, product.y) if product.side == "left" else (product.y, product.x)
    if bound is not None and bound.run(x, y, out, bias):
        return choice.decision.chosen.name
    run_dense(product, out, choice.dense_way, bias)
    return "dense"
