"""Sparsity found at run time, f32: everything from the dense operand on is timed. And: never slower than dense."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pith
import torch
from pith.functional.dynamic.memory import forget_decisions

from bench.harness import Contest
from bench.operands import aligned, poisoned
from bench.records import Options, Progress, Report, Requirement, Table
from bench.sweep import Sweep, plural

SIZE = 1024
DENSE, AUTO, DECLARED, CSR = "torch dense", "pith", "pith declared", "torch CSR"

#: Micro-tile -> what is declared of it, and the speed-up over dense that is promised on one thread, by sparsity.
TILES: dict[tuple[int, int], tuple[Any, dict[float, float]]] = {
    (32, 1): ((32, 1), {0.5: 1.3, 0.9: 4.0, 0.95: 6.0, 0.99: 11.0}),
    (1, 32): ((1, 32), {0.9: 2.5, 0.95: 3.5, 0.99: 8.0}),
    (1, 1): ((1, 1), {0.9: 2.2, 0.95: 3.0, 0.99: 5.0}),
    (1, 0): ("rows", {}),
}
SPARSITIES = (0.0, 0.5, 0.9, 0.95, 0.99)

#: Rows may take so many times the share of active rows times the dense time, and so many seconds more.
ROWS_FACTOR, ROWS_SECONDS = 1.15, 20e-6

#: Least share of active rows that is asked for. Below, what is read and cleared of the whole operands takes longer than
#: the product, as the tables show.
LEAST_ACTIVE = 0.1

#: Two threads keep this much of the speed of two.
SCALING = 1.7

#: No pattern may take longer than dense by more than 5 %.
SLOWEST = 1 / 1.05

#: Cases below are timed again. 300x700x500 by torch against itself, in contests of 11 and of 66 rounds: 0.93 to 1.04
#: and 0.98 to 1.01 on one thread, 0.27 to 1.32 and 0.97 to 1.02 on two (Emerald Rapids, 2026-11-22).
DOUBTED = 0.98

#: Calls, and seconds of them, before those that are timed: then decisions are kept as long as they ever are.
_EARLIER, _EARLIER_SECONDS = 24, 0.1

#: Problems of the second sweep.
SHAPES = ((1024, 1024, 1024), (512, 512, 512), (64, 1024, 1024), (1024, 1024, 64), (300, 700, 500))

NOTES = (
    "Times in ms, medians over the rounds; `x` is the speed-up over dense torch. The operand arrives dense: sampling, "
    "choosing, detection and packing are timed, and so is torch's conversion to CSR.",
    "`pith` knows nothing of the operand; `pith declared` is told its granularity.",
    "Decisions are kept for up to 8 calls on the same memory, so one call in nine samples (up to 128 calls where each "
    "takes little); what is packed is detected in every call. Cases begin on every number of threads with nothing "
    "decided and at least 24 calls that are not timed.",
    f"Cases below {DOUBTED} of dense are timed again, with eight times the rounds, and count as they were found then.",
    "The sweep takes patterns that a sample may miss: checkerboards, stripes, a half that is empty, one dense block.",
)


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("pit", "Sparsity known only at run time, f32, against dense torch", notes=list(NOTES))
    sweep, bound = (Sweep(options, doubted=lambda outcome, _: outcome.speedup(AUTO) < DOUBTED) for _ in range(2))
    sparsities = SPARSITIES[1::2] if options.quick else SPARSITIES
    sweep.run(_contests(sparsities), report, progress)
    report.tables, bound_tables = [], report.tables
    bound.run(_adversaries(options.quick), report, progress)
    report.tables = bound_tables + [dataclasses.replace(t, title=f"{t.title} of the sweep") for t in report.tables]
    report.requirements += [*_promises(sweep, sparsities), *_rows(sweep, sparsities), *_scaling(sweep, sparsities)]
    report.requirements += [_slowest([*bound.found[t], *sweep.found[t]], t) for t in options.threads]
    report.tables.insert(0, _summary(sweep, options, sparsities))
    return report


def _contests(sparsities: tuple[float, ...]) -> Iterator[tuple[Contest, dict[str, Any]]]:
    for tile in TILES:
        for sparsity in sparsities:
            x = _sparse((SIZE, SIZE), tile, sparsity)
            name = f"{_name(tile)} {sparsity:.0%}"
            facts = {"tile": tile, "sparsity": sparsity, "active": float(x.any(axis=1).mean())}
            yield _contest(name, x, SIZE, TILES[tile][0], True), facts


def _contest(name: str, x: np.ndarray, columns: int, declared: Any, with_csr: bool) -> Contest:
    x = aligned(x)
    y = aligned(np.random.default_rng(2).standard_normal((x.shape[1], columns)).astype(np.float32))
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    dense = torch.from_numpy(poisoned((x.shape[0], columns)))
    dynamic = {AUTO: _dynamic(x, y, "auto")}
    if declared is not None:
        dynamic[DECLARED] = _dynamic(x, y, declared)
    calls: dict[str, Callable[[], Any]] = {DENSE: lambda: torch.mm(a, b, out=dense), **dynamic}
    if with_csr:
        calls[CSR] = lambda: _through_csr(a, b)
    reference, flops = x.astype(np.float64) @ y.astype(np.float64), 2.0 * x.size * columns
    return Contest(name, calls, DENSE, reference, 1e-5, flops, lambda: _decide_anew(list(dynamic.values())))


def _dynamic(x: np.ndarray, y: np.ndarray, granularity: Any) -> Callable[[], Any]:
    out = poisoned((x.shape[0], y.shape[1]))

    def call() -> Any:
        return pith.matmul(pith.dynamic(x, granularity), y, out=out)

    return call


def _decide_anew(calls: list[Callable[[], Any]]) -> None:
    """Calls on as many threads as there are now: what was decided for others holds for up to 128 calls."""
    forget_decisions()
    for call in calls:
        count, start = 0, time.perf_counter()
        while count < _EARLIER or time.perf_counter() - start < _EARLIER_SECONDS:
            call()
            count += 1


def _through_csr(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "Sparse CSR tensor support is in beta state"
        return torch.mm(a.to_sparse_csr(), b)


def _adversaries(quick: bool) -> Iterator[tuple[Contest, dict[str, Any]]]:
    """Shapes and patterns where choosing could go wrong."""
    for shape in SHAPES[1:3] if quick else SHAPES:
        for what, x in _patterns(shape[:2], quick):
            contest = _contest(f"{'x'.join(map(str, shape))} {what}", x, shape[2], None, False)
            yield contest, {"shape": shape, "pattern": what}


def _patterns(shape: tuple[int, int], quick: bool) -> Iterator[tuple[str, np.ndarray]]:
    for sparsity in (0.6,) if quick else (0.0, 0.3, 0.6, 0.8, 0.99):
        yield f"1x1 {sparsity:.0%}", _sparse(shape, (1, 1), sparsity)
    for tile in ((32, 1), (1, 32), (1, 0), (0, 1)):
        yield f"{_name(tile)} 40%", _sparse(shape, tile, 0.4)
    rows, columns = np.indices(shape)
    values = _values(shape)
    yield "checkerboard", np.where((rows // 32 + columns // 32) % 2 == 0, values, 0)
    yield "stripes", np.where(rows // 32 % 5 == 0, values, 0)
    yield "half empty", np.where(columns < shape[1] // 2, values, 0)
    yield "one dense block", np.where((rows < shape[0] // 2) & (columns < shape[1] // 2), values, 0)
    yield "all but sampled", np.where((rows // 32 % 5 == 0) & (columns // 32 % 5 == 0), 0, values)


def _values(shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _sparse(shape: tuple[int, int], tile: tuple[int, int], sparsity: float) -> np.ndarray:
    """Random values of which a share of the micro-tiles (0: a whole dimension) is zero."""
    extents = [t or n for t, n in zip(tile, shape)]
    keep = np.random.default_rng(1).random([-(-n // t) for n, t in zip(shape, extents)]) >= sparsity
    mask = keep.repeat(extents[0], 0).repeat(extents[1], 1)[: shape[0], : shape[1]]
    return np.where(mask, _values(shape), np.float32(0))


def _promises(sweep: Sweep, sparsities: tuple[float, ...]) -> Iterator[Requirement]:
    """The speed-ups the project promises on one thread."""
    for tile, (_, limits) in TILES.items():
        for sparsity in sparsities:
            if sparsity in limits:
                found = sweep.select(1, tile=tile, sparsity=sparsity)
                best = max((o.speedup(name) for o in found for name in (AUTO, DECLARED)), default=None)
                text = f"{_name(tile)} at {sparsity:.0%} over dense, 1024^3, 1 thread"
                yield Requirement(text, best, limits[sparsity], "x", at_least=True)


def _rows(sweep: Sweep, sparsities: tuple[float, ...]) -> Iterator[Requirement]:
    """Time beyond what active rows take densely, as a factor."""
    for sparsity in sparsities:
        cases = [
            (f["active"], o) for f, o in sweep.found.get(1, []) if (f["tile"], f["sparsity"]) == ((1, 0), sparsity)
        ]
        for active, outcome in cases:
            if active < LEAST_ACTIVE:
                continue
            seconds = min(outcome.timings[name].median for name in (AUTO, DECLARED))
            ideal = active * outcome.timings[DENSE].median
            text = f"rows, {active:.1%} active, over (active share) x dense + 20 us, 1 thread"
            yield Requirement(text, (seconds - ROWS_SECONDS) / ideal, ROWS_FACTOR, "x")


def _scaling(sweep: Sweep, sparsities: tuple[float, ...]) -> Iterator[Requirement]:
    """How much faster two threads are, for what is promised."""
    for tile, (_, limits) in TILES.items():
        for sparsity in (s for s in sparsities if s in limits):
            one, two = (sweep.select(t, tile=tile, sparsity=sparsity) for t in (1, 2))
            ratio = one[0].timings[AUTO].median / two[0].timings[AUTO].median if one and two else None
            text = f"{_name(tile)} at {sparsity:.0%}: two threads over one"
            yield Requirement(text, ratio, SCALING, "x", at_least=True)


def _slowest(found: list[tuple[dict[str, Any], Any]], threads: int) -> Requirement:
    worst = min(found, key=lambda case: case[1].speedup(AUTO))[1]
    text = f"the slowest of {len(found)} patterns over dense, {plural(threads)}: {worst.contest.name}"
    return Requirement(text, worst.speedup(AUTO), SLOWEST, "x", at_least=True)


def _summary(sweep: Sweep, options: Options, sparsities: tuple[float, ...]) -> Table:
    rows = []
    for threads in options.threads:
        for tile in TILES:
            found = [sweep.select(threads, tile=tile, sparsity=s)[0] for s in sparsities]
            for name in (AUTO, DECLARED, CSR):
                rows.append((f"{_name(tile)}, {plural(threads)}", name, *(f"{o.speedup(name):.2f}" for o in found)))
    columns = ("zeros in", "", *(f"{s:.0%}" for s in sparsities))
    return Table(f"Speed-up over dense torch, {SIZE}^3", columns, tuple(rows))


def _name(tile: tuple[int, int]) -> str:
    named = {(1, 0): "rows", (0, 1): "columns"}
    return named.get(tile) or "x".join(map(str, tile))
