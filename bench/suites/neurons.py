"""Feed-forward layers whose hidden neurons are mostly inactive, f32, against the dense layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pith
import torch

from bench.harness import Contest
from bench.operands import aligned
from bench.records import Options, Progress, Report, Requirement, Table
from bench.sweep import Sweep, plural

#: Rows, input, hidden and output features.
SHAPES = ((1, 1024, 4096, 1024), (1, 4096, 11008, 4096), (4, 1024, 4096, 1024), (256, 1024, 4096, 1024))

#: Shares of inactive neurons, per row.
SHARES = (0.0, 0.5, 0.9, 0.95, 0.99)

#: What is asked for: speed over dense; and cases below that are timed again. One row, two threads, nothing inactive, of
#: which a call takes 0.6 ms, was found at 0.946 of dense, 1.04 and 1.06 (Emerald Rapids, 2026-11-23).
LIMIT, DOUBTED = 0.95, 0.98

PITH, GATHER, DENSE = "pith", "torch, index_select", "torch dense"

NOTES = (
    "relu(x W1 + b1) W2 + b2; `inactive` of the hidden neurons are zero, in other places for every row. Times in ms, "
    "medians over the rounds; `x` is the speed-up over torch dense. Only the second product can be skipped in part, so "
    "twice is the most there is for a few rows; detection is timed, results are those of the dense layer.",
    "`torch, index_select` gathers the rows of W2 that any row activates.",
    f"Cases below {DOUBTED} of dense are timed again, with eight times the rounds, and count as they were found then.",
)


@dataclasses.dataclass(frozen=True)
class Layer:
    """Operands of one case."""

    x: np.ndarray
    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray

    @classmethod
    def of(cls, shape: tuple[int, int, int, int], inactive: float) -> Layer:
        rows, width, hidden, out = shape
        rng = np.random.default_rng(0)
        x, w1, w2 = (rng.standard_normal(s, np.float32) for s in ((rows, width), (width, hidden), (hidden, out)))
        b1 = np.full(hidden, -np.quantile(x @ w1, inactive) if inactive else 1e3, np.float32)
        return cls(*map(aligned, (x, w1, b1, w2, rng.standard_normal(out, np.float32))))

    def reference(self) -> np.ndarray:
        """The result in float64, from the hidden layer in f32: which neurons are active must not differ."""
        hidden = np.maximum(self.x @ self.w1 + self.b1, 0).astype(np.float64)
        return hidden @ self.w2.astype(np.float64) + self.b2


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("neurons", "Inactive neurons, f32", notes=list(NOTES))
    sweep = Sweep(options, doubted=lambda outcome, _: outcome.speedup(PITH) < DOUBTED)
    shapes, shares = (SHAPES[::3], SHARES[1:3]) if options.quick else (SHAPES, SHARES)
    sweep.run(_contests(shapes, shares), report, progress)
    report.tables.insert(0, _summary(sweep))
    report.requirements += [_requirement(sweep, threads) for threads in options.threads]
    return report


def _contests(shapes: Any, shares: Any) -> Iterator[tuple[Contest, dict[str, Any]]]:
    for shape in shapes:
        for inactive in shares:
            s = Layer.of(shape, inactive)
            name = "x".join(map(str, shape)) + f", {inactive:.0%} inactive"
            facts = {"rows": shape[0], "shape": shape, "inactive": inactive}
            yield Contest(name, _contestants(s), DENSE, s.reference(), tolerance=1e-4), facts


def _contestants(s: Layer) -> dict[str, Callable[[], Any]]:
    x, w1, b1, w2, b2 = map(torch.from_numpy, (s.x, s.w1, s.b1, s.w2, s.b2))

    def gather() -> torch.Tensor:
        hidden = torch.relu_(torch.addmm(b1, x, w1))
        active = hidden.amax(0).nonzero().flatten()
        return torch.addmm(b2, hidden.index_select(1, active), w2.index_select(0, active))

    return {
        PITH: lambda: pith.relu_ffn(s.x, s.w1, s.b1, s.w2, s.b2),
        GATHER: gather,
        DENSE: lambda: torch.addmm(b2, torch.relu_(torch.addmm(b1, x, w1)), w2),
    }


def _summary(sweep: Sweep) -> Table:
    """Geometric means over the shapes, per number of rows."""
    rows = []
    for threads in sweep.found:
        for count in dict.fromkeys(shape[0] for shape in SHAPES):
            for inactive in SHARES:
                if sweep.select(threads, rows=count, inactive=inactive):
                    means = sweep.means(threads, ((PITH, DENSE), (PITH, GATHER)), rows=count, inactive=inactive)
                    rows.append((plural(threads), str(count), f"{inactive:.0%}", *(f"{mean:.2f}" for mean in means)))
    columns = ("threads", "rows", "inactive", f"{PITH} / {DENSE}", f"{PITH} / {GATHER}")
    return Table("Speed-ups, geometric means over shapes", columns, tuple(rows))


def _requirement(sweep: Sweep, threads: int) -> Requirement:
    text = f"relu_ffn over the dense layer, {plural(threads)}, worst case"
    ratios = [o.speedup(PITH, DENSE) for o in sweep.select(threads)]
    return Requirement(text, min(ratios) if ratios else None, LIMIT, "x", at_least=True)
