"""A training step of linear layers with sparse weights, f32: forward, dX and dW, each against dense torch."""

from __future__ import annotations

import dataclasses
import functools
import statistics
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pith
import torch
from pith.torch.autograd import linear as layer
from pith.torch.autograd.dense_rival import Densely

from bench.harness import Contest
from bench.operands import aligned, at_sparsity, weights
from bench.records import Options, Progress, Report, Requirement, Table
from bench.sweep import Sweep, plural

#: Rows of the batch, input and output features.
LAYERS = ((512, 768, 3072), (512, 3072, 768), (256, 1024, 1024))

#: Formats, and unstructured sparsities.
STRUCTURED = ("C0(2:4)", "C0(1:4)", "C1(2:4)->C0(2:4)", "V(4)C0(2:4)", "V(16)C0(1:4)", "B(16x16)C0(1:4)")
SPARSITIES = (0.5, 0.75, 0.9)

PITH, STORED, SAMPLED, DENSE = "pith", "pith, sparse", "sampled_addmm", "torch dense"

#: Pass -> what its summary compares.
COMPARED = {
    "forward": ((PITH, DENSE), (STORED, DENSE)),
    "dX": ((PITH, DENSE), (STORED, DENSE)),
    "dW": ((PITH, DENSE), (STORED, DENSE), (STORED, SAMPLED)),
}

#: A gradient may be so much slower than torch's dense one: what it is dense by is an unpacked copy.
MOST_OVER_DENSE = 1.25

NOTES = (
    "Times in ms, medians over the rounds; `x` is the speed-up over the dense product of torch (f32).",
    "`pith` is what `pith.torch.sparse_linear` runs: the sparse product, or torch's on a copy of the weight that it "
    "unpacks in every call (of dW, from which it takes what is stored), whichever is predicted to be faster.",
    "`pith, sparse`: dX multiplies by the transposed weight in row order and gathers the values into it first, where "
    "the format says that this is faster. dW is computed where the weight stores, as `torch.sparse.sampled_addmm` does "
    "for CSR; dense torch computes all of it. Inputs are in torch's layout, the batch outermost; all contestants may "
    "allocate their results.",
)


@dataclasses.dataclass(frozen=True)
class Step:
    """Operands of one layer's step.

    Attributes:
        weight: ``(out, in)``, stored; ``dense``: unpacked.
        x, grad: the input, and the gradient of the output.
    """

    weight: pith.SparseTensor
    dense: np.ndarray
    x: np.ndarray
    grad: np.ndarray

    @classmethod
    def of(cls, dense: np.ndarray, batch: int, fmt: str) -> Step:
        rng = np.random.default_rng(3)
        x, grad = (aligned(rng.standard_normal((batch, n), np.float32)) for n in reversed(dense.shape))
        stored = pith.compress(dense, fmt)
        return cls(stored, aligned(dense), x, grad)

    @property
    def flops(self) -> float:
        """Of the stored elements, per pass."""
        return 2.0 * self.weight.nse * self.x.shape[0]


class Taken:
    """A result that is compared in another form: taking the form is not timed."""

    def __init__(self, result: Any, take: Callable[[Any], np.ndarray]):
        self._result, self._take = result, take

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self._take(self._result), dtype)


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("gradients", "Training steps of sparse linear layers, f32", notes=list(NOTES))
    sweep = Sweep(options)
    formats = (*STRUCTURED[::2], *SPARSITIES[::2]) if options.quick else (*STRUCTURED, *SPARSITIES)
    sweep.run(_contests(LAYERS[2:] if options.quick else LAYERS, formats), report, progress)
    names = tuple(_name(fmt) for fmt in formats)
    report.tables[:0] = [_summary(sweep, threads, names) for threads in options.threads]
    report.requirements += _requirements(sweep, options)
    return report


def _name(fmt: str | float) -> str:
    return fmt if isinstance(fmt, str) else f"csr {fmt:.0%}"


def _contests(layers: Any, formats: tuple[str | float, ...]) -> Iterator[tuple[Contest, dict[str, Any]]]:
    for batch, inner, outer in layers:
        for fmt in formats:
            w = weights(outer, inner)
            structured = isinstance(fmt, str)
            step = Step.of(
                pith.prune(w, fmt) if structured else at_sparsity(w, fmt), batch, fmt if structured else "csr"
            )
            for pass_, make in (("forward", _forward), ("dX", _dx), ("dW", _dw)):
                contestants, reference = make(step)
                name = f"{batch}x{inner}x{outer} {_name(fmt)} {pass_}"
                facts = {"shape": (batch, inner, outer), "format": _name(fmt), "pass_": pass_}
                yield Contest(name, contestants, DENSE, reference, flops=step.flops), facts


