"""SMTX files: the patterns of the Deep Learning Matrix Collection.

Three lines: ``rows, columns, entries``; row offsets; column indices. There are no values: they read as ones.

Source: Gale et al., Sparse GPU Kernels for Deep Learning, SC 2020.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np

from ..errors import FormatError, ShapeError
from ..formats.format import Format
from ..sparse import SparseTensor
from .text import TextSource, check_characters, parse_numbers

_HINT = "an .smtx file has three lines: 'rows, columns, entries', row offsets, column indices"


def read_smtx(path: Path) -> SparseTensor:
    """Read a ``.smtx`` file (see :func:`pith.read`)."""
    with TextSource(path) as source:
        rows, cols, entries = _read_sizes(source)
        lines = source.rest().split(b"\n")
    if len(lines) < 2 and entries:
        raise source.error(f"expects 3 lines, got {1 + len(lines)}", _HINT, 1 + len(lines))
    extra = [i for i, line in enumerate(lines[2:], 4) if line.strip()]
    if extra:
        raise source.error("unexpected text after the column indices", _HINT, extra[0])
    offsets = _read_integers(lines[0], rows + 1, "row offsets", source, 2)
    columns = _read_integers(lines[1] if len(lines) > 1 else b"", entries, "column indices", source, 3)
    _check_offsets(offsets, entries, source)
    _check_columns(columns, cols, source)
    fmt = Format.csr(32 if max(rows, cols, entries) < 2**31 else 64)
    parents = np.repeat(np.arange(rows), np.diff(offsets))
    tensor = SparseTensor.from_coordinates((parents, columns), np.ones(entries, np.float32), (rows, cols), fmt)
    if tensor.nse != entries:
        raise source.error("a column index occurs twice in a row", "list each entry once", 3)
    return tensor


def _read_sizes(source: TextSource) -> tuple[int, int, int]:
    line = source.readline()
    words = line.replace(b",", b" ").split()
    if len(words) != 3 or not all(w.isdigit() and len(w) < 19 for w in words):
        text = line.strip()[:60].decode("latin-1")
        raise source.error(f"expects 'rows, columns, entries', got {text!r}", _HINT)
    rows, cols, entries = (int(w) for w in words)
    if 2 * (rows + 1 + entries) - 1 > source.budget:
        raise source.error(
            f"declares {rows} rows and {entries} entries, more than the file can hold",
            "the file is truncated or its first line is wrong",
        )
    if entries > rows * cols:
        raise source.error(f"declares {entries} entries, more than {rows} x {cols}", "correct the first line")
    return rows, cols, entries


def _read_integers(text: bytes, count: int, what: str, source: TextSource, line: int) -> np.ndarray:
    dtype = np.dtype(np.int64)
    check_characters(text, dtype, source, line)
    found = len(text.split())
    if found != count:
        raise source.error(f"expects {count} {what}, got {found}", "the file is truncated or a count is wrong", line)
    return parse_numbers(text, dtype, count, source, line)


def _check_offsets(offsets: np.ndarray, entries: int, source: TextSource) -> None:
    falls = np.flatnonzero(offsets[1:] < offsets[:-1])
    if falls.size:
        at = int(falls[0])
        raise source.error(f"row offsets fall from {offsets[at]} to {offsets[at + 1]} at row {at}", _HINT, 2)
    if offsets[0] != 0 or offsets[-1] != entries:
        raise source.error(f"row offsets go from {offsets[0]} to {offsets[-1]}, expects 0 to {entries}", _HINT, 2)


def _check_columns(columns: np.ndarray, cols: int, source: TextSource) -> None:
    bad = np.flatnonzero((columns < 0) | (columns >= cols))
    if bad.size:
        at = int(bad[0])
        message = f"column index {columns[at]} (entry {at}) is outside of 0..{cols - 1}"
        raise source.error(message, "columns count from 0", 3)


def write_smtx(file: IO[bytes], tensor: SparseTensor, compress: bool = False) -> None:
    """Write the pattern of a matrix; values must be ones, as the file cannot hold them."""
    if len(tensor.shape) != 2:
        raise ShapeError(f"SMTX files hold matrices, got shape {tensor.shape}", hint="write an .npz")
    csr = tensor.to(Format.csr(64))
    if np.any(csr.values != csr.dtype.type(1)):
        raise FormatError("SMTX files hold no values, and these are not all 1", hint="write an .mtx or .npz")
    offsets, columns, _ = csr.buffers
    file.write(b"%d, %d, %d\n" % (*csr.shape, csr.nse))
    for numbers in (offsets, columns):
        file.write(" ".join(map(str, numbers.tolist())).encode() + b"\n")
