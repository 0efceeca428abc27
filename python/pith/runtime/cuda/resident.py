"""Host values that kernels need on a device: sparse tensors and patterns, copied once and kept with their owner."""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np

from ...errors import ArgumentError, DeviceError
from ...generation import generation
from ..arrays import as_array
from ..signature import dtype_name
from . import streams
from .arguments import describer
from .hardware import Device
from .hardware import device as device_of
from .memory import DeviceArray, upload
from .views import view


class DeviceSparse:
    """A :class:`pith.SparseTensor` whose buffers lie on a device; pass it wherever the tensor may be passed.

    Attributes:
        tensor: the tensor on the host, for its shape and format.
        arrays: its buffers on the device, metadata first; the last one, the values, may be any array there.
    """

    def __init__(self, tensor: Any, arrays: tuple[Any, ...]):
        self.tensor, self.arrays = tensor, arrays
        self._described: dict[tuple[int, ...], tuple[tuple[int, ...], object]] = {}

    @property
    def device(self) -> Device:
        """Where it is."""
        first = self.arrays[0]
        return first.device if isinstance(first, DeviceArray) else device_of(view(first, "values").ordinal or 0)

    @property
    def values(self) -> Any:
        """What it stores, in storage order."""
        return self.arrays[-1]

    def parts(self, param: Any, where: str) -> list[Any]:
        """Its arrays, and a size for every dimension that ``param`` leaves open.

        Errors: :class:`pith.FormatError`, :class:`pith.ShapeError` when it is not what ``param`` describes.
        """
        checked = param.tensor(self.tensor, where)
        return [*self.arrays, *(n for n, s in zip(checked.shape, param.shape) if s < 0)]

    def described(self, param: Any) -> tuple[tuple[int, ...], object]:
        """Words of its operands, and a key that is the same for tensors that launch parameters can be shared by."""
        found = self._described.get(param.shape)
        if found is None:
            sizes = tuple(n for n, s in zip(self.tensor.shape, param.shape) if s < 0)
            described = [describer(type(array))(array) for array in self.arrays]
            words = (*(word for part, _ in described for word in part), *sizes)
            alike = (self.tensor.format, self.tensor.shape, *(key for _, key in described))
            # Hashing a format takes longer than the call: equal ones share an object, whose hash is its identity.
            found = self._described[param.shape] = (words, _KEYS.setdefault(alike, object()))
        return found

    def __repr__(self) -> str:
        return f"<{self.tensor!r} on {self.device}>"


_KEYS: dict[tuple[Any, ...], object] = {}


class DevicePattern:
    """A :class:`pith.Pattern` on a device: the count, then the coordinates, as i32.

    Attributes:
        pattern: the pattern on the host, for its sizes and granularity.
        array: the list. Its length is the count rounded up to a power of two, so that patterns of about the same
            count share launch parameters; entries past the count mean nothing.
    """

    def __init__(self, pattern: Any, array: DeviceArray):
        self.pattern, self.array = pattern, array

    @property
    def device(self) -> Device:
        """Where it is."""
        return self.array.device

    def __repr__(self) -> str:
        return f"<{self.pattern!r} on {self.device}>"


#: Shortest list of coordinates: below that, rounding up to powers of two makes many lengths of few bytes.
_LEAST_ENTRIES = 16


def pattern_list(pattern: Any) -> np.ndarray:
    """The list of a pattern as kernels read it.

    Example:
        >>> from pith.patterns import Pattern
        >>> pattern_list(Pattern.from_indices([[0, 1], [2, 0]], sizes=(3, 2)))[:5]
        array([2, 0, 1, 2, 0], dtype=int32)
    """
    count, rank = pattern.count, pattern.rank
    capacity = max(_LEAST_ENTRIES, 1 << max(0, count - 1).bit_length())
    entries = np.zeros(1 + rank * min(capacity, max(math.prod(pattern.grid), 1)), np.int32)
    entries[0] = count
    entries[1 : 1 + rank * count] = pattern.coordinates.reshape(-1)
    return entries


class _Kept:
    """Copies by owner and device, dropped with their owner; owners are told apart by identity, never compared."""

    def __init__(self) -> None:
        #: Each with the generation of the values it was made of.
        self._copies: dict[tuple[int, int], tuple[int, Any]] = {}

    def get(self, owner: Any, device: Device) -> Any:
        key, now = (id(owner), device.ordinal), generation()
        made, copy = self._copies.get(key, (now, None))
        if copy is None:
            copy = _copy(owner, device)
            weakref.finalize(owner, self._copies.pop, key, None).atexit = False
        elif made != now and isinstance(copy, DeviceSparse):
            copy = DeviceSparse(copy.tensor, (*copy.arrays[:-1], _uploaded(owner.values, device)))
        self._copies[key] = now, copy
        return copy


_KEPT = _Kept()


def resident(value: Any, device: Device) -> DeviceSparse | DevicePattern:
    """The copy of a sparse tensor or a pattern on ``device``, made on first use and kept as long as ``value``.

    Values that were overwritten since (:func:`pith.repack` with ``out``) are copied again.

    Errors: :class:`pith.GpuMemoryError`.
    """
    return _KEPT.get(value, device)


def _copy(value: Any, device: Device) -> DeviceSparse | DevicePattern:
    """A copy that does not keep its owner, which would never be dropped."""
    owner = weakref.proxy(value)
    if is_pattern(value):
        return DevicePattern(owner, upload(device, pattern_list(value), "i32"))
    return DeviceSparse(owner, tuple(_uploaded(b, device) for b in value.buffers))


def _uploaded(buffer: np.ndarray, device: Device) -> DeviceArray:
    return upload(device, buffer, dtype_name(buffer.dtype))


def is_pattern(value: Any) -> bool:
    """True for a :class:`pith.Pattern`, without importing it."""
    return hasattr(value, "coordinates") and hasattr(value, "granularity")


def to_device(value: Any, device: int = 0, stream: Any = None) -> Any:
    """A copy of host data on a GPU.

    Args:
        value: an array (NumPy, torch on the CPU, anything with DLPack), a :class:`pith.SparseTensor` or a
            :class:`pith.Pattern`.
        device: number of the GPU.
        stream: the stream to copy on; the call returns when the copy is complete.

    Returns: a :class:`~.memory.DeviceArray`, :class:`DeviceSparse` or :class:`DevicePattern`. Kernels take sparse
        tensors and patterns from the host too, and copy them once.
    Errors: :class:`pith.NoGpuError`, :class:`pith.GpuMemoryError`, :class:`pith.DTypeError` for element types that
        kernels do not know, :class:`pith.DeviceError` for arrays that are on a GPU already.
    """
    target = device_of(device)
    if hasattr(value, "buffers") and hasattr(value, "format"):
        return DeviceSparse(value, tuple(_uploaded(b, target) for b in value.buffers))
    if is_pattern(value):
        return DevicePattern(value, upload(target, pattern_list(value), "i32"))
    if isinstance(value, (DeviceArray, DeviceSparse, DevicePattern)) or hasattr(value, "__cuda_array_interface__"):
        raise DeviceError("is on a GPU already", where="to_device", hint="pass it to the kernel as it is")
    if np.isscalar(value):
        raise ArgumentError(
            f"expected an array, got {value!r}", where="to_device", hint="kernels take numbers as they are"
        )
    array = as_array(value, "to_device")
    handle = streams.DEFAULT if stream is None else streams.handle_of(stream)
    return upload(target, array, dtype_name(array.dtype), handle)
