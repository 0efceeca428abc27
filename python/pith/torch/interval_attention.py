"""``pith.torch.attention``: attention in which every query sees an interval of the keys, for models that are compiled.

In a graph it is one op, which the import turns into ``pith.attention``; called eagerly it runs torch's kernels.
"""

from __future__ import annotations

from typing import Any

import torch

from ..errors import ArgumentError, CheckError, DTypeError, ShapeError, UnsupportedError
from .ops import ATTENTION, LIBRARY


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, intervals: torch.Tensor, *, scale: float | None = None
) -> torch.Tensor:
    """Softmax attention of each query over its own interval of the keys.

    With :func:`intervals_of` it is the attention of a ragged batch: sequences packed one behind the other see
    only themselves, and no position is padding. It can be exported, and :func:`pith.compile` makes it
    ``pith.attention``.

    Shapes: query: ``(batch, heads, Q, D)``; key: ``(batch, G, K, D)``; value: ``(batch, G, K, E)``, G a divisor of
        heads; intervals: ``(batch or 1, Q, 2)``, int32; result: ``(batch, heads, Q, E)``.
    Semantics: query i sees the keys from ``intervals[.., i, 0]`` up to (excluding) ``intervals[.., i, 1]``; one that
        sees none gets zeros. ``scale``: of the scores, by default ``D ** -0.5``.
    Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`; :class:`pith.UnsupportedError` from ``backward``: there
        is no gradient.

    Example:
        >>> q, k, v = torch.randn(3, 1, 2, 5, 8)
        >>> out = attention(q, k, v, intervals_of(torch.tensor([2, 3])))
        >>> alone = torch.nn.functional.scaled_dot_product_attention(q[..., 2:, :], k[..., 2:, :], v[..., 2:, :])
        >>> torch.allclose(out[..., 2:, :], alone, atol=1e-5)
        True
    """
    _check(query, key, value, intervals)
    return ATTENTION(query, key, value, intervals, query.shape[-1] ** -0.5 if scale is None else float(scale))


def intervals_of(lengths: torch.Tensor) -> torch.Tensor:
    """The interval of keys that each token of packed sequences sees: its own sequence.

    Shapes: lengths: ``(sequences,)``, integers; result: ``(1, T, 2)``, int32, T the sum of lengths.
    Errors: :class:`pith.ArgumentError`, :class:`pith.ShapeError`, :class:`pith.DTypeError`;
        :class:`pith.CheckError` for a length below 0.

    Example:
        >>> intervals_of(torch.tensor([1, 2])).tolist()
        [[[0, 1], [1, 3], [1, 3]]]
    """
    if not isinstance(lengths, torch.Tensor):
        raise ArgumentError(f"expects a torch tensor, got {type(lengths).__name__}", where="lengths")
    if lengths.dim() != 1:
        raise ShapeError(f"expects (sequences,), got {tuple(lengths.shape)}", where="lengths")
    if lengths.dtype.is_floating_point or lengths.dtype.is_complex or lengths.dtype == torch.bool:
        raise DTypeError(f"expects integers, got {lengths.dtype}", where="lengths")
    if not torch.compiler.is_compiling() and bool((lengths < 0).any()):
        raise CheckError(f"expects lengths >= 0, got {int(lengths.min())}", where="lengths")
    ends = lengths.cumsum(0)
    rows = torch.stack([ends - lengths, ends], 1).to(torch.int32)
    return rows.repeat_interleave(lengths, 0).unsqueeze(0)


def _check(query: Any, key: Any, value: Any, intervals: Any) -> None:
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        if tensor.dim() != 4:
            raise ShapeError(f"expects (batch, heads, tokens, features), got {tuple(tensor.shape)}", where=name)
        if tensor.dtype != query.dtype or not tensor.is_floating_point():
            raise DTypeError(f"expects one floating point type, got {tensor.dtype}", where=name)
    batch, heads, queries, depth = query.shape
    if key.shape[0] != batch or key.shape[3] != depth or heads % max(key.shape[1], 1):
        raise ShapeError(f"fits no query of shape {tuple(query.shape)}: {tuple(key.shape)}", where="key")
    if value.shape[:3] != key.shape[:3]:
        raise ShapeError(f"expects {tuple(key.shape[:3])} and features, got {tuple(value.shape)}", where="value")
    if intervals.dtype != torch.int32:
        raise DTypeError(f"expects int32, got {intervals.dtype}", where="intervals")
    if intervals.dim() != 3 or intervals.shape[0] not in (1, batch) or tuple(intervals.shape[1:]) != (queries, 2):
        raise ShapeError(f"expects ({batch} or 1, {queries}, 2), got {tuple(intervals.shape)}", where="intervals")


def _eager(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    intervals: torch.Tensor,
    scale: float,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """Runs of queries that see the same keys, one call of torch's kernel each."""
    mask = None if bias is None else bias.mT.to(query.dtype).expand(-1, -1, query.shape[2], -1)
    out = query.new_zeros(*query.shape[:3], value.shape[3])
    for b in range(query.shape[0]):
        seen = intervals[min(b, intervals.shape[0] - 1)].clamp(0, key.shape[2])
        spans, counts = torch.unique_consecutive(seen, dim=0, return_counts=True)
        first = 0
        for (low, high), count in zip(spans.tolist(), counts.tolist()):
            rows = slice(first, first + count)
            first += count
            if low < high:
                operands = query[b : b + 1, :, rows], key[b : b + 1, :, low:high], value[b : b + 1, :, low:high]
                own = None if mask is None else mask[min(b, mask.shape[0] - 1), :, rows, low:high].unsqueeze(0)
                out[b, :, rows] = torch.nn.functional.scaled_dot_product_attention(
                    *operands, own, scale=scale, enable_gqa=query.shape[1] != key.shape[1]
                )[0]
    return out


def _no_gradient(*_: Any) -> None:
    raise UnsupportedError("it has no gradient", where="pith.torch.attention", hint="call it in torch.inference_mode()")


LIBRARY.impl("attention", _eager, "CompositeExplicitAutograd")
torch.library.register_fake(
    "pith::attention",
    lambda query, key, value, intervals, scale, bias=None: query.new_empty(*query.shape[:3], value.shape[3]),
    lib=LIBRARY,
)
torch.library.register_autograd("pith::attention", _no_gradient, lib=LIBRARY)
