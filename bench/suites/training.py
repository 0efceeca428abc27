"""A training step of a linear layer whose mask is new every step, f32: against dense torch, and CSR made again."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pith
import torch
from pith.torch import MaskedLinear

from bench.harness import Contest
from bench.operands import aligned, weights
from bench.records import Options, Progress, Report, Requirement, Table
from bench.sweep import Sweep, plural

#: Rows of the batch, input and output features.
LAYERS = ((512, 768, 3072), (512, 3072, 768), (1024, 1024, 1024))

GRANULARITIES = ((32, 64), (32, 1), (1, 1))
SPARSITIES = (0.5, 0.9, 0.95, 0.98)

#: Seconds that timing a case should take.
SECONDS = 1.2

#: Masks a contestant goes through, one per step.
MASKS = 4

PITH, DENSE, CSR = "pith", "torch dense, masked", "torch.sparse CSR, made again"

NOTES = (
    "A step takes a mask it has not seen (one Boolean per micro-tile), multiplies, and makes the gradients of input "
    "and masked weight. Times in ms, medians over the rounds; `x` is the speed-up over dense torch.",
    "`pith` lists the mask's micro-tiles as a `pith.Pattern` and runs `MaskedLinear` through autograd; it multiplies "
    "dense where much is kept. Dense torch spreads the mask over the elements and runs `linear(x, w * mask)` through "
    "autograd. CSR converts `w * mask` and its transpose, and runs two sparse products and `sampled_addmm`.",
    "All contestants may allocate their results. No contestant compiles anything while it is timed.",
)


@dataclasses.dataclass(frozen=True)
class Step:
    """Operands of one layer's steps.

    Attributes:
        masks: one Boolean per micro-tile, for each step in turn.
        granularity: of the masks.
        w, x, grad: weight (out x in), input, gradient of the output.
    """

    masks: tuple[np.ndarray, ...]
    granularity: tuple[int, int]
    w: torch.Tensor
    x: torch.Tensor
    grad: torch.Tensor

    @classmethod
    def of(cls, layer: tuple[int, int, int], granularity: tuple[int, int], sparsity: float) -> Step:
        batch, inner, outer = layer
        rng = np.random.default_rng(4)
        grid = [-(-n // g) for n, g in zip((outer, inner), granularity)]
        masks = tuple(rng.random(grid, np.float32) >= sparsity for _ in range(MASKS))
        x, grad = (torch.from_numpy(aligned(rng.standard_normal((batch, n), np.float32))) for n in (inner, outer))
        return cls(masks, granularity, torch.from_numpy(aligned(weights(outer, inner))), x, grad)

    def spread(self, mask: np.ndarray) -> torch.Tensor:
        """The mask over elements."""
        out = torch.from_numpy(mask)
        for axis, (g, size) in enumerate(zip(self.granularity, self.w.shape)):
            out = out.repeat_interleave(g, axis).narrow(axis, 0, size) if g > 1 else out
        return out

    def reference(self) -> np.ndarray:
        """What the first step computes, in float64."""
        keep = self.spread(self.masks[0]).double()
        w, x, grad = (t.double() for t in (self.w, self.x, self.grad))
        return _together(x @ (w * keep).T, grad @ (w * keep), (grad.T @ x) * keep)


class _Turns:
    """The masks of a contestant's steps, in turn."""

    def __init__(self, masks: tuple[np.ndarray, ...]):
        self._masks = masks
        self.restart()

    def restart(self) -> None:
        """Begin with the first again."""
        self._rest = itertools.cycle(self._masks)

    def next(self) -> np.ndarray:
        """The mask of the next step."""
        return next(self._rest)


class _Taken:
    """A step's results, put together when they are compared; that is not timed."""

    def __init__(self, *parts: torch.Tensor):
        self._parts = parts

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(_together(*self._parts), dtype)


def _together(*parts: torch.Tensor) -> np.ndarray:
    return np.concatenate([p.detach().to_dense().numpy().reshape(-1) for p in parts])


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("training", "Training steps with a new mask every step, f32", notes=list(NOTES))
    sweep = Sweep(options, SECONDS)
    layers = LAYERS[:1] if options.quick else LAYERS
    sparsities = SPARSITIES[:2] if options.quick else SPARSITIES
    sweep.run(_contests(layers, sparsities), report, progress)
    report.tables[:0] = [_summary(sweep, threads, sparsities) for threads in options.threads]
    report.requirements += _requirements(sweep)
    return report


