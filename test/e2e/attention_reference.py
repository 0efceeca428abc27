"""Attention in float64 with the whole matrix of scores, and what queries see as a mask."""

from __future__ import annotations

from typing import Any

import numpy as np


def visible(
    queries: int,
    keys: int,
    *,
    length: int | None = None,
    window: tuple[int, int] | None = None,
    tokens: Any = (),
    pattern: np.ndarray | None = None,
    causal: bool = False,
) -> np.ndarray:
    """Which keys each query of one sequence sees; ``pattern``: a mask of elements."""
    i, j = np.arange(queries)[:, None], np.arange(keys)[None, :]
    allowed = np.ones((queries, keys), bool)
    if length is not None:
        allowed &= (i < length) & (j < length)
    if causal:
        allowed &= j <= i
    near = np.ones((queries, keys), bool)
    if window is not None:
        near &= (i - window[0] <= j) & (j <= i + window[1])
    if pattern is not None:
        near &= pattern
    is_token = np.zeros(max(queries, keys), bool)
    is_token[list(tokens)] = True
    return allowed & (near | is_token[:queries, None] | is_token[None, :keys])


def reference(q: Any, k: Any, v: Any, mask: np.ndarray, scale: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Result and logarithms for ``(..., H, Q, D)`` operands; ``mask`` broadcasts to ``(..., H, Q, K)``."""
    q, k, v = (np.asarray(x).astype(np.float64) for x in (q, k, v))
    share = q.shape[-3] // k.shape[-3]
    k, v = (np.repeat(x, share, axis=-3) for x in (k, v))
    scores = q @ np.swapaxes(k, -1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    scores = np.where(mask, scores, -np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        top = np.max(scores, axis=-1, keepdims=True, initial=-np.inf)
        weights = np.where(mask, np.exp(scores - np.where(np.isfinite(top), top, 0.0)), 0.0)
        total = weights.sum(-1, keepdims=True)
        out = np.where(total > 0, weights @ v / total, 0.0)
        lse = (np.log(total) + np.where(np.isfinite(top), top, 0.0))[..., 0]
    return out, lse
