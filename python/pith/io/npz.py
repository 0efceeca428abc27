"""``.npz`` files: those of ``scipy.sparse.save_npz``, and pith's own, which hold any format.

CSR, CSC, COO and BSR matrices are written as SciPy writes them, so that ``scipy.sparse.load_npz`` reads them; what the
format was called is an array ``pith_notation`` more, which SciPy leaves alone. Any other pith file has the arrays
``pith_format`` (its text), ``pith_widths``, ``pith_dtype``, ``shape`` and ``buffer_0`` ... in the order of the storage
contract. Nothing is ever unpickled, and an array is read only after the size its header claims was found to agree with
the archive.
"""

from __future__ import annotations

import dataclasses
import lzma
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import Error, FileFormatError, FormatError
from ..formats.buffers import buffer_specs
from ..formats.format import Format
from ..formats.hss import HSS
from ..formats.layouts import layout_of
from ..formats.pack import check_coordinates
from ..formats.pack_buffers import check_memory
from ..formats.parse import parse_format
from ..sparse import SparseTensor
from ..sparse_interop import from_coo
from .text import DEFLATE_RATIO

#: What reading a damaged archive can raise (zipfile, zlib, NumPy's header parser).
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    tokenize.TokenError,
    EOFError,
    ValueError,
    TypeError,
    SyntaxError,
    RuntimeError,
    OverflowError,
    OSError,
)

Arrays = dict[str, np.ndarray]


def read_npz(path: Path) -> SparseTensor:
    """Read a ``.npz`` file (see :func:`pith.read`)."""
    with open(path, "rb") as file:
        try:
            arrays = _read_arrays(file)
            return _tensor(arrays)
        except Error as error:
            raise FileFormatError(error.message, where=_where(path, error), hint=error.hint) from None
        except _DAMAGE as error:
            raise FileFormatError(
                f"not a readable .npz archive: {error}", where=str(path), hint="the file is damaged: write it again"
            ) from None


def _where(path: Path, error: Error) -> str:
    return f"{path}: {error.where}" if error.where else str(path)


