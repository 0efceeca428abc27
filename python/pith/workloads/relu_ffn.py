"""Feed-forward layers whose hidden neurons are mostly inactive: :func:`relu_ffn`."""

from __future__ import annotations

import functools
import math
import sys
from typing import Any

import numpy as np

from ..compiler.einsum import einsum
from ..compiler.kernel import Kernel, compile_source
from ..errors import ArgumentError, ShapeError
from ..patterns import Pattern, detect
from .arguments import array_of, empty, float_element, like, shaped
from .relu_ffn_ir import hidden_source

#: Rows up to which all of them share one list of active neurons.
FEW_ROWS = 8

#: Shares of active neurons up to which skipping the others is faster than a dense product, by number of rows: for few
#: rows neurons that any row activates, for more the elements. Measured on a 2-core AVX2 machine (2026-11): time over
#: dense is about 2.4 x share + 0.1 for one row, 12 x share + 0.15 for elements.
FEW_SHARE, ELEMENT_SHARE = 0.2, 0.05

_WHERE = "pith.relu_ffn"


def relu_ffn(x: Any, w1: Any, b1: Any, w2: Any, b2: Any, *, threshold: Any = 0.0, skip: bool | None = None) -> Any:
    """``relu(x @ w1 + b1) @ w2 + b2``, inactive hidden neurons skipped in the second product.

    Shapes: x: ``(..., in)``; w1: ``(in, hidden)``; b1: ``(hidden,)`` or None; w2: ``(hidden, out)``; b2: ``(out,)`` or
        None; result: ``(..., out)``.
    Semantics: with ``threshold=0`` the result is that of the dense layer: what ReLU sets to zero contributes
        nothing (an infinity or NaN in a row of ``w2`` counts only where its neuron is active). NaN is active.
        For a few rows the neurons active in any of them are listed, for more every active element. A larger
        threshold is an approximation: activations up to it count as zero. f16 and bf16 are summed in f32.
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
    array = array_of(x, f"{_WHERE}: x")
    element = float_element(array, f"{_WHERE}: x")
    if not array.ndim:
        raise ShapeError("expects x of shape (..., in), got a number", where=_WHERE)
    first = shaped(w1, (array.shape[-1], -1), array, f"{_WHERE}: w1")
    second = shaped(w2, (first.shape[1], -1), array, f"{_WHERE}: w2")
    biases = [
        None if b is None else shaped(b, (w.shape[1],), array, f"{_WHERE}: {name}")
        for name, b, w in (("b1", b1, first), ("b2", b2, second))
    ]
    limits = _limits(threshold, first.shape[1], array)
    rows = array.reshape(math.prod(array.shape[:-1]), array.shape[-1])
    hidden = _hidden(rows, first, biases[0], limits, element)
    out = _second(hidden, second, biases[1], skip)
    return like(out.reshape(*array.shape[:-1], second.shape[1]), x)


def _limits(threshold: Any, hidden: int, array: np.ndarray) -> np.ndarray | None:
    """What activations must exceed, one number per neuron; None for zero."""
    values = np.asarray(array_of(threshold, f"{_WHERE}: threshold") if hasattr(threshold, "shape") else threshold)
    if values.dtype.kind not in "fiu" or values.shape not in ((), (hidden,)):
        raise ShapeError(
            f"expects a number or one per neuron ({hidden}), got {values.dtype} of shape {values.shape}",
            where=f"{_WHERE}: threshold",
        )
    if not (values >= 0).all():
        raise ArgumentError("expects thresholds >= 0", where=f"{_WHERE}: threshold")
    return np.broadcast_to(values, (hidden,)).astype(array.dtype) if values.any() else None


def _hidden(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, limits: np.ndarray | None, element: str) -> np.ndarray:
    """The hidden layer. A product with few rows is bound by memory: the library's is as good as any."""
    if 0 < x.shape[0] <= FEW_ROWS and element in ("f32", "f64"):
        z = _product(x, w, b)
        return np.where(z <= (0 if limits is None else limits), np.zeros((), z.dtype), z)
    out = empty((x.shape[0], w.shape[1]), element)
    extras = [v for v in (b, limits) if v is not None]
    _kernel(element, b is not None, limits is not None).native(x, w, *extras, out)
    return out


def _second(hidden: np.ndarray, w: np.ndarray, b: np.ndarray | None, skip: bool | None) -> np.ndarray:
    """``hidden @ w + b``, dense or along the active neurons."""
    few = hidden.shape[0] <= FEW_ROWS
    most = None if skip else FEW_SHARE if few else ELEMENT_SHARE
    active = None if skip is False else _active(hidden, few, most)
    if active is None and hidden.dtype in (np.float32, np.float64):
        out = _product(hidden, w, b)
        if skip is False or np.isfinite(out[:1]).all():
            return out
        active = _active(hidden, few, None)  # 0 times infinity
    where = None if active is None else {"h" if few else "th": active}
    return einsum("th,hn->tn", hidden, w, where=where, bias=b)


def _active(hidden: np.ndarray, few: bool, most: float | None) -> Pattern | None:
    """The active neurons (``few``) or elements; None when more than a share ``most`` of them are active."""
    if most is not None and not few:
        step = max(hidden.shape[0] // 16, 1)
        if np.count_nonzero(hidden[::step]) > most * hidden[::step].size:
            return None
    active = detect(hidden, 1, axes=1) if few else detect(hidden, 1)
    return active if most is None or active.density <= most else None


def _product(x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    """The dense product of the library: torch's when it is loaded, else NumPy's."""
    torch = sys.modules.get("torch")
    if torch is None:
        return x @ w if b is None else x @ w + b
    x, w = torch.from_numpy(x), torch.from_numpy(w)
    return (torch.mm(x, w) if b is None else torch.addmm(torch.from_numpy(b), x, w)).numpy()


@functools.cache
def _kernel(element: str, bias: bool, limits: bool) -> Kernel:
    return compile_source(hidden_source(element, bias, limits), "hidden")
