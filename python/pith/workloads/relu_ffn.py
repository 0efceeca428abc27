"""Feed-forward layers whose hidden neurons are mostly inactive: :func:`relu_ffn`."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..compiler.kernel import compile_source
from ..errors import ArgumentError, ShapeError
from ..functional.dynamic.dense import dense_layer
from ..functional.dynamic.dynamic import dynamic, multiply_dynamic
from ..functional.einsum.einsum import einsum
from ..functional.matmul.dense import is_finite
from ..patterns import detect
from ..runtime import dtype_name
from ..traceable import traceable
from .arguments import array_of, float_element, like, shaped
from .relu_ffn_ir import relu_ffn_source

#: Rows up to which all of them share one list of active neurons, and one kernel does it all: between two products the
#: caches hold nothing of the interpreter, and a few steps take 0.2 ms. For more, their elements are looked at. Speed
#: over torch in one kernel and not, 1024x4096 f32, half inactive: 4 rows 0.83, 0.89 (90 % inactive 1.46, 1.32); 6 rows
#: 0.87, 0.87 (1.18, 0.82); 8 rows 0.47, 0.90; AVX2, 8 and 16 rows 0.72, 0.85; 0.83, 0.92 (Emerald Rapids, 2026-11).
FEW_ROWS = 6

#: Element types that the library multiplies as fast as the processor can.
LIBRARY = (np.dtype(np.float32), np.dtype(np.float64))

_WHERE = "pith.relu_ffn"


@traceable
def relu_ffn(x: Any, w1: Any, b1: Any, w2: Any, b2: Any, *, threshold: Any = 0.0, skip: bool | None = None) -> Any:
    """``relu(x @ w1 + b1) @ w2 + b2``, inactive hidden neurons skipped in the second product.

    Shapes: x: ``(..., in)``; w1: ``(in, hidden)``; b1: ``(hidden,)`` or None; w2: ``(hidden, out)``; b2: ``(out,)`` or
        None; result: ``(..., out)``.
    Semantics: with ``threshold=0`` the result is that of the dense layer: what ReLU sets to zero contributes
        nothing (an infinity or NaN in a row of ``w2`` counts only where its neuron is active). NaN is active.
        For a few rows the neurons active in any of them are listed, in one kernel with both products; for more,
        :func:`pith.matmul` of :func:`pith.dynamic` chooses. A larger threshold is an approximation: activations up to
        it count as zero.
        f16 and bf16 are summed in f32.
    Args:
        threshold: a number, or ``(hidden,)``: one per neuron.
        skip: True and False decide whether anything is skipped; None takes the dense product where too many neurons
            are active, so it costs no more than the dense layer and a look at the hidden layer.
    Errors: :class:`pith.ArgumentError` for thresholds below 0 or NaN; :class:`pith.ShapeError`,
        :class:`pith.DTypeError`.
    Source: activation sparsity of ReLU as in PIT, SOSP 2023, with the right result; per-neuron thresholds after
        He et al., CHESS, EMNLP 2024.

    Example:
        >>> import numpy as np
        >>> x, w1 = np.float32([[1, -1]]), np.float32([[1, 0, 2], [0, 1, 0]])
        >>> relu_ffn(x, w1, None, np.float32([[1], [10], [100]]), np.float32([0.5]))
        array([[201.5]], dtype=float32)
        >>> relu_ffn(x, w1, None, np.float32([[1], [10], [100]]), None, threshold=[1, 0, 0])
        array([[200.]], dtype=float32)
    """
    if skip is None and type(threshold) is float and threshold == 0.0 and _are_plain(x, w1, b1, w2, b2):
        if len(x) <= FEW_ROWS:
            return _few(x, w1, b1, w2, b2, None)
        return _second(hidden_layer(x, w1, b1, None), w2, b2, skip)
    array, *layer, limits = checked(x, w1, b1, w2, b2, threshold)
    rows = array.reshape(math.prod(array.shape[:-1]), array.shape[-1])
    first, own, second, other = layer
    if skip is not False and len(rows) <= FEW_ROWS:
        out = _few(rows, first, own, second, other, limits)
    else:
        out = _second(hidden_layer(rows, first, own, limits), second, other, skip)
    return like(out.reshape(*array.shape[:-1], second.shape[1]), x)


def checked(x: Any, w1: Any, b1: Any, w2: Any, b2: Any, threshold: Any) -> tuple[Any, ...]:
    """Operands as arrays, and what activations must exceed; None for biases and limits that there are not."""
    array = array_of(x, f"{_WHERE}: x")
    float_element(array, f"{_WHERE}: x")
    if not array.ndim:
        raise ShapeError("expects x of shape (..., in), got a number", where=_WHERE)
    first = shaped(w1, (array.shape[-1], -1), array, f"{_WHERE}: w1")
    second = shaped(w2, (first.shape[1], -1), array, f"{_WHERE}: w2")
    own, other = (
        None if b is None else shaped(b, (w.shape[1],), array, f"{_WHERE}: {name}")
        for name, b, w in (("b1", b1, first), ("b2", b2, second))
    )
    return array, first, own, second, other, _limits(threshold, first.shape[1], array)


def _are_plain(x: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> bool:
    """Whether operands can be multiplied as they are, by few conditions: every check takes some microseconds between
    two products, which find nothing in the caches, and one row takes 2 ms in all."""
    if not (type(x) is type(w1) is type(w2) is np.ndarray and x.dtype is w1.dtype is w2.dtype and x.dtype in LIBRARY):
        return False
    if not (x.ndim == w1.ndim == w2.ndim == 2 and x.shape[1] == w1.shape[0] and w1.shape[1] == w2.shape[0]):
        return False
    for b, w in ((b1, w1), (b2, w2)):
        if b is not None and not (type(b) is np.ndarray and b.dtype is x.dtype and b.shape == w.shape[1:]):
            return False
    return all(a is None or a.flags.carray for a in (x, w1, b1, w2, b2))


def _limits(threshold: Any, hidden: int, array: np.ndarray) -> np.ndarray | None:
    """What activations must exceed, one number per neuron; None for zero."""
    if isinstance(threshold, (int, float)) and threshold == 0:
        return None
    values = np.asarray(array_of(threshold, f"{_WHERE}: threshold") if hasattr(threshold, "shape") else threshold)
    if values.dtype.kind not in "fiu" or values.shape not in ((), (hidden,)):
        raise ShapeError(
            f"expects a number or one per neuron ({hidden}), got {values.dtype} of shape {values.shape}",
            where=f"{_WHERE}: threshold",
        )
    if not (values >= 0).all():
        raise ArgumentError("expects thresholds >= 0", where=f"{_WHERE}: threshold")
    return np.broadcast_to(values, (hidden,)).astype(array.dtype) if values.any() else None


def hidden_layer(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, limits: np.ndarray | None) -> np.ndarray:
    """The hidden layer: a dense product."""
    library = x.dtype in LIBRARY
    z = dense_layer(x, w, b, rectified=True) if library else einsum("tk,kh->th", x, w, bias=b, activation="relu")
    return z if limits is None else np.where(z <= limits, np.zeros((), z.dtype), z)


def _few(x: np.ndarray, w1: Any, b1: Any, w2: np.ndarray, b2: Any, limits: np.ndarray | None) -> np.ndarray:
    """The layer on a few rows."""
    kernel = _kernel(x.dtype, b1 is not None, b2 is not None, limits is not None)
    out = np.empty((x.shape[0], w2.shape[1]), x.dtype)
    kernel(*(a for a in (x, w1, b1, limits, w2, b2) if a is not None), out)
    return out


@functools.cache
def _kernel(dtype: np.dtype, first_bias: bool, second_bias: bool, limits: bool) -> Any:
    return compile_source(relu_ffn_source(dtype_name(dtype), first_bias, second_bias, limits), "relu_ffn").native


def _second(hidden: np.ndarray, w: np.ndarray, b: np.ndarray | None, skip: bool | None) -> np.ndarray:
    """``hidden @ w + b`` of more than a few rows, dense or along what is active."""
    library = hidden.dtype in LIBRARY
    if skip is False:
        return dense_layer(hidden, w, b) if library else einsum("th,hn->tn", hidden, w, bias=b)
    if skip is None and library:
        out = multiply_dynamic(dynamic(hidden), w, bias=b)
        if not len(out) or is_finite(out[0]):  # else 0 may have met infinity
            return out
    return einsum("th,hn->tn", hidden, w, where={"th": detect(hidden, 1)}, bias=b)
