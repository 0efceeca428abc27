"""Which way a dynamic product is run: a sample, the tile database, and, at last, the exact count."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pith.passes.analysis.tile_cost import Candidate, Decision

from ...errors import UnsupportedError
from ...patterns import sample_coverage
from ...runtime import dtype_name, num_threads
from ...tuning.tiles import (
    DENSE_GAIN,
    IN_PLACE,
    LIBRARY,
    PACKED,
    Measured,
    TileTable,
    decide_tiles,
    expected_coverage,
    name_of,
    table_for,
    tile_of,
    usual_dense,
)
from .dense import MultiplyDense, dense_multiplier
from .run import Product, packs
from .sampling import COLUMNS, ROWS, sampled_coverage

Coverage = Mapping[tuple[int, ...], float]

#: What is not worth the sample that tells how sparse it is: 50 us are 5 % of it. What takes ``LEAST`` or more is looked
#: at when it is repeated: after ``_BEFORE`` calls on the same operands, then one call in 129 (:mod:`.memory`).
#: 300x700x500 f32 on two threads (dense 0.77 ms) with 1 % of the elements: 0.13 ms; 256^3 (0.21 ms) 0.03 (Emerald
#: Rapids, 2026-11-22).
SMALL, LEAST, _BEFORE = 8e-4, 2e-4, 8

#: Calls that a smaller product is dense for; then the number of threads may be another.
_SMALL_SPAN = 256

#: Seconds per byte that detection reads (4 MB: 0.12 ms on one core, 2026-11-21, AVX2). Where that is more than
#: ``DETECTION_SHARE`` of the dense product's time, the sample has to promise ``CLEAR_GAIN`` before it is spent.
DETECTION_RATE, DETECTION_SHARE, CLEAR_GAIN = 3.2e-11, 0.04, 1.5

#: Seconds of sampling and of the code around it, beyond what the tile database holds: caches are cold then. Of calls
#: of which few sample the code around what runs is left, 25 us, and detection, which finds less in the caches.
OVERHEAD, REPEATED_OVERHEAD = 1.5e-4, 5e-5

#: Densities are told apart in steps of a sixth of an octave, sizes in quarters: decisions are cached per class.
_DENSITY_STEPS, _SIZE_STEPS = 6, 4


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a product of a dynamic operand does, and why.

    Attributes:
        decision: the candidates by predicted time, the chosen one first.
        table: the measured times; None for an element type nobody measured.
        reason: why nothing was sampled, or an empty text.
        wait: calls for which the product is dense whatever the operands hold; 0 where they were looked at.
        usual: how a dense product is run where ``decision`` has no such candidate.
    """

    decision: Decision
    table: TileTable | None
    reason: str = ""
    wait: int = 0
    usual: str = LIBRARY

    @property
    def dense_way(self) -> str:
        """How the product is run where it is dense."""
        return next((c.way for c in self.decision.candidates if c.name == "dense"), self.usual)

    @property
    def gain(self) -> float:
        """Predicted time of the best other way over that of the chosen one: of dense, where micro-tiles were chosen."""
        chosen, *others = self.decision.candidates
        rivals = [c.cost for c in others if not (chosen.micro_tile and c.micro_tile)]
        return min(rivals) / chosen.cost if rivals and chosen.cost else math.inf

    def densely(self) -> Choice:
        """The same with dense chosen."""
        return dataclasses.replace(self, decision=_dense_first(self.decision))

    def dense(self, product: Product) -> MultiplyDense:
        """What runs products like this one densely."""
        return dense_multiplier(dtype_name(product.x.dtype), self.dense_way)


