"""Predictions are corrected by what calls on the same arrays took: dense is run in between, and compared.

The tile database knows some sizes; others are scaled from the nearest one, and two ways that are predicted alike may be
30 % apart: 64x1024x1024 f32 with 80 % of single elements empty took 1.16 times as long as dense on two threads, where
a gain of 1.3 was predicted (Emerald Rapids, 2026-11-22).
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .choice import Choice

#: Up to what gain over dense, predicted or measured, a decision is put to the test: larger ones are not that wrong. A
#: product that is dense against the prediction gets so much of it back per decision: values and machine may change.
DOUBTED, _FORGIVEN = 1.5, 1.05

#: Of the running median, per call; calls of which the fastest counts before: a decision may hold for no more, and what
#: interrupts one of two makes it several times as long.
_STEP, _FIRST = 0.05, 4

#: By how much the library's dense product has to be faster than pith's to be taken instead.
_CLEAR = 1.02


@dataclasses.dataclass(slots=True)
class Trials:
    """What calls on some arrays took, compared with what was predicted.

    Attributes:
        packed: about the median time of calls on micro-tiles since the last decision, of the first few the least.
        calls: on micro-tiles since then.
        dense: the least time of a dense call since then.
        ways: whether by the library -> the least time of a call that was decided to be dense.
        library_calls: that were timed for that; the first of several took 1.0 ms where the others took 0.87.
        corrections: micro-tile -> its measured gain over dense by the predicted one: the least that was found, since
            what interrupts a dense call makes it larger.
    """

    packed: float = math.inf
    calls: int = 0
    dense: float = math.inf
    ways: dict[bool, float] = dataclasses.field(default_factory=dict)
    library_calls: int = 0
    corrections: dict[str, float] = dataclasses.field(default_factory=dict)

    def doubts(self, choice: Choice) -> bool:
        """Whether micro-tiles were chosen that may be slower than dense."""
        chosen = choice.decision.chosen
        measured = min(1.0, chosen.cost / self.packed) if math.isfinite(self.packed) else 1.0
        return bool(chosen.micro_tile) and choice.gain * measured < DOUBTED

    def took(self, seconds: float) -> None:
        """A call on micro-tiles took so long."""
        self.calls += 1
        if self.calls > _FIRST:
            seconds = self.packed * (1 + _STEP if seconds > self.packed else 1 - _STEP)
        self.packed = seconds if self.calls > _FIRST else min(self.packed, seconds)

    def time_dense(self, run: Callable[[], Any]) -> None:
        """Run dense, in place of micro-tiles that earlier calls were on."""
        start = time.perf_counter()
        run()
        self.dense = min(self.dense, time.perf_counter() - start)

    @property
    def knows_ways(self) -> bool:
        """Both dense products were timed, the library's in warm calls, too."""
        return len(self.ways) == 2 and self.library_calls >= _FIRST

    @property
    def prefers_library(self) -> bool:
        """The library's dense product was measured to be faster than pith's, which takes as long wherever arrays lie:
        on six sets of them 64x1024x1024 f32 took 0.93 ms, the library's 0.88 to 1.00 (Emerald Rapids, 2026-11-22)."""
        return self.knows_ways and _CLEAR * self.ways[True] < self.ways[False]

    def took_densely(self, by_library: bool, seconds: float) -> None:
        """A dense call took so long."""
        self.library_calls += by_library
        self.ways[by_library] = min(self.ways.get(by_library, math.inf), seconds)

    def revise(self, choice: Choice, before: Choice) -> Choice:
        """A choice, or dense where micro-tiles were measured to be slower.

        Args:
            before: the choice that these calls were made by.
        """
        if math.isfinite(self.dense) and math.isfinite(self.packed):
            name, found = before.decision.chosen.name, self.dense / self.packed / before.gain
            self.corrections[name] = min(self.corrections.get(name, math.inf), found)
        if self.allow(choice):
            return choice
        self.corrections[choice.decision.chosen.name] *= _FORGIVEN
        return choice.densely()

    def allow(self, choice: Choice) -> bool:
        """Whether a choice is not measured to be slower than dense."""
        return choice.gain * self.corrections.get(choice.decision.chosen.name, math.inf) >= 1.0
