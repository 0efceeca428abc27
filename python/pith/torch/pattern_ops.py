"""Layers with run-time patterns as ops of torch: what ``torch.compile`` and ``torch.export`` put into a graph.

As of layers with stored weights (:mod:`pith.torch.stored_ops`); what a pattern keeps is a tensor, so that one graph
serves all patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .autograd.masked import masked_gradients, masked_linear, require_features
from .ops import LIBRARY
from .stored_ops import refuse_second, runs

LIBRARY.define(
    "masked_linear(Tensor x, Tensor weight, Tensor? bias, Tensor kept, int[] granularity, float dense_above) -> Tensor",
    tags=torch.Tag.pt2_compliant_tag,
)
LIBRARY.define(
    "masked_linear_grad(Tensor grad, Tensor x, Tensor weight, Tensor kept, int[] granularity, float dense_above, "
    "bool[] wants) -> (Tensor, Tensor, Tensor)",
    tags=torch.Tag.pt2_compliant_tag,
)

#: ``masked_linear(x, weight, bias, kept, granularity, dense_above)``: :class:`pith.torch.MaskedLinear`.
MASKED_LINEAR = torch.ops.pith.masked_linear.default
_MASKED_GRAD = torch.ops.pith.masked_linear_grad.default

runs(MASKED_LINEAR)(masked_linear)


@torch.library.register_fake(MASKED_LINEAR, lib=LIBRARY)
def _masked_fake(x: torch.Tensor, weight: torch.Tensor, *_: Any) -> torch.Tensor:
    require_features(x, weight, "MaskedLinear: x")
    return x.new_empty((*x.shape[:-1], weight.shape[0]))


@runs(_MASKED_GRAD)
def _masked_grad(grad: Any, x: Any, weight: Any, *how: Any) -> Any:
    return tuple(weight.new_empty(0) if g is None else g for g in masked_gradients(grad, x, weight, *how))


@torch.library.register_fake(_MASKED_GRAD, lib=LIBRARY)
def _masked_grad_fake(grad: Any, x: Any, weight: Any, *how: Any) -> Any:
    wants: Sequence[bool] = how[-1]
    shapes = x.shape, weight.shape, weight.shape[:1]
    return tuple(weight.new_empty(shape if wanted else 0) for shape, wanted in zip(shapes, wants))


def _save(ctx: Any, inputs: Any, output: Any) -> None:
    x, weight, _, kept, *ctx.how = inputs
    ctx.save_for_backward(x, weight, kept)


def _backward(ctx: Any, grad: torch.Tensor) -> Any:
    x, weight, kept = ctx.saved_tensors
    wants = list(ctx.needs_input_grad[:3])
    found = _MASKED_GRAD(grad, x, weight, kept, *ctx.how, wants)
    return *(g if wanted else None for g, wanted in zip(found, wants)), None, None, None


torch.library.register_autograd(MASKED_LINEAR, _backward, setup_context=_save, lib=LIBRARY)
torch.library.register_autograd(_MASKED_GRAD, refuse_second, lib=LIBRARY)
