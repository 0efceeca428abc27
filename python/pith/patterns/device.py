"""Patterns of tensors that lie on a GPU: found there, listed on the host."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError, UnsupportedError
from ..runtime.cuda import chip_of
from .check import granularity_of, grid_of
from .detection import dimensions_of, thresholds_of
from .kernels import dense, numbers, pattern_type
from .pattern import Pattern

#: Element types with a kernel, by the names of torch and of NumPy.
ELEMENTS = {
    "float16": "f16",
    "bfloat16": "bf16",
    "float32": "f32",
    "float64": "f64",
    "int8": "i8",
    "uint8": "i8",
    "int16": "i16",
    "int32": "i32",
    "int64": "i64",
    "bool": "i1",
}


def detect_on_device(
    x: Any, granularity: Any, axes: Any, threshold: Any, deterministic: bool, target: str | None = None
) -> Pattern:
    """:func:`pith.detect` of a torch tensor on a GPU, or with ``target="emulate:sm_90"`` of an array of the host.

    Errors: those of :func:`pith.detect`; :class:`pith.UnsupportedError` for a threshold per channel.
    """
    shape = tuple(x.shape)
    if not shape:
        raise ShapeError("expects at least one dimension, got a scalar", where="detect")
    dims = dimensions_of(axes, len(shape))
    extents = granularity_of(granularity, len(dims))
    sizes = tuple(shape[d] for d in dims)
    grid_of(sizes, extents)
    limit, channel = thresholds_of(threshold, shape)
    if channel is not None:
        raise UnsupportedError(
            "expects one threshold for a tensor on a GPU",
            where="detect",
            hint="call x.cpu(), or use the op pith.detect_by in a program",
        )
    name = str(x.dtype).removeprefix("torch.")
    if name not in ELEMENTS:
        raise DTypeError(f"expects real numbers or booleans, got {x.dtype}", where="detect", hint="x.abs()")
    kernel = _kernel(ELEMENTS[name], len(shape), dims, extents, deterministic, name == "uint8", target or chip_of(x))
    listed = kernel(x.detach().contiguous() if hasattr(x, "detach") else np.ascontiguousarray(x), limit)
    host = listed.cpu().numpy() if hasattr(listed, "cpu") else listed
    return Pattern.from_list(host, sizes=sizes, granularity=extents)


@functools.lru_cache(maxsize=256)
def _kernel(
    element: str,
    rank: int,
    axes: tuple[int, ...],
    granularity: tuple[int, ...],
    deterministic: bool,
    unsigned: bool,
    target: str,
) -> Any:
    from ..compiler.compile import compile as compile_program

    source, pattern = dense(rank, element), pattern_type(len(axes), granularity)
    options = f"axes = {numbers(axes)}, granularity = {numbers(granularity)}, channel = array<i64>"
    options += ", pith.deterministic = true" * deterministic + ", pith.unsigned = true" * unsigned
    return compile_program(
        f"""func.func @detect(%x: {source}, %threshold: f64) -> {pattern} {{
  %p = "pith.detect_by"(%x, %threshold) {{{options}}} : ({source}, f64) -> {pattern}
  return %p : {pattern}
}}
""",
        target=target,
    )
