"""Reading ``.safetensors``: a header of JSON, then the tensors' bytes. Nothing in it is executed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileFormatError
from ..runtime import numpy_dtype

#: The format's names of element types -> pith's.
_DTYPES = {
    "F64": "f64",
    "F32": "f32",
    "F16": "f16",
    "BF16": "bf16",
    "I64": "i64",
    "I32": "i32",
    "I16": "i16",
    "I8": "i8",
    "BOOL": "i1",
}

#: Bytes a header may have; the format's own limit.
_MOST_HEADER = 100_000_000


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file by name, in its order, as read-only views of the mapped file.

    Semantics: tensors of element types NumPy and pith have no name for (``U8``, ``F8_E4M3``) are left out.
    Errors: :class:`pith.FileFormatError` saying what is wrong; those of the operating system.
    """
    data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
    try:
        header, start = _header(data)
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        return {n: _tensor(data[start:], n, e) for n, e in entries.items() if e["dtype"] in _DTYPES}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise FileFormatError(f"not a safetensors file: {e}", where=str(path), hint="write it again") from e


def _header(data: np.ndarray) -> tuple[Mapping[str, Any], int]:
    size = int.from_bytes(data[:8].tobytes(), "little")
    if data.size < 8 or size > min(data.size - 8, _MOST_HEADER):
        raise ValueError("the header is longer than the file")
    return json.loads(data[8 : 8 + size].tobytes()), 8 + size


def _tensor(data: np.ndarray, name: str, entry: Mapping[str, Any]) -> np.ndarray:
    """One tensor; its range must lie in the file and be as long as its shape says."""
    dtype = numpy_dtype(_DTYPES[entry["dtype"]])
    shape = tuple(entry["shape"])
    begin, end = entry["data_offsets"]
    if min(shape, default=0) < 0 or not 0 <= begin <= end <= data.size:
        raise ValueError(f"tensor {name!r} lies outside the file")
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"tensor {name!r} has {end - begin} bytes, its shape {shape} needs another number")
    raw = data[begin:end]
    aligned = raw if raw.ctypes.data % dtype.itemsize == 0 else raw.copy()
    return aligned.view(np.ndarray).view(dtype).reshape(shape)
