"""``MoE``: a mixture of experts as a torch module, trained and run through grouped products."""

from __future__ import annotations

from typing import Any

import torch

from ...errors import ArgumentError, DTypeError, ShapeError
from ...untraced import whole_call
from ...workloads.moe import moe
from ...workloads.routing import route
from ..autograd.autocast import autocast
from ..autograd.einsum import _ACTIVATIONS as ACTIVATIONS
from .arguments import require_kind, size_of
from .routed import routed


class MoE(torch.nn.Module):
    """A router and ``n_experts`` feed-forward layers of which every token goes through ``k``.

    Shapes: x: ``(..., features)``; result: the same.
    Semantics: gates are the softmax of the chosen logits. No token is dropped, whatever the load of the experts.
        Without gradients one compiled product per layer runs (:func:`pith.moe`); with gradients the same products and
        their gradients are einsums over the routing. Where torch traces, the products are ops
        (:mod:`pith.torch.calls`). In a ``torch.autocast`` region everything is computed in its type.
    Attributes:
        router: ``torch.nn.Linear`` to one logit per expert.
        w1, b1, w2, b2: ``(n_experts, features, hidden)``, ``(n_experts, hidden)``, ``(n_experts, hidden, features)``,
            ``(n_experts, features)``.

    Errors: :class:`pith.ArgumentError` for an unknown activation, :class:`pith.ShapeError` for ``k`` not in 1 to
        ``n_experts``, and x of other features; :class:`pith.DTypeError` for x of another type than the weights.
    Source: Shazeer et al., Outrageously Large Neural Networks, ICLR 2017; without capacity as in MegaBlocks, 2023.

    Example:
        >>> layer = MoE(8, 16, n_experts=4, k=2)
        >>> layer(torch.ones(3, 8)).sum().backward()
        >>> layer.w1.grad.shape
        torch.Size([4, 8, 16])
    """

    def __init__(self, features: int, hidden: int, n_experts: int, k: int = 2, activation: str = "gelu"):
        super().__init__()
        features, hidden = size_of(features, "MoE: features", 1), size_of(hidden, "MoE: hidden", 1)
        n_experts, k = size_of(n_experts, "MoE: n_experts", 1), size_of(k, "MoE: k")
        if not isinstance(activation, str) or activation not in ACTIVATIONS:
            names = ", ".join(ACTIVATIONS)
            raise ArgumentError(f"unknown activation {activation!r}", where="MoE", hint=f"one of {names}")
        if not 1 <= k <= n_experts:
            raise ShapeError(f"expects 1 <= k <= {n_experts}, got {k}", where="MoE: k")
        self.k, self.activation = k, activation
        self.router = torch.nn.Linear(features, n_experts, bias=False)
        self.w1, self.b1 = _layer(n_experts, features, hidden)
        self.w2, self.b2 = _layer(n_experts, hidden, features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer."""
        given, *weights = autocast(x, self.w1, self.b1, self.w2, self.b2)
        tokens = _tokens(given, weights[0])
        logits = self.router(tokens)
        experts, _ = route(logits.detach(), self.k)
        gates = torch.softmax(logits.gather(1, experts), 1).to(tokens.dtype)
        if torch.is_grad_enabled() and any(t.requires_grad for t in (x, *self.parameters())):
            return self._differentiable(tokens, experts, gates, *weights).reshape(x.shape)
        w1, b1, w2, b2 = weights
        y = moe(tokens, experts, w1, w2, gates, b1=b1, b2=b2, activation=self.activation)
        return y.reshape(x.shape)

    def _differentiable(
        self,
        tokens: torch.Tensor,
        experts: torch.Tensor,
        gates: torch.Tensor,
        w1: torch.Tensor,
        b1: torch.Tensor,
        w2: torch.Tensor,
        b2: torch.Tensor,
    ) -> torch.Tensor:
        """One row per choice of a token, each with one expert; their gated sum."""
        chosen = experts.flatten()
        rows = tokens.repeat_interleave(self.k, 0)
        hidden = ACTIVATIONS[self.activation](routed(rows, w1, chosen) + b1[chosen])
        parts = routed(hidden, w2, chosen) + b2[chosen]
        return (parts.reshape(*gates.shape, parts.shape[-1]) * gates[..., None]).sum(1)

    def extra_repr(self) -> str:
        n_experts, features, hidden = self.w1.shape
        return f"{features}, {hidden}, n_experts={n_experts}, k={self.k}, activation={self.activation!r}"


@whole_call
def _tokens(x: Any, w1: torch.Tensor) -> torch.Tensor:
    """The tokens of ``x`` as a matrix, checked."""
    require_kind(x, torch.Tensor, "MoE: x")
    features = w1.shape[1]
    if not x.dim() or x.shape[-1] != features:
        raise ShapeError(f"expects x of shape (..., {features}), got {tuple(x.shape)}", where="MoE")
    if x.dtype != w1.dtype:
        raise DTypeError(f"expects x of {w1.dtype}, the type of the weights, got {x.dtype}", where="MoE")
    return x.reshape(-1, features)


def _layer(n_experts: int, inner: int, outer: int) -> tuple[torch.nn.Parameter, torch.nn.Parameter]:
    """Weights and biases as ``torch.nn.Linear`` draws them."""
    bound = inner**-0.5
    w, b = torch.empty(n_experts, inner, outer), torch.empty(n_experts, outer)
    return torch.nn.Parameter(w.uniform_(-bound, bound)), torch.nn.Parameter(b.uniform_(-bound, bound))
