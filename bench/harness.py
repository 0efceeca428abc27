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

#: What timing a contest should take: past it slow contestants are sampled in every second or fourth round only, but
#: at least so often. A suite of 150 contests then times for 2 minutes at most.
CONTEST_SECONDS, LEAST_SAMPLES = 0.8, 3

#: A longer call is not preceded by an untimed one: what filling the caches adds to it is lost in it.
WARMED_SECONDS = 0.1

#: A call that takes so long is timed once: peers without instructions for an element type take seconds.
LONG_SECONDS = 0.5

#: The stride of contestants that are timed once.
ONCE = 1 << 16


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
        restart: puts contestants whose calls differ back to the one that ``reference`` is of.
    """

    name: str
    contestants: Mapping[str, Callable[[], Any]]
    baseline: str
    reference: np.ndarray
    tolerance: float = 1e-5
    flops: float = 0.0
    restart: Callable[[], None] = lambda: None


@dataclasses.dataclass(frozen=True)
class Timing:
    """How fast one contestant is.

    Attributes:
        samples: seconds per call, one sample per round it took part in.
        error: relative, of its result.
        stride: it took part in every ``stride``-th round from the first on; a power of two.
    """

    samples: tuple[float, ...]
    error: float
    stride: int = 1

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

        Quotients are taken within a round that both took part in, so what slows a whole round down cancels.
        """
        pair = self.timings[over or self.contest.baseline], self.timings[name]
        stride = max(timing.stride for timing in pair)
        shared = (timing.samples[:: stride // timing.stride] for timing in pair)
        return statistics.median(base / own for base, own in zip(*shared))

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


def hold(
    contest: Contest,
    rounds: int,
    seconds: float = CONTEST_SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> Outcome:
    """Verify every contestant, then time them, round by round.

    Each round starts with another contestant; each sample follows an untimed call of the same
    contestant, so that its operands are as warm as the caches allow. Slow contestants sit out rounds, so that
    timing takes about ``seconds``.

    Errors: :class:`WrongResult`.
    """
    contest.restart()
    errors = {name: _verify(contest, name) for name in contest.contestants}
    samplers = {name: _Sampler.of(call, clock) for name, call in contest.contestants.items()}
    strides = plan({name: sampler.seconds for name, sampler in samplers.items()}, rounds, seconds)
    names = list(contest.contestants)
    samples: dict[str, list[float]] = {name: sampler.known for name, sampler in samplers.items()}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            if number % strides[name] == 0 and strides[name] < ONCE:
                samples[name].append(samplers[name].sample(clock))
    return Outcome(contest, {name: Timing(tuple(samples[name]), errors[name], strides[name]) for name in names})


def plan(seconds: Mapping[str, float], rounds: int, budget: float) -> dict[str, int]:
    """In every how many rounds each contestant takes part: who takes more than an equal share of the budget sits out.

    Units: ``seconds`` of one sample of each contestant; ``budget``: seconds of all samples.

    Example:
        >>> plan({"fast": 0.001, "slow": 0.1, "slower": 5.0}, rounds=11, budget=2.0)
        {'fast': 1, 'slow': 2, 'slower': 65536}
    """
    strides = {name: ONCE if each >= LONG_SECONDS else 1 for name, each in seconds.items()}
    for name, each in seconds.items():
        while each * -(-rounds // strides[name]) > budget / len(seconds):
            if strides[name] == ONCE or -(-rounds // (2 * strides[name])) < LEAST_SAMPLES:
                break
            strides[name] *= 2
    return strides


def relative_error(result: Any, reference: np.ndarray) -> float:
    """||result - reference|| / ||reference|| in float64; infinite when shapes differ or a value is NaN.

    >>> relative_error(np.float32([1, 2]), np.array([1.0, 2.0])), relative_error(np.ones(2), np.ones(3))
    (0.0, inf)
    """
    wide = result.double() if hasattr(result, "double") else result  # bf16 of torch is no type of NumPy's
    array = np.asarray(wide, np.float64)
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


@dataclasses.dataclass(frozen=True)
class _Sampler:
    """Times one contestant.

    Attributes:
        count: calls per sample.
        warm_up: a call that is not timed comes first.
        seconds: what a sample takes.
        known: samples that need no further call.
    """

    call: Callable[[], Any]
    count: int
    warm_up: bool
    seconds: float
    known: list[float]

    @classmethod
    def of(cls, call: Callable[[], Any], clock: Callable[[], float]) -> _Sampler:
        start = clock()
        call()
        once = clock() - start
        count = 1 if once >= SAMPLE_SECONDS else min(1000, math.ceil(SAMPLE_SECONDS / max(once, 1e-7)))
        warm_up = once < WARMED_SECONDS
        return cls(call, count, warm_up, (count + warm_up) * once, [once] if once >= LONG_SECONDS else [])

    def sample(self, clock: Callable[[], float]) -> float:
        """Seconds per call."""
        if self.warm_up:
            self.call()
        start = clock()
        for _ in range(self.count):
            self.call()
        return (clock() - start) / self.count
