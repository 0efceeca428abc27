"""Products with a :class:`pith.QuantizedTensor`: weights dequantised inside the load, or bytes by bytes."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ...compiler.kernel import as_torch
from ...errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from ...quantization import QuantizedTensor
from ...runtime.arrays import array_of_shape, array_or_tensor, as_array, empty_array, is_torch
from ..linear.ir import require_activation
from .dense import all_finite
from .quantized_plan import dense_copy, plan_for

_WHERE, _LINEAR = "pith.matmul", "pith.linear"

#: Element types of results: without and with a scale of their own.
_RESULTS = np.dtype(np.float32), np.dtype(np.int8)


def multiply(
    a: QuantizedTensor,
    x: Any,
    *,
    linear: bool,
    bias: Any = None,
    activation: str | None = None,
    residual: Any = None,
    x_scale: float = 1.0,
    x_zero: int = 0,
    out_scale: float | None = None,
    out_zero: int = 0,
    variant: str = "auto",
) -> Any:
    """``A @ x``, or ``activation(x @ A.T + bias) + residual``; see :meth:`pith.QuantizedTensor.matmul`.

    Semantics: f32 ``x`` meets the values as :meth:`~pith.QuantizedTensor.dequantize` gives them, per row with
        the scale multiplied after summing. i8 ``x`` is summed exactly in i32. The result is f32, or with
        ``out_scale`` i8: rounded to nearest even, NaN to -128. What is not stored counts as exact zeros, whatever it
        meets: an ``x`` that is not finite is never multiplied by a dense copy.
    Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`, :class:`pith.ArgumentError`,
        :class:`pith.UnsupportedError` (i8 ``x`` with groups, another variant).
    """
    x = array_or_tensor(x, f"{_WHERE}: x")
    _check_scales(x_scale, x_zero, out_scale, out_zero)
    element = _element(a, x, x_scale, x_zero)
    flat, shape = _shapes(a, tuple(x.shape), linear)
    require_activation(activation, _WHERE)
    scales, offsets = _scales_and_offsets(a, bias, x_scale, x_zero)
    extras = [] if offsets is None else [offsets]
    rows = (flat[0], a.shape[0]) if linear else (a.shape[0], flat[1])
    if residual is not None:
        extras.append(array_of_shape(residual, "residual", shape, _LINEAR).reshape(rows))
    if out_scale is not None:
        extras += [np.full(1, 1 / np.float32(out_scale), np.float32), np.full(1, out_zero, np.float32)]
    how = linear, offsets is not None, activation, residual is not None, out_scale is not None
    columns = flat[0] if linear else flat[1]
    plan = plan_for(a, columns, element, variant, how)
    copy = dense_copy(a, element) if plan.dense and (element == "i8" or all_finite(x)) else None
    if plan.dense and copy is None:
        plan = plan_for(a, columns, element, "sparse", how)
    out = empty_array(rows, _RESULTS[out_scale is not None])
    zero_points = () if a.zero_points is None or plan.dense else (a.zero_points,)
    buffers = a.buffers if copy is None else (copy.reshape(-1),)
    plan.kernel.native(*buffers, *a.shape, scales, *zero_points, x.reshape(flat), *extras, out)
    return as_torch(out.reshape(shape)) if is_torch(x) else out.reshape(shape)


def _check_scales(x_scale: Any, x_zero: Any, out_scale: Any, out_zero: Any) -> None:
    for name, scale in (("x_scale", x_scale), ("out_scale", 1 if out_scale is None else out_scale)):
        if not isinstance(scale, (int, float, np.number)) or not 0 < scale < math.inf:
            raise ArgumentError(f"{name} is a positive number, got {scale!r}", where=_WHERE)
    for name, zero in (("x_zero", x_zero), ("out_zero", out_zero)):
        if not isinstance(zero, (int, np.integer)) or not -128 <= zero <= 127:
            raise ArgumentError(f"{name} is an integer that i8 holds, got {zero!r}", where=_WHERE)


def _element(a: QuantizedTensor, x: Any, x_scale: float, x_zero: int) -> str:
    """Element type of the dense operand."""
    element = _element_of(x.dtype)
    if element is None:
        raise DTypeError(f"expects x of f32 or i8, got {x.dtype}", where=_WHERE, hint="convert x to float32")
    if element == "f32" and (x_scale != 1 or x_zero != 0):
        raise ArgumentError("x_scale and x_zero belong to an x of i8, got f32", where=_WHERE)
    if element == "i8" and a.group is not None:
        raise UnsupportedError(
            "no product of i8 by values with scales per group: sums would end at every group",
            where=_WHERE,
            hint="pass x in f32, or quantize with one scale per row (group=None)",
        )
    return element


@functools.cache
def _element_of(dtype: Any) -> str | None:
    return {"float32": "f32", "int8": "i8"}.get(str(dtype).removeprefix("torch."))


def _shapes(a: QuantizedTensor, shape: tuple[int, ...], linear: bool) -> tuple[tuple[int, int], tuple[int, ...]]:
    """The dense operand as a matrix, and the shape of the result."""
    inner = a.shape[1]
    if linear:
        if not shape or shape[-1] != inner:
            raise ShapeError(f"expects x of shape (..., {inner}), got {shape}", where=_LINEAR)
        return (math.prod(shape[:-1]), inner), (*shape[:-1], a.shape[0])
    if len(shape) not in (1, 2) or shape[0] != inner:
        raise ShapeError(f"expects x of shape ({inner},) or ({inner}, N), got {shape}", where=_WHERE)
    return (inner, math.prod(shape[1:])), (a.shape[0], *shape[1:])


def _scales_and_offsets(
    a: QuantizedTensor, bias: Any, x_scale: float, x_zero: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """What sums are multiplied with, and what is added then: the bias, and what the zero point of x subtracts."""
    scales = a.scales if x_scale == 1 else a.scales * np.float32(x_scale)
    offsets = None if bias is None else _numpy(array_of_shape(bias, "bias", (a.shape[0],), _LINEAR))
    if x_zero != 0:
        moved = (-x_zero * a.row_sums * scales).astype(np.float32)
        offsets = moved if offsets is None else moved + offsets
    return scales, offsets


def _numpy(value: Any) -> np.ndarray:
    return as_array(value, f"{_LINEAR}: bias").astype(np.float32, copy=False)
