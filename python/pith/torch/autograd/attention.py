"""Attention that torch differentiates: :func:`pith.attention` with gradients."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from ...compiler.kernel import as_torch
from ...errors import ArgumentError
from ...functional.attention.attention import attend, attention
from ...functional.attention.grad import attention_grad
from ...functional.attention.visibility import Limits
from ...patterns import Pattern
from ...sparse_interop import numpy_of
from ...traceable import traceable
from ...untraced import whole_call
from .autocast import autocast
from .first_order import first_order
from .transforms import refuse_transforms


@whole_call
def sparse_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    lengths: Any = None,
    window: int | Sequence[int] | None = None,
    global_tokens: Any = None,
    pattern: Pattern | None = None,
    causal: bool = False,
    scale: float | None = None,
    return_lse: bool = False,
) -> Any:
    """:func:`pith.attention` of torch tensors; differentiable with respect to q, k and v.

    Semantics: the backward pass computes the weights again from the log-sum-exps: nothing of the size of the
        scores is kept or made. Gradients take finite operands; those of gradients are not available. In a
        ``torch.autocast`` region everything is computed in its type.
    Errors: those of :func:`pith.attention`; :class:`pith.ArgumentError` for what is no tensor;
        :class:`pith.UnsupportedError` when a gradient is differentiated.
    Source: recomputation as in FlashAttention (NeurIPS 2022).

    Example:
        >>> q, k, v = (torch.randn(1, 2, 6, 4, requires_grad=True) for _ in range(3))
        >>> sparse_attention(q, k, v, window=1).sum().backward()
        >>> tuple(k.grad.shape), torch.allclose(v.grad.sum(), torch.tensor(48.0))
        ((1, 2, 6, 4), True)
    """
    for name, x in (("q", q), ("k", k), ("v", v)):
        if not isinstance(x, torch.Tensor):
            raise ArgumentError(
                f"expects a torch tensor, got {type(x).__name__}",
                where=f"pith.torch.sparse_attention: {name}",
                hint="pith.attention takes NumPy arrays",
            )
    q, k, v = autocast(q, k, v)
    limits = dict(lengths=lengths, window=window, global_tokens=global_tokens, pattern=pattern, causal=causal)
    if not (torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v))):
        return attention(q, k, v, **limits, scale=scale, return_lse=return_lse)
    heads = 1 if lengths is not None and q.ndim == 3 else -3
    if min(q.ndim, k.ndim, v.ndim) >= 3 and k.shape[heads] and q.shape[heads] % k.shape[heads] == 0:
        share = q.shape[heads] // k.shape[heads]
        k, v = (x.repeat_interleave(share, heads) if share > 1 else x for x in (k, v))
    out, lse = attended(q, k, v, **limits, scale=scale)
    return (out, lse) if return_lse else out


@traceable
def attended(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, scale: float | None = None, **limits: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """The result and the log-sum-exps of :func:`sparse_attention`, as many heads of keys as of queries.

    >>> q = torch.randn(1, 2, 6, 4)
    >>> [tuple(t.shape) for t in attended(q, q, q, window=1)]
    [(1, 2, 6, 4), (1, 2, 6)]
    """
    refuse_transforms("pith.torch.sparse_attention")
    return _Attention.apply(q, k, v, Limits(**limits), scale)  # pyright: ignore[reportReturnType]


def gradients(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    lse: torch.Tensor,
    grad: torch.Tensor,
    grad_lse: torch.Tensor,
    *,
    scale: float | None = None,
    **limits: Any,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Those of q, k and v, of the gradients of both results of :func:`attended`.

    >>> q = torch.randn(1, 2, 6, 4)
    >>> out, lse = attended(q, q, q, window=1)
    >>> [tuple(t.shape) for t in gradients(q, q, q, out, lse, out, lse, window=1)]
    [(1, 2, 6, 4), (1, 2, 6, 4), (1, 2, 6, 4)]
    """
    seen = Limits(**limits)
    delta = (out.to(lse.dtype) * grad.to(lse.dtype)).sum(-1) - grad_lse
    q, k, v, grad = (x.detach() for x in (q, k, v, grad.contiguous()))
    if q.is_cuda:
        from ...functional.attention.device import attention_grad_on_device

        return attention_grad_on_device(q, k, v, grad, lse, delta, seen, scale=scale)
    made = attention_grad(q, k, v, grad, numpy_of(lse), numpy_of(delta.contiguous()), seen, scale=scale)
    dq, dk, dv = (as_torch(x) for x in made)
    return dq, dk, dv


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, limits: Limits, scale: Any) -> Any:
        out, lse = attend(q.detach(), k.detach(), v.detach(), limits, scale=scale, return_lse=True)
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.limits, ctx.scale = limits, scale
        return out, lse

    @staticmethod
    @first_order("pith.torch.sparse_attention")
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        limits = {field.name: getattr(ctx.limits, field.name) for field in dataclasses.fields(ctx.limits)}
        return (*gradients(*ctx.saved_tensors, *grads, scale=ctx.scale, **limits), None, None)
