"""Packing, unpacking and pruning by kernels compiled from ``pith.compress``, ``decompress``, ``prune_by``, ``repack``.

:mod:`pith.packing` decides when they are worth it. They use all threads and no memory beyond the
result, where NumPy needs several times the input.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..formats import Format
from ..formats.attribute import format_attribute
from ..formats.masks import mask_level
from ..formats.prune import Ranking
from ..runtime import dtype_name
from .kernel import compile_source
from .stored_text import StoredText

#: Element types with kernels; the others would have to be told apart from these (unsigned integers), or are rare.
_ELEMENTS = ("float32", "float64", "float16", "bfloat16", "int8")


def prunes(array: np.ndarray, ranked: np.ndarray) -> bool:
    """True when the compiler is installed and knows the element types."""
    return array.dtype.name in _ELEMENTS and ranked.dtype.name in _ELEMENTS and _compiler_is_installed()


def packs(array: np.ndarray, fmt: Format) -> bool:
    """True where the compiler is installed and knows the element type, of formats in the order of coordinates."""
    plain = fmt.diagonal is None and not mask_level(fmt)
    return plain and array.ndim == fmt.rank and array.dtype.name in _ELEMENTS and _compiler_is_installed()


@functools.cache
def _compiler_is_installed() -> bool:
    return importlib.util.find_spec("torch_mlir") is not None


def pack_compiled(array: np.ndarray, fmt: Format) -> list[np.ndarray] | None:
    """The buffers of ``array`` in a format, or None when it does not obey the format.

    Errors: :class:`pith.ShapeError` when the format does not divide the shape.
    """
    fmt.check_shape(array.shape)
    violation, *parts = _pack_kernel(fmt, dtype_name(array.dtype)).native(array)
    if violation >= 0:
        return None
    *metadata, values = parts[: len(parts) - array.ndim]
    return [*(m.view(f"u{m.itemsize}") if m.itemsize < 4 else m for m in metadata), values]


def unpack_compiled(buffers: Sequence[np.ndarray], fmt: Format, shape: Sequence[int]) -> np.ndarray:
    """The dense tensor of a shape that ``buffers`` store; the inverse of :func:`pack_compiled`."""
    return _unpack_kernel(fmt, dtype_name(buffers[-1].dtype)).native(*buffers, *shape)


@functools.cache
def _unpack_kernel(fmt: Format, element: str) -> Any:
    dense = f"tensor<{'x'.join('?' * fmt.rank)}x{element}>"
    encoded = f"{dense[:-1]}, #fmt>"
    source = f"""#fmt = {format_attribute(fmt)}

func.func @unpack(%a: {encoded}) -> {dense} {{
  %w = "pith.decompress"(%a) : ({encoded}) -> {dense}
  return %w : {dense}
}}
"""
    return compile_source(source, "unpack")


def prune_compiled(
    array: np.ndarray, fmt: Format, ranking: Ranking, saliency: np.ndarray | None = None
) -> tuple[np.ndarray, bool]:
    """``array`` pruned, and whether what was ranked holds a NaN: then the array means nothing."""
    fmt.check_shape(array.shape)
    bounded = ranking.floor != -math.inf
    ranked = None if saliency is None else dtype_name(saliency.dtype)
    kernel = _prune_kernel(fmt, dtype_name(array.dtype), ranked, ranking.score, bounded)
    args = [array] if saliency is None else [array, saliency]
    pruned, has_nan = kernel.native(*args, *([ranking.floor] if bounded else []))
    return pruned, bool(has_nan)


def takes(array: np.ndarray, fmt: Format) -> bool:
    """True when the compiler is installed and knows the element type; formats of diagonals are NumPy's."""
    return fmt.diagonal is None and array.dtype.name in _ELEMENTS and _compiler_is_installed()


def violation_compiled(array: np.ndarray, fmt: Format) -> int:
    """Row-major index of the first element that breaks the format, -1 when none does."""
    return _validate_kernel(fmt, dtype_name(array.dtype)).native(array)


@functools.cache
def _validate_kernel(fmt: Format, element: str) -> Any:
    dense = f"tensor<{'x'.join('?' * fmt.rank)}x{element}>"
    source = f"""#fmt = {format_attribute(fmt)}

func.func @validate(%w: {dense}) -> index {{
  %violation = "pith.validate"(%w) {{format = #fmt}} : ({dense}) -> index
  return %violation : index
}}
"""
    return compile_source(source, "validate")


def repack_compiled(buffers: Sequence[np.ndarray], fmt: Format, dense: np.ndarray) -> np.ndarray:
    """The elements of ``dense`` at what ``buffers`` store, in storage order; of complex ones part by part."""
    if dense.dtype.kind == "c":
        *metadata, old = buffers
        new = np.empty(old.shape, dense.dtype)
        for part in (np.real, np.imag):
            part(new)[:] = repack_compiled(
                [*metadata, np.ascontiguousarray(part(old))], fmt, np.ascontiguousarray(part(dense))
            )
        return new
    return _repack_kernel(fmt, dtype_name(dense.dtype)).native(*buffers, *dense.shape, dense)


@functools.cache
def _repack_kernel(fmt: Format, element: str) -> Any:
    """The kernel; it returns the values alone: metadata that is returned would be copied."""
    sizes = "x".join("?" * fmt.rank)
    dense, encoded, values = f"tensor<{sizes}x{element}>", f"tensor<{sizes}x{element}, #fmt>", f"tensor<?x{element}>"
    source = f"""#fmt = {format_attribute(fmt)}

func.func @repack(%a: {encoded}, %d: {dense}) -> {values} {{
  %r = "pith.repack"(%a, %d) : ({encoded}, {dense}) -> {encoded}
{StoredText.of(fmt).disassemble(values, encoded)}  return %w : {values}
}}
"""
    return compile_source(source, "repack")


@functools.cache
def _pack_kernel(fmt: Format, element: str) -> Any:
    sizes = "x".join("?" * fmt.rank)
    dense, encoded = f"tensor<{sizes}x{element}>", f"tensor<{sizes}x{element}, #fmt>"
    source = f"""#fmt = {format_attribute(fmt)}

func.func @pack(%w: {dense}) -> (index, {encoded}) {{
  %violation = "pith.validate"(%w) {{format = #fmt}} : ({dense}) -> index
  %packed = "pith.compress"(%w) : ({dense}) -> {encoded}
  return %violation, %packed : index, {encoded}
}}
"""
    return compile_source(source, "pack")


@functools.cache
def _prune_kernel(fmt: Format, element: str, saliency: str | None, score: str, bounded: bool) -> Any:
    """The kernel for a format; without a bound the floor is a constant and costs nothing."""
    sizes = "x".join("?" * fmt.rank)
    dense = f"tensor<{sizes}x{element}>"
    ranked = dense if saliency is None else f"tensor<{sizes}x{saliency}>"
    params = f"%w: {dense}" + (f", %s: {ranked}" if saliency else "") + (", %floor: f64" if bounded else "")
    floor = "" if bounded else "  %floor = arith.constant 0xFFF0000000000000 : f64\n"
    source = f"""#fmt = {format_attribute(fmt)}

func.func @prune({params}) -> ({dense}, i1) {{
{floor}  %p, %nan = "pith.prune_by"(%w, {"%s" if saliency else "%w"}, %floor) {{format = #fmt, score = "{score}"}}
    : ({dense}, {ranked}, f64) -> ({dense}, i1)
  return %p, %nan : {dense}, i1
}}
"""
    return compile_source(source, "prune")
