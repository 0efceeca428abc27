"""``pith.linear``: a product with a sparse weight, bias, activation and residual in one kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...compiler.kernel import as_torch
from ...errors import ArgumentError, ShapeError, UnsupportedError
from ...quantization import QuantizedTensor
from ...runtime.arrays import array_of_shape, array_or_tensor, as_array, is_torch
from ...sparse import SparseTensor, taken_over
from ...traceable import traceable
from ..matmul.copies import WHOLE
from .ir import require_activation
from .ways import ways_for


@traceable
def linear(
    x: Any,
    a: Any,
    bias: Any = None,
    activation: str | None = None,
    residual: Any = None,
    *,
    where: Any = None,
    out: Any = None,
    variant: str = "auto",
) -> Any:
    """``activation(x @ a.T + bias) + residual``, a linear layer.

    Shapes: x: ``(..., in)``; a: ``(out, in)``, the weight as ``torch.nn.Linear`` stores it: a
        :class:`pith.SparseTensor`, a sparse matrix of SciPy or torch (taken over in every call), a
        :class:`pith.QuantizedTensor` or a dense array; bias: ``(out,)``; residual and
        result: ``(..., out)``.
    Semantics: as :func:`pith.matmul`, pith's dense kernel being the dense rival; bias, activation and residual are
        computed on the product's tile before it is stored. f16 and bf16 are computed in f32 and rounded once. NaN stays
        NaN, also through ``relu``.
    Args:
        activation: ``relu``, ``gelu`` (with erf), ``gelu_tanh``, ``silu`` or None.
        where: a :class:`pith.Pattern` of rows of x (over its leading dimensions, or all of them as one axis): only
            those are read, multiplied and written, where they lie. For dense weights, and without ``residual``.
        out: with ``where``: memory for the result, whose other rows are kept; without it they are zero.
        variant: ``auto``, or ``sparse``: what is stored is multiplied, an unpacked copy is never made.
    Returns: a NumPy array, or a torch tensor when ``x`` is one, on the GPU when ``x`` is there. All operands have the
        element type of ``a``.
    Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`, :class:`pith.DeviceError`, :class:`pith.ArgumentError`;
        :class:`pith.UnsupportedError` for another variant, and for what ``where`` does not take.

    Example:
        >>> import numpy as np, pith
        >>> A = pith.compress(np.array([[0, 2, 0, 0], [0, 0, 0, -3]], np.float32), "csr")
        >>> pith.linear(np.ones((1, 4), np.float32), A, bias=np.float32([1, 1]), activation="relu")
        array([[3., 0.]], dtype=float32)
    """
    require_variant(variant)
    if isinstance(a, QuantizedTensor) and where is None and out is None:
        return a.linear(x, bias, activation, residual, variant=variant)
    require_activation(activation, _WHERE)
    if where is not None:
        return _linear_where(x, a, bias, activation, residual, where, out)
    if out is not None:
        raise ArgumentError("expects out only together with where", where=_WHERE)
    if getattr(x, "is_cuda", False) or (type(a) is not SparseTensor and getattr(a, "is_cuda", False)):
        from .device import linear_on_device

        return linear_on_device(x, a, bias, activation, residual)
    a = weight_of(a)
    x = array_or_tensor(x, f"{_WHERE}: x")
    shape, result_shape = tuple(x.shape), result_shape_of(x, a)
    rows = math.prod(shape[:-1])
    extras = _added(bias, residual, result_shape)
    ways = ways_for(a, rows, bias is not None, activation, residual is not None)
    out = ways.run(a, x if len(shape) == 2 else x.reshape(rows, shape[-1]), extras, variant == "sparse")
    out = out if len(shape) == 2 else out.reshape(result_shape)
    return _as_kind_of(out, x)


def _as_kind_of(result: Any, x: Any) -> Any:
    """A tensor where ``x`` is one, else an array."""
    if is_torch(x):
        return as_torch(result) if type(result) is np.ndarray else result
    return result if type(result) is np.ndarray else as_array(result, _WHERE)


_WHERE = "pith.linear"
_SHAPES = "x: (..., in), weight: (out, in), bias: (out,), residual: (..., out)"


def require_variant(variant: object) -> None:
    """Raise :class:`pith.UnsupportedError` unless ``variant`` is one."""
    if not isinstance(variant, str) or variant not in ("auto", "sparse"):
        raise UnsupportedError(f"no variant {variant!r}", where=_WHERE, hint="auto or sparse")


def _linear_where(x: Any, a: Any, bias: Any, activation: str | None, residual: Any, where: Any, out: Any) -> Any:
    if isinstance(a, SparseTensor | QuantizedTensor) or residual is not None:
        raise UnsupportedError(
            "where takes a dense weight and no residual",
            where=_WHERE,
            hint="pack the rows: pith.Ragged(...).linear(a, residual=...) takes both",
        )
    from ...workloads.dropping import linear_where

    return linear_where(x, a, where, bias, activation, out)


def result_shape_of(x: Any, a: Any) -> tuple[int, ...]:
    """The shape of ``x @ a.T``. Errors: :class:`pith.ShapeError`."""
    shape = tuple(x.shape)
    if not shape or shape[-1] != a.shape[1]:
        hint = "weights are stored out x in: pass a.T" if shape and shape[-1] == a.shape[0] else _SHAPES
        raise ShapeError(f"expects x of shape (..., {a.shape[1]}), got {shape}", where=_WHERE, hint=hint)
    return (*shape[:-1], a.shape[0])


def weight_of(a: Any) -> SparseTensor:
    """A sparse matrix as it is, also SciPy's and torch's; a dense one as a tensor that stores every element, on the
    same memory."""
    a = a if isinstance(a, SparseTensor) else taken_over(a)
    if isinstance(a, np.ndarray) or is_torch(a):
        array = np.ascontiguousarray(as_array(a, f"{_WHERE}: weight"))
        if array.ndim != 2:
            raise ShapeError(f"expects a matrix as weight, got shape {array.shape}", where=_WHERE)
        return SparseTensor(array.shape, WHOLE, (array.reshape(-1),))
    if not isinstance(a, SparseTensor) or len(a.shape) != 2:
        what = f"shape {a.shape}" if isinstance(a, SparseTensor) else type(a).__name__
        raise ArgumentError(
            f"expects a matrix as weight, got {what}", where=_WHERE, hint="pith.compress(w, fmt), or a dense array"
        )
    return a


def _added(bias: Any, residual: Any, shape: tuple[int, ...]) -> list[Any]:
    """What is given of them for a result of ``shape``; the residual as a matrix."""
    extras = []
    if bias is not None:
        extras.append(array_of_shape(bias, "bias", shape[-1:], _WHERE, _SHAPES))
    if residual is not None:
        matrix = math.prod(shape[:-1]), shape[-1]
        extras.append(array_of_shape(residual, "residual", shape, _WHERE, _SHAPES).reshape(matrix))
    return extras
