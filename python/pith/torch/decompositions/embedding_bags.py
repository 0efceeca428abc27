"""``embedding_bag`` as rows of the table that are added, or compared, into the rows of their bags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_aten = torch.ops.aten

#: What torch's ``mode`` counts.
_MEAN, _MAX = 1, 2


def rules() -> dict[Any, Callable[..., Any]]:
    """Op -> its decomposition."""
    return {
        **dict.fromkeys((_aten.embedding_bag.default, _aten.embedding_bag.padding_idx), embedding_bag),
        _aten._embedding_bag.default: native_embedding_bag,
    }


def embedding_bag(
    weight: torch.Tensor,
    indices: torch.Tensor,
    offsets: torch.Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: torch.Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[torch.Tensor, ...]:
    """Sums, means or maxima of the rows of bags; empty ones are zero, and rows of ``padding_idx`` are in no bag.

    What the offsets leave out belongs to a bag before the first or behind the last, so that nothing is written
    out of bounds.

    >>> table, offsets = torch.eye(3), torch.tensor([0, 2, 2])
    >>> embedding_bag(table, torch.tensor([0, 1, 1, 1]), offsets, mode=1)[0].tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    rows, bag = weight.index_select(0, indices), _bags(offsets, indices.shape[0])
    rows = rows.float() if weight.dtype in (torch.float16, torch.bfloat16) else rows
    kept = torch.ones_like(indices, dtype=torch.bool)
    if padding_idx is not None:
        kept = indices != (padding_idx if padding_idx >= 0 else padding_idx + weight.shape[0])
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.to(rows.dtype).unsqueeze(-1)
    bags = offsets.shape[0] + 1
    counts = rows.new_zeros(bags).index_add(0, bag, kept.to(rows.dtype)).unsqueeze(-1)
    empty = rows.new_zeros(bags, weight.shape[1])
    if mode == _MAX:
        low = torch.where(kept.unsqueeze(-1), rows, -torch.inf)
        best = (empty - torch.inf).scatter_reduce(0, bag.unsqueeze(-1).expand_as(rows), low, "amax")
        out = torch.where(counts > 0, best, 0)
    else:
        out = empty.index_add(0, bag, torch.where(kept.unsqueeze(-1), rows, 0))
        out = out / counts.clamp(min=1) if mode == _MEAN else out
    out = out[1 : bags - 1] if include_last_offset else out[1:]
    return out.to(weight.dtype), *(indices.new_empty(0) for _ in range(3))


def native_embedding_bag(
    weight: torch.Tensor, indices: torch.Tensor, offsets: torch.Tensor, *options: Any
) -> tuple[torch.Tensor, ...]:
    """The op behind :func:`embedding_bag`: its options, by position; as ``padding_idx`` -1 is no row.

    >>> table, offsets = torch.eye(3), torch.tensor([0, 1])
    >>> native_embedding_bag(table, torch.tensor([0, 2]), offsets)[0].tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    *others, row = options if len(options) == 6 else (*options, -1)
    return embedding_bag(weight, indices, offsets, *others, padding_idx=row if row >= 0 else None)


def _bags(offsets: torch.Tensor, n: int) -> torch.Tensor:
    """How many of the offsets are not behind each of ``n`` places.

    >>> _bags(torch.tensor([0, 2, 2]), 4).tolist()
    [1, 1, 3, 3]
    """
    begins = torch.zeros(n + 1, dtype=torch.int64, device=offsets.device)
    begins = begins.index_add(0, offsets.clamp(0, n), torch.ones_like(offsets, dtype=torch.int64))
    return begins.cumsum(0)[:n]
