"""``pith.conv2d`` with stored filters: products of windows of the image and a matrix, fused with what follows."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...compiler.kernel import Kernel, as_torch, compile_source
from ...errors import DTypeError, ShapeError, UnsupportedError
from ...formats import Format
from ...formats.pack_buffers import aligned_empty
from ...runtime import dtype_name
from ...runtime.arrays import as_array, is_torch
from ...sparse import SparseTensor
from ..linear.ir import require_activation
from .geometry import Geometry
from .ir import conv2d_source


def is_fused(w: Any, bias: Any, activation: Any, residual: Any) -> bool:
    """Whether a convolution is one kernel with what follows."""
    return isinstance(w, SparseTensor) or any(v is not None for v in (bias, activation, residual))


def convolve_stored(x: Any, *call: Any) -> Any:
    """``activation(conv2d(x, w) + bias) + residual``; ``call``: see :func:`_prepared`."""
    kernel, arguments, shape = _prepared(x, *call)
    out = aligned_empty(int(np.prod(shape)), arguments[-1].dtype).reshape(shape)
    kernel.native(*arguments, out)
    return as_torch(out) if is_torch(x) else out


def explain_stored(
    x: Any,
    w: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    bias: Any = None,
    activation: str | None = None,
    residual: Any = None,
    **patterns: Any,
) -> str:
    """What :func:`convolve_stored` runs."""
    beside = (*patterns.values(), None if groups == 1 else groups)
    geometry = Geometry.of(stride, padding, dilation, "pith.conv2d")
    kernel, arguments, shape = _prepared(x, w, geometry, bias, activation, residual, beside)
    sizes = ["x".join(map(str, v)) for v in (x.shape, w.shape, shape)]
    heading = f"{sizes[0]} {dtype_name(arguments[-1].dtype)}, filters {sizes[1]}, result {sizes[2]}"
    return f"{heading}\nruns one kernel on what is stored:\n{kernel.explain()}"


def _prepared(
    x: Any, w: Any, geometry: Geometry, bias: Any, activation: str | None, residual: Any, beside: Sequence[Any]
) -> tuple[Kernel, list[np.ndarray], tuple[int, ...]]:
    """The kernel, its arguments and the shape of the result; ``beside``: what may not be given."""
    where = geometry.where
    require_activation(activation, where)
    if any(v is not None for v in beside):
        raise UnsupportedError(
            "stored filters, bias, activation and residual go without patterns and groups",
            where=where,
            hint="convolve the channels that are alive, or each group, by itself",
        )
    w, x_ = _filters(w, where), np.ascontiguousarray(as_array(x, f"{where}: x"))
    if x_.ndim != 4 or len(w.shape) != 4 or x_.shape[1] != w.shape[1]:
        hint = "one image: x[None]; as many channels as filters have"
        if len(w.shape) != 4:
            hint = "a format of a convolution names its dimensions and flattens none: 'MCRS: C0(2:4)'"
        what = f"expects (n, c, height, width) and (f, c, rows, columns), got {x_.shape} and {w.shape}"
        raise ShapeError(what, where=where, hint=hint)
    if x_.dtype != w.values.dtype or x_.dtype.char not in "fd":
        raise DTypeError(f"no kernel for {x_.dtype} and stored {w.values.dtype}", where=where, hint="f32 or f64, both")
    shape = geometry.shape(x_.shape, w.shape)
    shapes = (("bias", bias, shape[1:2]), ("residual", residual, shape))
    extras = [_shaped(value, f"{where}: {name}", expected) for name, value, expected in shapes if value is not None]
    options = (bias is not None, activation, residual is not None, len(x_) == 1)
    kernel = _kernel(w.format, dtype_name(x_.dtype), x_.shape[1:], w.shape, geometry, *options)
    return kernel, [*w.buffers, x_, *extras], shape


def _filters(w: Any, where: str) -> SparseTensor:
    """Stored filters as they are; dense ones as a tensor that stores every element, on the same memory."""
    if isinstance(w, SparseTensor):
        return w
    array = np.ascontiguousarray(as_array(w, f"{where}: w"))
    if array.ndim != 4:
        raise ShapeError(f"expects filters of shape (f, c, rows, columns), got {array.shape}", where=where)
    return SparseTensor(array.shape, Format.dense(4), (array.reshape(-1),))


def _shaped(value: Any, where: str, shape: tuple[int, ...]) -> np.ndarray:
    array = np.ascontiguousarray(as_array(value, where))
    if array.shape != shape:
        raise ShapeError(f"expects shape {shape}, got {array.shape}", where=where)
    return array


@functools.cache
def _kernel(
    fmt: Format, element: str, image: tuple[int, int, int], filters: tuple[int, int, int, int], geometry: Geometry, *how
) -> Kernel:
    """The kernel of a format, sizes and geometry; ``how``: bias, activation, residual, one image."""
    return compile_source(conv2d_source(fmt, element, image, filters, geometry, *how), "conv2d")
