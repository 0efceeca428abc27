"""Attention in float64 with the whole matrix of scores, what queries see as a mask, and how results are compared."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pith

RNG = np.random.default_rng(5)

#: Largest error of results (of order 1) and logarithms, by dtype: rounding of the result, then of the sums.
TOLERANCE = {
    np.dtype(np.float64): (1e-13, 1e-12),
    np.dtype(np.float32): (5e-6, 1e-5),
    np.dtype(np.float16): (2e-3, 1e-5),
    np.dtype(ml_dtypes.bfloat16): (2e-2, 1e-5),
}


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


def operands(*shape, dtype=np.float32, kv_heads=None):
    """q, k and v of one shape; ``kv_heads``: heads of k and v."""
    kv = shape if kv_heads is None else (*shape[:-3], kv_heads, *shape[-2:])
    return tuple(RNG.standard_normal(s).astype(dtype) for s in (shape, kv, kv))


def poisoned(shape, dtype=np.float32):
    return np.full(shape, np.nan, dtype)


def check(got, want, dtype=np.float32):
    """Result and logarithms are right; -inf only where it must be."""
    out, lse = got
    bounds = TOLERANCE[np.dtype(dtype)]
    assert np.asarray(out).dtype == dtype
    np.testing.assert_allclose(np.asarray(out, np.float64), want[0], rtol=0, atol=bounds[0])
    np.testing.assert_array_equal(np.isneginf(np.asarray(lse)), np.isneginf(want[1]))
    seen = np.isfinite(want[1])
    np.testing.assert_allclose(np.asarray(lse, np.float64)[seen], want[1][seen], rtol=1e-6, atol=bounds[1])


def run(q, k, v, **given):
    """Into poisoned memory, with logarithms."""
    out = poisoned((*q.shape[:-1], v.shape[-1]), q.dtype)
    result, lse = pith.attention(q, k, v, return_lse=True, out=out, **given)
    assert result is out
    return out, lse


def elements(pattern):
    """A pattern over (queries, keys) as a mask of elements."""
    mask = np.kron(pattern.mask(), np.ones(pattern.granularity, bool))
    return mask[: pattern.sizes[0], : pattern.sizes[1]]
