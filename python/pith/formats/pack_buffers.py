"""Flat buffers: aligned allocation, widths of metadata, and sub-byte packing."""

from __future__ import annotations

import os

import numpy as np

from ..errors import FormatError

#: Bytes the start of every buffer pith allocates is a multiple of (one cache line, one AVX-512 register).
ALIGNMENT = 64

#: NumPy type of a metadata entry by its width. 8 and 16 bits are unsigned; 32 and 64 are signed because
#: SciPy and torch index with int32 and int64, and sharing their arrays without a copy is worth the one bit.
_DTYPES = {8: np.uint8, 16: np.uint16, 32: np.int32, 64: np.int64}


def metadata_dtype(bits: int) -> np.dtype:
    """NumPy type of a buffer whose entries are ``bits`` wide (below 8: the bytes they are packed into).

    >>> metadata_dtype(2), metadata_dtype(32)
    (dtype('uint8'), dtype('int32'))
    """
    return np.dtype(_DTYPES[max(8, bits)])


def aligned_empty(size: int, dtype: np.dtype | type) -> np.ndarray:
    """A 1-D array of ``size`` elements, uninitialised, that starts on a 64-byte boundary.

    >>> aligned_empty(3, np.float32).ctypes.data % 64
    0
    """
    dtype = np.dtype(dtype)
    nbytes = size * dtype.itemsize
    check_memory(nbytes, "a buffer")
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + nbytes].view(dtype)


def aligned_zeros(size: int, dtype: np.dtype | type) -> np.ndarray:
    """:func:`aligned_empty`, filled with zeros."""
    out = aligned_empty(size, dtype)
    out.view(np.uint8).fill(0)
    return out


def check_memory(
    nbytes: int, what: str, hint: str = "store it in a format without large dense levels, e.g. pith.COO"
) -> None:
    """Raise :class:`FormatError` when ``nbytes`` exceed the machine's memory, or what the process may have of it.

    Compiled code cannot report that: ask before it allocates.
    """
    if nbytes <= 1 << 30:
        return
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if nbytes > memory:
        raise FormatError(f"{what} would take {nbytes:.3g} bytes, more than this machine's {memory:.3g}", hint=hint)
    try:
        np.empty(nbytes, np.uint8)  # addresses, no memory yet
    except MemoryError:
        raise FormatError(f"{what} would take {nbytes:.3g} bytes, more than this process gets", hint=hint) from None


def narrow(entries: np.ndarray, bits: int, what: str) -> np.ndarray:
    """``entries`` (non-negative integers) as an aligned buffer of entries ``bits`` wide.

    Errors: :class:`FormatError` when an entry does not fit; ``what`` names the width's option.

    >>> narrow(np.array([0, 2, 1, 3]), 2, "nm")
    array([216], dtype=uint8)
    """
    dtype = metadata_dtype(bits)
    limit = min(2**bits - 1, int(np.iinfo(dtype).max))
    if entries.size and (largest := int(entries.max())) > limit:
        wider = next((b for b in (8, 16, 32, 64) if largest <= np.iinfo(_DTYPES[b]).max), 64)
        raise FormatError(
            f"{what}Width {bits} holds at most {limit}, got {largest}",
            hint=f"use a wider format: fmt.with_widths({what}={wider})",
        )
    if bits < 8:
        return pack_bits(entries, bits)
    out = aligned_empty(entries.size, dtype)
    out[:] = entries
    return out


def pack_bits(entries: np.ndarray, width: int) -> np.ndarray:
    """Pack entries of 1, 2 or 4 bits into bytes, little-endian; the last byte is filled up with zeros.

    >>> pack_bits(np.array([1, 0, 3]), 2)
    array([49], dtype=uint8)
    """
    per_word = 8 // width
    words = -(-entries.size // per_word)
    padded = np.zeros(words * per_word, np.uint8)
    padded[: entries.size] = entries
    out = aligned_zeros(words, np.uint8)
    for slot, column in enumerate(padded.reshape(words, per_word).T):
        out |= column << (slot * width)
    return out


def unpack_bits(words: np.ndarray, width: int, count: int) -> np.ndarray:
    """The first ``count`` entries of ``width`` bits packed by :func:`pack_bits`.

    >>> unpack_bits(np.array([49], np.uint8), 2, 3)
    array([1, 0, 3], dtype=uint8)
    """
    per_word = 8 // width
    shifts = np.arange(0, 8, width, dtype=np.uint8)
    out = (words[: -(-count // per_word), None] >> shifts) & np.uint8(2**width - 1)
    return out.reshape(-1)[:count]
