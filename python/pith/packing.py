"""Packing and pruning with whatever is faster: NumPy for small tensors, compiled kernels for large ones."""

from __future__ import annotations

import numpy as np

from .formats import Format
from .formats.pack import pack as pack_numpy
from .formats.prune import prune_array as prune_numpy

#: Elements from which a kernel pays: 4M f32 take NumPy 250 ms to pack or prune, a kernel 10 to 100 ms
#: and finding it in the disk cache 5 ms (2026-11-21, 2 busy cores of an AVX2 machine).
WORTH_A_KERNEL = 1 << 22


def pack(array: np.ndarray, fmt: Format) -> list[np.ndarray]:
    """As :func:`pith.formats.pack.pack`; large arrays in static formats by a compiled kernel."""
    if array.size >= WORTH_A_KERNEL:
        from .compiler import packing

        if packing.applies(array, fmt) and (buffers := packing.pack_compiled(array, fmt)) is not None:
            return buffers
    return pack_numpy(array, fmt)  # also names the element that breaks the format


def prune_array(array: np.ndarray, fmt: Format) -> np.ndarray:
    """As :func:`pith.formats.prune.prune_array`; large arrays in static formats by a compiled kernel."""
    if array.size >= WORTH_A_KERNEL:
        from .compiler import packing

        if packing.applies(array, fmt) and not np.isnan(array).any():
            return packing.prune_compiled(array, fmt)
    return prune_numpy(array, fmt)
