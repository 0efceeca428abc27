"""Matrix Market files: every variant of the exchange format.

Source: Boisvert, Pozo, Remington, The Matrix Market Exchange Formats, NISTIR 5935, 1996.

The body is parsed here and not by a library: the C++ readers at hand accept trailing garbage, cut
``1.5D+3`` to 1.5, and can crash on a NUL byte (fast-matrix-market 1.7.6, also inside SciPy 1.17).
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import ShapeError
from ..formats.format import Format
from ..sparse import SparseTensor
from .text import TextSource, parse_rows

#: Field -> (NumPy type of the numbers in the file, numbers per value, type of the values).
_FIELDS = {
    "real": (np.float64, 1, np.float64),
    "double": (np.float64, 1, np.float64),
    "integer": (np.int64, 1, np.int64),
    "unsigned-integer": (np.uint64, 1, np.uint64),
    "complex": (np.float64, 2, np.complex128),
    "pattern": (np.int64, 0, np.float32),
}
_SYMMETRIES = ("general", "symmetric", "skew-symmetric", "hermitian")
_BANNER_HINT = "the first line reads: %%MatrixMarket matrix coordinate|array real|integer|complex|pattern general|..."

#: float64 holds every integer up to this one exactly.
_EXACT = 2**53


@dataclasses.dataclass(frozen=True)
class Header:
    """The banner and size lines."""

    coordinate: bool
    field: str
    symmetry: str
    rows: int
    cols: int
    entries: int


def read_matrix_market(path: Path) -> SparseTensor:
    """Read a ``.mtx`` or ``.mtx.gz`` file (see :func:`pith.read`)."""
    with TextSource(path) as source:
        header = read_header(source)
        numbers = _read_body(source, header)
    coords, values = _coordinates(numbers, header)
    coords, values = _expand(coords, values, header.symmetry)
    shape = (header.rows, header.cols)
    return SparseTensor.from_coordinates(coords, values, shape, default_format(shape, values.size))


def default_format(shape: tuple[int, int], entries: int) -> Format:
    """CSR, or COO where row positions would outweigh the entries by far (and 64 MB).

    >>> default_format((10**12, 10), 5) == Format.coo(width=64)
    True
    """
    width = 32 if max(*shape, entries) < 2**31 else 64
    return Format.csr(width) if shape[0] <= 16 * entries + 2**24 else Format.coo(2, width)


def read_header(source: TextSource) -> Header:
    """Read and check banner, comments and size line; what they claim is held against the size of the file."""
    coordinate, field, symmetry = _read_banner(source)
    line = source.readline()
    while line and (line.startswith(b"%") or not line.strip()):
        line = source.readline()
    words = line.split()
    expected = 3 if coordinate else 2
    names = "rows, columns and entries" if coordinate else "rows and columns"
    if len(words) != expected or not all(w.isdigit() and len(w) < 20 for w in words):
        text = line.strip()[:60].decode("latin-1")
        raise source.error(f"expects the size line ({names}), got {text!r}", f"write {expected} non-negative integers")
    rows, cols, *rest = (int(w) for w in words)
    header = Header(coordinate, field, symmetry, rows, cols, rest[0] if rest else _array_entries(rows, cols, symmetry))
    _check_sizes(source, header)
    return header


def _read_banner(source: TextSource) -> tuple[bool, str, str]:
    words = source.readline().lower().split()
    if len(words) != 5 or words[0] != b"%%matrixmarket":
        raise source.error("expects a Matrix Market banner", _BANNER_HINT)
    obj, layout, field, symmetry = (w.decode("latin-1") for w in words[1:])
    for word, known in (
        (obj, ("matrix",)),
        (layout, ("coordinate", "array")),
        (field, tuple(_FIELDS)),
        (symmetry, _SYMMETRIES),
    ):
        if word not in known:
            raise source.error(f"unknown word {word!r} in the banner", "expects one of " + ", ".join(known))
    if symmetry == "hermitian" and field != "complex":
        raise source.error(f"a hermitian matrix is complex, got field {field!r}", "say symmetric")
    if field == "pattern" and (layout == "array" or symmetry == "skew-symmetric"):
        raise source.error(f"a pattern has no values, so it cannot be {layout} {symmetry}", "say real")
    return layout == "coordinate", field, symmetry


def _array_entries(rows: int, cols: int, symmetry: str) -> int:
    """Values an ``array`` file lists: all, the lower triangle, or what is strictly below the diagonal."""
    if symmetry == "general":
        return rows * cols
    return rows * (rows - 1) // 2 if symmetry == "skew-symmetric" else rows * (rows + 1) // 2


def _check_sizes(source: TextSource, header: Header) -> None:
    if header.symmetry != "general" and header.rows != header.cols:
        raise source.error(f"a {header.symmetry} matrix is square, got {header.rows} x {header.cols}", "say general")
    if max(header.rows, header.cols) > _EXACT:
        raise source.error(f"dimensions {header.rows} x {header.cols} are beyond 2^53", "correct the size line")
    if header.entries > header.rows * header.cols:
        raise source.error(
            f"declares {header.entries} entries, more than the {header.rows} x {header.cols} matrix has elements",
            "correct the size line",
        )
    numbers = _FIELDS[header.field][1] + (2 if header.coordinate else 0)
    if header.entries * 2 * numbers - 1 > source.budget:
        raise source.error(
            f"declares {header.entries} entries, which take at least {header.entries * 2 * numbers} bytes; "
            f"the file cannot hold them",
            "the file is truncated or its size line is wrong",
        )


def _read_body(source: TextSource, header: Header) -> np.ndarray:
    """All numbers after the header, one row per entry, checked."""
    dtype, per_value, _ = _FIELDS[header.field]
    width = per_value + (2 if header.coordinate else 0)
    parts = [np.empty((0, width), dtype)]
    found = 0
    for block, first in source.blocks():
        rows = parse_rows(block, np.dtype(dtype), width, source, first)
        if found + len(rows.numbers) > header.entries:
            line = int(rows.lines[header.entries - found])
            raise source.error(f"more entries than the {header.entries} declared", "correct the size line", line)
        if header.coordinate:
            _check_entries(rows.numbers, rows.lines, source, header)
        parts.append(rows.numbers)
        found += len(rows.numbers)
    if found != header.entries:
        raise source.error(
            f"ends after {found} of {header.entries} entries", "the file is truncated or its size line is wrong"
        )
    return np.concatenate(parts)


def _check_entries(numbers: np.ndarray, lines: np.ndarray, source: TextSource, header: Header) -> None:
    """Coordinates must be integers in range, and in the half a symmetry stores."""
    for name, column, size in (("row", numbers[:, 0], header.rows), ("column", numbers[:, 1], header.cols)):
        fits = (column >= 1) & (column <= size)
        if column.dtype.kind == "f":
            fits &= column == np.floor(column)
        if not fits.all():
            at = int(np.argmin(fits))
            whole = column[at] == np.floor(column[at])
            problem = f"is outside of 1..{size}" if whole else "is not an integer"
            raise source.error(f"{name} {column[at]:.15g} {problem}", "coordinates count from 1", int(lines[at]))
    if header.symmetry == "general":
        return
    wrong = numbers[:, 1] > numbers[:, 0]
    if wrong.any():
        message = f"entry above the diagonal of a {header.symmetry} matrix"
        raise source.error(message, "store the lower triangle, or say general", int(lines[np.argmax(wrong)]))
    real = numbers[:, 0] != numbers[:, 1]
    if header.symmetry == "skew-symmetric" and not real.all():
        message = "entry on the diagonal of a skew-symmetric matrix"
        raise source.error(message, "the diagonal is zero: leave it out", int(lines[np.argmin(real)]))
    if header.symmetry == "hermitian" and not (real := real | (numbers[:, 3] == 0)).all():
        message = "complex entry on the diagonal of a hermitian matrix"
        raise source.error(message, "the diagonal is real: its imaginary part is 0", int(lines[np.argmin(real)]))


def _coordinates(numbers: np.ndarray, header: Header) -> tuple[np.ndarray, np.ndarray]:
    """(2, n) coordinates from 0 and n values of what the file lists."""
    _, per_value, dtype = _FIELDS[header.field]
    if header.coordinate:
        coords, numbers = numbers[:, :2].T.astype(np.int64) - 1, numbers[:, 2:]
    elif header.symmetry == "general":
        cols, rows = np.divmod(np.arange(len(numbers)), max(1, header.rows))
        coords = np.stack((rows, cols))
    else:  # column by column below the diagonal is row by row above it, transposed
        coords = np.stack(np.triu_indices(header.rows, int(header.symmetry == "skew-symmetric"))[::-1])
    if per_value == 2:
        values = np.ascontiguousarray(numbers).view(np.complex128).reshape(-1)
    else:
        values = numbers.reshape(-1).astype(dtype) if per_value else np.ones(len(numbers), dtype)
    if header.coordinate:
        return coords, values
    held = np.flatnonzero(values)
    return coords[:, held], values[held]


def _expand(coords: np.ndarray, values: np.ndarray, symmetry: str) -> tuple[np.ndarray, np.ndarray]:
    """Add the half that a symmetry leaves out."""
    if symmetry == "general":
        return coords, values
    off = np.flatnonzero(coords[0] != coords[1])
    mirrored = values[off]
    if symmetry == "skew-symmetric":
        mirrored = -mirrored
    elif symmetry == "hermitian":
        mirrored = mirrored.conj()
    return np.concatenate((coords, coords[::-1, off]), axis=1), np.concatenate((values, mirrored))


def write_matrix_market(file: IO[bytes], tensor: SparseTensor, compress: bool = False) -> None:
    """Write a matrix as ``coordinate general``; booleans become a pattern."""
    import scipy.io
    import scipy.sparse

    if len(tensor.shape) != 2:
        raise ShapeError(f"Matrix Market files hold matrices, got shape {tensor.shape}", hint="write an .npz")
    coords, values = tensor.coordinates()
    held = np.flatnonzero(values)
    if values.dtype.kind == "V" or values.dtype == np.float16:
        values = values.astype(np.float32)
    field = "pattern" if values.dtype == np.bool_ else None
    matrix = scipy.sparse.coo_array((values[held], tuple(coords[:, held])), shape=tensor.shape)
    with (
        gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="")
        if compress
        else contextlib.nullcontext(file) as target
    ):
        scipy.io.mmwrite(target, matrix, field=field, symmetry="general")
