"""Loading PTX and machine code, once per device and content."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

from ...errors import GpuArchitectureError, GpuLaunchError
from .driver import driver, driver_version
from .failures import failure
from .hardware import Device, runs_on, using

#: Bytes of the assembler's log an error quotes; it names the first bad line at its beginning.
_LOG_BYTES = 8192

#: Dynamic shared memory a block may have without opting in (CUDA C++ Programming Guide, technical specifications).
_DEFAULT_SHARED_BYTES = 48 * 1024

_LOCK = threading.Lock()
_LOADED: dict[tuple[int, str], Module] = {}


class Module:
    """Kernels loaded on a device; they stay until the process ends, so functions of running kernels never go.

    Attributes:
        device: where it is loaded.
        target: the chip it was made for.
    """

    def __init__(self, device: Device, handle: Any, target: str):
        self.device = device
        self.target = target
        self._handle = handle
        self._functions: dict[str, Any] = {}
        self._shared: dict[str, int] = {}

    def function(self, kernel: str, shared_bytes: int = 0) -> Any:
        """The handle of a kernel that may be launched with ``shared_bytes`` of dynamic shared memory.

        Errors: :class:`pith.GpuLaunchError` when there is no such kernel, or the device has less memory.
        """
        d = driver()
        if kernel not in self._functions:
            status, handle = d.cuModuleGetFunction(self._handle, kernel.encode())
            if status:
                raise failure(d, status, f"looking up the kernel {kernel!r}", launching=True)
            self._functions[kernel] = handle
        if shared_bytes > max(_DEFAULT_SHARED_BYTES, self._shared.get(kernel, 0)):
            self._opt_in(kernel, shared_bytes)
        return self._functions[kernel]

    def _opt_in(self, kernel: str, shared_bytes: int) -> None:
        if shared_bytes > self.device.max_shared_bytes:
            raise GpuLaunchError(
                f"needs {shared_bytes} bytes of shared memory per block, {self.device} has "
                f"{self.device.max_shared_bytes}",
                where=kernel,
                hint=f"compile for target={self.device.chip!r}: it takes a smaller tile",
            )
        d = driver()
        attribute = d.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        (status,) = d.cuFuncSetAttribute(self._functions[kernel], attribute, shared_bytes)
        if status:
            raise failure(d, status, f"asking for {shared_bytes} bytes of shared memory", where=kernel, launching=True)
        self._shared[kernel] = shared_bytes


def load(device: Device, image: bytes, target: str) -> Module:
    """The kernels of ``image`` (PTX text or a cubin) on ``device``; the same image is loaded once.

    Errors: :class:`pith.GpuArchitectureError` for code that the device or its driver cannot run, with what
        the driver's assembler said.
    """
    key = (device.ordinal, hashlib.sha256(image).hexdigest())
    with _LOCK:
        if key not in _LOADED:
            _require_architecture(device, image, target)
            with using(device):
                _LOADED[key] = Module(device, _load(image, device, target), target)
        return _LOADED[key]


def is_machine_code(image: bytes) -> bool:
    """True for a cubin, False for PTX text."""
    return image[:4] == b"\x7fELF"


def _require_architecture(device: Device, image: bytes, target: str) -> None:
    if runs_on(target, device.capability, is_machine_code(image)):
        return
    kind = "machine code" if is_machine_code(image) else "PTX"
    raise GpuArchitectureError(
        f"{kind} for {target} does not run on {device}", hint=f"compile it with target={device.chip!r}"
    )


def _load(image: bytes, device: Device, target: str) -> Any:
    d = driver()
    log = bytearray(_LOG_BYTES)
    options = d.CUjit_option
    keys = [options.CU_JIT_ERROR_LOG_BUFFER, options.CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES]
    text = image if is_machine_code(image) else image.rstrip(b"\0") + b"\0"
    status, handle = d.cuModuleLoadDataEx(text, len(keys), keys, [log, _LOG_BYTES])
    if not status:
        return handle
    said = bytes(log).split(b"\0")[0].decode(errors="replace").strip()
    doing = f"loading the kernels for {target} on {device}, driver for CUDA {'.'.join(map(str, driver_version()))},"
    raise failure(d, status, f"{doing} (the assembler said: {said})" if said else doing)
