"""``embedding_bag`` as ``pith.bags``: places where bags begin and end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..ops import BAGS

_aten = torch.ops.aten


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

    What the offsets leave out is in no bag; those past the end are taken for the end.

    >>> embedding_bag(torch.eye(3), torch.tensor([0, 1, 1, 1]), torch.tensor([0, 2, 2]), mode=1)[0].shape
    torch.Size([3, 3])
    """
    count = indices.shape[0]
    begins = offsets.clamp(0, count)
    ends = begins[1:] if include_last_offset else torch.cat([begins[1:], begins.new_full((1,), count)])
    begins = begins[:-1] if include_last_offset else begins
    row = -1 if padding_idx is None else padding_idx % weight.shape[0]
    out = BAGS(weight, indices, begins, ends, per_sample_weights, mode, row)
    return out.to(weight.dtype), *(indices.new_empty(0) for _ in range(3))


def native_embedding_bag(
    weight: torch.Tensor, indices: torch.Tensor, offsets: torch.Tensor, *options: Any
) -> tuple[torch.Tensor, ...]:
    """The op behind :func:`embedding_bag`: its options, by position; as ``padding_idx`` -1 is no row.

    >>> native_embedding_bag(torch.eye(3), torch.tensor([0, 2]), torch.tensor([0, 1]))[0].shape
    torch.Size([2, 3])
    """
    *others, row = options if len(options) == 6 else (*options, -1)
    return embedding_bag(weight, indices, offsets, *others, padding_idx=row if row >= 0 else None)
