"""What works on every row by itself: :func:`layer_norm`, activations."""

from __future__ import annotations

import functools
import math
from typing import Any

from ..compiler.kernel import Kernel, compile_source
from ..errors import ArgumentError, ShapeError
from ..functional.linear.ir import require_activation
from ..traceable import traceable
from .arguments import array_of, empty, float_element, like, shaped
from .rows_ir import activation_source, layer_norm_source


@traceable
def layer_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Every row normalised: ``(x - mean) / sqrt(variance + eps) * weight + bias``.

    Shapes: x: ``(..., n)``; weight, bias: ``(n,)``; result: that of x.
    Semantics: mean and variance (divided by n) of the last dimension, two passes over a row that stays in
        L1; computed in f32 for 16-bit types. Results are torch tensors where ``x`` is one.
    Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`, :class:`pith.ArgumentError` for ``eps`` below 0.
    Source: Ba, Kiros, Hinton, Layer Normalization, 2016.

    Example:
        >>> import numpy as np
        >>> layer_norm(np.float32([[1, 3], [5, 5]]), eps=1e-12)
        array([[-1.,  1.],
               [ 0.,  0.]], dtype=float32)
    """
    where = "pith.layer_norm"
    array = array_of(x, f"{where}: x")
    element = float_element(array, f"{where}: x")
    if not array.ndim:
        raise ShapeError("expects x of shape (..., n), got a number", where=where)
    if not eps >= 0:
        raise ArgumentError(f"expects eps >= 0, got {eps}", where=where)
    n = array.shape[-1]
    given = [(name, v) for name, v in (("weight", weight), ("bias", bias)) if v is not None]
    extras = [shaped(v, (n,), array, f"{where}: {name}") for name, v in given]
    out, flat = empty(array.shape, element), (math.prod(array.shape[:-1]), n)
    kernel = _layer_norm(element, weight is not None, bias is not None)
    kernel.native(array.reshape(flat), *extras, float(eps), out.reshape(flat))
    return like(out, x)


def activate(x: Any, activation: str) -> Any:
    """An activation of every element: ``relu``, ``gelu`` (with erf), ``gelu_tanh`` or ``silu``.

    Shapes: any; that of x.
    Errors: :class:`pith.ArgumentError` for others, :class:`pith.DTypeError`.

    Example:
        >>> import numpy as np
        >>> activate(np.float32([-1, 2]), "relu")
        array([0., 2.], dtype=float32)
    """
    require_activation(activation, "activate")
    array = array_of(x, f"{activation}: x")
    out = empty(array.shape, float_element(array, f"{activation}: x"))
    flat = (math.prod(array.shape[:-1]), array.shape[-1]) if array.ndim else (1, 1)
    _activation(float_element(array, "x"), activation).native(array.reshape(flat), out.reshape(flat))
    return like(out, x)


@functools.cache
def _layer_norm(element: str, weight: bool, bias: bool) -> Kernel:
    return compile_source(layer_norm_source(element, weight, bias), "layer_norm")


@functools.cache
def _activation(element: str, activation: str) -> Kernel:
    return compile_source(activation_source(element, activation), activation)