def _sparsely(run: Callable[[], Any]) -> Callable[[], Any]:
    """A pass without its dense rival."""

    def sparse() -> Any:
        choose, layer.densely = layer.densely, lambda *_: Densely()
        try:
            return run()
        finally:
            layer.densely = choose

    return sparse


def _pass(s: Step, wants: tuple[bool, bool]) -> Callable[[], Any]:
    """The gradient of the input, or that of the values."""
    x, grad, values = map(torch.from_numpy, (s.x, s.grad, s.weight.values))
    return lambda: layer.gradients(grad, x, values, s.weight, (*wants, False))[wants.index(True)]


def _forward(s: Step) -> tuple[dict[str, Any], np.ndarray]:
    x, w, values = map(torch.from_numpy, (s.x, s.dense, s.weight.values))
    run = functools.partial(layer.product, x, values, s.weight, None)
    contestants = {PITH: run, STORED: _sparsely(run), DENSE: lambda: torch.nn.functional.linear(x, w)}
    return contestants, s.x.astype(np.float64) @ s.dense.T.astype(np.float64)


def _dx(s: Step) -> tuple[dict[str, Any], np.ndarray]:
    grad, w = torch.from_numpy(s.grad), torch.from_numpy(s.dense)
    run = _pass(s, (True, False))
    contestants = {PITH: run, STORED: _sparsely(run), DENSE: lambda: torch.mm(grad, w)}
    return contestants, s.grad.astype(np.float64) @ s.dense.astype(np.float64)


def _dw(s: Step) -> tuple[dict[str, Any], np.ndarray]:
    """All contestants are compared as values in the order of the rows."""
    (i, j), _ = s.weight.coordinates()
    rows = np.lexsort((j, i))
    x, grad = torch.from_numpy(s.x), torch.from_numpy(s.grad)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "Sparse CSR tensor support is in beta state"
        at = torch.from_numpy(np.stack([i, j]))
        mask = torch.sparse_coo_tensor(at, torch.zeros(i.size), s.weight.shape).coalesce().to_sparse_csr()
    run = _pass(s, (False, True))
    contestants = {
        PITH: lambda: Taken(run(), lambda r: r.numpy()[rows]),
        STORED: lambda: Taken(_sparsely(run)(), lambda r: r.numpy()[rows]),
        SAMPLED: lambda: Taken(torch.sparse.sampled_addmm(mask, grad.T, x, beta=0), lambda r: r.values().numpy()),
        DENSE: lambda: Taken(torch.mm(grad.T, x), lambda r: r.numpy()[i, j][rows]),
    }
    reference = s.grad.T.astype(np.float64) @ s.x.astype(np.float64)
    return contestants, reference[i, j][rows]


def _summary(sweep: Sweep, threads: int, formats: tuple[str, ...]) -> Table:
    """Geometric means over the layers, per format."""
    rows = []
    for fmt in formats:
        means = [
            f"{mean:.2f}"
            for pass_, pairs in COMPARED.items()
            for mean in sweep.means(threads, pairs, format=fmt, pass_=pass_)
        ]
        rows.append((fmt, *means))
    columns = ("format", *(f"{p}: {a} / {b}" for p, pairs in COMPARED.items() for a, b in pairs))
    return Table(f"Speed-ups, geometric mean over layers, {plural(threads)}", columns, tuple(rows))


def _requirements(sweep: Sweep, options: Options) -> list[Requirement]:
    text = "dW where the weight stores over torch.sparse.sampled_addmm, 1 thread, median over cases"
    ratios = [o.speedup(STORED, SAMPLED) for o in sweep.select(1, pass_="dW")]
    out = [Requirement(text, statistics.median(ratios) if ratios else None, 2.0, "x", at_least=True)]
    for threads in options.threads:
        text = f"a step (forward, dX, dW) over dense torch's, slowest layer, {plural(threads)}"
        steps: dict[tuple[Any, str], list[Any]] = {}
        for facts, outcome in sweep.found.get(threads, []):
            steps.setdefault((facts["shape"], facts["format"]), []).append(outcome.timings)
        over = [sum(t[PITH].median for t in step) / sum(t[DENSE].median for t in step) for step in steps.values()]
        out.append(Requirement(text, max(over, default=None), MOST_OVER_DENSE, "x"))
    return out
