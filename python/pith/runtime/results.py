"""What a kernel returns -> NumPy arrays that own the memory, and Python numbers."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .native import lib
from .signature import MemRefSpec, Spec

#: The allocated pointer MLIR gives a memref.get_global: the data is part of the object.
_GLOBAL_MEMORY = 0xDEADBEEF

#: Element type -> struct code of a number in a result.
_STRUCT_CODES = {"i1": "?", "i8": "b", "i16": "h", "i32": "i", "i64": "q", "index": "q", "f32": "f", "f64": "d"}

#: Element type -> ctypes type of a number in a call.
CTYPES = {
    "i1": ctypes.c_bool,
    "i8": ctypes.c_int8,
    "i16": ctypes.c_int16,
    "i32": ctypes.c_int32,
    "i64": ctypes.c_int64,
    "index": ctypes.c_int64,
    "f32": ctypes.c_float,
    "f64": ctypes.c_double,
}


class Owned:
    """Memory a kernel allocated; freed when the last array on it goes away."""

    __slots__ = ("__array_interface__", "_address", "_free")

    def __init__(self, address: int, interface: dict[str, Any], free: Any):
        self._address = address
        self._free = free  # held here: at interpreter exit modules go before the last arrays
        self.__array_interface__ = interface

    def __del__(self) -> None:
        self._free(self._address)


class Borrowed:
    """Memory that belongs to an argument or to another result, which this keeps alive."""

    __slots__ = ("__array_interface__", "_owner")

    def __init__(self, owner: object, interface: dict[str, Any]):
        self._owner = owner
        self.__array_interface__ = interface


class ResultLayout:
    """The struct an entry function writes its results to: C layout, one field per result.

    Example:
        >>> ResultLayout([MemRefSpec("f32", (-1,))]).size
        40
    """

    def __init__(self, specs: Sequence[Spec]):
        codes = (f"{s.words}q" if isinstance(s, MemRefSpec) else _STRUCT_CODES[s.dtype] for s in specs)
        self._struct = struct.Struct("@" + "".join(codes))
        self.size = self._struct.size
        self._fields: list[tuple[int, _ArrayField | None]] = []
        self._only = _ArrayField(specs[0]) if len(specs) == 1 and isinstance(specs[0], MemRefSpec) else None
        first = 0
        for spec in specs:
            self._fields.append((first, _ArrayField(spec) if isinstance(spec, MemRefSpec) else None))
            first += spec.words if isinstance(spec, MemRefSpec) else 1

    def unpack(self, block: Any, addresses: Sequence[int], arguments: Iterable[object]) -> Any:
        """What a call returns: one value, or a tuple of several.

        Args:
            block: the filled struct.
            addresses, arguments: the call's memref arguments, which results may alias.
        """
        words = self._struct.unpack_from(block)
        if self._only is not None and words[0] not in addresses:  # memory of its own, as nearly all are
            return self._only.wrap(words, 0, {})
        owners = dict(zip(addresses, arguments))
        values = tuple(words[i] if field is None else field.wrap(words, i, owners) for i, field in self._fields)
        return values[0] if len(values) == 1 else values


class _ArrayField:
    """How to turn one returned descriptor into an array."""

    def __init__(self, spec: MemRefSpec):
        self.dtype = spec.numpy_dtype
        self.itemsize = self.dtype.itemsize
        self.scale = self.itemsize.__mul__
        self.rank = spec.rank
        self.free = lib().pith_free
        self.has_typestr = self.dtype.kind != "V"  # bfloat16 has none
        self.typestr = self.dtype.str if self.has_typestr else f"<u{self.itemsize}"

    def wrap(self, words: Sequence[int], first: int, owners: dict[int, object]) -> np.ndarray:
        """The array at ``words[first:]``. ``owners``: allocated pointer -> what keeps that memory alive."""
        allocated, aligned, offset = words[first : first + 3]
        strides = first + 3 + self.rank
        interface = {
            "version": 3,
            "data": (aligned + offset * self.itemsize, False),
            "shape": words[first + 3 : strides],
            "strides": tuple(map(self.scale, words[strides : strides + self.rank])),
            "typestr": self.typestr,
        }
        if allocated == _GLOBAL_MEMORY:
            array = np.array(Borrowed(None, interface))
        elif allocated in owners:
            array = np.asarray(Borrowed(owners[allocated], interface))
        else:
            array = owners[allocated] = np.asarray(Owned(allocated, interface, self.free))
        return array if self.has_typestr else array.view(self.dtype)
