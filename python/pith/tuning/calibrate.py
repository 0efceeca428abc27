"""Measure products on this machine and fit models to their times (``pith bench --calibrate``)."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import importlib.util
import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pith.lowering.isa import host_isa

from ..formats.pack_buffers import aligned_empty
from ..runtime import num_threads, set_num_threads
from ..runtime.cpu import cpu_class
from .cases import Case, draw
from .database import Calibration
from .features import features
from .model import Accuracy, Model, fit, fit_beside
from .problem import Problem
from .regret import regret
from .samples import Sample
from .variants import Variant, dense_variants, sparse_variants

#: Element type -> share of the time spent on it.
SHARES = {"f32": 0.5, "f64": 0.15, "bf16": 0.12, "f16": 0.07, "i8": 0.1, "i16": 0.03, "i32": 0.03}

#: Multiply-adds of the largest dense product measured, per element type: a few milliseconds each.
MOST_WORK = {
    "f32": 1 << 29,
    "f64": 1 << 28,
    "bf16": 1 << 26,
    "f16": 1 << 26,
    "i8": 1 << 26,
    "i16": 1 << 26,
    "i32": 1 << 24,
}

#: A sample lasts at least this long: fast calls are repeated.
SAMPLE_SECONDS = 5e-4

#: Register tiles measured per case: the compiler's guess and as many others as make this.
MOST_TILES = 2

#: A case is measured again where no variant that takes ``_LONG`` or more on one thread gains this share of what more
#: threads promise: on a shared machine other cores are gone for seconds at a time. Of 488 cases 99 were like that on 2
#: threads, some slower than on one, from which a fit learns that dense products scale 15 % worse than others (Emerald
#: Rapids, 2026-11-22). One column is read from memory, which cores share.
_SCALES, _LONG = 0.85, 2e-4

#: Share of an element type's time that is left for those.
_AGAIN = 0.15

#: Families of kernels that share out all that cores do, and what they do not do in registers. On more threads the rest
#: takes a multiple of what it takes on one: times on two threads tell its parts apart less well, for they differ with
#: what else has the cores. Half of the held-out times of panels of f32 on two threads are predicted within 12.5 % (14.5
#: by a fit to such times alone), of f64 21 (28), on Zen 3 13.4 (12.5) and 12.2 (12.4). Twelve products with 20 to 50 %
#: zeros, 0.72 to 1.15 of the dense kernel's time, were predicted 0.62 to 0.88 and are 0.70 to 1.10; choices among
#: held-out products are as good (Emerald Rapids, 2026-11-22).
_SHARING = ("panel", "pairs")
_MEMORY = ("call", "far", "stored", "pack", "result")

#: One case in so many is held out of the fit that accuracy is told from.
HELD_OUT = 5

#: Told the share of the work that is done, and what is measured.
Progress = Callable[[float, str], None]


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a calibration is done.

    Attributes:
        seconds: it takes about as long, compilation included.
        rounds: interleaved rounds per case; times are their medians.
        threads: numbers of threads.
        elements: element types.
        clock: seconds; a clock of the thread's own time is right on a busy machine with one thread.
    """

    seconds: float = 150.0
    rounds: int = 5
    threads: tuple[int, ...] = (1,)
    elements: tuple[str, ...] = tuple(SHARES)
    clock: Callable[[], float] = time.perf_counter


def calibrate(
    settings: Settings, progress: Progress = lambda done, text: None
) -> tuple[list[Calibration], list[Sample]]:
    """Measure until the time is up, then fit: one calibration per number of threads, and what was measured.

    The number of threads of kernels and of torch is changed meanwhile and restored.
    """
    before = num_threads()
    try:
        samples = _measure_all(settings, progress)
    finally:
        use_threads(before)
    return fit_samples(samples, cpu_class(), host_isa().name, _facts(settings, samples)), samples


