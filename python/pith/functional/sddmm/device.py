"""``pith.sddmm`` on a GPU: factors and values stay there, the pattern is copied there once."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ...compiler.compile import compile as compile_program
from ...compiler.gpu import GpuKernel
from ...errors import ArgumentError, DeviceError, DTypeError, ShapeError
from ...formats import Format
from ...patterns.device import ELEMENTS
from ...runtime.arrays import is_torch
from ...runtime.cuda import DeviceSparse, chip_of, device
from ...runtime.cuda.resident import resident
from ...sparse import SparseTensor
from .ir import SUMS, sddmm_source

_WHERE = "pith.sddmm"


def sddmm_on_device(
    a: Any, b: Any, pattern: SparseTensor, out: Any = None, accumulate: bool = False, target: str | None = None
) -> Any:
    """The values of :func:`pith.sddmm` for torch tensors on a GPU, or with ``target="emulate:sm_90"`` of host arrays.

    Shapes, Semantics and Errors: those of :func:`pith.sddmm`, whose sizes are checked before.
    """
    element = _element(a, b)
    if out is None and accumulate:
        raise ArgumentError("accumulate=True adds to out, which is missing", where=_WHERE, hint="pass out=")
    if out is not None and (tuple(out.shape) != (pattern.nse,) or out.dtype != a.dtype):
        given = f"{out.dtype} of shape {tuple(out.shape)}"
        raise ShapeError(f"expects {a.dtype} of shape ({pattern.nse},), got {given}", where=f"{_WHERE}: out")
    (left, left_transposed), (right, right_transposed) = _stored(a), _stored(b)
    kernel = _kernel(pattern.format, element, left_transposed, right_transposed, accumulate, target or chip_of(a))
    if target is None:
        metadata: tuple[Any, ...] = resident(pattern, device(a.device.index or 0)).arrays[:-1]  # type: ignore[union-attr]
    else:
        metadata = pattern.buffers[:-1]
    values = (a.new_empty(pattern.nse) if is_torch(a) else np.empty(pattern.nse, a.dtype)) if out is None else out
    made = kernel(*metadata, *pattern.shape, left, right, values)
    if made is not values and out is not None:
        out[...] = made
        return out
    return made


def sampled_on_device(a: Any, b: Any, pattern: SparseTensor, out: Any, accumulate: bool) -> DeviceSparse:
    """:func:`pith.sddmm` of torch tensors: a matrix on the device, on the pattern's own metadata there."""
    values = sddmm_on_device(a, b, pattern, out, accumulate)
    return on_device_of(values, pattern)


def on_device_of(values: Any, pattern: SparseTensor) -> DeviceSparse:
    """The matrix that stores ``values``, a tensor on a GPU, in the pattern of another."""
    copied = resident(pattern, device(values.device.index or 0))
    return DeviceSparse(pattern, (*copied.arrays[:-1], values))  # type: ignore[union-attr]


def _element(a: Any, b: Any) -> str:
    places = sorted({str(getattr(v, "device", "cpu")) for v in (a, b)})
    if len(places) > 1:
        raise DeviceError(f"expects both factors on one device, got {' and '.join(places)}", where=_WHERE)
    if a.dtype != b.dtype or (element := ELEMENTS.get(str(a.dtype).removeprefix("torch."))) not in SUMS:
        hint = "convert both to one of " + ", ".join(SUMS)
        raise DTypeError(f"no sddmm kernel for {a.dtype} and {b.dtype}", where=_WHERE, hint=hint)
    return element


def _stored(x: Any) -> tuple[Any, bool]:
    """A row-major array, and whether it is the transposed one; copied when neither is."""
    if not is_torch(x):
        return np.ascontiguousarray(x), False
    if not x.is_contiguous() and x.t().is_contiguous():
        return x.t(), True
    return x.contiguous(), False


@functools.lru_cache(maxsize=256)
def _kernel(fmt: Format, element: str, left: bool, right: bool, accumulate: bool, target: str) -> GpuKernel:
    return compile_program(sddmm_source(fmt, element, left, right, accumulate, program=True), target=target)
