"""SciPy and torch tensors in and out, without copies where the layouts agree.

Functions here return the arguments of :class:`pith.SparseTensor`: (shape, format, buffers).
Neither library is imported before a tensor of it is seen or asked for.
"""

from __future__ import annotations

import numbers
import sys
from typing import Any

import numpy as np

from .errors import ArgumentError, DeviceError, DTypeError, FormatError, UnsupportedError
from .formats.diagonals import lowest
from .formats.format import Format
from .formats.layouts import bsc, is_transposed_layout, layout_of
from .formats.pack import pack_coordinates
from .formats.pack_buffers import aligned_empty
from .runtime.arrays import is_torch, plain_array, unreadable
from .semi_structured import from_semi_structured, is_semi_structured, semi_structured_format, to_semi_structured

Parts = tuple[tuple[int, ...], Format, tuple[np.ndarray, ...]]


def is_foreign(value: Any) -> bool:
    """True for a sparse matrix of SciPy or torch; imports neither."""
    if is_torch(value):
        torch = sys.modules["torch"]
        return value.layout is not torch.strided or (type(value) is not torch.Tensor and is_semi_structured(value))
    return type(value).__module__.startswith("scipy.sparse")


def numpy_of(value: Any) -> np.ndarray:
    """A dense NumPy array of ``value``: arrays as they are, torch tensors shared (CPU) or copied to the host.

    Errors: :class:`pith.DTypeError` for anything that is not a dense tensor; :class:`pith.DeviceError` on ``meta``.
    """
    if is_torch(value):
        if str(value.layout) != "torch.strided":
            raise DTypeError(
                f"expects a dense tensor, got layout {value.layout}",
                hint="t.to_dense(), or pith.SparseTensor.from_torch(t) where a SparseTensor is taken",
            )
        if value.device.type == "meta":
            raise DeviceError("a tensor on the meta device has no values", hint="materialise it first")
        return _numpy_of_torch(value.detach().cpu())
    if isinstance(value, np.ndarray):
        return value if type(value) is np.ndarray else plain_array(value)
    hint = "of a module, its weights one by one: module.weight" if hasattr(value, "parameters") else "numpy.asarray(x)"
    hint = "its dense array: A.to_dense()" if hasattr(value, "to_dense") else hint
    hint = "its dense array: A.toarray()" if is_foreign(value) else hint
    raise DTypeError(f"expects a NumPy array or torch tensor, got {type(value).__name__}", hint=hint)


def array_like(values: Any, what: str) -> np.ndarray:
    """As :func:`numpy_of`, and of nested sequences of numbers.

    Errors: :class:`pith.ArgumentError` for sequences that are no array.

    Example:
        >>> array_like([[1, 2], [3, 4]], "lengths").shape
        (2, 2)
    """
    if is_torch(values) or isinstance(values, np.ndarray):
        return numpy_of(values)
    if is_foreign(values):  # NumPy would wrap it in an array of objects
        raise ArgumentError(f"expects an array, got {type(values).__name__}", where=what, hint="A.toarray()")
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"expects an array: {error}", where=what) from None


def index_of(key: Any) -> Any:
    """``key``, what is like an array as one of integers or booleans: SciPy takes NaN for some number, out of bounds."""
    if isinstance(key, tuple):
        return tuple(map(index_of, key))
    if key is None or key is Ellipsis or isinstance(key, slice | numbers.Integral) or is_foreign(key):
        return key
    array = array_like(key, "index")
    if array.dtype.kind not in "iub" and array.size:
        raise TypeError(f"indices are integers, slices or booleans, got {key!r}")
    return array if array.ndim else array[()]


def _numpy_of_torch(tensor: Any) -> np.ndarray:
    """``tensor.numpy()`` that also knows the types NumPy lacks, through ml_dtypes."""
    name = str(tensor.dtype).removeprefix("torch.")
    if name == "bfloat16" or name.startswith("float8"):
        import ml_dtypes
        import torch

        bits = torch.int16 if name == "bfloat16" else torch.uint8
        return tensor.contiguous().view(bits).numpy().view(getattr(ml_dtypes, name))
    try:
        return tensor.numpy()
    except (TypeError, RuntimeError) as error:  # quantized, nested
        raise unreadable(sys.modules["torch"], error) from error