def fit_samples(samples: Sequence[Sample], cpu: str, isa: str, facts: Mapping[str, Any]) -> list[Calibration]:
    """Models of what was measured, per number of threads; accuracy is of a fit without the held-out cases.

    Cases without the other cores are left out, unless most cases are like that. What kernels do in registers is known
    from the fewest threads.
    """
    alone: tuple[Mapping[str, Model], Mapping[str, Model]] = {}, {}
    out, groups = [], [(case, lacked_cores(group)) for case, group in _cases(samples).items()]
    for threads in sorted({s.problem.threads for s in samples}):
        lacking = {case for case, lacked in groups if threads in lacked}
        kept = {case for case, _ in groups} - lacking if 2 * len(lacking) < len(groups) else set(dict(groups))
        own = [s for s in samples if s.problem.threads == threads and s.case in kept]
        models: dict[str, Model] = {}
        trained: dict[str, Model] = {}
        accuracy: dict[str, Accuracy] = {}
        for name, group in _groups(own).items():
            rows = [(s.case, features(s.problem, s.variant), s.seconds) for s in group]
            kept = [r for r in rows if r[0] % HELD_OUT]
            held = [r for r in rows if not r[0] % HELD_OUT]
            if not kept or not held:
                continue
            trained[name], models[name] = (_fit(r, known.get(name)) for r, known in zip((kept, rows), alone))
            accuracy[name] = Accuracy.of(trained[name], [r[1] for r in held], [r[2] for r in held])
        if not out:
            alone = _sharing(trained), _sharing(models)
        unseen = regret([s for s in own if not s.case % HELD_OUT], Calibration(cpu, isa, threads, trained))
        out.append(Calibration(cpu, isa, threads, models, accuracy, "own", {**facts, "choices": unseen}))
    return out


