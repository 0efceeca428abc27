"""What decisions by a model cost, beside the best that was measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from .database import Calibration
from .problem import Problem
from .samples import Sample
from .select import pick, ranked_by

#: What pith promises: no product takes more than this much longer than the dense one.
PROMISED = 1.05


def regret(samples: Sequence[Sample], calibration: Calibration) -> dict[str, float]:
    """How well a calibration chooses among the variants that were measured.

    Returns: ``cases``; ``over_best``: geometric mean of chosen time over shortest time; ``slower_than_dense``:
        share of the cases whose choice took more than 5 % longer than the dense product.
    """
    times: dict[tuple[int, Problem], dict[str, Sample]] = {}
    for s in samples:
        times.setdefault((s.case, s.problem), {})[s.variant.name] = s
    over, slower = [], []
    for (_, problem), measured in times.items():
        ranked = ranked_by(calibration, problem, [s.variant for s in measured.values()], "auto")
        chosen = measured[pick(ranked).name].seconds
        dense = min((s.seconds for s in measured.values() if s.variant.is_dense), default=math.inf)
        over.append(math.log(chosen / min(s.seconds for s in measured.values())))
        slower.append(chosen > dense * PROMISED)
    if not over:
        return {"cases": 0, "over_best": 1.0, "slower_than_dense": 0.0}
    mean = round(math.exp(statistics.fmean(over)), 4)
    return {"cases": len(over), "over_best": mean, "slower_than_dense": round(statistics.fmean(slower), 4)}
