"""A training step of linear layers with sparse weights, f32: forward, dX and dW, each against dense torch."""

from __future__ import annotations

import dataclasses
import statistics
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pith
import torch
from pith.functional.linear.linear import linear
from pith.functional.matmul.transposed import Transposed

from bench.harness import Contest
from bench.operands import aligned, at_sparsity, poisoned, weights
from bench.records import Options, Progress, Report, Requirement, Table
from bench.sweep import Sweep, plural

#: Rows of the batch, input and output features.
LAYERS = ((512, 768, 3072), (512, 3072, 768), (256, 1024, 1024))

#: Formats, and unstructured sparsities.
STRUCTURED = ("C0(2:4)", "C0(1:4)", "C1(2:4)->C0(2:4)", "V(4)C0(2:4)", "V(16)C0(1:4)", "B(16x16)C0(1:4)")
SPARSITIES = (0.5, 0.75, 0.9)

PITH, SCATTERED, SAMPLED, DENSE = "pith", "pith, stored order", "sampled_addmm", "torch dense"

#: Pass -> what its summary compares.
COMPARED = {
    "forward": ((PITH, DENSE),),
    "dX": ((PITH, DENSE), (PITH, SCATTERED)),
    "dW": ((PITH, DENSE), (PITH, SAMPLED)),
}

NOTES = (
    "Times in ms, medians over the rounds; `x` is the speed-up over the dense product of torch (f32).",
    "dX multiplies by the transposed weight in row order and gathers the values into it first; `pith, stored order` "
    "multiplies by the weight as it is stored; autograd takes the faster one, which the format decides.",
    "dW is computed where the weight stores: `torch.sparse.sampled_addmm` does the same for CSR, dense torch computes "
    "all of it. Inputs are in torch's layout, the batch outermost; all contestants may allocate their results.",
)


@dataclasses.dataclass(frozen=True)
class Step:
    """Operands of one layer's step.

    Attributes:
        weight: ``(out, in)``, stored; ``dense``: unpacked; ``index``: its transpose.
        x, grad: the input, and the gradient of the output.
    """

    weight: pith.SparseTensor
    dense: np.ndarray
    index: Transposed
    x: np.ndarray
    grad: np.ndarray

    @classmethod
    def of(cls, dense: np.ndarray, batch: int, fmt: str) -> Step:
        rng = np.random.default_rng(3)
        x, grad = (aligned(rng.standard_normal((batch, n), np.float32)) for n in reversed(dense.shape))
        stored = pith.compress(dense, fmt)
        return cls(stored, aligned(dense), Transposed(stored), x, grad)

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
    report.requirements.append(_requirement(sweep))
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


def _forward(s: Step) -> tuple[dict[str, Any], np.ndarray]:
    x, w = torch.from_numpy(s.x), torch.from_numpy(s.dense)
    contestants = {PITH: lambda: linear(s.x, s.weight), DENSE: lambda: torch.nn.functional.linear(x, w)}
    return contestants, s.x.astype(np.float64) @ s.dense.T.astype(np.float64)


def _dx(s: Step) -> tuple[dict[str, Any], np.ndarray]:
    grad, w = torch.from_numpy(s.grad), torch.from_numpy(s.dense)
    contestants = {
        PITH: lambda: pith.matmul(s.grad, s.index.tensor(s.weight.values).T, variant="sparse"),
        SCATTERED: lambda: pith.matmul(s.grad, s.weight, variant="sparse"),
        DENSE: lambda: torch.mm(grad, w),
    }
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
    out = poisoned((1, s.weight.nse))[0]
    contestants = {
        PITH: lambda: Taken(pith.sddmm(s.grad.T, s.x, s.weight, out=out), lambda r: r.values[rows]),
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


def _requirement(sweep: Sweep) -> Requirement:
    text = "dW over torch.sparse.sampled_addmm, 1 thread, median over cases"
    ratios = [o.speedup(PITH, SAMPLED) for o in sweep.select(1, pass_="dW")]
    return Requirement(text, statistics.median(ratios) if ratios else None, 2.0, "x", at_least=True)
