"""Linear layers with a mask of micro-tiles, on tensors: the weight, and a Boolean per micro-tile that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.weak import WeakTensorKeyDictionary

from ...errors import ShapeError
from ...patterns import Pattern
from .einsum import einsum

#: Booleans of a mask -> (their state, sizes and granularity; the pattern; the mask of elements, once it was asked for).
_kept: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def pattern_of(kept: torch.Tensor, sizes: Sequence[int], granularity: Sequence[int]) -> Pattern:
    """The pattern of the micro-tiles that are kept; the same object until something changes.

    >>> kept = torch.tensor([[True, False], [False, True]])
    >>> pattern_of(kept, (4, 4), (2, 2)) is pattern_of(kept, (4, 4), (2, 2))
    True
    """
    key = _key(kept, sizes, granularity)
    found = _kept.get(kept)
    if found is None or found[0] != key:
        remember(kept, Pattern(tuple(sizes), tuple(granularity), np.argwhere(kept.detach().cpu().numpy())))
        found = _kept[kept]
    return found[1]


def remember(kept: torch.Tensor, pattern: Pattern) -> None:
    """Booleans that were made of a pattern mean that object."""
    _kept[kept] = [_key(kept, pattern.sizes, pattern.granularity), pattern, None]


def mask_of(kept: torch.Tensor, sizes: Sequence[int], granularity: Sequence[int]) -> torch.Tensor:
    """The elements that are kept, as Booleans; made once per pattern.

    >>> mask_of(torch.tensor([[True, False]]), (2, 3), (2, 2)).tolist()
    [[True, True, False], [True, True, False]]
    """
    pattern_of(kept, sizes, granularity)
    found = _kept[kept]
    if found[2] is None:
        with torch.inference_mode(False):  # steps of training take what an inference left
            out = kept.detach().clone()
            for axis, (extent, size) in enumerate(zip(granularity, sizes)):
                out = out.repeat_interleave(extent, axis).narrow(axis, 0, size) if extent > 1 else out
        found[2] = out
    return found[2]


def _key(kept: torch.Tensor, sizes: Sequence[int], granularity: Sequence[int]) -> tuple[Any, ...]:
    state = kept.cpu().numpy().tobytes() if kept.is_inference() else kept._version  # these count no changes
    return kept.device, kept.data_ptr(), state, tuple(sizes), tuple(granularity)


def masked_linear(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    kept: torch.Tensor,
    granularity: Sequence[int],
    dense_above: float,
) -> torch.Tensor:
    """``x @ (W * mask).T + bias``, with gradients; dense where more than a share is kept."""
    pattern = pattern_of(kept, weight.shape, granularity)
    if pattern.density > dense_above:
        return torch.nn.functional.linear(x, _masked(weight, kept, granularity), bias)
    return einsum("...k,nk->...n", x, weight, where={"nk": pattern}, bias=bias)


def masked_gradients(
    grad: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    kept: torch.Tensor,
    granularity: Sequence[int],
    dense_above: float,
    wants: Sequence[bool],
) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
    """Those of x, of the weight and of the bias, where they are wanted; for tensors that ask for none themselves."""
    pattern = pattern_of(kept, weight.shape, granularity)
    rows, inputs = grad.reshape(-1, weight.shape[0]), x.reshape(-1, weight.shape[1])
    dense = pattern.density > dense_above
    dx = dw = db = None
    if wants[0]:
        masked = _masked(weight, kept, granularity) if dense else weight
        dx = rows @ masked if dense else einsum("mn,nk->mk", rows, weight, where={"nk": pattern})
        dx = dx.reshape(x.shape)
    if wants[1] and dense:
        dw = _masked(rows.T @ inputs, kept, granularity)
    elif wants[1]:
        dw = einsum("mn,mk->nk", rows, inputs, where={"nk": pattern})
    if wants[2]:
        db = rows.sum(0)
    return dx, dw, db


def require_features(x: torch.Tensor, weight: torch.Tensor, where: str) -> None:
    """Raise :class:`pith.ShapeError` for x that is not as wide as the weight."""
    if not x.dim() or x.shape[-1] != weight.shape[1]:
        raise ShapeError(f"expects x of {weight.shape[1]} features, got shape {tuple(x.shape)}", where=where)


def _masked(weight: torch.Tensor, kept: torch.Tensor, granularity: Sequence[int]) -> torch.Tensor:
    return torch.where(mask_of(kept, weight.shape, granularity), weight, 0)
