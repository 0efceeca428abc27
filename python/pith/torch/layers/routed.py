"""The products of a mixture of experts, one row for each choice of a token, with gradients."""

from __future__ import annotations

import numpy as np
import torch

from ...patterns import Pattern
from ...sparse_interop import numpy_of
from ...traceable import traceable
from ..autograd.einsum import einsum


@traceable
def routed(rows: torch.Tensor, w: torch.Tensor, experts: torch.Tensor) -> torch.Tensor:
    """``rows[i] @ w[experts[i]]`` for every i.

    Shapes: rows: ``(count, in)``; w: ``(n_experts, in, out)``; experts: ``(count,)``; result: ``(count, out)``.

    Example:
        >>> routed(torch.ones(2, 1), torch.tensor([[[2.0]], [[3.0]]]), torch.tensor([1, 0])).tolist()
        [[3.0], [2.0]]
    """
    return einsum("sf,efh->sh", rows, w, where={"se": pattern_of(experts, len(w))})


def pattern_of(experts: torch.Tensor, n_experts: int) -> Pattern:
    """Which row goes to which expert.

    >>> pattern_of(torch.tensor([2, 0]), 3).coordinates.tolist()
    [[0, 2], [1, 0]]
    """
    return Pattern.from_indices(np.stack([np.arange(len(experts)), numpy_of(experts)], 1), (len(experts), n_experts))
