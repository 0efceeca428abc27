"""Tensor maps as the emulator reads them: the size of the hardware's descriptor, with contents of our own."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from .arrays import row_major_strides

#: ``TensorMap::kMagic`` of ``runtime/emulator/mbarrier.h``: "pithmap1".
MAGIC = 0x3170616D68746970


class EmulatedMap(ctypes.Structure):
    """Mirrors ``TensorMap`` of ``runtime/emulator/mbarrier.h``; dimensions count from the fastest."""

    _fields_ = (
        ("magic", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("rank", ctypes.c_uint32),
        ("element_bytes", ctypes.c_uint32),
        ("swizzle", ctypes.c_uint64),
        ("sizes", ctypes.c_uint64 * 5),
        ("strides", ctypes.c_uint64 * 4),
        ("box", ctypes.c_uint32 * 5),
        ("unused", ctypes.c_uint32),
    )


def emulated_map(
    address: int, element_bytes: int, shape: Sequence[int], box: Sequence[int], swizzle: int
) -> EmulatedMap:
    """The descriptor of a row-major array at ``address``; ``shape`` and ``box`` count from the slowest dimension.

    Example:
        >>> held = emulated_map(4096, 2, (100, 64), (32, 64), 128)
        >>> list(held.sizes[:2]), list(held.strides[:1]), list(held.box[:2])
        ([64, 100], [128], [64, 32])
    """
    strides = [stride * element_bytes for stride in row_major_strides(tuple(shape))][:-1]
    held = EmulatedMap(MAGIC, address, len(shape), element_bytes, swizzle)
    held.sizes[: len(shape)] = list(reversed(shape))
    held.strides[: len(strides)] = list(reversed(strides))
    held.box[: len(box)] = list(reversed(box))
    return held
