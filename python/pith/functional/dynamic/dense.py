"""Dense products that others are compared with: the library's, or pith's own kernel, with what follows in it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from ...formats.pack_buffers import aligned_empty
from ...runtime import dtype_name, num_threads
from ...runtime.arrays import loaded_torch
from ..matmul.dense import multiply_library

#: ``multiply(left operand, right operand, out, bias)``; ``bias``: a number per column, or None.
MultiplyDense = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None], None]


@functools.cache
def dense_multiplier(element: str, way: str) -> MultiplyDense:
    """What multiplies matrices; what pith's own kernel would copy first, the library where it is usual."""
    from ...tuning.tiles import LIBRARY, OWN, usual_dense

    if way != OWN:
        return library_layer
    usual = usual_dense(element)

    def multiply(a: np.ndarray, b: np.ndarray, out: np.ndarray, bias: np.ndarray | None = None) -> None:
        if usual == LIBRARY and not (a.flags.c_contiguous and b.flags.c_contiguous):
            library_layer(a, b, out, bias)
        else:
            own_layer(np.ascontiguousarray(a), np.ascontiguousarray(b), out, bias)

    return multiply


def library_layer(a: np.ndarray, b: np.ndarray, out: np.ndarray, bias: np.ndarray | None = None) -> None:
    """``out = a @ b + bias`` by the library."""
    torch = loaded_torch()
    if bias is None:
        multiply_library(a, b, out)
    elif torch is not None and all(v.flags.carray for v in (a, b, bias)):
        a, b, bias, out = map(torch.from_numpy, (a, b, bias, out))
        torch.addmm(bias, a, b, out=out)
    else:
        multiply_library(a, b, out)
        add_bias(out, bias)


def own_layer(
    a: np.ndarray, b: np.ndarray, out: np.ndarray, bias: np.ndarray | None = None, rectified: bool = False
) -> None:
    """``out = a @ b + bias``, or ``relu`` of it, of row-major operands by pith's kernel."""
    from ..einsum.einsum import dense_kernel

    kernel = dense_kernel(dtype_name(a.dtype), bias is not None, "relu" if rectified else None)
    kernel(*((a, b) if bias is None else (a, b, bias)), out)


def add_bias(out: np.ndarray, bias: np.ndarray) -> None:
    """Add a number per column to a matrix. 256x1024 f32 takes NumPy 84 us (Emerald Rapids, 2026-11-22)."""
    torch = loaded_torch()
    if torch is not None and bias.flags.writeable:
        torch.from_numpy(out).add_(torch.from_numpy(bias))
    else:
        np.add(out, bias, out=out)


def dense_layer(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, rectified: bool = False) -> np.ndarray:
    """``x @ w + bias``, or ``relu`` of it, of row-major f32 or f64, by what is faster for their sizes.

    pith's own kernel computes what follows on sums that it is about to store: 256x1024 by 1024x4096 f32 with bias and
    ReLU takes it 7.4 ms on two threads, the library 8.2; 15.4 and 15.3 on one (Emerald Rapids, 2026-11-22).
    """
    from ...tuning.tiles import OWN

    (rows, _), columns = x.shape, w.shape[1]
    out = aligned_empty(rows * columns, x.dtype).reshape(rows, columns)
    element = dtype_name(x.dtype)
    plain = x.size and w.size and x.flags.c_contiguous and w.flags.c_contiguous
    if plain and dense_way(element, (*x.shape, columns), num_threads()) == OWN:
        own_layer(x, w, out, bias, rectified)
        return out
    library_layer(x, w, out, bias)
    return _rectify(out) if rectified else out


@functools.lru_cache(maxsize=4096)
def dense_way(element: str, extents: tuple[int, int, int], threads: int) -> str:
    """How a product is run densely: ``extents`` are rows, what is contracted, columns."""
    from ...tuning.tiles import table_for, usual_dense  # they load MLIR, which kernels from the cache do not need

    table = table_for(element, "left", threads)
    return usual_dense(element) if table is None else table.dense_way(table.nearest(extents))


def _rectify(z: np.ndarray) -> np.ndarray:
    """``relu(z)`` in place."""
    torch = loaded_torch()
    if torch is None:
        return np.maximum(z, 0, out=z)
    torch.relu_(torch.from_numpy(z))
    return z