def torch_of_numpy(array: np.ndarray) -> Any:
    """``torch.from_numpy`` that also takes ml_dtypes."""
    import torch

    if array.dtype.type.__module__ != "ml_dtypes":  # of its types float8_e5m2 is of kind "f"
        return torch.from_numpy(array)
    bits = np.int16 if array.dtype.itemsize == 2 else np.uint8
    return torch.from_numpy(array.view(bits)).view(getattr(torch, array.dtype.name))


def _index(array: np.ndarray) -> np.ndarray:
    """Indices as int32 or int64, shared when they are."""
    return np.ascontiguousarray(array, np.int32 if array.dtype == np.int32 else np.int64)


# -- SciPy ------------------------------------------------------------------------------


def from_scipy(matrix: Any) -> Parts:
    """Parts of a SciPy sparse matrix or array, of any of SciPy's formats."""
    import scipy.sparse as sp

    if not sp.issparse(matrix):
        raise DTypeError(f"expects a SciPy sparse matrix or array, got {type(matrix).__name__}")
    if matrix.format in ("csr", "csc", "bsr") and matrix.has_canonical_format:
        indptr, indices = _index(matrix.indptr), _index(matrix.indices)
        width = indices.dtype.itemsize * 8
        if matrix.format == "bsr":
            fmt = Format.bsr(matrix.blocksize[0], matrix.blocksize[1], width)
        else:
            fmt = Format.csr(width) if matrix.format == "csr" else Format.csc(width)
        return tuple(matrix.shape), fmt, (indptr, indices, np.ascontiguousarray(matrix.data).reshape(-1))
    if matrix.format in ("csr", "csc", "bsr"):
        parts = matrix.copy()
        parts.sum_duplicates()
        return from_scipy(parts)
    coo = matrix.tocoo(copy=False)
    return from_coo([_index(c) for c in coo.coords], np.ascontiguousarray(coo.data), tuple(coo.shape))


def from_coo(dims: list[np.ndarray], values: np.ndarray, shape: tuple[int, ...]) -> Parts:
    """Parts of a tensor given by coordinates; they are shared when sorted row by row and distinct."""
    width = 64 if any(c.dtype == np.int64 for c in dims) else 32
    fmt = Format.coo(len(shape), width)
    if not _sorted_distinct(dims):
        return shape, fmt, tuple(pack_coordinates(dims, values, shape, fmt))
    positions = aligned_empty(2, dims[0].dtype)
    positions[:] = 0, values.size
    return shape, fmt, (positions, *dims, values)


def _sorted_distinct(dims: list[np.ndarray]) -> bool:
    """True when entries are in lexicographic order without repetitions."""
    above = np.zeros(max(0, dims[0].size - 1), bool)  # already larger than the entry before
    for c in dims:
        if np.any(~above & (c[1:] < c[:-1])):
            return False
        above |= c[1:] > c[:-1]
    return bool(above.all())


def to_scipy(tensor: Any) -> Any:
    """The SciPy array that shares the buffers of a :class:`pith.SparseTensor`; diagonals and BSC are copied."""
    import scipy.sparse as sp

    if tensor.dtype.kind == "V":
        raise DTypeError(f"SciPy has no element type {tensor.dtype}", hint="A.astype(numpy.float32)")
    if is_transposed_layout(tensor.format):
        return to_scipy(tensor.T).T
    kind, block = layout_of(tensor.format)
    if kind == "coo":
        _, *dims, values = tensor.buffers
        return sp.coo_array((values, tuple(dims)), shape=tensor.shape)
    if kind == "dia":
        return sp.dia_array(_shifted_diagonals(tensor), shape=tensor.shape)
    positions, coordinates, values = tensor.buffers
    if kind == "bsr":
        return sp.bsr_array((values.reshape(-1, *block), coordinates, positions), shape=tensor.shape, blocksize=block)
    if kind == "bsc":  # the rows of the transposed matrix, of blocks that are transposed, too
        blocks = np.ascontiguousarray(values.reshape(-1, *block).swapaxes(1, 2))
        return sp.bsr_array((blocks, coordinates, positions), shape=tensor.shape[::-1], blocksize=block[::-1]).T
    make = sp.csr_array if kind == "csr" else sp.csc_array
    return make((values, coordinates, positions), shape=tensor.shape)


