"""``pith.linear``: a product with a sparse weight, bias, activation and residual in one kernel."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ...compiler.kernel import Kernel, as_torch, compile_source
from ...errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from ...formats import Format
from ...quantization import QuantizedTensor
from ...runtime import dtype_name
from ...runtime.arrays import array_of_shape, array_or_tensor, as_array, empty_array, is_torch
from ...sparse import SparseTensor, taken_over
from ...traceable import traceable
from ..matmul.dense import WHOLE
from .choice import choice_for, dense_tile, faster_weight, is_few
from .ir import COMPUTED_IN, linear_source, require_activation


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
        return a.linear(x, bias, activation, residual)
    require_activation(activation, _WHERE)
    if where is not None:
        return _linear_where(x, a, bias, activation, residual, where, out)
    if out is not None:
        raise ArgumentError("expects out only together with where", where=_WHERE)
    if any(getattr(v, "is_cuda", False) for v in (x, a)):
        from .device import linear_on_device

        return linear_on_device(x, a, bias, activation, residual)
    a = weight_of(a)
    x = array_or_tensor(x, f"{_WHERE}: x")
    shape, result_shape = tuple(x.shape), result_shape_of(x, a)
    rows = math.prod(shape[:-1])
    extras = _added(bias, residual, result_shape)
    a = a if variant == "sparse" else faster_weight(a, x, rows)
    kernel, dtype = _kernel_for(a, rows, bias is not None, activation, residual is not None)
    out = empty_array(result_shape, dtype)
    kernel.native(*a.buffers, *a.shape, x.reshape(rows, shape[-1]), *extras, out.reshape(rows, a.shape[0]))
    return as_torch(out) if is_torch(x) else out


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


def _kernel_for(
    a: SparseTensor, rows: int, bias: bool, activation: str | None, residual: bool
) -> tuple[Kernel, np.dtype]:
    """The kernel for so many rows."""
    variant = dense_tile(a.values.dtype, rows) if a.format.is_dense else choice_for(a, rows).variant
    multiple = _size_class(a.format, a.shape[1])
    known = rows if rows == 1 or (a.format.is_dense and is_few(a.values.dtype, rows)) else None
    return _kernel(a.format, a.values.dtype, bias, activation, residual, variant, multiple, known)


@functools.cache
def _size_class(fmt: Format, contracted: int) -> int:
    """The divisor of the contracted size that a kernel is specialised on."""
    from pith.lowering.panel.variant import Roles, size_class

    return size_class(Roles.of(fmt, 0), contracted)


@functools.cache
def _kernel(
    fmt: Format,
    dtype: np.dtype,
    bias: bool,
    activation: str | None,
    residual: bool,
    variant: str | None,
    multiple: int,
    rows: int | None,
) -> tuple[Kernel, np.dtype]:
    """The kernel of a format, element type and epilogue, and the dtype of its result."""
    from ...runtime import numpy_dtype

    require_floats(dtype)
    element = dtype_name(dtype)
    source = linear_source(fmt, element, bias, activation, residual, variant, multiple, rows)
    return compile_source(source, "linear"), numpy_dtype(element)


def require_floats(dtype: np.dtype) -> None:
    """Raise :class:`pith.DTypeError` unless there are kernels for weights of a type."""
    if dtype_name(dtype) in COMPUTED_IN:
        return
    floats = "weights of type " + ", ".join(COMPUTED_IN)
    quantised = f"{floats}; pith.quantize(w, fmt) makes 8-bit weights, which know their scales"
    raise DTypeError(f"no linear kernel for {dtype}", where=_WHERE, hint=quantised if dtype.kind in "iu" else floats)
