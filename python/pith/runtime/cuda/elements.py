"""Element types on a device, by their names in IR: what PyTorch, CuPy and DLPack call them. NumPy is not asked."""

from __future__ import annotations

import functools
import struct
from typing import Any

#: Name -> (bytes, NumPy's name, DLPack's type code). bfloat16 is none of NumPy's own.
_ELEMENTS: dict[str, tuple[int, str, int]] = {
    "f16": (2, "float16", 2),
    "bf16": (2, "bfloat16", 4),
    "f32": (4, "float32", 2),
    "f64": (8, "float64", 2),
    "i1": (1, "bool", 6),
    "i8": (1, "int8", 0),
    "i16": (2, "int16", 0),
    "i32": (4, "int32", 0),
    "i64": (8, "int64", 0),
    "index": (8, "int64", 0),
}

#: NumPy's name -> names in IR. MLIR integers have no sign.
_ACCEPTED = {
    **{numpy: tuple(n for n, e in _ELEMENTS.items() if e[1] == numpy) for _, numpy, _ in _ELEMENTS.values()},
    **{f"uint{8 * size}": (f"i{8 * size}",) for size in (1, 2, 4)},
    "uint64": ("i64", "index"),
}

_STRUCT_CODES = {"f16": "<e", "f32": "<f", "f64": "<d"}


def size_of(element: str) -> int:
    """Bytes of an element.

    Example:
        >>> size_of("bf16"), size_of("index")
        (2, 8)
    """
    return _ELEMENTS[element][0]


def numpy_name(element: str) -> str:
    """What NumPy and PyTorch call an element type.

    Example:
        >>> numpy_name("i1"), numpy_name("bf16")
        ('bool', 'bfloat16')
    """
    return _ELEMENTS[element][1]


def dlpack_type(element: str) -> tuple[int, int]:
    """DLPack's type code and bits of an element type."""
    size, _, code = _ELEMENTS[element]
    return code, 8 * size


def accepts(element: str, numpy: str) -> bool:
    """Whether an array of the type NumPy calls ``numpy`` may be passed for ``element``.

    Example:
        >>> accepts("i8", "uint8"), accepts("index", "int64"), accepts("f32", "float64")
        (True, True, False)
    """
    return element in _ACCEPTED.get(numpy, ())


@functools.cache
def name_from_typestr(typestr: str) -> str:
    """NumPy's name of an array interface's type string.

    Example:
        >>> name_from_typestr("<f2"), name_from_typestr("|u1"), name_from_typestr("|b1")
        ('float16', 'uint8', 'bool')
    """
    kind, size = typestr[1], int(typestr[2:])
    names = {"f": f"float{8 * size}", "i": f"int{8 * size}", "u": f"uint{8 * size}", "b": "bool"}
    return names.get(kind, typestr)


def name_from_dlpack(code: int, bits: int, lanes: int) -> str:
    """NumPy's name of a DLPack type.

    Example:
        >>> name_from_dlpack(4, 16, 1), name_from_dlpack(1, 8, 1)
        ('bfloat16', 'uint8')
    """
    kinds = {0: f"int{bits}", 1: f"uint{bits}", 2: f"float{bits}", 4: "bfloat16", 6: "bool"}
    return kinds.get(code, f"DLPack type {code}") if lanes == 1 else f"vectors of {lanes} elements"


def typestr_of(element: str) -> str | None:
    """The array interface's type string; None for bfloat16, which has none.

    Example:
        >>> typestr_of("i1"), typestr_of("f32")
        ('|b1', '<f4')
    """
    size, numpy, _ = _ELEMENTS[element]
    if element == "bf16":
        return None
    return f"{'|' if size == 1 else '<'}{'b' if numpy == 'bool' else numpy[0]}{size}"


def word_of(element: str, value: Any) -> int:
    """A number as the 64-bit word its kernel parameter is read from: its bytes come first.

    Errors: ``TypeError``, ``ValueError``, ``OverflowError`` or ``struct.error`` for a value of another kind or range.

    Example:
        >>> hex(word_of("f32", 1.0)), word_of("i8", -1), word_of("index", 7)
        ('0x3f800000', 255, 7)
    """
    if element == "bf16":
        bits = int.from_bytes(struct.pack("<f", value), "little")
        return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    if element in _STRUCT_CODES:
        return int.from_bytes(struct.pack(_STRUCT_CODES[element], value), "little")
    bits = 1 if element == "i1" else 8 * size_of(element)
    number = value.__index__() if not isinstance(value, bool) else int(value)
    if not (-(1 << (bits - 1)) if bits > 1 else 0) <= number < 1 << bits:
        raise OverflowError(f"{number} does not fit in {element}")
    return number & ((1 << bits) - 1)
