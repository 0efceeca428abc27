"""Whose arrays results are: PyTorch's or CuPy's where such were passed, else :class:`~.memory.DeviceArray`."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable
from typing import Any

from ...errors import GpuMemoryError
from . import streams
from .elements import numpy_name, size_of
from .hardware import Device
from .memory import Allocation, DeviceArray, allocate

#: A result's address, and the result.
Made = tuple[int, Any]


def maker(framework: str, device: Device, shape: tuple[int, ...], element: str) -> Callable[[int], Made]:
    """A function of the stream that makes a new array, contents undefined; ``device`` must be the thread's."""
    if framework == "torch":
        return _torch_maker(device, shape, element)
    if framework == "cupy" and element != "bf16":
        return _cupy_maker(device, shape, element)

    nbytes = math.prod(shape) * size_of(element)

    def own(stream: int) -> Made:
        address = allocate(device, nbytes, streams.as_object(stream)) if nbytes else 0
        return address, DeviceArray(shape, element, Allocation(device, address, nbytes, stream), stream)

    return own


def _torch_maker(device: Device, shape: tuple[int, ...], element: str) -> Callable[[int], Made]:
    """Results are made like a tensor without memory: ``empty`` takes twice as long, most of it to read its keywords."""
    torch = sys.modules["torch"]

    try:
        dtype, where = getattr(torch, numpy_name(element)), torch.device("cuda", device.ordinal)
        alike = torch.empty(shape, dtype=dtype, device=where)
    except torch.OutOfMemoryError as error:
        raise _no_memory(device, shape, error) from error
    alike.untyped_storage().resize_(0)

    def make(stream: int) -> Made:
        try:
            tensor = torch.empty_like(alike)
        except torch.OutOfMemoryError as error:
            raise _no_memory(device, shape, error) from error
        return tensor.data_ptr(), tensor

    return make


def _no_memory(device: Device, shape: tuple[int, ...], error: Exception) -> GpuMemoryError:
    return GpuMemoryError(
        f"PyTorch has no memory for a result of shape {shape}: {error}",
        where=str(device),
        hint="drop tensors; use smaller inputs",
    )


def _cupy_maker(device: Device, shape: tuple[int, ...], element: str) -> Callable[[int], Made]:
    cupy = sys.modules["cupy"]

    def make(stream: int) -> Made:
        with cupy.cuda.Device(device.ordinal):
            array = cupy.empty(shape, numpy_name(element))
        return array.data.ptr, array

    return make


def allocating_on(framework: str, stream: int, ordinal: int) -> contextlib.AbstractContextManager[Any]:
    """The framework's own allocator serves ``stream`` inside the block, so that results are not reused too early."""
    if framework == "torch":
        torch = sys.modules["torch"]
        return torch.cuda.stream(torch.cuda.ExternalStream(stream, device=ordinal))
    if framework == "cupy":
        return sys.modules["cupy"].cuda.ExternalStream(stream)
    return contextlib.nullcontext()
