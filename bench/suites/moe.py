"""Mixtures of experts, f32: every token through its experts' layer, routing and gated sum included."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pith
import torch

from bench.harness import Contest
from bench.operands import aligned
from bench.records import Options, Progress, Report, Requirement, Table
from bench.sweep import Sweep, plural

#: Tokens, input and output features.
TOKENS, INNER, OUTER = 4096, 512, 1024

#: Experts, experts per token, exponent of the power law that experts are drawn by.
CASES = tuple((n, k, skew) for n in (8, 64) for k in (1, 2) for skew in (0.0, 0.7, 1.5))

PITH, GROUPED, LOOP, IDEAL = "pith", "sort + grouped_mm", "index_select + mm", "one dense product"

NOTES = (
    f"{TOKENS} tokens, {INNER} -> {OUTER} features, gated sum over a token's experts; expert e is drawn with weight "
    "(e + 1)^-skew, without replacement. Times in ms, medians over the rounds; `x` is the speed-up over sorting.",
    "`sort + grouped_mm`: argsort, gather, `torch._grouped_mm`, gates, `index_add_` (top-1: scatter). "
    "`index_select + mm`: a loop over the experts. Everything but the routing itself is timed for all.",
    "`one dense product` is what no one does: `torch.mm` of as many rows with one expert's weight, the bound of what "
    "torch could reach.",
)


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Operands of one case; experts and gates: ``(tokens, k)``."""

    x: np.ndarray
    w: np.ndarray
    experts: np.ndarray
    gates: np.ndarray

    @classmethod
    def of(cls, n_experts: int, k: int, skew: float) -> Mixture:
        rng = np.random.default_rng([n_experts, k])
        x = aligned(rng.standard_normal((TOKENS, INNER), np.float32))
        w = aligned(rng.standard_normal((n_experts, INNER, OUTER), np.float32))
        # The k largest of weighted exponentials: a draw without replacement.
        keys = rng.exponential(size=(TOKENS, n_experts)) * np.arange(1, n_experts + 1) ** skew
        experts = np.argsort(keys, axis=1)[:, :k]
        return cls(x, w, experts, aligned(rng.random((TOKENS, k), np.float32)))

    def reference(self) -> np.ndarray:
        """The result in float64, expert by expert."""
        out, x = np.zeros((TOKENS, OUTER)), self.x.astype(np.float64)
        for e, w in enumerate(self.w):
            tokens, slots = np.nonzero(self.experts == e)
            out[tokens] += self.gates[tokens, slots, None] * (x[tokens] @ w.astype(np.float64))
        return out


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("moe", "Mixtures of experts, f32", notes=list(NOTES))
    sweep = Sweep(options)
    sweep.run(_contests(CASES[1::6] if options.quick else CASES), report, progress)
    report.tables.insert(0, _summary(sweep))
    report.requirements += [_requirement(sweep, threads) for threads in options.threads]
    return report


def _contests(cases: Any) -> Iterator[tuple[Contest, dict[str, Any]]]:
    for n_experts, k, skew in cases:
        m = Mixture.of(n_experts, k, skew)
        reference = m.reference()
        contestants = {
            PITH: lambda m=m: pith.grouped_matmul(m.x, m.experts, m.w, m.gates),
            GROUPED: _grouped(m),
            LOOP: _loop(m),
            IDEAL: _ideal(m, reference),
        }
        name = f"{n_experts} experts, top-{k}, skew {skew}"
        flops = 2.0 * TOKENS * k * INNER * OUTER
        yield Contest(name, contestants, GROUPED, reference, flops=flops), {"experts": n_experts, "k": k, "skew": skew}


def _grouped(m: Mixture) -> Any:
    x, w, experts, gates = map(torch.from_numpy, (m.x, m.w, m.experts, m.gates))
    n_experts, k = w.shape[0], experts.shape[1]

    def call() -> torch.Tensor:
        flat = experts.flatten()
        order = torch.argsort(flat)
        ends = torch.cumsum(torch.bincount(flat, minlength=n_experts), 0).to(torch.int32)
        tokens = order // k if k > 1 else order
        parts = torch._grouped_mm(x[tokens], w, offs=ends)
        parts.mul_(gates.flatten()[order, None])
        if k == 1:
            out = torch.empty(TOKENS, OUTER)
            out[order] = parts
            return out
        return torch.zeros(TOKENS, OUTER).index_add_(0, tokens, parts)

    return call


def _loop(m: Mixture) -> Any:
    x, w, experts, gates = map(torch.from_numpy, (m.x, m.w, m.experts, m.gates))

    def call() -> torch.Tensor:
        out = torch.zeros(TOKENS, OUTER)
        for e in range(w.shape[0]):
            tokens, slots = torch.where(experts == e)
            out.index_add_(0, tokens, torch.mm(x.index_select(0, tokens), w[e]).mul_(gates[tokens, slots, None]))
        return out

    return call


class _Bound:
    """A result that is not what the case asks for: only its time counts."""

    def __init__(self, product: torch.Tensor, reference: np.ndarray):
        self._product, self._reference = product, reference

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self._reference.astype(dtype)


def _ideal(m: Mixture, reference: np.ndarray) -> Any:
    x, w = torch.from_numpy(np.repeat(m.x, m.experts.shape[1], 0)), torch.from_numpy(m.w[0])
    return lambda: _Bound(torch.mm(x, w), reference)


def _summary(sweep: Sweep) -> Table:
    """Geometric means over the skews."""
    rows = []
    for threads in sweep.found:
        for n_experts, k in dict.fromkeys((n, k) for n, k, _ in CASES):
            if sweep.select(threads, experts=n_experts, k=k):
                pairs = ((PITH, GROUPED), (PITH, LOOP), (PITH, IDEAL))
                means = sweep.means(threads, pairs, experts=n_experts, k=k)
                rows.append((plural(threads), f"{n_experts}, top-{k}", *(f"{mean:.2f}" for mean in means)))
    columns = ("threads", "experts", *(f"{PITH} / {over}" for over in (GROUPED, LOOP, IDEAL)))
    return Table("Speed-ups, geometric means over the skews", columns, tuple(rows))


def _requirement(sweep: Sweep, threads: int) -> Requirement:
    text = f"MoE over sort + grouped_mm, f32, {plural(threads)}, worst case"
    ratios = [o.speedup(PITH, GROUPED) for o in sweep.select(threads)]
    return Requirement(text, min(ratios) if ratios else None, 1.3, "x", at_least=True)
