"""What a kernel returns -> NumPy arrays that own the memory, and Python numbers."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from .arrays import Operand
from .native import lib
from .signature import MemRefSpec, Spec, numpy_dtype

#: The allocated pointer MLIR gives a memref.get_global: the data is part of the object.
_GLOBAL_MEMORY = 0xDEADBEEF

#: Element type -> struct code of a scalar in a result.
STRUCT_CODES = {"i1": "?", "i8": "b", "i16": "h", "i32": "i", "i64": "q", "index": "q", "f32": "f", "f64": "d"}

#: Element type -> ctypes type of a scalar in a call.
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

    def __init__(self, address: int, interface: dict[str, Any]):
        self._address = address
        self._free = lib().pith_free
        self.__array_interface__ = interface

    def __del__(self) -> None:
        self._free(self._address)


class Borrowed:
    """Memory that belongs to an argument, which this keeps alive."""

    __slots__ = ("__array_interface__", "_owner")

    def __init__(self, owner: object, interface: dict[str, Any]):
        self._owner = owner
        self.__array_interface__ = interface


class ResultLayout:
    """The struct an entry function writes its results to: C layout, one field per result."""

    def __init__(self, specs: Sequence[Spec]):
        codes = "@"
        self.slices: list[tuple[Spec, int, int]] = []
        first = 0
        for spec in specs:
            count = spec.words if isinstance(spec, MemRefSpec) else 1
            codes += f"{count}q" if isinstance(spec, MemRefSpec) else STRUCT_CODES[spec.dtype]
            self.slices.append((spec, first, first + count))
            first += count
        self._struct = struct.Struct(codes)
        self.size = self._struct.size

    def unpack(self, block: Any, operands: Sequence[Operand]) -> list[Any]:
        """Arrays and numbers of one call. ``operands`` are its arguments, which results may alias."""
        fields = self._struct.unpack_from(block)
        owners: dict[int, object] = {}
        return [
            _array(spec, fields[begin:end], operands, owners) if isinstance(spec, MemRefSpec) else fields[begin]
            for spec, begin, end in self.slices
        ]


def _array(
    spec: MemRefSpec, words: Sequence[int], operands: Sequence[Operand], owners: dict[int, object]
) -> np.ndarray:
    """Wrap one returned descriptor. ``owners``: allocations this call already took over."""
    dtype = numpy_dtype(spec.dtype)
    allocated, aligned, offset = words[:3]
    shape, strides = words[3 : 3 + spec.rank], words[3 + spec.rank :]
    interface = {
        "version": 3,
        "data": ((aligned + offset * dtype.itemsize) & (2**64 - 1), False),
        "shape": tuple(shape),
        "strides": tuple(stride * dtype.itemsize for stride in strides),
        "typestr": f"|V{dtype.itemsize}" if dtype.kind == "V" else dtype.str,
    }
    if allocated == _GLOBAL_MEMORY:
        return np.array(Borrowed(None, interface)).view(dtype)
    owner = owners.get(allocated) or _argument_owner(allocated, operands)
    if owner is not None:
        return np.asarray(Borrowed(owner, interface)).view(dtype)
    array = np.asarray(Owned(allocated & (2**64 - 1), interface)).view(dtype)
    owners[allocated] = array
    return array


def _argument_owner(address: int, operands: Sequence[Operand]) -> object:
    return next((operand.owner for operand in operands if operand.address == address), None)
