"""A compiled kernel as data, and the file format of the cache."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any

from ..errors import ArgumentError
from .call import NativeFunction
from .cpu import request_tiles
from .library import Library
from .signature import Signature

_MAGIC = b"pith-k1\n"
_DIGEST_SIZE = hashlib.sha256().digest_size
_LENGTH = struct.Struct("<I")


class CorruptEntry(Exception):
    """Bytes that are not a whole, unchanged cache entry."""


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A compiled object, the signatures of its entry functions, and whatever else its maker wants to keep.

    Attributes:
        object: relocatable object.
        signatures: one per entry function.
        meta: plain JSON data (explanations, tile choices, ...); ``tiles`` says that the code uses AMX tiles.
    """

    object: bytes
    signatures: tuple[Signature, ...]
    meta: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "signatures", tuple(self.signatures))

    @functools.cached_property
    def functions(self) -> dict[str, NativeFunction]:
        """The entry functions by name; the object is loaded on first use.

        Errors: :class:`~pith.RuntimeLibraryError` when the object cannot be loaded, or uses tiles and may not.
        """
        if self.meta.get("tiles"):
            request_tiles()
        library = Library.from_object(self.object, self.signatures[0].name if self.signatures else "object")
        return {signature.name: NativeFunction(library, signature) for signature in self.signatures}

    def function(self, name: str | None = None) -> NativeFunction:
        """The entry function ``name``; without a name, the first one."""
        if name is None and self.signatures:
            name = self.signatures[0].name
        if name not in self.functions:
            raise ArgumentError(f"there is no entry function {name!r}", hint=f"one of {', '.join(self.functions)}")
        return self.functions[name]

    def to_bytes(self, key: str) -> bytes:
        """Serialise under ``key``: magic, SHA-256 of the rest, header length, JSON header, object."""
        header = json.dumps(
            {"key": key, "signatures": [s.to_json() for s in self.signatures], "meta": dict(self.meta)}
        ).encode()
        body = _LENGTH.pack(len(header)) + header + self.object
        return _MAGIC + hashlib.sha256(body).digest() + body

    @classmethod
    def from_bytes(cls, data: bytes, key: str) -> Artifact:
        """Inverse of :meth:`to_bytes`; :class:`CorruptEntry` for anything else.

        Example:
            >>> a = Artifact(b"code", (Signature("f", ()),), {"tile": [4, 16]})
            >>> Artifact.from_bytes(a.to_bytes("k"), "k") == a
            True
        """
        start = len(_MAGIC) + _DIGEST_SIZE
        body = data[start:]
        if not data.startswith(_MAGIC) or hashlib.sha256(body).digest() != data[len(_MAGIC) : start]:
            raise CorruptEntry("truncated or changed")
        try:
            (length,) = _LENGTH.unpack_from(body)
            header = json.loads(body[_LENGTH.size : _LENGTH.size + length])
            signatures = tuple(map(Signature.from_json, header["signatures"]))
            stored_key, meta = header["key"], header["meta"]
        except (struct.error, ValueError, KeyError, TypeError) as error:
            raise CorruptEntry(f"malformed header: {error}") from error
        if stored_key != key:
            raise CorruptEntry("belongs to another key")
        return cls(body[_LENGTH.size + length :], signatures, meta)
