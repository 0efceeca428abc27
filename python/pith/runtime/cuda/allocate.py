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
        address = allocate(device, nbytes, stream) if nbytes else 0
        return address, DeviceArray(shape, element, Allocation(device, address, nbytes, stream), stream)

    return own


def _torch_maker(device: Device, shape: tuple[int, ...], element: str) -> Callable[[int], Made]:
    torch = sys.modules["torch"]
    dtype = getattr(torch, numpy_name(element))
    where = torch.device("cuda", device.ordinal)

    def make(stream: int) -> Made:
        try:
            tensor = torch.empty(shape, dtype=dtype, device=where)
        except torch.OutOfMemoryError as error:
            raise GpuMemoryError(
                f"PyTorch has no memory for a result of shape {shape}: {error}",
                where=str(device),
                hint="drop tensors; use smaller inputs",
            ) from error
        return tensor.data_ptr(), tensor

    return make


def _cupy_maker(device: Device, shape: tuple[int, ...], element: str) -> Callable[[int], Made]:
    cupy = sys.modules["cupy"]

    def make(stream: int) -> Made:
        with cupy.cuda.Device(device.ordinal):
            array = cupy.empty(shape, numpy_name(element))
        return array.data.ptr, array

    return make


def current_stream(framework: str, ordinal: int) -> int:
    """The stream on which the framework works now."""
    if framework == "torch":
        return streams.torch_stream(ordinal)
    return streams.cupy_stream() if framework == "cupy" else streams.DEFAULT


def allocating_on(framework: str, stream: int, ordinal: int) -> contextlib.AbstractContextManager[Any]:
    """The framework's own allocator serves ``stream`` inside the block, so that results are not reused too early."""
    if framework == "torch":
        torch = sys.modules["torch"]
        return torch.cuda.stream(torch.cuda.ExternalStream(stream, device=ordinal))
    if framework == "cupy":
        return sys.modules["cupy"].cuda.ExternalStream(stream)
    return contextlib.nullcontext()
