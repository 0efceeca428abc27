"""The file format of bundles: a manifest and numbered sections of bytes, under one hash.

=========  =====================================================================
bytes      content
=========  =====================================================================
0..8       magic ``pith\\x1abn\\n``
8..12      version of the format, little-endian, as all numbers
12..16     length of the manifest
16..24     length of the file
24..56     SHA-256 of the whole file with these 32 bytes zero
56..       manifest: JSON; then sections, each at a multiple of 64 bytes
=========  =====================================================================

The hash tells damage, not malice: a bundle holds machine code, so load only what you would run.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import FileFormatError, UnsupportedError, naming
from ..files import name_of_file, replacing
from ..formats.pack_buffers import ALIGNMENT, aligned_empty

MAGIC = b"pith\x1abn\n"
VERSION = 2
_HEADER = struct.Struct("<8sIIQ32s")
_NO_DIGEST = bytes(32)


def write_container(path: str | os.PathLike[str], manifest: Mapping[str, Any], sections: Sequence[np.ndarray]) -> None:
    """Write a manifest and 1-D byte arrays; what was at ``path`` is replaced only by a whole file.

    Errors: :class:`pith.MissingFileError`, :class:`pith.FileAccessError`.
    """
    where = name_of_file(path, "save")
    layout, offset = [], 0
    for section in sections:
        layout.append([offset, section.nbytes])
        offset += _padded(section.nbytes)
    text = json.dumps({**manifest, "sections": layout}, sort_keys=True).encode()
    start = _padded(_HEADER.size + len(text))
    chunks = [text, bytes(start - _HEADER.size - len(text))]
    for section in sections:
        chunks += [section.data, bytes(_padded(section.nbytes) - section.nbytes)]
    fields = (MAGIC, VERSION, len(text), start + offset)
    digest = hashlib.sha256(_HEADER.pack(*fields, _NO_DIGEST))
    for chunk in chunks:
        digest.update(chunk)
    folder = pathlib.Path(where).parent
    hint = None if folder.is_dir() else f"there is no folder {folder}: make it first"
    with naming(where, hint), replacing(pathlib.Path(where)) as file:
        file.writelines([_HEADER.pack(*fields, digest.digest()), *chunks])


def read_container(path: str | os.PathLike[str]) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The manifest and the sections, as read-only byte arrays that start on 64-byte boundaries.

    Errors: :class:`pith.FileFormatError` for files that are not bundles, cut short or changed;
        :class:`pith.UnsupportedError` for a newer version; those of the operating system.
    """
    where = name_of_file(path, "load")
    data = _read(where)
    magic, version, text_length, length, digest = _HEADER.unpack(data[: _HEADER.size].tobytes())
    if version != VERSION:
        raise UnsupportedError(
            f"has version {version} of the bundle format, this pith reads version {VERSION}",
            where=where,
            hint="update pith-mlir, or compile the bundle again with this version",
        )
    if data.nbytes != length:
        raise _damaged(where, f"has {data.nbytes} bytes where its header says {length}")
    check = hashlib.sha256(_HEADER.pack(magic, version, text_length, length, _NO_DIGEST))
    check.update(data[_HEADER.size :].data)
    if check.digest() != digest:
        raise _damaged(where, "was changed after it was written")
    try:
        manifest = json.loads(data[_HEADER.size : _HEADER.size + text_length].tobytes())
        body = data[_padded(_HEADER.size + text_length) :]
        return manifest, [_section(body, *place) for place in manifest.pop("sections")]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(where, f"has a malformed manifest ({error})") from error


def _read(where: str) -> np.ndarray:
    """The file's bytes, when it begins like a bundle."""
    with naming(where), open(where, "rb") as file:
        head = file.read(_HEADER.size)
        if head[: len(MAGIC)] != MAGIC[: len(head)] or not head:
            raise FileFormatError("is not a pith bundle", where=where, hint="pith compile FILE -o OUT.pith makes one")
        if len(head) < _HEADER.size:
            raise _damaged(where, "ends within its header")
        data = aligned_empty(os.fstat(file.fileno()).st_size, np.uint8)
        file.seek(0)
        count = file.readinto(data.data)
    data = data[:count]
    data.flags.writeable = False
    return data


def _section(body: np.ndarray, offset: int, nbytes: int) -> np.ndarray:
    if not (0 <= offset <= offset + nbytes <= body.nbytes and offset % ALIGNMENT == 0):
        raise ValueError(f"a section at {offset} of {nbytes} bytes")
    return body[offset : offset + nbytes]


def _padded(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _damaged(where: str, what: str) -> FileFormatError:
    return FileFormatError(what, where=where, hint="copy or compile the bundle again")
