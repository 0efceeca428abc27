"""Running GPU programs with NVIDIA's ``cuda-bindings``; nothing of it is loaded before it is used.

``devices()`` lists the GPUs, ``to_device`` copies host data to one. Kernels come from :func:`pith.compile` and
:func:`pith.load`; they take PyTorch's and CuPy's arrays, and everything with ``__cuda_array_interface__`` or
DLPack, where they are.
"""

from __future__ import annotations

from ...errors import NoGpuError
from .driver import driver_version
from .graphs import Graph, capture
from .hardware import Device, chip_for, chip_of, device, devices, runs_on
from .memory import DeviceArray
from .program import DeviceProgram
from .resident import DevicePattern, DeviceSparse, to_device
from .streams import synchronize

__all__ = [
    "Device",
    "DeviceArray",
    "DevicePattern",
    "DeviceProgram",
    "DeviceSparse",
    "Graph",
    "capture",
    "chip_for",
    "chip_of",
    "device",
    "devices",
    "driver_version",
    "is_available",
    "runs_on",
    "synchronize",
    "to_device",
]


def is_available() -> bool:
    """Whether kernels can run here: cuda-bindings, a driver and a device are there.

    Example:
        >>> is_available() in (True, False)
        True
    """
    try:
        return bool(devices())
    except NoGpuError:
        return False