def _shifted_diagonals(tensor: Any) -> tuple[np.ndarray, np.ndarray]:
    """SciPy's arrays of a matrix stored by diagonals: an element stands at its column there, at its row here."""
    rows, columns = tensor.shape
    if (band := tensor.format.levels[-1]).kind == "band":
        offsets = np.arange(-band.lower, band.upper + 1)
        stored = tensor.values.reshape(rows, offsets.size).T
    else:
        offsets = lowest(tensor.format, tensor.shape) + tensor.buffers[1].astype(np.int64)
        stored = tensor.values.reshape(offsets.size, rows)
    data = np.zeros((offsets.size, columns), tensor.dtype)
    for out, diagonal, offset in zip(data, stored, offsets.tolist()):
        begin, end = max(0, -offset), min(rows, columns - offset)
        if begin < end:  # a band may be wider than its matrix
            out[begin + offset : end + offset] = diagonal[begin:end]
    return data, offsets


# -- torch ------------------------------------------------------------------------------


def from_torch(tensor: Any) -> Parts | None:
    """Parts of a sparse torch tensor on the CPU, or a semi-structured one anywhere; None for a strided one."""
    if not is_torch(tensor):
        raise DTypeError(f"expects a torch tensor, got {type(tensor).__name__}")
    if is_semi_structured(tensor):
        return from_semi_structured(tensor, lambda part: _numpy_of_torch(part.detach().cpu()))
    if tensor.device.type != "cpu":
        raise DeviceError(f"expects a tensor on the CPU, got {tensor.device}", hint="t.cpu()")
    layout = str(tensor.layout).removeprefix("torch.")
    if layout == "strided":
        return None
    tensor = tensor.detach()
    if layout == "sparse_coo":
        return _from_torch_coo(tensor)
    if tensor.values().dim() != (3 if layout in ("sparse_bsr", "sparse_bsc") else 1):
        raise UnsupportedError(f"torch tensors of layout {layout} with batch or dense dimensions", hint="t.to_dense()")
    by_row = layout in ("sparse_csr", "sparse_bsr")
    positions = tensor.crow_indices() if by_row else tensor.ccol_indices()
    indices = tensor.col_indices() if by_row else tensor.row_indices()
    values = _numpy_of_torch(tensor.values().contiguous())
    positions, indices = _index(positions.numpy()), _index(indices.numpy())
    width = indices.dtype.itemsize * 8
    if layout in ("sparse_csr", "sparse_csc"):
        fmt = Format.csr(width) if by_row else Format.csc(width)
    else:
        fmt = (Format.bsr if by_row else bsc)(values.shape[1], values.shape[2], width)
    return tuple(tensor.shape), fmt, (positions, indices, values.reshape(-1))


def _from_torch_coo(tensor: Any) -> Parts:
    tensor = tensor.coalesce()
    if not tensor.sparse_dim():
        raise UnsupportedError("torch COO tensors without sparse dimensions", hint="t.to_dense()")
    values = _numpy_of_torch(tensor.values().contiguous())
    dims = [np.ascontiguousarray(row) for row in tensor.indices().numpy()]
    outer = Format.coo(len(dims), 64)
    pairs = [*zip(outer.exprs, outer.levels), *((d, "dense") for d in range(len(dims), tensor.dim()))]
    fmt = Format.make(tensor.dim(), *pairs, pos_width=64, crd_width=64)
    positions = aligned_empty(2, np.int64)
    positions[:] = 0, tensor.indices().shape[1]
    return tuple(tensor.shape), fmt, (positions, *dims, values.reshape(-1))


def to_torch(tensor: Any) -> Any:
    """The torch tensor that shares the buffers of a :class:`pith.SparseTensor`."""
    import torch

    if tensor.format == semi_structured_format(tensor.dtype.name):
        return to_semi_structured(tensor, torch_of_numpy)
    if is_transposed_layout(tensor.format):
        turned = to_torch(tensor.T)
        return turned.t() if tensor.ndim == 2 else turned.permute(*range(tensor.ndim)[::-1])
    kind, block = layout_of(tensor.format)
    if kind == "dia":
        hint = "convert first: A.to(pith.CSR), or A.to_dense()"
        raise FormatError(f"torch has no layout for format {tensor.format}", hint=hint)
    values = torch_of_numpy(tensor.values)
    if kind == "coo":
        indices = torch.from_numpy(np.stack(tensor.buffers[1:-1]).astype(np.int64, copy=False))
        return torch.sparse_coo_tensor(indices, values, tensor.shape, is_coalesced=True, check_invariants=False)
    positions, coordinates = (torch.from_numpy(b) for b in tensor.buffers[:-1])
    if kind in ("bsr", "bsc"):
        values = values.reshape(-1, *block)
    make = getattr(torch, f"sparse_{kind}_tensor")
    return make(positions, coordinates, values, tensor.shape, check_invariants=False)
