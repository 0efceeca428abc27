"""Which variant runs: candidates in the order of their predicted times."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

from .database import Calibration, calibration_for
from .features import Features, features
from .measured import forget, measured_times, settled
from .model import Model
from .problem import Problem
from .roofline import roofline
from .variants import OWN, Variant, named_variants

#: A dense product is taken when it is predicted to be more than this much faster: the sparse operand is there already,
#: an unpacked copy is not. More would not do: predictions are off by 5 % either way, and no product shall take so much
#: longer than dense. With 1.0, 1.02 and 1.05, chosen times of f32 are 2.9, 2.6 and 2.7 % above the best that was
#: measured, on two threads 3.7, 3.6 and 4.2 (Emerald Rapids, 273 products, each held out of a fit once, 2026-11-22).
DENSE_GAIN = 1.02

#: Bytes of an unpacked copy that ``auto`` will make. A matrix that is larger was made sparse to fit.
MOST_DENSE_BYTES = 1 << 30


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One way to run a problem.

    Attributes:
        name: of the variant.
        seconds: predicted, or measured.
        reason: what the time is made of, that it was measured, or why the variant is out of the question.
        variant: what runs.
        eligible: ``auto`` may take it.
        call: of the seconds, those of the call itself: a part of a larger kernel does without.
        measured: the seconds are (:func:`pith.tune`).
    """

    name: str
    seconds: float
    reason: str
    variant: Variant
    eligible: bool = True
    call: float = 0.0
    measured: bool = False


@functools.lru_cache(maxsize=4096)
def _rank(problem: Problem, among: str) -> tuple[Candidate, ...]:
    ranked = ranked_by(calibration_for(problem.threads), problem, named_variants(problem, among), among)
    times = measured_times(problem)
    return tuple(_corrected(ranked, times) if times else ranked)


def _corrected(ranked: Sequence[Candidate], times: Mapping[str, float]) -> list[Candidate]:
    """Candidates with the times that were measured."""
    seconds = settled({c.name: c.seconds for c in ranked}, times)
    found = [dataclasses.replace(c, seconds=seconds[c.name]) for c in ranked]
    for i, c in enumerate(found):
        if c.eligible and c.name in times:
            reason = f"measured by pith.tune; predicted {ranked[i].seconds * 1e6:.3g} us"
            found[i] = dataclasses.replace(c, reason=reason, measured=True)
    return sorted(found, key=lambda c: (not c.eligible, c.seconds))


def ranked_by(calibration: Calibration, problem: Problem, variants: Sequence[Variant], among: str) -> list[Candidate]:
    """Variants as candidates, in the order of the times that a calibration predicts."""
    found = [_candidate(problem, variant, calibration, among) for variant in variants]
    return sorted(found, key=lambda c: (not c.eligible, c.seconds))


def rank(problem: Problem, among: str = "auto") -> list[Candidate]:
    """The candidates for a problem, fastest first, those that may not be taken last.

    Args:
        among: ``auto``, ``dense``, ``sparse`` or the name of one variant.
    Errors: :class:`pith.UnsupportedError` for a variant there is not.

    Example:
        >>> from pith.formats import Format
        >>> problem = Problem.of_format(Format.dense(), (512, 512), 64, "f32", threads=1)
        >>> sorted(c.name for c in rank(problem))[0]
        'dense:library'
    """
    return list(_rank(problem, among))


@functools.lru_cache(maxsize=4096)
def choose(problem: Problem, among: str = "auto") -> Candidate:
    """The candidate to run: see :func:`pick`."""
    return pick(_rank(problem, among))


def pick(ranked: Sequence[Candidate]) -> Candidate:
    """The fastest; where that gains less than 2 %, one that needs no copy, or at least no library."""
    near = [c for c in ranked if c.eligible == ranked[0].eligible and c.seconds <= ranked[0].seconds * DENSE_GAIN]
    return min(near, key=lambda c: (c.variant.is_dense, c.variant.is_library, c.seconds))


def forget_ranks() -> None:
    """Decide anew: after a calibration or :func:`pith.tune`."""
    forget()
    _rank.cache_clear()
    choose.cache_clear()


def dense_bytes(problem: Problem, variant: Variant) -> int:
    """Bytes of the unpacked copy a dense variant multiplies."""
    from .problem import ELEMENT_BYTES

    element = variant.family.partition(":")[2] or problem.element
    return math.prod(problem.shape) * ELEMENT_BYTES[element]


def _packing_of_dense(problem: Problem, calibration: Calibration) -> float:
    """Seconds that the dense kernel takes to pack windows, by the code that stored operands meet them with, too.

    As panels of a matrix, two threads were predicted to take 441 and 130 us beside stored and dense filters for the
    3x3 windows of 64 channels of 56x56: 64 filters of 2:4 in 1.02 ms, dense 0.89. They take 1.06 and 1.30
    (Emerald Rapids, 2026-11-23).
    """
    (own,) = named_variants(problem, OWN)
    return _packing(calibration.model(own, problem.element)[0], features(problem, own))


def _packing(model: Model, values: Features) -> float:
    """Seconds of making panels of the dense operand, whatever the family calls that."""
    return model.predict({name: values.get(name, 0.0) for name in ("pack", "operand")})


def _candidate(problem: Problem, variant: Variant, calibration: Calibration, among: str) -> Candidate:
    model, measured = calibration.model(variant, problem.element)
    values = features(problem, variant)
    if model.predict(values) <= 0:  # fitted to few samples: nothing in it counts what this problem is made of
        model, measured = roofline(problem.isa, variant.family, problem.element), None
    shares = list(model.shares(values).items())[:3]
    reason = ", ".join(f"{name} {share:.0%}" for name, share in shares if share >= 0.005)
    if measured is None and calibration.origin != "roofline":
        reason += "; never measured, by the roofline"
    seconds = model.predict(values)
    if problem.windows and not variant.is_dense:
        seconds += _packing_of_dense(problem, calibration) - _packing(model, values)
    eligible = True
    if variant.is_dense and among == "auto" and (size := dense_bytes(problem, variant)) > MOST_DENSE_BYTES:
        reason, eligible = f"not taken: its copy of the operand is {size / 1e9:.1f} GB", False
    call = model.predict({"call": values.get("call", 0.0)})
    return Candidate(variant.name, seconds, reason, variant, eligible, call)
