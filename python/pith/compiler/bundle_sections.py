"""Arrays and texts in a bundle: sections of bytes, each content once."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..runtime.arrays import as_array
from ..runtime.signature import accepted_dtypes, dtype_name


class Sections:
    """Sections of a file being written.

    Attributes:
        arrays: their bytes, in order.

    Example:
        >>> s = Sections()
        >>> s.add_bytes(b"weights"), s.add_bytes(b"code"), s.add_bytes(b"weights"), len(s.arrays)
        (0, 1, 0, 2)
    """

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self._known: dict[bytes, int] = {}

    def add(self, content: np.ndarray) -> int:
        """Number of the section with these bytes (a 1-D array)."""
        number = self._known.setdefault(hashlib.sha256(content.data).digest(), len(self.arrays))
        if number == len(self.arrays):
            self.arrays.append(content)
        return number

    def add_bytes(self, content: bytes) -> int:
        """Number of the section with this content."""
        return self.add(np.frombuffer(content, np.uint8))

    def add_text(self, text: str) -> dict[str, int]:
        """A text as JSON; deflated, as PTX is a tenth of its size so, it becomes a section."""
        content = text.encode()
        return {"section": self.add_bytes(zlib.compress(content)), "bytes": len(content)}

    def add_value(self, value: Any) -> dict[str, Any]:
        """A number, or an array, as JSON; the bytes of arrays become a section."""
        if isinstance(value, (int, float)):
            return {"number": value}
        array = as_array(value, "a bound parameter")
        section = self.add(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        kind = {"dtype": dtype_name(array.dtype), "unsigned": array.dtype.kind == "u"}
        return {"section": section, **kind, "shape": list(array.shape)}


def value_of(data: Mapping[str, Any], sections: Sequence[np.ndarray]) -> Any:
    """Inverse of :meth:`Sections.add_value`; arrays share the memory the file was read into."""
    if "number" in data:
        return data["number"]
    dtype = accepted_dtypes(data["dtype"])[-1 if data["unsigned"] else 0]
    return sections[data["section"]].view(dtype).reshape(data["shape"])


def text_of(data: Mapping[str, int], sections: Sequence[np.ndarray]) -> str:
    """Inverse of :meth:`Sections.add_text`.

    Errors: ``ValueError`` or ``zlib.error`` for a section that is no text of that length; no more of it is inflated.
    """
    inflated = zlib.decompressobj().decompress(sections[data["section"]].tobytes(), data["bytes"] + 1)
    if len(inflated) != data["bytes"]:
        raise ValueError(f"a text of {data['bytes']} bytes, its section has another length")
    return inflated.decode()