def choose(product: Product, granularity: Any, repeated: bool = False) -> Choice:
    """Decide by a sample and the tile database; dense at once where that costs more than it can gain.

    Args:
        repeated: earlier calls were on the same operands, so later ones may be.
    """
    x, extents = product.x, product.extents
    usual = usual_dense(dtype_name(x.dtype))
    table = table_for(dtype_name(x.dtype), product.side, num_threads())
    if table is None:
        return _dense(f"no times were measured for {x.dtype}", way=usual)
    nearest = table.nearest(extents)
    dense = nearest.table.dense * (math.prod(extents) / math.prod(nearest.table.extents))
    if dense < (LEAST if repeated else SMALL):
        later = f"is looked at after {_BEFORE} calls" if dense >= LEAST else "too small"
        choice = _dense(f"{later}: a sample takes longer than 5 % of the dense product", table, dense, usual)
        return dataclasses.replace(choice, wait=_BEFORE if dense >= LEAST else _SMALL_SPAN)
    if not x.flags.c_contiguous:
        return _dense("the dynamic operand is not row-major", table, dense, usual)
    way = table.dense_way(nearest)

    coverage = sampled_coverage(x)
    elements = coverage[(1, 1)]
    if granularity != "auto":
        coverage = _declared(x, granularity, coverage, nearest)
    key = tuple((tile, _density_class(share)) for tile, share in coverage.items())
    rows, columns, free = (round(_SIZE_STEPS * math.log2(max(n, 1))) for n in extents)
    decision = _decided(table, (rows, columns, free), key, _density_class(elements))
    if decision.chosen.micro_tile and not decision.chosen.covered:
        return _dense("there is nothing to skip", table, dense, way)
    if decision.chosen.micro_tile:
        checked = DETECTION_RATE * x.nbytes / num_threads() <= DETECTION_SHARE * dense
        overhead = REPEATED_OVERHEAD if dense < SMALL else OVERHEAD
        needed = (decision.chosen.cost + overhead) * (DENSE_GAIN if checked else CLEAR_GAIN)
        decision = decision if needed < _cost(decision, "dense") else _dense_first(decision)
    return Choice(decision, table)


def named(product: Product, variant: str) -> Choice:
    """The choice a user made: ``dense``, or a micro-tile: ``8x1``, ``rows``, ... (``8x1 in place``: unpacked)."""
    element = dtype_name(product.x.dtype)
    usual = usual_dense(element)
    if variant == "dense":
        table = table_for(element, product.side, num_threads())
        return _dense("asked for", way=usual if table is None else table.dense_way(table.nearest(product.extents)))
    text, _, way = variant.partition(" ")
    tile = tile_of(text)
    if tile is None or way not in ("", IN_PLACE):
        raise UnsupportedError(
            f"no variant {variant!r} of a dynamic product",
            where="pith.matmul",
            hint="auto, dense, rows, columns, or a micro-tile: 8x1, 1x32, 1x1, 32x1 in place",
        )
    way = way or (PACKED if packs(product.side, tile) else IN_PLACE)
    return Choice(Decision((Candidate(name_of(tile), 0.0, micro_tile=tile, way=way),)), None, usual=usual)


@functools.lru_cache(maxsize=4096)
def _decided(
    table: TileTable, sizes: tuple[int, ...], coverage: Sequence[tuple[tuple[int, ...], int]], elements: int
) -> Decision:
    """The decision for a class of patterns and sizes."""

    rows, columns, free = (2 ** (n / _SIZE_STEPS) for n in sizes)
    return decide_tiles(table, (rows, columns, free), {t: _coverage(step) for t, step in coverage}, _coverage(elements))


def _density_class(coverage: float) -> int:
    return round(_DENSITY_STEPS * math.log2(max(1.0 - coverage, 1e-4)))


def _coverage(step: int) -> float:
    return 1.0 - 2 ** (step / _DENSITY_STEPS)


def _declared(x: np.ndarray, granularity: Any, sampled: Coverage, nearest: Measured) -> Coverage:
    """Coverage in closed form from the declared granularity's own."""

    block: tuple[int, int] = {"rows": ROWS, "columns": COLUMNS}.get(granularity) or granularity
    if block in sampled:
        sparsity = sampled[block]
    else:
        (sparsity,) = sample_coverage(x, [block], budget=1 << 12)
    return expected_coverage(sparsity, block, nearest.table.rows, x.shape)


def _dense(reason: str, table: TileTable | None = None, seconds: float = 0.0, way: str = LIBRARY) -> Choice:
    return Choice(Decision((Candidate("dense", seconds, way=way),)), table, reason)


def _cost(decision: Decision, name: str) -> float:
    """Predicted seconds of a candidate."""
    return next(c.cost for c in decision.candidates if c.name == name)


def _dense_first(decision: Decision) -> Decision:
    """The same candidates with dense chosen."""
    return Decision(tuple(sorted(decision.candidates, key=lambda c: c.name != "dense")))
