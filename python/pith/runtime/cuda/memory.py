"""Device memory that frees itself, and arrays on it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import DTypeError
from . import streams
from .driver import check, driver
from .elements import numpy_name, size_of, typestr_of
from .failures import failure
from .hardware import Device, leave, using


class Allocation:
    """Device memory; freed in the order of its stream when nothing refers to it any more.

    Attributes:
        address: where it is; 0 of no bytes.
        nbytes: how much it is.
        device: where it is.
        stream: the stream that it was allocated on and is freed on.
    """

    __slots__ = ("__weakref__", "address", "device", "nbytes", "stream")

    def __init__(self, device: Device, address: int, nbytes: int, stream: int = streams.DEFAULT):
        self.device, self.address, self.nbytes, self.stream = device, address, nbytes, stream

    @classmethod
    def new(cls, device: Device, nbytes: int, stream: int = streams.DEFAULT) -> Allocation:
        """Memory of undefined contents.

        Errors: :class:`pith.GpuMemoryError` when the device has no more.
        """
        if not nbytes:
            return cls(device, 0, 0, stream)
        previous = device.enter()
        try:
            return cls(device, allocate(device, nbytes, streams.as_object(stream)), nbytes, stream)
        finally:
            if previous is not None:
                leave(previous)

    def free(self) -> None:
        """Give the memory back now; no work may be given to the device that uses it."""
        address, self.address = self.address, 0
        if not address:
            return
        previous = self.device.enter()
        try:
            free(self.device, address, streams.as_object(self.stream))
        finally:
            if previous is not None:
                leave(previous)

    def __del__(self) -> None:
        try:
            self.free()
        except Exception:  # at interpreter exit, or after a kernel failed: the context is gone, and memory with it
            pass


def allocate(device: Device, nbytes: int, stream: Any) -> int:
    """The address of new memory; ``device`` is the thread's.

    Errors: :class:`pith.GpuMemoryError`.
    """
    d = driver()
    status, address = d.cuMemAllocAsync(nbytes, stream) if device.has_pools else d.cuMemAlloc(nbytes)
    if status:
        raise failure(d, status, f"allocating {nbytes} bytes on {device}")
    return int(address)


def free(device: Device, address: int, stream: Any) -> None:
    """Give memory back in the order of ``stream``; ``device`` is the thread's.

    What the driver says is not asked: after a kernel failed it refuses this too, and the memory is gone.
    """
    d = driver()
    d.cuMemFreeAsync(address, stream) if device.has_pools else d.cuMemFree(address)


@dataclasses.dataclass(eq=False, repr=False)
class DeviceArray:
    """A row-major array on a GPU; PyTorch, CuPy, Numba and others take it without a copy.

    Attributes:
        shape: its sizes.
        element: element type, as in IR: ``f16``, ``i32``, ...
        memory: what it lies in.
        stream: the stream whose work makes its contents; None when they are complete.

    Example:
        >>> import pith, numpy as np
        >>> x = pith.runtime.cuda.to_device(np.ones((2, 3), np.float32))    # doctest: +SKIP
        >>> torch.from_dlpack(x).sum(), x.numpy().shape                     # doctest: +SKIP
        (tensor(6., device='cuda:0'), (2, 3))
    """

    shape: tuple[int, ...]
    element: str
    memory: Allocation
    stream: int | None = None

    @property
    def device(self) -> Device:
        """Where it is."""
        return self.memory.device

    @property
    def dtype(self) -> np.dtype:
        """NumPy's element type."""
        from ..signature import numpy_dtype

        return numpy_dtype(self.element)

    @property
    def nbytes(self) -> int:
        """Bytes of its elements."""
        return math.prod(self.shape) * size_of(self.element)

    def __repr__(self) -> str:
        sizes = "x".join(map(str, self.shape)) or "scalar"
        return f"DeviceArray({sizes} {numpy_name(self.element)} on {self.device})"

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Version 3 of the interface that Numba defines; bfloat16 has no name in it: use DLPack."""
        typestr = typestr_of(self.element)
        if typestr is None:
            raise AttributeError(f"{self.element} arrays have no __cuda_array_interface__; they have __dlpack__")
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": typestr,
            "data": (self.memory.address, False),
            "strides": None,
            "stream": 1 if self.stream == streams.DEFAULT else self.stream,  # 1: its name of the legacy default stream
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device.ordinal  # kDLCUDA

    def __dlpack__(self, *, stream: Any = None, **options: Any) -> Any:
        """A DLPack capsule; ``stream`` (the consumer's, -1 for none) waits for work on the array's own stream."""
        from .dlpack import export

        if stream != -1 and self.stream is not None:
            consumer = streams.DEFAULT if stream in (None, 1) else int(stream)
            with using(self.device):
                streams.wait(consumer, self.stream)
        return export(self)

    def numpy(self) -> np.ndarray:
        """A copy on the host; waits for the work given to the array's stream.

        Errors: those of kernels that failed: :class:`pith.GpuLaunchError`.
        """
        out = np.empty(self.shape, self.dtype)
        if out.nbytes:
            d = driver()
            with using(self.device):
                if self.stream is not None:
                    streams.synchronize(self.stream)
                check(d.cuMemcpyDtoH(out.ctypes.data, self.memory.address, out.nbytes), f"copying {self!r} to the host")
        return out

    def __array__(self, *args: Any, **options: Any) -> np.ndarray:
        raise DTypeError(f"{self!r} is not in host memory", where="numpy.asarray", hint="call .numpy()")


def empty(device: Device, shape: Sequence[int], element: str, stream: int = streams.DEFAULT) -> DeviceArray:
    """A new array, contents undefined.

    Errors: :class:`pith.GpuMemoryError`.
    """
    nbytes = math.prod(shape) * size_of(element)
    return DeviceArray(tuple(shape), element, Allocation.new(device, nbytes, stream))


def upload(device: Device, array: np.ndarray, element: str, stream: int = streams.DEFAULT) -> DeviceArray:
    """A copy of a host array; it is complete on return.

    Errors: :class:`pith.GpuMemoryError`.
    """
    source = np.ascontiguousarray(array)
    made = empty(device, array.shape, element, stream)  # ascontiguousarray makes rank 0 to rank 1
    if source.nbytes:
        d = driver()
        with using(device):
            doing = f"copying {source.nbytes} bytes to {device}"
            check(d.cuMemcpyHtoDAsync(made.memory.address, source.ctypes.data, source.nbytes, stream), doing)
            streams.synchronize(stream)
    return made