def _read_arrays(file: IO[bytes]) -> Arrays:
    """All arrays of an archive, after their claimed sizes were checked."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        names = [m.filename.removesuffix(".npy") for m in members]
        if len(set(names)) != len(names):
            raise FileFormatError("an array occurs twice in the archive", hint="write the file again")
        for member in members:
            _check_member(archive, member)
        check_memory(sum(m.file_size for m in members), "the archive")
        out = {}
        for name, member in zip(names, members):
            with archive.open(member) as stream:
                out[name] = np.lib.format.read_array(stream, allow_pickle=False)
    return out


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """A member must be an array of plain elements whose header, size and compressed size agree."""
    where = member.filename
    if member.file_size > DEFLATE_RATIO * member.compress_size + 1024:
        raise FileFormatError(f"claims {member.file_size} bytes in {member.compress_size}", where=where)
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in read_header:
            raise FileFormatError(f"unknown .npy version {version}", where=where)
        shape, _, dtype = read_header[version](stream)
        begin = stream.tell()
    if dtype.hasobject or dtype.kind not in "biufcSU":
        raise FileFormatError(f"holds elements of type {dtype}", where=where, hint="pith reads numbers only")
    claimed = begin + dtype.itemsize * int(np.prod(shape, dtype=object))
    if min(shape, default=0) < 0 or claimed != member.file_size:
        raise FileFormatError(f"header says {claimed} bytes, the archive {member.file_size}", where=where)


def _tensor(arrays: Arrays) -> SparseTensor:
    if "pith_format" in arrays:
        return _read_pith(arrays)
    if "format" not in arrays:
        raise FileFormatError(
            "neither written by pith.write nor by scipy.sparse.save_npz", hint=f"it holds {sorted(arrays)[:8]}"
        )
    kind = _text(arrays, "format")
    readers = {"csr": _read_compressed, "csc": _read_compressed, "bsr": _read_compressed}
    readers |= {"coo": _read_coo, "dia": _read_dia}
    if kind not in readers:
        raise FileFormatError(f"unknown SciPy format {kind!r}", where="format", hint="one of " + ", ".join(readers))
    tensor = readers[kind](arrays, kind)
    return _named(tensor, _text(arrays, "pith_notation")) if "pith_notation" in arrays else tensor


def _named(tensor: SparseTensor, notation: str) -> SparseTensor:
    """The tensor with what its format was called."""
    hss, fmt = parse_format(notation), tensor.format
    widths = fmt.pos_width, fmt.crd_width, fmt.nm_width
    if not isinstance(hss, HSS) or hss.to_format().with_widths(*widths) != fmt:
        raise FileFormatError(f"{notation!r} is not the format of the arrays", where="pith_notation")
    return dataclasses.replace(tensor, hss=hss)


# -- pieces -----------------------------------------------------------------------------


def _get(arrays: Arrays, name: str, ndim: int, kinds: str = "biufc") -> np.ndarray:
    """An array by name, of the rank and kind it must have, in native byte order."""
    if name not in arrays:
        raise FileFormatError(f"array {name!r} is missing", hint=f"it holds {sorted(arrays)[:8]}")
    array = arrays[name]
    if array.ndim != ndim or array.dtype.kind not in kinds:
        raise FileFormatError(f"unexpected rank {array.ndim} or type {array.dtype}", where=name)
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))


def _text(arrays: Arrays, name: str) -> str:
    value = _get(arrays, name, 0, "SU").item()
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _shape(arrays: Arrays) -> tuple[int, ...]:
    shape = tuple(int(s) for s in _get(arrays, "shape", 1, "iu"))
    if not shape or any(not 0 <= s < 2**62 for s in shape):
        raise FileFormatError(f"impossible shape {shape}", where="shape")
    return shape


def _matrix_shape(arrays: Arrays) -> tuple[int, int]:
    shape = _shape(arrays)
    if len(shape) != 2:
        raise FileFormatError(f"expects a matrix, got shape {shape}", where="shape")
    return shape[0], shape[1]


def _check_compressed(positions: np.ndarray, indices: np.ndarray, outer: int, inner: int) -> int:
    """Check positions and indices; the number of entries in use."""
    if positions.size != outer + 1:
        raise FileFormatError(f"expects {outer + 1} entries, got {positions.size}", where="indptr")
    falls = np.flatnonzero(positions[1:] < positions[:-1])
    if positions[0] != 0 or falls.size or positions[-1] > indices.size:
        at = int(falls[0]) + 1 if falls.size else 0 if positions[0] else outer
        raise FileFormatError(
            f"entry {at} is {positions[at]}: must rise from 0 to at most {indices.size}", where="indptr"
        )
    used = indices[: int(positions[-1])]
    bad = np.flatnonzero((used < 0) | (used >= inner))
    if bad.size:
        raise FileFormatError(f"entry {bad[0]} is {used[bad[0]]}, outside of 0..{inner - 1}", where="indices")
    return used.size


# -- SciPy's layouts --------------------------------------------------------------------


def _read_compressed(arrays: Arrays, kind: str) -> SparseTensor:
    """CSR, CSC and BSR."""
    import scipy.sparse as sp

    rows, cols = _matrix_shape(arrays)
    data = _get(arrays, "data", 3 if kind == "bsr" else 1)
    indices, positions = _get(arrays, "indices", 1, "iu"), _get(arrays, "indptr", 1, "iu")
    block = data.shape[1:] if kind == "bsr" else (1, 1)
    if 0 in block or rows % block[0] or cols % block[1]:
        raise FileFormatError(f"blocks of {block} do not divide shape {(rows, cols)}", where="data")
    outer, inner = (cols, rows) if kind == "csc" else (rows // block[0], cols // block[1])
    used = _check_compressed(positions, indices, outer, inner)
    if data.shape[0] < used:
        raise FileFormatError(f"expects {used} entries, got {data.shape[0]}", where="data")
    make = {"csr": sp.csr_array, "csc": sp.csc_array, "bsr": sp.bsr_array}[kind]
    narrow = indices.dtype == positions.dtype == np.int32
    index = np.int32 if narrow else np.int64
    parts = (data[:used], indices[:used].astype(index, copy=False), positions.astype(index, copy=False))
    return SparseTensor.from_scipy(make(parts, shape=(rows, cols)))


def _read_coo(arrays: Arrays, kind: str) -> SparseTensor:
    shape = _matrix_shape(arrays)
    values = _get(arrays, "data", 1)
    coords = [_get(arrays, name, 1, "iu") for name in ("row", "col")]
    check_coordinates(coords, values, shape)
    index = np.int32 if all(c.dtype == np.int32 for c in coords) else np.int64
    return SparseTensor(*from_coo([c.astype(index, copy=False) for c in coords], values, shape))


def _read_dia(arrays: Arrays, kind: str) -> SparseTensor:
    """Diagonals: ``data[k, j]`` is the element in column j of diagonal ``offsets[k]``."""
    rows, cols = _matrix_shape(arrays)
    data, offsets = _get(arrays, "data", 2), _get(arrays, "offsets", 1, "iu").astype(np.int64)
    if len(offsets) != len(data) or np.unique(offsets).size != offsets.size:
        raise FileFormatError(f"expects one offset per diagonal ({len(data)}), each once", where="offsets")
    data = data[:, :cols]
    diagonal, col = np.nonzero(data)
    row = col - offsets[diagonal]
    inside = (row >= 0) & (row < rows)
    coords = (row[inside], col[inside])
    return SparseTensor.from_coordinates(coords, data[diagonal[inside], col[inside]], (rows, cols), Format.coo())


# -- pith's own -------------------------------------------------------------------------


def _read_pith(arrays: Arrays) -> SparseTensor:
    named = parse_format(_text(arrays, "pith_format"))
    hss = named if isinstance(named, HSS) else None
    fmt = named.to_format() if isinstance(named, HSS) else named
    widths = _get(arrays, "pith_widths", 1, "iu").tolist()
    if len(widths) != 3:
        raise FileFormatError(f"expects 3 widths, got {len(widths)}", where="pith_widths")
    fmt = fmt.with_widths(*widths)
    buffers = [_get(arrays, f"buffer_{i}", 1) for i in range(len(buffer_specs(fmt)) + 1)]
    buffers[-1] = _typed(buffers[-1], _text(arrays, "pith_dtype"))
    return SparseTensor(_shape(arrays), fmt, tuple(buffers), hss).validate()


def _typed(values: np.ndarray, name: str) -> np.ndarray:
    """Values of a type NumPy lacks are stored as the unsigned integers with the same bits."""
    if values.dtype.name == name:
        return values
    import ml_dtypes

    kind = getattr(ml_dtypes, name, None) if name.isidentifier() else None
    if kind is None or np.dtype(kind).itemsize != values.dtype.itemsize:
        raise FormatError(f"element type {name!r} does not go with stored {values.dtype}", where="pith_dtype")
    return values.view(kind)


def write_npz(file: IO[bytes], tensor: SparseTensor, compress: bool = False) -> None:
    """Write a tensor as it is stored, uncompressed; in SciPy's layout where SciPy has one for it."""
    arrays = _scipy_arrays(tensor) or _pith_arrays(tensor)
    np.savez(file, allow_pickle=False, shape=np.array(tensor.shape, np.int64), **arrays)