def time_calls(calls: Mapping[str, Callable[[], Any]], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Median seconds per call: all in every round, each round begun by another one, each sample after a warm call."""
    counts = {}
    for name, call in calls.items():
        call()
        start = clock()
        call()
        counts[name] = max(1, min(500, round(SAMPLE_SECONDS / max(clock() - start, 1e-7))))
    names = list(calls)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            call, count = calls[name], counts[name]
            call()
            start = clock()
            for _ in range(count):
                call()
            samples[name].append((clock() - start) / count)
    return {name: statistics.median(times) for name, times in samples.items()}


def _measure_all(settings: Settings, progress: Progress) -> list[Sample]:
    samples: list[Sample] = []
    start = time.monotonic()
    number, until, total = 0, 0.0, sum(SHARES[e] for e in settings.elements)
    for element in settings.elements:
        share = settings.seconds * SHARES[element] / total
        until += share
        found: list[tuple[Case, list[Sample]]] = []
        for case in draw(element, MOST_WORK[element]):
            spent = time.monotonic() - start
            if spent >= until - (_AGAIN * share if len(settings.threads) > 1 else 0.0):
                break
            progress(spent / settings.seconds, f"{element} {case.format}")
            found.append((case, _measure(case, number, settings)))
            number += 1
        for case, measured in found:
            if lacked_cores(measured) and time.monotonic() - start < until:
                measured = least(measured, _measure(case, measured[0].case, settings))
            samples += measured
    progress(1.0, "fitting")
    return samples


def lacked_cores(samples: Sequence[Sample]) -> set[int]:
    """Numbers of threads on which one case seems to have been measured while other work had the cores."""
    fewest = min(s.problem.threads for s in samples)
    alone = {s.variant.name: s.seconds for s in samples if s.problem.threads == fewest and s.seconds >= _LONG}
    gains: dict[int, list[float]] = {}
    for s in samples:
        threads = s.problem.threads
        if threads > fewest and s.variant.name in alone and s.problem.columns > 1:
            gains.setdefault(threads, []).append(alone[s.variant.name] / s.seconds * fewest / threads)
    return {threads for threads, gained in gains.items() if max(gained) < _SCALES}


def least(first: Sequence[Sample], again: Sequence[Sample]) -> list[Sample]:
    """The same case measured twice: the lesser time of each variant on each number of threads."""
    return [dataclasses.replace(a, seconds=min(a.seconds, b.seconds)) for a, b in zip(first, again)]


def time_variants(
    problem: Problem,
    tensor: Any,
    x: np.ndarray,
    rounds: int,
    variants: Sequence[Variant] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of ``pith.matmul`` by every variant of a problem, or by some; the result is preallocated."""
    from ..functional.matmul.matmul import matmul
    from ..functional.matmul.plan import result_dtype

    left, right = (tensor, x) if problem.side == "left" else (x, tensor)
    shape = (problem.rows, problem.columns) if problem.side == "left" else (problem.columns, problem.rows)
    out = aligned_empty(shape[0] * shape[1], result_dtype(tensor)).reshape(shape)

    def call(variant: Variant) -> Callable[[], Any]:
        return lambda: matmul(left, right, out=out, variant=variant.name)

    chosen = variants or (*dense_variants(problem), *sparse_variants(problem))
    return time_calls({v.name: call(v) for v in chosen}, rounds, clock)


def use_threads(threads: int) -> None:
    """Set the number of threads of kernels, and of torch where it is installed."""
    set_num_threads(threads)
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(threads)


def _measure(case: Case, number: int, settings: Settings) -> list[Sample]:
    """Variants of one case, with every number of threads."""
    tensor, x = case.operands()
    measured = []
    for threads in settings.threads:
        use_threads(threads)
        problem = Problem.of(tensor, case.columns, side=case.side, threads=threads)
        variants = [*dense_variants(problem), *_some_tiles(problem, number)]
        times = time_variants(problem, tensor, x, settings.rounds, variants, settings.clock)
        measured += [Sample(number, problem, v, times[v.name]) for v in variants]
    return measured


def _some_tiles(problem: Problem, number: int) -> list[Variant]:
    """The compiler's guess, and some of the other tiles, others for every case."""
    guess, *others = sparse_variants(problem)
    picked = np.random.default_rng(number).permutation(len(others))[: MOST_TILES - 1]
    return [guess, *(others[i] for i in sorted(picked))]


def _cases(samples: Iterable[Sample]) -> dict[int, list[Sample]]:
    """Samples by case."""
    cases: dict[int, list[Sample]] = {}
    for sample in samples:
        cases.setdefault(sample.case, []).append(sample)
    return cases


def _groups(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Samples by the name of the model they are for."""
    families: dict[str, list[Sample]] = {}
    for sample in samples:
        families.setdefault(f"{sample.variant.family}/{sample.problem.element}", []).append(sample)
    return families


def _sharing(models: Mapping[str, Model]) -> dict[str, Model]:
    return {name: model for name, model in models.items() if name.partition("/")[0] in _SHARING}


def _fit(rows: Sequence[tuple[int, Mapping[str, float], float]], alone: Model | None) -> Model:
    counts, seconds = [r[1] for r in rows], [r[2] for r in rows]
    return fit(counts, seconds) if alone is None else fit_beside(alone, _MEMORY, counts, seconds)


def _facts(settings: Settings, samples: Sequence[Sample]) -> dict[str, Any]:
    return {**facts_of(settings.rounds), "cases": len({s.case for s in samples})}


def facts_of(rounds: int) -> dict[str, Any]:
    """When and with what something was measured; nothing about who."""
    versions = {}
    for name in ("pith-mlir", "torch", "numpy"):
        if importlib.util.find_spec({"pith-mlir": "pith"}.get(name, name)):
            versions[name] = importlib.metadata.version(name)
    return {
        "date": datetime.date.today().isoformat(),
        "rounds": rounds,
        "processors": len(os.sched_getaffinity(0)),
        **versions,
    }
