"""Predictions are corrected by what calls on the same arrays took: dense is run once in between, and compared.

The tile database knows some sizes; others are scaled from the nearest one, and two ways that are predicted alike may be
30 % apart: 64x1024x1024 f32 with 80 % of single elements empty took 1.16 times as long as dense on two threads, where
1.1 of a gain was predicted (Emerald Rapids, 2026-11-22).
"""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np

from .choice import Choice
from .run import Product, run_dense

#: Up to what predicted gain over dense a decision is put to the test: larger ones are not that wrong. A product that is
#: dense against the prediction gets so much of it back per decision, for its values or the machine may have changed.
DOUBTED, _FORGIVEN = 1.5, 1.05


@dataclasses.dataclass(slots=True)
class Trials:
    """What calls on some arrays took, compared with what was predicted.

    Attributes:
        seconds: the least time of a call on micro-tiles since the last decision.
        corrections: micro-tile -> its measured gain over dense by the predicted one: the least that was found, since
            what interrupts a dense call makes it larger.
    """

    seconds: float = math.inf
    corrections: dict[str, float] = dataclasses.field(default_factory=dict)

    def revise(self, choice: Choice) -> Choice:
        """The choice, or dense where micro-tiles were measured to be slower."""
        name = choice.decision.chosen.name
        if choice.gain * self.corrections.get(name, math.inf) >= 1.0:
            return choice
        self.corrections[name] *= _FORGIVEN
        return choice.densely()

    def is_due(self, choice: Choice, settled: bool) -> bool:
        """Whether dense is to be run now, and compared: where it was chosen, or is doubted while nothing is settled."""
        if not math.isfinite(self.seconds):
            return False
        return not choice.decision.chosen.micro_tile or (1.0 < choice.gain < DOUBTED and not settled)

    def run_dense(self, product: Product, before: Choice, out: np.ndarray) -> None:
        """The dense product, compared with the calls before and what was predicted of them."""
        start = time.perf_counter()
        run_dense(product, out, before.dense_way)
        measured, name = (time.perf_counter() - start) / self.seconds, before.decision.chosen.name
        self.corrections[name] = min(self.corrections.get(name, math.inf), measured / before.gain)
