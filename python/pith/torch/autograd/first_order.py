"""Backward passes that are not differentiable themselves: a second derivative is an error, never a zero."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from ...errors import UnsupportedError


def first_order(where: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Of ``backward(ctx, *grads)``: with ``create_graph=True`` its gradients raise when they are differentiated.

    Semantics: torch's ``once_differentiable`` looks at the incoming gradients alone, and those of a plain sum need
        none: the part of the derivative that goes through saved tensors would be left out silently.
    """

    def wrap(backward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(backward)
        def guarded(ctx: Any, *grads: Any) -> tuple[Any, ...]:
            if not torch.is_grad_enabled():
                return backward(ctx, *grads)
            with torch.no_grad():
                found = backward(ctx, *grads)
            sources = [x for x in (*ctx.saved_tensors, *grads) if isinstance(x, torch.Tensor) and x.requires_grad]
            return tuple(_Last.apply(where, x, *sources) if isinstance(x, torch.Tensor) else x for x in found)

        return guarded

    return wrap


class _Last(torch.autograd.Function):
    """A gradient that depends on ``sources`` in a way torch is not told."""

    @staticmethod
    def forward(ctx: Any, where: str, gradient: torch.Tensor, *sources: torch.Tensor) -> torch.Tensor:
        ctx.where = where
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise UnsupportedError(
            "gradients of its gradients are not available",
            where=ctx.where,
            hint="take the second derivative of a dense model",
        )
