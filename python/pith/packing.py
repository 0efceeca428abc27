"""Packing, unpacking and pruning with whatever is faster: NumPy for small tensors, compiled kernels for large ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .formats import Format
from .formats.pack import pack as pack_numpy
from .formats.pack_buffers import check_memory
from .formats.pack_digits import rounded_up, slot_limits
from .formats.pack_read import unpack as unpack_numpy
from .formats.prune import MAGNITUDE, Ranking, keep_mask, masked, nan_error

#: Elements from which a kernel pays: 1M f32 take NumPy 60 ms to pack or prune, a kernel 1 to 5 ms
#: and finding it in the disk cache 5 ms (2026-11-21, 2 busy cores of an AVX2 machine).
WORTH_A_KERNEL = 1 << 20

_STAYS_SPARSE = (
    "A.to(fmt), A[rows] and products with dense arrays need no dense copy; of two sparse matrices: "
    "A.to(pith.CSR).to_scipy() @ B.to(pith.CSR).to_scipy()"
)


def pack(array: np.ndarray, fmt: Format) -> list[np.ndarray]:
    """As :func:`pith.formats.pack.pack`; large arrays by a compiled kernel."""
    if array.size >= WORTH_A_KERNEL:
        from .compiler import packing

        if packing.packs(array, fmt) and (buffers := packing.pack_compiled(array, fmt)) is not None:
            return buffers
    return pack_numpy(array, fmt)  # also names the element that breaks the format


def unpack(buffers: Sequence[np.ndarray], fmt: Format, shape: Sequence[int]) -> np.ndarray:
    """As :func:`pith.formats.pack_read.unpack`; large tensors by a compiled kernel.

    Errors: :class:`pith.FormatError` for a dense tensor that does not fit into memory.

    4096x4096 of f32 in C0(2:4) take NumPy 270 ms, the kernel 16 to 22, a copy 9 (Emerald Rapids, 2026-11-23).
    """
    if math.prod(shape) >= WORTH_A_KERNEL:
        from .compiler import packing

        size = "x".join(map(str, shape))
        check_memory(math.prod(shape) * buffers[-1].itemsize, f"the dense array ({size})", hint=_STAYS_SPARSE)
        if packing.takes(buffers[-1], fmt):
            return packing.unpack_compiled(buffers, fmt, shape)
    return unpack_numpy(buffers, fmt, shape)


def prune_array(
    array: np.ndarray, fmt: Format, ranking: Ranking = MAGNITUDE, saliency: np.ndarray | None = None
) -> np.ndarray:
    """``array`` with zeros where :func:`pith.formats.prune.keep_mask` drops; large ones by a compiled kernel.

    Shapes: saliency: that of ``array``, ranked by instead of it.
    """
    fmt.check_shape(array.shape)
    if array.size >= WORTH_A_KERNEL and slot_limits(fmt):
        pruned = _by_kernel(array, fmt, ranking, saliency)
        if pruned is not None:
            return pruned
    keep = keep_mask(array if saliency is None else saliency, fmt, ranking)
    return masked(array, keep)


def prune_mask(ranked: np.ndarray, fmt: Format, ranking: Ranking = MAGNITUDE) -> np.ndarray:
    """:func:`pith.formats.prune.keep_mask`; of large arrays by a compiled kernel."""
    if ranked.size >= WORTH_A_KERNEL and slot_limits(fmt):
        return prune_array(np.ones(ranked.shape, np.int8), fmt, ranking, ranked).view(bool)
    return keep_mask(ranked, fmt, ranking)


def _by_kernel(array: np.ndarray, fmt: Format, ranking: Ranking, saliency: np.ndarray | None) -> np.ndarray | None:
    """The pruned array; None when no kernel does it."""
    from .compiler import packing

    ranked = array if saliency is None else saliency
    if not packing.prunes(array, ranked):
        return None
    if fmt.padded and (shape := fmt.padded_shape(array.shape)) != array.shape:
        if ranking.score == "value" or not math.prod(shape):
            return None  # padding would rank above negative numbers
        padded = None if saliency is None else rounded_up(saliency, fmt)
        out = _by_kernel(rounded_up(array, fmt), fmt.with_padding(False), ranking, padded)
        return None if out is None else np.ascontiguousarray(out[tuple(slice(s) for s in array.shape)])
    pruned, has_nan = packing.prune_compiled(array, fmt.with_padding(False), ranking, saliency)
    if has_nan:
        raise nan_error(np.isnan(ranked), ranking)
    return pruned
