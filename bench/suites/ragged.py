"""Ragged batches, f32 and, on processors made for it, bf16: what padding costs, and what it takes to leave it out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pith
import torch

from bench.harness import Contest, Outcome
from bench.machine import lacking
from bench.operands import aligned
from bench.records import Options, Progress, Report, Requirement, Table
from bench.sweep import Sweep, plural

#: Sequences, positions, input and output features.
SHAPES = ((32, 128, 384, 1536), (32, 128, 1024, 1024))

#: Shares of positions that are tokens.
SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)

#: Element type -> how many times the share of the dense time a layer may take.
FACTORS = {"f32": 1.15, "bf16": 1.35}

#: Cases of which a layer takes more than so many times that are timed again: a tenth of two layers on two threads found
#: 1.10 to 1.16 in most runs, and 1.26 and 2.5 where the second core was away for a part of one (Emerald Rapids,
#: 2026-11-23).
DOUBTED = 1.05

WHERE, RAGGED, PACKED, DENSE = "pith, where=", "pith.Ragged", "torch, packed", "torch, padded"

NOTES = (
    "A batch of sequences, padded to one length; `share` of its positions are tokens. Times in ms, medians over the "
    "rounds; `x` is the speed-up over torch on the padded batch.",
    "`pith, where=` leaves the batch as it is: rows are found through an index list, results go to preallocated "
    "memory. `pith.Ragged` packs the tokens, and puts results back: all of it is timed. `torch, packed` does the same "
    "by boolean masks. Building the pattern from the lengths is timed.",
    "`layer`: x W + b. `tokens`: a layer norm, a layer with GELU, a residual, a softmax over the positions; the batch "
    "is packed once.",
    f"Layers that take more than {DOUBTED} times their share of the dense time are timed again, with eight times the "
    "rounds, and count as they were found then.",
    "In bf16 only the layer is measured, and only where there is AVX512-BF16 (or AMX): elsewhere torch takes seconds.",
)


@dataclasses.dataclass(frozen=True)
class Batch:
    """Operands of one case.

    Attributes:
        x: ``(sequences, positions, inner)``, padding is zero.
        w, b: a linear layer.
    """

    x: np.ndarray
    w: np.ndarray
    b: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, shape: tuple[int, int, int, int], share: float) -> Batch:
        sequences, positions, inner, outer = shape
        rng = np.random.default_rng([*shape, int(share * 100)])
        lengths = _lengths(rng, sequences, positions, share)
        x = rng.standard_normal((sequences, positions, inner), np.float32)
        x[np.arange(positions)[None] >= lengths[:, None]] = 0
        w, b = rng.standard_normal((outer, inner), np.float32), rng.standard_normal(outer, np.float32)
        return cls(aligned(x), aligned(w), aligned(b), lengths)

    @property
    def mask(self) -> np.ndarray:
        """Which positions are tokens."""
        return np.arange(self.x.shape[1])[None] < self.lengths[:, None]

    def tokens(self, padded: np.ndarray) -> np.ndarray:
        """The tokens of a padded result; what stands in padding does not count."""
        return padded.reshape(*self.mask.shape, -1)[self.mask]


class Tokens:
    """A padded result that is compared at its tokens."""

    def __init__(self, padded: Any, batch: Batch):
        self._padded, self._batch = padded, batch

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        wide = self._padded.float() if isinstance(self._padded, torch.Tensor) else self._padded
        return self._batch.tokens(np.asarray(wide)).astype(dtype)


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("ragged", "Ragged batches, f32", notes=list(NOTES))
    shapes, shares = (SHAPES[:1], SHARES[2:3]) if options.quick else (SHAPES, SHARES)
    layers, narrow = (Sweep(options, doubted=lambda o, facts: _over(o, facts["share"]) > DOUBTED) for _ in range(2))
    tokens = Sweep(options)
    layers.run(_contests("layer", _layer, shapes, shares), report, progress)
    tokens.run(_contests("tokens", _tokens, shapes, shares), report, progress)
    if not lacking("avx512_bf16"):
        narrow.run(_contests("bf16 layer", _bf16_layer, shapes, shares), report, progress)
    report.tables[:0] = [
        _summary("layer", layers, (WHERE, RAGGED, PACKED)),
        _summary("tokens", tokens, (RAGGED, PACKED)),
    ]
    for element, sweep in (("f32", layers), ("bf16", narrow)):
        report.requirements += [_requirement(sweep, element, threads) for threads in options.threads]
    return report


def _lengths(rng: np.random.Generator, sequences: int, positions: int, share: float) -> np.ndarray:
    """Lengths that add up to a share of all positions, as different as that allows."""
    drawn = rng.random(sequences) + 1e-3
    total, lengths = round(share * sequences * positions), np.zeros(sequences, int)
    while lengths.sum() < total:
        room = np.where(lengths < positions, drawn, 0)
        more = np.ceil(room / room.sum() * (total - lengths.sum())).astype(int)
        lengths = np.minimum(lengths + more, positions)
    excess = int(lengths.sum()) - total
    lengths[lengths.argmax()] -= excess
    return lengths


def _contests(what: str, make: Any, shapes: Any, shares: Any) -> Iterator[tuple[Contest, dict[str, Any]]]:
    for shape in shapes:
        for share in shares:
            contestants, reference = make(Batch.of(shape, share))
            name = f"{what} " + "x".join(map(str, shape)) + f", {share:.0%}"
            tolerance = 1e-2 if make is _bf16_layer else 1e-5
            yield (
                Contest(name, contestants, DENSE, reference, tolerance),
                {"what": what, "shape": shape, "share": share},
            )


def _layer(s: Batch) -> tuple[dict[str, Callable[[], Any]], np.ndarray]:
    x, w, b, mask = map(torch.from_numpy, (s.x, s.w, s.b, s.mask))
    positions, outer = s.x.shape[1], s.w.shape[0]
    out = aligned(np.zeros((*s.x.shape[:2], outer), np.float32))
    linear = torch.nn.functional.linear

    def where() -> Tokens:
        tokens = pith.Pattern.from_lengths(s.lengths, positions)
        return Tokens(pith.linear(s.x, s.w, s.b, where=tokens, out=out), s)

    def packed() -> Tokens:
        y = torch.zeros(*x.shape[:2], outer)
        y[mask] = linear(x[mask], w, b)
        return Tokens(y, s)

    contestants = {
        WHERE: where,
        RAGGED: lambda: Tokens(pith.Ragged.from_padded(s.x, s.lengths).linear(s.w, s.b).to_padded(positions), s),
        PACKED: packed,
        DENSE: lambda: Tokens(linear(x, w, b), s),
    }
    return contestants, s.tokens(s.x).astype(np.float64) @ s.w.T.astype(np.float64) + s.b


def _bf16_layer(s: Batch) -> tuple[dict[str, Callable[[], Any]], np.ndarray]:
    """The layer in bf16, rows found through the list, and dense."""
    x, w, b = (a.astype(ml_dtypes.bfloat16) for a in (s.x, s.w, s.b))
    dense = [torch.from_numpy(a.view(np.int16)).view(torch.bfloat16) for a in (x, w, b)]
    out = np.zeros((*x.shape[:2], w.shape[0]), x.dtype)

    def where() -> Tokens:
        tokens = pith.Pattern.from_lengths(s.lengths, x.shape[1])
        return Tokens(pith.linear(x, w, b, where=tokens, out=out), s)

    contestants = {WHERE: where, DENSE: lambda: Tokens(torch.nn.functional.linear(*dense), s)}
    wide = [a.astype(np.float64) for a in (x, w, b)]
    return contestants, s.tokens(wide[0]) @ wide[1].T + wide[2]


def _tokens(s: Batch) -> tuple[dict[str, Callable[[], Any]], np.ndarray]:
    """Ops on tokens, each result padded again once."""
    x, w, b, mask = map(torch.from_numpy, (s.x, s.w[: s.x.shape[2]], s.b[: s.x.shape[2]], s.mask))
    functional, width = torch.nn.functional, s.x.shape[2:]
    hidden = torch.where(mask, 0.0, -torch.inf)[..., None]

    def ragged() -> Tokens:
        r = pith.Ragged.from_padded(s.x, s.lengths)
        y = r.layer_norm().linear(w, b, "gelu", residual=r).softmax()
        return Tokens(y.to_padded(s.x.shape[1]), s)

    def block(t: torch.Tensor) -> torch.Tensor:
        return functional.gelu(functional.linear(functional.layer_norm(t, width), w, b)) + t

    def packed() -> Tokens:
        y = torch.full(x.shape, -torch.inf)
        y[mask] = block(x[mask])
        return Tokens(torch.softmax(y, 1), s)

    def dense() -> Tokens:
        return Tokens(torch.softmax(block(x) + hidden, 1), s)

    return {RAGGED: ragged, PACKED: packed, DENSE: dense}, _reference(s, w.double(), b.double())


def _reference(s: Batch, w: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    """What :func:`_tokens` asks for, in float64, one sequence after the other."""
    parts = []
    for rows, n in zip(torch.from_numpy(s.x).double(), s.lengths):
        t, functional = rows[:n], torch.nn.functional
        y = functional.gelu(functional.linear(functional.layer_norm(t, t.shape[1:]), w, b)) + t
        parts.append(torch.softmax(y, 0).numpy())
    return np.concatenate(parts)


def _summary(what: str, sweep: Sweep, names: tuple[str, ...]) -> Table:
    """Geometric means over the shapes."""
    rows = []
    for threads in sweep.found:
        for share in SHARES:
            if sweep.select(threads, share=share):
                means = sweep.means(threads, [(name, DENSE) for name in names], share=share)
                rows.append((plural(threads), f"{share:.0%}", *(f"{mean:.2f}" for mean in means), f"{1 / share:.2f}"))
    columns = ("threads", "share", *(f"{name} / {DENSE}" for name in names), "1 / share")
    return Table(f"Speed-ups over the padded batch, {what}, geometric means over shapes", columns, tuple(rows))


def _requirement(sweep: Sweep, element: str, threads: int) -> Requirement:
    """Largest time of the layer, less 20 us, in units of its share of the dense time."""
    text = f"rows dropped: (time - 20 us) / (share x dense), {element}, {plural(threads)}, worst case"
    ratios = [_over(outcome, facts["share"]) for facts, outcome in sweep.found[threads]]
    lacks = lacking("avx512_bf16") if element == "bf16" else ""
    return Requirement(text, max(ratios, default=None), FACTORS[element], "x", lacks=lacks)


def _over(outcome: Outcome, share: float) -> float:
    """Time of a layer, less 20 us, in units of its share of the dense time: quotients are taken within a round."""
    timings = outcome.timings
    least = min(1 / outcome.speedup(name) for name in (WHERE, RAGGED) if name in timings)
    return (least - 20e-6 / timings[DENSE].median) / share
