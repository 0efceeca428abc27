"""Arguments of workloads, checked: arrays, their element types, results of the caller's kind."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..compiler.kernel import as_torch
from ..errors import DTypeError, ShapeError
from ..functional.linear.ir import COMPUTED_IN
from ..runtime import dtype_name, numpy_dtype
from ..runtime.arrays import as_array, empty_array, is_torch


def array_of(value: Any, where: str) -> np.ndarray:
    """A row-major NumPy view of an array or torch tensor; copied only when it is not row-major.

    Errors: :class:`pith.ArgumentError`, :class:`pith.DeviceError`, naming ``where``.
    """
    return np.asarray(as_array(value, where), order="C")


def float_element(array: np.ndarray, where: str) -> str:
    """The element type of an array of floating-point numbers.

    Errors: :class:`pith.DTypeError` for other arrays.

    Example:
        >>> float_element(np.zeros(1, np.float32), "x")
        'f32'
    """
    element = _float_element(array.dtype)
    if element is None:
        raise DTypeError(f"expects floating-point numbers, got {array.dtype}", where=where, hint="x.astype(np.float32)")
    return element


@functools.cache
def _float_element(dtype: np.dtype) -> str | None:
    """The element type kernels have for a dtype of floating-point numbers, None for others."""
    element = dtype_name(dtype) if dtype.kind in "fV" else None
    return element if element in COMPUTED_IN else None


def shaped(value: Any, shape: Sequence[int], like: np.ndarray, where: str) -> np.ndarray:
    """An array of a shape (-1: any size) with the element type of ``like``.

    Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`.
    """
    array = array_of(value, where)
    if len(array.shape) != len(shape) or any(want not in (-1, got) for want, got in zip(shape, array.shape)):
        want = ", ".join("..." if n < 0 else str(n) for n in shape)
        raise ShapeError(f"expects shape ({want}{',' * (len(shape) == 1)}), got {array.shape}", where=where)
    if array.dtype != like.dtype:
        raise DTypeError(f"expects {like.dtype} like the other operands, got {array.dtype}", where=where)
    return array


def empty(shape: Sequence[int], element: str) -> np.ndarray:
    """An uninitialised array on a cache line's boundary."""
    return empty_array(shape, numpy_dtype(element))


def like(result: np.ndarray, original: Any) -> Any:
    """``result``, as a torch tensor when ``original`` is one."""
    return as_torch(result) if is_torch(original) else result
