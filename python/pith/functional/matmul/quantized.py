"""Products with a :class:`pith.QuantizedTensor`: weights dequantised inside the load, or bytes by bytes."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ...compiler.kernel import Kernel, as_torch, compile_source
from ...errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from ...formats import Format
from ...formats.pack_buffers import aligned_empty
from ...quantization import QuantizedTensor
from ...runtime.arrays import array_of_shape, array_or_tensor, as_array, is_torch
from ..linear.ir import require_activation
from .plan import rounded_columns
from .quantized_ir import QuantizedProduct, quantized_source

_WHERE, _LINEAR = "pith.matmul", "pith.linear"


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
) -> Any:
    """``A @ x``, or ``activation(x @ A.T + bias) + residual``; see :meth:`pith.QuantizedTensor.matmul`.

    Semantics: f32 ``x`` meets the values as :meth:`~pith.QuantizedTensor.dequantize` gives them, per row with
        the scale multiplied after summing. i8 ``x`` is summed exactly in i32. The result is f32, or with
        ``out_scale`` i8: rounded to nearest even, NaN to -128.
    Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`, :class:`pith.ArgumentError`,
        :class:`pith.UnsupportedError` (i8 ``x`` with groups).
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
    product = QuantizedProduct(a.format, a.bits, a.group, element, *how)
    columns = flat[0] if linear else flat[1]
    kernel = _kernel(product, rounded_columns(columns), a.shape[1])
    out = aligned_empty(math.prod(rows), np.dtype(np.int8 if out_scale is not None else np.float32))
    zero_points = () if a.zero_points is None else (a.zero_points,)
    kernel.native(*a.buffers, *a.shape, scales, *zero_points, x.reshape(flat), *extras, out.reshape(rows))
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
    element = {"float32": "f32", "int8": "i8"}.get(str(x.dtype).removeprefix("torch."))
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


@functools.cache
def _kernel(product: QuantizedProduct, columns: int, contracted: int) -> Kernel:
    """The kernel for a number of columns; few of them differ."""
    from pith.lowering.panel.variant import Roles, size_class

    tile, multiple = _tile(product.format, product.x, columns), size_class(Roles.of(product.format, 0), contracted)
    # Of bytes that are all stored, row by row: dot products of rows as they lie. 4096x4096 in 0.7 ms instead of 6.
    column = columns == 1 and product.format.is_dense and (product.x == "i8" or product.group is not None)
    if column and product.group is not None and contracted % product.group == 0:
        multiple = math.lcm(multiple, product.group)
    return _compiled(product, tile, multiple, column)


def kernel_of(a: QuantizedTensor, columns: int, x: str = "f32") -> str:
    """What multiplies ``a`` with so many columns of an element type: ``dots``, or a register tile."""
    return _tile(a.format, x, rounded_columns(columns)) or "dots"


def _tile(fmt: Format, x: str, columns: int) -> str | None:
    """The register tile; None where bytes are multiplied by dot instructions, whose tile the compiler chooses.

    Tiles of f32 take four times as long: 2048x512x256, dense 4.9 ms beside 1.2 of oneDNN (Emerald Rapids, 2026-11).
    """
    from pith.lowering.isa import host_isa
    from pith.lowering.panel.variant import Roles, default_variant
    from pith.lowering.tiled.choice import dots_pay

    roles = Roles.of(fmt, 0)
    if x == "i8" and roles.unit and dots_pay(fmt, 0, columns, x, host_isa()):
        return None
    return str(default_variant(roles, columns, 4, host_isa()))


@functools.cache
def _compiled(product: QuantizedProduct, variant: str | None, multiple: int, column: bool) -> Kernel:
    return compile_source(quantized_source(product, variant, multiple, column), "quantized")
