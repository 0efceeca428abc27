"""Timing of contestants that compute the same thing: verified first, interleaved, compared round by round."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

#: A sample lasts at least this long: fast contestants are called several times per sample.
SAMPLE_SECONDS = 1e-3

#: A contest of slow contestants begins no further round after so many seconds, once it has had so many.
CONTEST_SECONDS, LEAST_ROUNDS = 8.0, 5


class WrongResult(Exception):
    """A contestant does not compute what the case asks for; its time would mean nothing."""


@dataclasses.dataclass(frozen=True)
class Contest:
    """One case.

    Attributes:
        name: the case.
        contestants: name -> call that returns its result (an array or a torch tensor).
        baseline: the contestant that speed-ups refer to.
        reference: the right result, in float64.
        tolerance: largest ||result - reference|| / ||reference||.
        flops: of the non-zeros, for rates.
    """

    name: str
    contestants: Mapping[str, Callable[[], Any]]
    baseline: str
    reference: np.ndarray
    tolerance: float = 1e-5
    flops: float = 0.0


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds per call of one contestant, one sample per round, and its relative error."""

    samples: tuple[float, ...]
    error: float

    @property
    def median(self) -> float:
        return statistics.median(self.samples)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The timings of a contest."""

    contest: Contest
    timings: Mapping[str, Timing]

    def speedup(self, name: str, over: str | None = None) -> float:
        """How many times faster ``name`` is than ``over`` (the baseline): median of the rounds' quotients.

        Quotients are taken within a round, so what slows a whole round down cancels.
        """
        base = self.timings[over or self.contest.baseline].samples
        return statistics.median(b / own for b, own in zip(base, self.timings[name].samples))

    def to_json(self, **facts: Any) -> dict[str, Any]:
        """Plain data; ``facts`` describe the case."""
        contestants = {
            name: {
                "median_us": round(timing.median * 1e6, 3),
                "speedup": round(self.speedup(name), 4),
                "gflops": round(self.contest.flops / timing.median * 1e-9, 3),
                "error": timing.error,
                "samples_us": [round(s * 1e6, 3) for s in timing.samples],
            }
            for name, timing in self.timings.items()
        }
        return {"case": self.contest.name, **facts, "baseline": self.contest.baseline, "contestants": contestants}


def hold(contest: Contest, rounds: int, clock: Callable[[], float] = time.perf_counter) -> Outcome:
    """Verify every contestant, then time all of them in every round.

    Each round starts with another contestant; each sample follows an untimed call of the same
    contestant, so that its operands are as warm as the caches allow. Slow contestants get fewer rounds
    (:data:`CONTEST_SECONDS`).

    Errors: :class:`WrongResult`.
    """
    errors = {name: _verify(contest, name) for name in contest.contestants}
    counts = {name: _calls_per_sample(call, clock) for name, call in contest.contestants.items()}
    names = list(contest.contestants)
    samples: dict[str, list[float]] = {name: [] for name in names}
    began = clock()
    for number in range(rounds):
        if number >= LEAST_ROUNDS and clock() - began > CONTEST_SECONDS:
            break
        first = number % len(names)
        for name in names[first:] + names[:first]:
            call, count = contest.contestants[name], counts[name]
            call()
            start = clock()
            for _ in range(count):
                call()
            samples[name].append((clock() - start) / count)
    return Outcome(contest, {name: Timing(tuple(samples[name]), errors[name]) for name in names})


def relative_error(result: Any, reference: np.ndarray) -> float:
    """||result - reference|| / ||reference|| in float64; infinite when shapes differ or a value is NaN.

    >>> relative_error(np.float32([1, 2]), np.array([1.0, 2.0])), relative_error(np.ones(2), np.ones(3))
    (0.0, inf)
    """
    array = np.asarray(result, np.float64)
    if array.shape != reference.shape or not np.isfinite(array).all():
        return math.inf
    scale = float(np.linalg.norm(reference)) or 1.0
    return float(np.linalg.norm(array - reference)) / scale


def geomean(values: Sequence[float]) -> float:
    """Geometric mean.

    >>> geomean([0.5, 2.0])
    1.0
    """
    return math.exp(statistics.fmean(math.log(v) for v in values))


def _verify(contest: Contest, name: str) -> float:
    error = relative_error(contest.contestants[name](), contest.reference)
    if not error <= contest.tolerance:
        raise WrongResult(f"{contest.name}: {name} is off by {error:.3g}, allowed are {contest.tolerance:.3g}")
    return error


def _calls_per_sample(call: Callable[[], Any], clock: Callable[[], float]) -> int:
    start = clock()
    call()
    once = clock() - start
    return 1 if once >= SAMPLE_SECONDS else min(1000, math.ceil(SAMPLE_SECONDS / max(once, 1e-7)))
