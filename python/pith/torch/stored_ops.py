"""Layers with stored weights as ops of torch: what ``torch.compile`` and ``torch.export`` put into a graph.

Every op takes a stored weight as tensors, and as text what these are (:mod:`pith.torch.autograd.stored`): parameters
and buffers stay those of the model, in graphs, optimizers and files. Each has a fake kernel, so shapes may be dynamic,
and a gradient that is an op too. In eager mode the layers do not come here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..errors import UnsupportedError
from .autograd.linear import gradients, product, require_fitting
from .autograd.quantized import input_gradient, quantized_product, require_features
from .autograd.stored import stored, stored_shape
from .ops import LIBRARY

Tensors = Sequence[torch.Tensor]

LIBRARY.define(
    "sparse_linear(Tensor x, Tensor values, Tensor? bias, Tensor[] metadata, str stored) -> Tensor",
    tags=torch.Tag.pt2_compliant_tag,
)
LIBRARY.define(
    "sparse_linear_grad(Tensor grad, Tensor x, Tensor values, Tensor[] metadata, str stored, bool[] wants) "
    "-> (Tensor, Tensor, Tensor)",
    tags=torch.Tag.pt2_compliant_tag,
)
LIBRARY.define(
    "quantized_linear(Tensor x, Tensor? bias, Tensor[] weight, str stored) -> Tensor",
    tags=torch.Tag.pt2_compliant_tag,
)
LIBRARY.define(
    "quantized_linear_grad(Tensor grad, Tensor[] weight, str stored) -> Tensor", tags=torch.Tag.pt2_compliant_tag
)

#: ``sparse_linear(x, values, bias, metadata, stored)``: :func:`pith.torch.sparse_linear`.
SPARSE_LINEAR = torch.ops.pith.sparse_linear.default
_SPARSE_GRAD = torch.ops.pith.sparse_linear_grad.default

#: ``quantized_linear(x, bias, weight, stored)``: :class:`pith.torch.QuantizedLinear`; ``weight``: metadata, integers,
#: scales, zero points where there are some.
QUANTIZED_LINEAR = torch.ops.pith.quantized_linear.default
_QUANTIZED_GRAD = torch.ops.pith.quantized_linear_grad.default


def runs(op: Any) -> Any:
    """Register what runs on tensors that have values, on CPUs and GPUs."""

    def register(function: Any) -> Any:
        for key in ("CPU", "CUDA"):
            LIBRARY.impl(op, _plain(function), key)
        return function

    return register


def _plain(function: Any) -> Any:
    def run(*args: Any) -> Any:
        with torch.no_grad():
            return function(*args)

    return run


@runs(SPARSE_LINEAR)
def _sparse(x: torch.Tensor, values: torch.Tensor, bias: torch.Tensor | None, metadata: Tensors, text: str) -> Any:
    return product(x, values, stored([*metadata, values], text), bias)


@torch.library.register_fake(SPARSE_LINEAR, lib=LIBRARY)
def _sparse_fake(x: torch.Tensor, values: torch.Tensor, bias: torch.Tensor | None, metadata: Tensors, text: str) -> Any:
    shape = stored_shape(text)
    require_fitting(x, values, bias, shape)
    return x.new_empty((*x.shape[:-1], shape[0]))


@runs(_SPARSE_GRAD)
def _sparse_grad(grad: Any, x: Any, values: Any, metadata: Tensors, text: str, wants: Sequence[bool]) -> Any:
    found = gradients(grad, x, values, stored([*metadata, values], text), wants)
    return tuple(values.new_empty(0) if g is None else g for g in found)


@torch.library.register_fake(_SPARSE_GRAD, lib=LIBRARY)
def _sparse_grad_fake(grad: Any, x: Any, values: Any, metadata: Tensors, text: str, wants: Sequence[bool]) -> Any:
    shapes = x.shape, values.shape, stored_shape(text)[:1]
    return tuple(values.new_empty(shape if wanted else 0) for shape, wanted in zip(shapes, wants))


@runs(QUANTIZED_LINEAR)
def _quantized(x: torch.Tensor, bias: torch.Tensor | None, weight: Tensors, text: str) -> torch.Tensor:
    return quantized_product(x, stored(weight, text), bias)


@torch.library.register_fake(QUANTIZED_LINEAR, lib=LIBRARY)
def _quantized_fake(x: torch.Tensor, bias: torch.Tensor | None, weight: Tensors, text: str) -> torch.Tensor:
    shape = stored_shape(text)
    require_features(x, shape[1])
    return x.new_empty((*x.shape[:-1], shape[0]))


@runs(_QUANTIZED_GRAD)
def _quantized_grad(grad: torch.Tensor, weight: Tensors, text: str) -> torch.Tensor:
    return input_gradient(grad, stored(weight, text))


@torch.library.register_fake(_QUANTIZED_GRAD, lib=LIBRARY)
def _quantized_grad_fake(grad: torch.Tensor, weight: Tensors, text: str) -> torch.Tensor:
    return grad.new_empty((*grad.shape[:-1], stored_shape(text)[1]))


def _save_sparse(ctx: Any, inputs: Any, output: Any) -> None:
    x, values, _, metadata, ctx.text = inputs
    ctx.save_for_backward(x, values, *metadata)


def _sparse_backward(ctx: Any, grad: torch.Tensor) -> Any:
    x, values, *metadata = ctx.saved_tensors
    wants = list(ctx.needs_input_grad[:3])
    found = _SPARSE_GRAD(grad, x, values, metadata, ctx.text, wants)
    return *(g if wanted else None for g, wanted in zip(found, wants)), [None] * len(metadata), None


def _save_quantized(ctx: Any, inputs: Any, output: Any) -> None:
    _, _, weight, ctx.text = inputs
    ctx.save_for_backward(*weight)


def _quantized_backward(ctx: Any, grad: torch.Tensor) -> Any:
    weight = ctx.saved_tensors
    return _QUANTIZED_GRAD(grad, list(weight), ctx.text), None, [None] * len(weight), None


def refuse_second(ctx: Any, *_: Any) -> Any:
    """The gradient of ops that are gradients themselves: there is none."""
    hint = "take the second derivative of a dense model"
    raise UnsupportedError("gradients of its gradients are not available", where="pith.torch", hint=hint)


torch.library.register_autograd(SPARSE_LINEAR, _sparse_backward, setup_context=_save_sparse, lib=LIBRARY)
torch.library.register_autograd(QUANTIZED_LINEAR, _quantized_backward, setup_context=_save_quantized, lib=LIBRARY)
torch.library.register_autograd(_SPARSE_GRAD, refuse_second, lib=LIBRARY)
torch.library.register_autograd(_QUANTIZED_GRAD, refuse_second, lib=LIBRARY)
