"""Pruning, packing, checking and repacking of a weight, f32, against the time of copying it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pith
from pith.formats.pack import pack as pack_numpy
from pith.formats.prune import prune_array as prune_numpy

from bench.harness import Contest, Outcome, hold
from bench.operands import set_threads, weights
from bench.records import Options, Progress, Report, Requirement, Table

FORMATS = ("C0(2:4)", "C1(3:4)->C0(2:4)", "V(4)C1(2:4)->C0(2:4)", "B(4x4)C0(1:2)", "C0(1:4)", "C0(2:8)")
COPY = "copy"
PRUNE, BY_SALIENCY, MASK, PACK, REPACK = "prune", "prune by saliency", "mask", "pack and check", "repack"
COLUMNS = (PRUNE, BY_SALIENCY, MASK, PACK, REPACK)

#: Times of a copy that pruning and packing of a 4096x4096 weight may take.
LIMITS = {PRUNE: 10.0, PACK: 3.0}

#: 10^8 elements, more than any cache holds, and how many times as long as a copy to new memory pruning them may take:
#: the same bytes are read and written, and the system hands out the same pages.
LARGE, LARGE_QUICK, LARGE_LIMIT = (8192, 12288), (2048, 4096), 2.0
LARGE_FORMATS = ("C0(2:4)", "C1(3:4)->C0(2:4)")
NEW = "copy to new memory"

NOTES = (
    "Times of a copy of the dense weight into warm memory (numpy.copyto): 64 MiB read, 64 MiB written.",
    "Packing starts from the pruned weight and checks that it obeys the format; repacking takes new values for the "
    "pattern. All results are checked against NumPy's.",
)


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("packing", "Pruning and packing, f32", notes=list(NOTES))
    shape = (1024, 2048) if options.quick else (4096, 4096)
    rounds = 3 if options.quick else 9
    for threads in options.threads:
        set_threads(threads)
        rows = []
        for fmt in FORMATS[::3] if options.quick else FORMATS:
            outcomes = {}
            for contest in _contests(shape, fmt):
                progress(f"packing: {contest.name}, {threads} thread(s)")
                outcome = hold(contest, rounds)
                report.cases.append(outcome.to_json(threads=threads, shape=shape, format=fmt))
                outcomes.update({name: _times_of_copy(outcome, name) for name in contest.contestants if name != COPY})
            rows.append((fmt, *(f"{outcomes[name]:.2f}" for name in COLUMNS)))
            if not options.quick and threads == 1:
                report.requirements += [
                    Requirement(f"{name} {'x'.join(map(str, shape))} {fmt}, over a copy", outcomes[name], limit, "x")
                    for name, limit in LIMITS.items()
                ]
        title = f"{'x'.join(map(str, shape))}, times of a copy, {threads} thread(s)"
        report.tables.append(Table(title, ("format", *COLUMNS), tuple(rows)))
        _prune_large(report, options, threads, progress)
    return report


def _prune_large(report: Report, options: Options, threads: int, progress: Progress) -> None:
    """Pruning at the speed of memory: beside copies to warm and to new memory."""
    shape = LARGE_QUICK if options.quick else LARGE
    size, rows = "x".join(map(str, shape)), []
    w = weights(*shape)
    for fmt in LARGE_FORMATS:
        progress(f"packing: prune {size} to {fmt}, {threads} thread(s)")
        pruned = prune_numpy(w, pith.HSS.parse(fmt).to_format())
        calls = {NEW: _copying_anew(w, pruned), COPY: _copying(w, pruned), PRUNE: lambda fmt=fmt: pith.prune(w, fmt)}
        outcome = hold(Contest(f"{fmt}: prune {size}", calls, NEW, pruned, 0.0), 3)
        report.cases.append(outcome.to_json(threads=threads, shape=shape, format=fmt))
        rows.append((fmt, *(f"{_times_of_copy(outcome, name):.2f}" for name in (COPY, PRUNE))))
        if not options.quick and threads == 1:
            measured = _times_of_copy(outcome, PRUNE)
            report.requirements.append(Requirement(f"prune {size} {fmt}, over a {NEW}", measured, LARGE_LIMIT, "x"))
    title = f"pruning {size}, times of a {NEW}, {threads} thread(s)"
    report.tables.append(Table(title, ("format", COPY, PRUNE), tuple(rows)))


def _contests(shape: tuple[int, int], fmt: str) -> list[Contest]:
    """One contest per kind of result, each with the copy as its baseline."""
    w, form = weights(*shape), pith.HSS.parse(fmt).to_format()
    saliency = np.abs(w)
    pruned = prune_numpy(w, form)
    a = pith.compress(pruned, fmt)
    values = pack_numpy(pruned, form)[-1]

    def contest(result: np.ndarray, **calls: Callable[[], Any]) -> Contest:
        named = {name.replace("_", " "): call for name, call in calls.items()}
        return Contest(f"{fmt}: {', '.join(named)}", {COPY: _copying(w, result), **named}, COPY, result, 0.0)

    return [
        contest(
            pruned,
            prune=lambda: pith.prune(w, fmt),
            prune_by_saliency=lambda: pith.prune(w, fmt, saliency=saliency),
        ),
        contest(pruned != 0, mask=lambda: pith.prune_mask(w, fmt)),
        contest(values, pack_and_check=lambda: pith.compress(pruned, fmt).values),
        contest(values, repack=lambda: pith.repack(a, w).values),
    ]


def _copying(w: np.ndarray, result: np.ndarray) -> Callable[[], np.ndarray]:
    """Copy ``w``; what is handed back for the check is the result asked for."""
    target = np.zeros_like(w)

    def copy() -> np.ndarray:
        np.copyto(target, w)
        return result

    return copy


def _copying_anew(w: np.ndarray, result: np.ndarray) -> Callable[[], np.ndarray]:
    """The same into memory that was not used before."""

    def copy() -> np.ndarray:
        w.copy()
        return result

    return copy


def _times_of_copy(outcome: Outcome, name: str) -> float:
    return 1 / outcome.speedup(name)
