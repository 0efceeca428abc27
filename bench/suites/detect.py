"""Detection of run-time patterns, against the time of reading the tensor once."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import pith
import torch
from pith.functional.dynamic.sampling import sampled_coverage
from pith.patterns import sample_coverage
from pith.runtime import kernel_cache

from bench.harness import Contest, Outcome, WrongResult, hold
from bench.machine import peak_growth
from bench.operands import aligned, poisoned, set_threads, weights
from bench.records import Options, Progress, Report, Requirement, Table

GRANULARITIES = ((1, 32), (32, 1), (1, 1), (32, 32), (1, 64))
EMPTY = (1.0, 0.99, 0.9, 0.5)
READ, PITH, SORTED, EAGER = "torch.sum", "detect", "deterministic", "torch eager"

#: Times of reading a 4096x4096 tensor once that detection at 1x32 may take.
LIMIT = 1.5

#: Microseconds a call may take beyond its kernel, and sampling six candidates may take in all.
OVERHEAD, SAMPLING = 15.0, 50.0

#: Share of a dense operand's bytes that new patterns with 1 to 2 % of its micro-tiles may take: lists and panels.
NEW_MEMORY = 0.25

CANDIDATES = ((1, 32), (32, 1), (1, 1), (8, 8), (32, 32), (1, 8))

NOTES = (
    "f32; micro-tiles are kept at random. Times of `torch.sum` of the tensor in the same rounds: that reads it once.",
    "`torch eager`: any over a view in blocks, then nonzero. Lists are checked against NumPy before they are timed.",
    "Overhead: pith.detect of a 16x64 tensor. Sampling: one `sample_coverage` call for six candidates, after "
    "writing 64 MB elsewhere. Both are medians of wall time.",
)


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("detect", "Detection of patterns, f32", notes=list(NOTES))
    shape = (1024, 1024) if options.quick else (4096, 4096)
    rounds = 3 if options.quick else 15
    for threads in options.threads:
        set_threads(threads)
        rows = []
        for granularity in GRANULARITIES[:2] if options.quick else GRANULARITIES:
            for empty in EMPTY[::2] if options.quick else EMPTY:
                progress(f"detect: {granularity}, {empty:.0%} empty, {threads} thread(s)")
                outcome = hold(_contest(shape, granularity, empty), rounds)
                report.cases.append(outcome.to_json(threads=threads, shape=shape, granularity=granularity, empty=empty))
                rows.append(_row(outcome, granularity, empty))
                if granularity == (1, 32) and not options.quick:
                    text = f"detect 4096x4096 at 1x32, {empty:.0%} empty, {threads} thread(s), over reading once"
                    report.requirements.append(Requirement(text, 1 / outcome.speedup(PITH), LIMIT, "x"))
        title = f"{'x'.join(map(str, shape))}, times of reading it once, {threads} thread(s)"
        report.tables.append(Table(title, ("micro-tile", "empty", "sum ms", PITH, SORTED, EAGER), tuple(rows)))
    set_threads(1)
    progress("detect: overhead and sampling")
    report.requirements += [_overhead(), *_sampling(weights(*shape)), *_new_patterns(shape)]
    return report


def _contest(shape: tuple[int, int], granularity: tuple[int, int], empty: float) -> Contest:
    bh, bw = granularity
    grid = tuple(-(-n // g) for n, g in zip(shape, granularity))
    x = _kept(shape, granularity, empty)
    keep = x.reshape(grid[0], bh, grid[1], bw).any((1, 3))
    t = torch.from_numpy(x)
    for deterministic in (False, True):
        if not np.array_equal(pith.detect(x, granularity, deterministic=deterministic).mask(), keep):
            raise WrongResult(f"detect at {granularity} does not list what NumPy lists")
    count = np.array([float(keep.sum())])

    def read() -> np.ndarray:
        t.sum()
        return count

    def counted(call: Callable[[], int]) -> Callable[[], np.ndarray]:
        return lambda: np.array([float(call())])

    def eager() -> int:
        blocks = (t != 0).view(grid[0], bh, grid[1], bw)
        return len(blocks.any(3).any(1).nonzero())

    calls = {
        READ: read,
        PITH: counted(lambda: pith.detect(x, granularity).count),
        SORTED: counted(lambda: pith.detect(x, granularity, deterministic=True).count),
        EAGER: counted(eager),
    }
    return Contest(f"{bh}x{bw}, {empty:.0%} empty", calls, READ, count, 0.0)


def _kept(shape: tuple[int, int], granularity: tuple[int, int], empty: float) -> np.ndarray:
    """A tensor whose micro-tiles, which divide it, are empty with a probability, and have no zeros otherwise."""
    bh, bw = granularity
    keep = np.random.default_rng(2).random((shape[0] // bh, shape[1] // bw)) >= empty
    dense = weights(*shape)
    whole = np.repeat(np.repeat(keep, bh, 0), bw, 1)
    return aligned(np.where(whole, np.where(dense == 0, np.float32(1), dense), np.float32(0)))


def _row(outcome: Outcome, granularity: tuple[int, int], empty: float) -> tuple[str, ...]:
    times = (f"{1 / outcome.speedup(name):.2f}" for name in (PITH, SORTED, EAGER))
    read = f"{outcome.timings[READ].median * 1e3:.2f}"
    return ("x".join(map(str, granularity)), f"{empty:.0%}", read, *times)


def _overhead() -> Requirement:
    """A whole call on a tensor that takes the kernel no time."""
    x = aligned(np.eye(16, 64, dtype=np.float32))
    seconds = _median(lambda: pith.detect(x, (1, 32)), lambda: None, 2000)
    return Requirement("detect of a 16x64 tensor, in all", seconds * 1e6, OVERHEAD, "us")


def _sampling(dense: np.ndarray) -> list[Requirement]:
    elsewhere, small = np.ones(1 << 24, np.float32), aligned(dense[:64])

    def requirement(text: str, sample: Callable[[np.ndarray], object]) -> Requirement:
        def forget() -> None:
            """The tensor leaves the caches; the code that samples stays."""
            np.add(elsewhere, 1, out=elsewhere)
            sample(small)

        return Requirement(text, _median(lambda: sample(dense), forget, 40) * 1e6, SAMPLING, "us")

    return [
        requirement("sampling six candidates in a cold tensor", lambda x: sample_coverage(x, CANDIDATES)),
        requirement("the sample that a dynamic product takes of a cold tensor", sampled_coverage),
    ]


def _new_patterns(shape: tuple[int, int]) -> list[Requirement]:
    """Detection of, and a product with, patterns that were never seen: what is compiled, and what memory they take."""
    y, out = weights(shape[1], 64), poisoned((shape[0], 64))
    first, *new = (_kept(shape, (1, 32), empty) for empty in (0.99, 0.985, 0.98, 0.99))

    def use(x: np.ndarray) -> None:
        pith.detect(x, (1, 32))
        pith.matmul(pith.dynamic(x, (1, 32)), y, out=out)

    use(first)
    compiled, memory = kernel_cache().stats.misses, peak_growth(lambda: [use(x) for x in new])
    return [
        Requirement("kernels compiled for three new patterns", float(kernel_cache().stats.misses - compiled), 1, ""),
        Requirement("memory they take, of a dense operand", memory / first.nbytes, NEW_MEMORY, "x"),
    ]


def _median(call: Callable[[], object], before: Callable[[], object], rounds: int) -> float:
    """Seconds of ``call``, each time after ``before``, which is not counted."""
    samples = []
    for _ in range(rounds):
        before()
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
    return statistics.median(samples)
