"""Linear layers on some of the rows of a batch, where they lie."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..compiler.kernel import Kernel, compile_source
from ..errors import ArgumentError, ShapeError
from ..patterns import Pattern
from ..runtime.arrays import as_array
from .arguments import array_of, empty, float_element, like, shaped
from .dropping_ir import linear_source

_WHERE = "pith.linear"


def linear_where(x: Any, w: Any, where: Pattern, bias: Any, activation: str | None, out: Any) -> Any:
    """What :func:`pith.linear` does with ``where``: rows the pattern does not name are zero, or left in ``out``."""
    array = array_of(x, f"{_WHERE}: x")
    element = float_element(array, f"{_WHERE}: x")
    weight = shaped(w, (-1, array.shape[-1] if array.ndim else -1), array, f"{_WHERE}: weight")
    rows = rows_of(where, array.shape[:-1], f"{_WHERE}: where")
    extras = [] if bias is None else [shaped(bias, weight.shape[:1], array, f"{_WHERE}: bias")]
    shape = (*array.shape[:-1], weight.shape[0])
    if out is None:
        result = target = empty(shape, element)
        target.fill(0)
    else:
        result, target = out, _target(out, shape, array)
        array, weight, *extras = (a.copy() if np.may_share_memory(a, target) else a for a in (array, weight, *extras))
    flat = math.prod(array.shape[:-1])
    kernel = _kernel(element, rows.granularity[0], bias is not None, activation)
    kernel.native(
        rows.coordinates, array.reshape(flat, array.shape[-1]), weight, *extras, target.reshape(flat, weight.shape[0])
    )
    return like(result, x) if out is None else out


def rows_of(where: Any, shape: tuple[int, ...], name: str) -> Pattern:
    """A pattern over the rows of an array whose leading dimensions have ``shape``, as one axis.

    Errors: :class:`pith.ArgumentError` for what is no pattern, :class:`pith.ShapeError` for other axes.
    """
    if not isinstance(where, Pattern):
        raise ArgumentError(
            f"expects a pith.Pattern, got {type(where).__name__}", where=name, hint="pith.Pattern.from_mask(mask)"
        )
    if where.sizes != tuple(shape) and where.sizes != (math.prod(shape),):
        raise ShapeError(
            f"expects a pattern over rows of shape {tuple(shape)}, got {where!r}",
            where=name,
            hint="its sizes are the leading dimensions of x, or their product as one axis: pattern.flatten()",
        )
    return where if where.rank == 1 else where.flatten()


def _target(out: Any, shape: tuple[int, ...], x: Any) -> Any:
    """``out`` as an array that is written in place."""
    view = as_array(out, f"{_WHERE}: out")
    if view.shape != shape or view.dtype != x.dtype or not view.flags.c_contiguous or not view.flags.writeable:
        raise ShapeError(
            f"expects a writable, row-major array of shape {shape} and {x.dtype}, got {view.shape} of {view.dtype}",
            where=f"{_WHERE}: out",
        )
    return view


@functools.cache
def _kernel(element: str, granularity: int, bias: bool, activation: str | None) -> Kernel:
    return compile_source(linear_source(element, granularity, bias, activation), "linear")