def _scipy_arrays(tensor: SparseTensor) -> Arrays | None:
    """What ``save_npz`` writes, or None where reading that would give another format or element type."""
    fmt = tensor.format
    if fmt.rank != 2 or tensor.dtype.kind == "V" or fmt.pos_width not in (32, 64) or fmt.crd_width != fmt.pos_width:
        return None
    try:
        kind, block = layout_of(fmt)
    except FormatError:
        return None
    if kind in ("bsc", "dia"):
        return None
    names = ("row", "col") if kind == "coo" else ("indptr", "indices")
    arrays = dict(zip(names, tensor.buffers[-3:-1]), format=np.array(kind.encode()), _is_array=np.array(True))
    arrays["data"] = tensor.values.reshape(-1, *block) if kind == "bsr" else tensor.values
    return arrays if tensor.hss is None else arrays | {"pith_notation": np.array(str(tensor.hss))}


def _pith_arrays(tensor: SparseTensor) -> Arrays:
    fmt, values = tensor.format, tensor.values
    if values.dtype.kind == "V":
        values = values.view(f"u{values.dtype.itemsize}")
    arrays = {f"buffer_{i}": b for i, b in enumerate((*tensor.buffers[:-1], values))}
    arrays["pith_format"] = np.array(str(tensor.hss or fmt))
    arrays["pith_widths"] = np.array([fmt.pos_width, fmt.crd_width, fmt.nm_width])
    return arrays | {"pith_dtype": np.array(tensor.dtype.name)}
