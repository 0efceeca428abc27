"""Decompositions of ops that order values, by ranks: how many other places go before a place."""

from __future__ import annotations

from typing import Any

import torch

#: Most places that are ranked: a rank looks at every other place. Routers have up to a few hundred experts.
_MOST_RANKED = 1024


def topk(
    x: torch.Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``k`` largest (smallest) values along a dimension and where they stand: places of rank 0 to k - 1, in order.

    A rank is the number of places that go before: larger ones, NaN first, and equal ones that stand before. n places
    take n^2 comparisons, so no more than :data:`_MOST_RANKED` are ranked.

    >>> values, places = topk(torch.tensor([3.0, 5.0, float("nan"), 5.0]), 3)
    >>> values.tolist(), places.tolist()
    ([nan, 5.0, 5.0], [2, 1, 3])
    """
    moved = x.unsqueeze(0) if x.dim() == 0 else x.movedim(dim, -1)
    n = moved.shape[-1]
    if not isinstance(n, int) or n > _MOST_RANKED:
        return NotImplemented
    mine, other = moved.unsqueeze(-1), moved.unsqueeze(-2)
    nan, other_nan = mine != mine, other != other
    above = ((other > mine) | (other_nan & ~nan)) if largest else ((other < mine) | (nan & ~other_nan))
    equal = (other == mine) | (nan & other_nan)
    numbers = torch.arange(n, device=x.device)
    ranks = (above | (equal & (numbers < numbers[:, None]))).sum(-1)
    named = ranks.unsqueeze(-2) == numbers[:k, None]
    places = (named * numbers).sum(-1)
    values = moved.gather(-1, places)
    if x.dim() == 0:
        return values.squeeze(0), places.squeeze(0)
    return values.movedim(-1, dim), places.movedim(-1, dim)


def sort(
    x: torch.Tensor, dim: int = -1, descending: bool = False, *, stable: bool | None = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """All places by rank (:func:`topk`): equal values keep their order, NaN are the largest.

    >>> values, places = sort(torch.tensor([3.0, float("nan"), 1.0]))
    >>> values.tolist(), places.tolist()
    ([1.0, 3.0, nan], [2, 0, 1])
    """
    return topk(x, x.shape[dim] if x.dim() else 1, dim, largest=descending)


def kthvalue(x: torch.Tensor, k: int, dim: int = -1, keepdim: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``k``-th smallest value along a dimension and where it stands.

    >>> [v.item() for v in kthvalue(torch.tensor([3.0, 1.0, 2.0]), 2)]
    [2.0, 2]
    """
    found = topk(x, k, dim, largest=False)
    if found is NotImplemented or x.dim() == 0:
        return found
    values, places = (v.narrow(dim, k - 1, 1) for v in found)
    return (values, places) if keepdim else (values.squeeze(dim), places.squeeze(dim))


def median(x: torch.Tensor, dim: int, keepdim: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """The lower median along a dimension and where it stands; NaN where there is one.

    >>> median(torch.tensor([[4.0, 1.0, 3.0, 2.0], [1.0, float("nan"), 0.0, 2.0]]), 1)[0].tolist()
    [2.0, nan]
    """
    if x.dim() == 0:
        return x.clone(), torch.zeros_like(x, dtype=torch.int64)
    n = x.shape[dim]
    if not isinstance(n, int) or n == 0:
        return NotImplemented
    middle = kthvalue(x, (n + 1) // 2, dim, keepdim)
    if middle is NotImplemented or not x.is_floating_point():
        return middle
    value, place = kthvalue(x, n, dim, keepdim)  # NaN are the largest
    broken = value != value
    return torch.where(broken, value, middle[0]), torch.where(broken, place, middle[1])


def median_of_all(x: torch.Tensor) -> torch.Tensor:
    """The lower median of all elements."""
    found: Any = median(x.reshape(-1), 0)
    return found if found is NotImplemented else found[0]


def bucketize(x: Any, boundaries: torch.Tensor, *, out_int32: bool = False, right: bool = False) -> torch.Tensor:
    """Between which of some sorted boundaries elements fall: how many boundaries go before.

    >>> bucketize(torch.tensor([0.0, 1.0, 2.5]), torch.tensor([1.0, 2.0])).tolist()
    [0, 0, 2]
    """
    return searchsorted(boundaries, x, out_int32=out_int32, right=right)


def searchsorted(
    boundaries: torch.Tensor,
    x: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: torch.Tensor | None = None,
) -> torch.Tensor:
    """Where elements would have to be inserted into sorted rows of boundaries: each is compared with all of its row.

    >>> searchsorted(torch.tensor([1.0, 2.0, 2.0]), torch.tensor([2.0, 9.0]), right=True).tolist()
    [3, 3]
    """
    if sorter is not None:
        boundaries = boundaries.gather(-1, sorter)
    values = x if isinstance(x, torch.Tensor) else torch.full((), x, device=boundaries.device)
    rows = boundaries if boundaries.dim() == 1 else boundaries.unsqueeze(-2)
    mine = values.unsqueeze(-1)
    behind = rows > mine if right or side == "right" else rows >= mine
    return (~behind).sum(-1, dtype=torch.int32 if out_int32 else torch.int64)
