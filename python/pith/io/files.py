"""``pith.read`` and ``pith.write``: which reader a file gets, and what is common to all of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, FileFormatError, naming
from ..files import name_of_file, replacing
from ..sparse import FormatLike, SparseTensor, check_dtype, taken_over
from .matrix_market import read_matrix_market, write_matrix_market
from .npz import read_npz, write_npz
from .smtx import read_smtx, write_smtx

#: File name ending -> (reader, writer). A reader maps a path to a tensor, a writer a binary file and a tensor to bytes.
_SUFFIXES = {
    ".mtx": (read_matrix_market, write_matrix_market),
    ".mtx.gz": (read_matrix_market, write_matrix_market),
    ".smtx": (read_smtx, write_smtx),
    ".npz": (read_npz, write_npz),
}


def read(path: str | os.PathLike, *, field_as: Any = None, format: FormatLike | None = None) -> SparseTensor:
    """Read a sparse tensor from a file.

    Args:
        path: ``.mtx`` or ``.mtx.gz`` (Matrix Market), ``.smtx`` (Deep Learning Matrix Collection), ``.npz``
            (of :func:`scipy.sparse.save_npz` or :func:`write`).
        field_as: element type of the result; None keeps the file's. Patterns without values are float32 ones.
        format: format of the result; None gives CSR (COO where the rows by far outnumber the entries), or what
            an ``.npz`` holds.

    Semantics: symmetric, skew-symmetric and Hermitian matrices are expanded; repeated entries are added up.
    Errors: :class:`pith.FileFormatError` with the file and line of the first thing that is wrong. What a header
        claims is checked against the size of the file before memory is taken. :class:`pith.DTypeError` when values
        do not fit ``field_as``. :class:`pith.MissingFileError`, :class:`pith.FileAccessError`.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.mtx"
        >>> _ = path.write_text("%%MatrixMarket matrix coordinate integer symmetric\\n2 2 2\\n1 1 5\\n2 1 7\\n")
        >>> read(path).to_dense().tolist()
        [[5, 7], [7, 0]]
    """
    path = name_of_file(path, "pith.read")
    reader = _handler(path)[0]
    with naming(path):
        tensor = reader(Path(path))
    if field_as is not None:
        values = cast_exactly(tensor.values, np.dtype(field_as), str(path))
        tensor = SparseTensor(tensor.shape, tensor.format, (*tensor.buffers[:-1], values), tensor.hss)
    return tensor if format is None else tensor.to(format)


def write(path: str | os.PathLike, tensor: Any) -> None:
    """Write a sparse tensor, or a sparse matrix of SciPy or torch; only a whole file replaces what was there.

    Args:
        path: as for :func:`read`. ``.npz`` keeps the format as it is (:func:`scipy.sparse.load_npz` reads CSR, CSC, COO
            and BSR), ``.mtx`` the coordinates and values, ``.smtx`` the coordinates (all values must be 1).

    Errors: :class:`pith.FileFormatError` for an unknown file name ending; :class:`pith.FormatError` when the tensor
        cannot be said in that kind of file; :class:`pith.ArgumentError` for a dense array;
        :class:`pith.FileAccessError`.

    Example:
        >>> import tempfile, numpy as np, pith
        >>> path = Path(tempfile.mkdtemp()) / "a.mtx"
        >>> write(path, pith.compress(np.array([[0.0, 2.0], [3.0, 0.0]]), "csr"))
        >>> read(path).to_dense().tolist()
        [[0.0, 2.0], [3.0, 0.0]]
    """
    tensor = taken_over(tensor)
    if not isinstance(tensor, SparseTensor):
        hint = "pith.write(path, A)" if isinstance(tensor, str | os.PathLike) else "pith.compress(w, fmt)"
        raise ArgumentError(f"expects a pith.SparseTensor, got {type(tensor).__name__}", hint=hint)
    path = name_of_file(path, "pith.write")
    writer = _handler(path)[1]
    folder = Path(path).parent
    hint = None if folder.is_dir() else f"there is no folder {folder}: make it first"
    with naming(path, hint), replacing(Path(path)) as file:
        writer(file, tensor, compress=path.endswith(".gz"))


def _handler(path: str) -> tuple[Any, Any]:
    name = path.lower()
    for suffix, handler in _SUFFIXES.items():
        if name.endswith(suffix):
            return handler
    raise FileFormatError("unknown kind of file", where=path, hint="name it " + ", ".join(_SUFFIXES))


def cast_exactly(values: np.ndarray, dtype: np.dtype, where: str) -> np.ndarray:
    """``values`` as ``dtype``; floats may be rounded, anything else must survive the trip.

    Errors: :class:`DTypeError` when integers overflow, fractions or imaginary parts would be cut off.

    >>> cast_exactly(np.array([1.0, 2.0]), np.dtype(np.int8), "x.mtx")
    array([1, 2], dtype=int8)
    """
    check_dtype(np.empty(0, dtype))
    if values.dtype.kind == "c" and dtype.kind != "c":
        if np.any(np.imag(values)):
            raise DTypeError(f"complex values do not fit {dtype}", where=where, hint="field_as=complex")
        values = np.real(values)
    with np.errstate(all="ignore"):
        out = values.astype(dtype)
        exact = dtype.kind in "biu" and not np.array_equal(out.astype(values.dtype), values)
        overflow = dtype.kind not in "biu" and np.isinf(out).sum() != np.isinf(values.astype(np.complex128)).sum()
    if exact or overflow:
        raise DTypeError(f"values of type {values.dtype} do not all fit {dtype}", where=where, hint="use a wider type")
    return out
