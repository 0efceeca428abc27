"""Packing and pruning of large tensors by kernels compiled from ``pith.compress`` and ``pith.prune``.

:mod:`pith.packing` decides when they are worth it. They use all threads and no memory beyond the
result, where NumPy needs several times the input.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

import numpy as np

from ..formats import Format
from ..formats.attribute import format_attribute
from ..runtime import dtype_name
from .kernel import compile_source


def applies(array: np.ndarray, fmt: Format) -> bool:
    """True for f32 and f64 in static formats, where the compiler is installed."""
    return (
        fmt.is_static
        and array.ndim == fmt.rank
        and array.dtype in (np.float32, np.float64)
        and importlib.util.find_spec("torch_mlir") is not None
    )


def pack_compiled(array: np.ndarray, fmt: Format) -> list[np.ndarray] | None:
    """The buffers of ``array`` in a static format, or None when it does not obey the format.

    Errors: :class:`pith.ShapeError` when the format does not divide the shape.
    """
    fmt.check_shape(array.shape)
    violation, *parts = _kernel(fmt, dtype_name(array.dtype), "pack").native(array)
    if violation >= 0:
        return None
    *metadata, values = parts[: len(parts) - array.ndim]
    return [*(m.view(f"u{m.itemsize}") if m.itemsize < 4 else m for m in metadata), values]


def prune_compiled(array: np.ndarray, fmt: Format) -> np.ndarray:
    """``array`` pruned to a static format; it must be free of NaN."""
    fmt.check_shape(array.shape)
    return _kernel(fmt, dtype_name(array.dtype), "prune").native(array)


@functools.cache
def _kernel(fmt: Format, element: str, entry: str) -> Any:
    return compile_source(_source(fmt, element, entry), entry)


def _source(fmt: Format, element: str, entry: str) -> str:
    sizes = "x".join("?" * fmt.rank)
    dense, encoded = f"tensor<{sizes}x{element}>", f"tensor<{sizes}x{element}, #fmt>"
    attribute = f"#fmt = {format_attribute(fmt)}\n"
    if entry == "prune":
        return f"""{attribute}
func.func @prune(%w: {dense}) -> {dense} {{
  %p = "pith.prune"(%w) {{format = #fmt}} : ({dense}) -> {dense}
  return %p : {dense}
}}
"""
    return f"""{attribute}
func.func @pack(%w: {dense}) -> (index, {encoded}) {{
  %violation = "pith.validate"(%w) {{format = #fmt}} : ({dense}) -> index
  %packed = "pith.compress"(%w) : ({dense}) -> {encoded}
  return %violation, %packed : index, {encoded}
}}
"""
