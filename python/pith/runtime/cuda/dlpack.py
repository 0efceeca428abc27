"""DLPack by ctypes: reading capsules of any library, and making one for a :class:`~.memory.DeviceArray`."""

from __future__ import annotations

import ctypes
from typing import Any

from ...errors import ArgumentError
from .elements import dlpack_type, name_from_dlpack

CUDA, CUDA_MANAGED = 2, 13


class _Tensor(ctypes.Structure):
    """``DLTensor``."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    """``DLManagedTensor``, in capsules named ``dltensor``."""

    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter))


class _Versioned(ctypes.Structure):
    """``DLManagedTensorVersioned``, in capsules named ``dltensor_versioned``."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", _Deleter),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


_READ_ONLY = 1  # DLPACK_FLAG_BITMASK_READ_ONLY
_KINDS: tuple[tuple[bytes, Any], ...] = ((b"dltensor_versioned", _Versioned), (b"dltensor", _Managed))

_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_IsValid", ctypes.pythonapi))
_raw_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_Destructor = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
_new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, _Destructor)(
    ("PyCapsule_New", ctypes.pythonapi)
)


class Borrowed:
    """What a capsule says; it keeps the capsule, which keeps the memory.

    Attributes:
        address, shape, dtype: the array; ``dtype`` as NumPy calls it.
        strides: in elements, None when row-major.
        device: (DLPack's device type, number).
        writable: the producer allows writing.
    """

    def __init__(self, capsule: Any, where: str):
        tensor, self.writable = _read(capsule, where)
        self._capsule = capsule
        self.address = (tensor.data or 0) + tensor.byte_offset
        self.shape = tuple(tensor.shape[: tensor.ndim])
        self.strides = tuple(tensor.strides[: tensor.ndim]) if tensor.strides else None
        self.dtype = name_from_dlpack(tensor.code, tensor.bits, tensor.lanes)
        self.device = (tensor.device_type, tensor.device_id)


def _read(capsule: Any, where: str) -> tuple[_Tensor, bool]:
    for name, kind in _KINDS:
        if _is_valid(id(capsule), name):
            managed = kind.from_address(_pointer(capsule, name))
            return managed.tensor, not (kind is _Versioned and managed.flags & _READ_ONLY)
    raise ArgumentError("gave no DLPack capsule, or one that was used before", where=where)


#: What exported tensors need while a consumer has them: address of the struct -> everything it points to.
_EXPORTED: dict[int, tuple[Any, ...]] = {}


def export(array: Any) -> Any:
    """A capsule for a :class:`~.memory.DeviceArray`, which lives until the consumer is done."""
    rank = len(array.shape)
    strides = [1] * rank
    for axis in range(rank - 1, 0, -1):
        strides[axis - 1] = strides[axis] * array.shape[axis]
    sizes = (ctypes.c_int64 * max(rank, 1))(*array.shape), (ctypes.c_int64 * max(rank, 1))(*strides)
    code, bits = dlpack_type(array.element)
    managed = _Managed()
    managed.tensor = _Tensor(
        array.memory.address, CUDA, array.device.ordinal, rank, code, bits, 1, sizes[0], sizes[1], 0
    )
    managed.deleter = _release
    address = ctypes.addressof(managed)
    _EXPORTED[address] = (managed, sizes, array)
    return _new(address, b"dltensor", _abandon)


@_Deleter
def _release(address: int) -> None:
    """The consumer is done."""
    _EXPORTED.pop(address, None)


@_Destructor
def _abandon(capsule: int) -> None:
    """The capsule goes; when nobody has taken the tensor (and renamed the capsule), that goes too."""
    if _is_valid(capsule, b"dltensor"):
        _EXPORTED.pop(_raw_pointer(capsule, b"dltensor"), None)
