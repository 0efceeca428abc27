"""Decompositions of running sums, products, extremes: n places in log n steps, each of which takes in what stands 1,
2, 4, ... places before."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

#: Places of a run of running sums: of n places about 32 n sums and (n / 32)^2, in place of n^2.
_RUN = 32

#: What runs: a value, or a value and its place.
Running = tuple[torch.Tensor, ...]


def cumsum(x: torch.Tensor, dim: int, *, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Running sums. Where the number of places is known only at run time,
    within runs of :data:`_RUN` places, to which the running sums of whole runs are added.

    >>> x = torch.randn(3, 5)
    >>> torch.allclose(cumsum(x, 1), x.cumsum(1)), cumsum(torch.tensor([True, True]), 0).tolist()
    (True, [1, 2])
    """
    out = x.to(dtype or (x.dtype if x.is_floating_point() else torch.int64))
    if x.dim() == 0:
        return out
    out = out.movedim(dim, -1)
    static = isinstance(out.shape[-1], int)
    return (_running((out,), _added)[0] if static else _sums_of_runs(out)).movedim(-1, dim)


def cumprod(x: torch.Tensor, dim: int, *, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Running products, of a number of places that is known.

    >>> x = torch.randn(3, 5)
    >>> torch.allclose(cumprod(x, 1), x.cumprod(1))
    True
    """
    out = x.to(dtype or (x.dtype if x.is_floating_point() else torch.int64))
    if x.dim() == 0:
        return out
    if not isinstance(x.shape[dim], int):
        return NotImplemented
    return _running((out.movedim(dim, -1),), _multiplied)[0].movedim(-1, dim)


def logcumsumexp(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Logarithms of running sums of exponentials, of a number of places that is known.

    >>> x = torch.randn(3, 5)
    >>> torch.allclose(logcumsumexp(x, 1), x.logcumsumexp(1), atol=1e-6)
    True
    """
    if x.dim() == 0:
        return x.clone()
    if not isinstance(x.shape[dim], int):
        return NotImplemented
    return _running((x.movedim(dim, -1),), _added_logarithms)[0].movedim(-1, dim)


def cummax(x: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Running maxima and where they stand, of a number of places that is known.

    Of equal ones the last stands for them, and what follows a NaN is that NaN, as in torch.

    >>> [v.tolist() for v in cummax(torch.tensor([1.0, 1.0, 0.0, float("nan"), 5.0]), 0)]
    [[1.0, 1.0, 1.0, nan, nan], [0, 1, 1, 3, 3]]
    """
    return _extremes(x, dim, torch.ge)


def cummin(x: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Running minima, as :func:`cummax`."""
    return _extremes(x, dim, torch.le)


def _extremes(x: torch.Tensor, dim: int, goes_before: Callable[..., torch.Tensor]) -> Any:
    if x.dim() == 0:
        return x.clone(), torch.zeros_like(x, dtype=torch.int64)
    if not isinstance(x.shape[dim], int):
        return NotImplemented
    moved = x.movedim(dim, -1)
    places = torch.arange(moved.shape[-1], device=x.device).expand(moved.shape)

    def later(before: Running, mine: Running) -> Running:
        (old, old_place), (new, new_place) = before, mine
        taken = (new != new) | (goes_before(new, old) & (old == old))
        return torch.where(taken, new, old), torch.where(taken, new_place, old_place)

    values, found = _running((moved, places), later)
    return values.movedim(-1, dim), found.movedim(-1, dim)


def _running(
    x: Running,
    combine: Callable[[Running, Running], Running],
) -> Running:
    """Running combinations along the last dimension: each step takes in what stands 1, 2, 4, ... places before."""
    shift = 1
    while shift < x[0].shape[-1]:
        combined = combine(tuple(v[..., :-shift] for v in x), tuple(v[..., shift:] for v in x))
        x = tuple(torch.cat([v[..., :shift], c], -1) for v, c in zip(x, combined))
        shift *= 2
    return x


def _added(before: Running, mine: Running) -> Running:
    return (before[0] + mine[0],)


def _multiplied(before: Running, mine: Running) -> Running:
    return (before[0] * mine[0],)


def _added_logarithms(before: Running, mine: Running) -> Running:
    """Logarithms of sums, from logarithms; equal ones, infinities too, are doubled."""
    a, b = before[0], mine[0]
    apart = torch.maximum(a, b) + torch.log1p(torch.exp(-(a - b).abs()))
    return (torch.where(a == b, a + math.log(2), apart),)


def _sums_of_runs(x: torch.Tensor) -> torch.Tensor:
    """Running sums along the last dimension, run by run.

    >>> x = torch.randn(3, 100)
    >>> torch.allclose(_sums_of_runs(x), x.cumsum(1), atol=1e-5)
    True
    """
    *outer, n = x.shape
    runs = n // _RUN + 2  # never one: tracing would make a constant of it
    padded = torch.nn.functional.pad(x, (0, _RUN * runs - n))
    inside = _sums_up_to(padded.reshape(*outer, runs, _RUN), torch.le)
    before = _sums_up_to(inside[..., -1], torch.lt)
    return (inside + before.unsqueeze(-1)).reshape(*outer, _RUN * runs)[..., :n]


def _sums_up_to(x: torch.Tensor, compare: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Per place along the last dimension the sum of the places that ``compare`` to it: n times the work."""
    places = torch.arange(x.shape[-1], device=x.device)
    return torch.where(compare(places[:, None], places), x.unsqueeze(-1), 0).sum(-2, dtype=x.dtype)
