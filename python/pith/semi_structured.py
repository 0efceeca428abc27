"""torch's semi-structured tensors, in CUTLASS's layout: the buffers of ``C0(2:4)`` (``C0(1:2)`` for f32) but for an
interleaving of the metadata.

Both keep, for every group of four, the two coordinates as two bits each, lower one first, so the metadata
of a row, before it is interleaved for tensor cores, is pith's coordinates buffer byte for byte.

Source: ``reorder_meta`` of CUTLASS's host tools, and its use in ``torch.sparse``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import DTypeError, ShapeError, UnsupportedError
from .formats import HSS, Format
from .formats.pack_buffers import pack_bits, unpack_bits

#: Element type -> bytes of a metadata word.
_WORDS = {"int8": 4, "float16": 2, "bfloat16": 2, "float32": 2}


def is_semi_structured(tensor: Any) -> bool:
    """True for instances of ``torch.sparse.SparseSemiStructuredTensor``; does not import torch."""
    return any(base.__name__ == "SparseSemiStructuredTensor" for base in type(tensor).__mro__)


def semi_structured_format(dtype: str) -> Format | None:
    """The format that torch's semi-structured tensors of an element type store, None when it has none.

    >>> print(semi_structured_format("float16"))
    d0 : dense, d1 floordiv 4 : dense, d1 mod 4 : nm(2:4)
    """
    if dtype not in _WORDS:
        return None
    return HSS.parse("C0(1:2)" if dtype == "float32" else "C0(2:4)").to_format()


def storage_of(packed: np.ndarray, meta: np.ndarray) -> tuple[Format, tuple[np.ndarray, np.ndarray]]:
    """Format and buffers of the ``packed`` values and interleaved ``meta`` words of a semi-structured tensor.

    Shapes: packed: (m, k / 2); meta: (m, words per row). The values are shared.
    """
    dtype = packed.dtype.name
    fmt = semi_structured_format(dtype)
    words = _WORDS.get(dtype, 0)
    if fmt is None or meta.dtype.itemsize != words or meta.nbytes * (2 if dtype == "float32" else 4) != packed.size:
        raise DTypeError(f"no semi-structured layout has {packed.shape} {dtype} values with {meta.shape} {meta.dtype}")
    rows = meta.reshape(-1)[_interleaving(meta.shape, words)]
    coordinates = np.ascontiguousarray(rows).view(np.uint8)
    if dtype == "float32":  # a pair of f32 is a group of four halves: its coordinate is the upper bit of the first
        coordinates = pack_bits(unpack_bits(coordinates, 4, packed.size) >> 1 & 1, 1)
    return fmt, (coordinates, np.ascontiguousarray(packed).reshape(-1))


def words_of(tensor: Any) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of :func:`storage_of` for a :class:`pith.SparseTensor`: packed values and interleaved words.

    Errors: :class:`pith.ShapeError` for sizes that fill no metadata block of tensor cores.
    """
    dtype = tensor.dtype.name
    words, (m, k) = _WORDS[dtype], tensor.shape
    rows, columns = 64 // words, words * (16 if dtype == "float32" else 32)
    if m % rows or k % columns or not m * k:
        raise ShapeError(
            f"torch's semi-structured layout of {dtype} wants multiples of {rows} x {columns}, got {m} x {k}",
            hint="A.to(pith.CSR).to_torch(), or pad the matrix",
        )
    coordinates = tensor.buffers[0]
    if dtype == "float32":
        upper = unpack_bits(coordinates, 1, m * k // 2)
        coordinates = pack_bits(4 + 10 * upper, 4)  # 0b0100 or 0b1110: both halves of the f32
    meta = coordinates.view(f"i{words}").reshape(m, -1)
    out = np.empty(meta.size, meta.dtype)
    out[_interleaving(meta.shape, words)] = meta.reshape(-1)
    return tensor.values.reshape(m, k // 2), out.reshape(meta.shape)


def from_semi_structured(tensor: Any, numpy_of: Any) -> tuple[tuple[int, ...], Format, tuple[np.ndarray, ...]]:
    """Parts of a semi-structured torch tensor; ``numpy_of`` turns its dense buffers into NumPy's.

    Errors: :class:`pith.UnsupportedError` for cuSPARSELt's layout, which is not documented.
    """
    if tensor.packed is None or tensor.meta is None:
        raise UnsupportedError(
            f"a {type(tensor).__name__} whose values and metadata are one opaque buffer",
            hint="use torch's CUTLASS layout (SparseSemiStructuredTensor._FORCE_CUTLASS = True), or t.to_dense()",
        )
    fmt, buffers = storage_of(numpy_of(tensor.packed), numpy_of(tensor.meta))
    return tuple(tensor.shape), fmt, buffers


def to_semi_structured(tensor: Any, torch_of: Any) -> Any:
    """A ``SparseSemiStructuredTensorCUTLASS`` on the host; ``torch_of`` turns NumPy arrays into torch tensors."""
    import torch

    packed, meta = words_of(tensor)
    make = torch.sparse.SparseSemiStructuredTensorCUTLASS
    return make(torch.Size(tensor.shape), torch_of(packed), torch_of(meta), None, None, None)


def _interleaving(shape: tuple[int, ...], word_bytes: int) -> np.ndarray:
    """Where each metadata word of a row-major (m, columns) matrix stands once interleaved."""
    m, columns = shape
    group, step = (32, 4) if word_bytes == 2 else (16, 2)
    row, column = np.indices((m, columns))
    row = row // group * group + row % 8 * step + row % group // 8
    swap = ((row % 2 == 0) & (column % 2 == 1)).astype(int) - ((row % 2 == 1) & (column % 2 == 0))
    row, column = row + swap, column - swap
    return (column // 2 * m * 2 + row * 2 + column % 2).reshape(-1)