def _contests(layers: Any, sparsities: tuple[float, ...]) -> Iterator[tuple[Contest, dict[str, Any]]]:
    for layer, granularity, sparsity in itertools.product(layers, GRANULARITIES, sparsities):
        step = Step.of(layer, granularity, sparsity)
        makers = {PITH: _pith, DENSE: _dense, **({CSR: _csr} if granularity == (1, 1) else {})}
        turns = {name: _Turns(step.masks) for name in makers}
        contestants = {name: make(step, turns[name]) for name, make in makers.items()}
        name = f"{'x'.join(map(str, layer))} {_blocks(granularity)} {sparsity:.0%}"
        facts = {"shape": layer, "granularity": granularity, "sparsity": sparsity}
        kept = float(step.spread(step.masks[0]).sum())
        yield Contest(name, contestants, DENSE, step.reference(), 1e-5, 6.0 * kept * layer[0], _restart(turns)), facts


def _restart(turns: dict[str, _Turns]) -> Callable[[], None]:
    def restart() -> None:
        for each in turns.values():
            each.restart()

    return restart


def _blocks(granularity: tuple[int, int]) -> str:
    return "{}x{}".format(*granularity)


def _pith(s: Step, masks: _Turns) -> Callable[[], _Taken]:
    dense = torch.nn.Linear(s.w.shape[1], s.w.shape[0], bias=False)
    dense.weight.data = s.w
    layer = MaskedLinear.from_linear(dense, s.granularity)
    x = s.x.detach().requires_grad_()

    def step() -> _Taken:
        listed = pith.Pattern.from_mask(masks.next())
        layer.pattern = (
            listed if s.granularity == (1, 1) else pith.Pattern(s.w.shape, s.granularity, listed.coordinates)
        )
        y = layer(x)
        return _Taken(y, *torch.autograd.grad(y, (x, layer.weight), s.grad))

    return step


def _dense(s: Step, masks: _Turns) -> Callable[[], _Taken]:
    x, w = s.x.detach().requires_grad_(), s.w.detach().requires_grad_()

    def step() -> _Taken:
        y = torch.nn.functional.linear(x, w * s.spread(masks.next()))
        return _Taken(y, *torch.autograd.grad(y, (x, w), s.grad))

    return step


def _csr(s: Step, masks: _Turns) -> Callable[[], _Taken]:

    def step() -> _Taken:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "Sparse CSR tensor support is in beta state"
            w = (s.w * s.spread(masks.next())).to_sparse_csr()
            transposed = w.t().to_sparse_csr()
            y, dx = (w @ s.x.T).T, (transposed @ s.grad.T).T
            return _Taken(y, dx, torch.sparse.sampled_addmm(w, s.grad.T, s.x, beta=0))

    return step


def _summary(sweep: Sweep, threads: int, sparsities: tuple[float, ...]) -> Table:
    """Geometric means over the layers."""
    rows = []
    for granularity, sparsity in itertools.product(GRANULARITIES, sparsities):
        facts = {"granularity": granularity, "sparsity": sparsity}
        pairs = [(PITH, DENSE), *([(PITH, CSR)] if granularity == (1, 1) else [])]
        means = [f"{mean:.2f}" for mean in sweep.means(threads, pairs, **facts)]
        rows.append((_blocks(granularity), f"{sparsity:.0%}", *means, *["-"] * (2 - len(means))))
    columns = ("micro-tile", "sparsity", f"{PITH} / {DENSE}", f"{PITH} / {CSR}")
    return Table(f"Speed-ups of a step, geometric mean over layers, {plural(threads)}", columns, tuple(rows))


def _requirements(sweep: Sweep) -> list[Requirement]:
    """At 90 % and above a step is faster than dense torch, whatever the micro-tile."""
    found = []
    for granularity in GRANULARITIES:
        speedups = [o.speedup(PITH) for o in sweep.select(1, granularity=granularity, sparsity=0.9)]
        text = f"a step at 90 % with micro-tiles of {_blocks(granularity)} over dense torch, 1 thread, slowest layer"
        found.append(Requirement(text, min(speedups, default=None), 1.0, "x", at_least=True))
    return found
