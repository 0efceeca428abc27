"""A CUDA driver for tests: ``cuda.bindings.driver`` where device memory is host memory and launches are recorded.

It obeys the driver's rules as far as a launcher can break them: addresses must be live allocations, streams and
functions belong to a context, attributes must be asked for before more than 48 KiB of shared memory is used, what is
captured runs when the graph is launched. A call that breaks one returns the driver's status for it. With ``kernels``
set, launches also run: ``kernels(launch)`` gets the parameters as numbers.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import enum
import re
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

from pith.programs import Program, Size, TensorMap
from pith.programs.tensor_map import MAP_ALIGNMENT
from pith.runtime.cuda import driver, frame, hardware, modules, resident, streams, tensor_maps
from pith.runtime.emulated_maps import MAGIC, EmulatedMap


class Status(enum.IntEnum):
    SUCCESS = 0
    INVALID_VALUE = 1
    OUT_OF_MEMORY = 2
    NO_DEVICE = 100
    INVALID_DEVICE = 101
    INVALID_CONTEXT = 201
    NO_BINARY_FOR_GPU = 209
    INVALID_PTX = 218
    UNSUPPORTED_PTX_VERSION = 222
    INVALID_HANDLE = 400
    NOT_FOUND = 500
    ILLEGAL_ADDRESS = 700
    LAUNCH_OUT_OF_RESOURCES = 701
    ASSERT = 710
    STREAM_CAPTURE_UNSUPPORTED = 900


class Handle(int):
    """What the bindings wrap handles in."""


class _Numbers:
    """An enumeration whose members are their own names."""

    def __getattr__(self, name: str) -> str:
        return name


@dataclasses.dataclass
class Gpu:
    """A device of the stand-in."""

    name: str = "Stand-in H100"
    capability: tuple[int, int] = (9, 0)
    memory_bytes: int = 1 << 28
    max_shared_bytes: int = 227 * 1024
    pools: bool = True


@dataclasses.dataclass(frozen=True)
class Launched:
    """A launch as the device saw it.

    Attributes:
        values: the bytes of every parameter as a number, by the sizes in the PTX.
    """

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int
    stream: int
    values: tuple[int, ...]


@dataclasses.dataclass
class _Module:
    device: int
    entries: dict[str, tuple[int, ...]]


@dataclasses.dataclass
class _Function:
    module: _Module
    kernel: str
    shared_bytes: int = 48 * 1024


_LAUNCH = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(frame.Config), *[ctypes.c_void_p] * 3)
_SIZES = {"8": 1, "16": 2, "32": 4, "64": 8}


def entries_of(ptx: str) -> dict[str, tuple[int, ...]]:
    """Bytes of every parameter of the kernels in PTX."""
    found = {}
    for name, params in re.findall(r"\.entry\s+(\w+)\s*\((.*?)\)", ptx, re.DOTALL):
        kinds = re.findall(r"\.param\s+(?:\.align\s+\d+\s+)?\.[a-z](\d+)[^\[,]*(?:\[(\d+)\])?", params)
        found[name] = tuple(_SIZES[bits] * int(count or 1) for bits, count in kinds)
    return found


def ptx_for(program: Program, target: str = "sm_90", version: str = "8.0") -> bytes:
    """PTX that declares the kernels of a program and does nothing; enough for a driver that runs none."""
    lines = [f".version {version}", f".target {target}", ".address_size 64"]
    for launch in program.launches:
        types = [t for operand in launch.operands for t in _parameter_types(program, operand)]
        names = (f"{launch.kernel}_param_{i}" for i in range(len(types)))
        params = ",\n".join(f"\t.param .{t.replace('@', n) if '@' in t else f'{t} {n}'}" for t, n in zip(types, names))
        lines.append(f".visible .entry {launch.kernel}(\n{params}\n)\n{{\n\tret;\n}}")
    return "\n".join(lines).encode()


def _parameter_types(program: Program, operand: int | Size | TensorMap) -> list[str]:
    if isinstance(operand, Size):
        return ["u64"]
    if isinstance(operand, TensorMap):
        return ["align 64 .b8 @[128]"]
    described = program.operands[operand]
    if described.shape is not None:
        return ["u64"] * described.parameters
    return [
        {"i8": "u8", "i1": "u8", "f16": "b16", "f32": "f32", "i32": "u32", "f64": "f64"}.get(described.dtype, "u64")
    ]


class StandIn:
    """The module ``cuda.bindings.driver``.

    Attributes:
        gpus: the devices.
        version: the newest CUDA version it serves.
        launched: every launch that ran, in order.
        live: address -> (bytes, device, memory) of what is allocated.
        failures: name of a function -> status it returns from now on; a list is used up one by one.
        calls: names of all functions called.
        kernels: runs a launch.
        kept: bytes the pools keep of what is freed.
    """

    def __init__(self, *gpus: Gpu, version: int = 13000):
        self.gpus, self.version = gpus or (Gpu(),), version
        self.launched: list[Launched] = []
        self.live: dict[int, tuple[int, int, Any]] = {}
        self.failures: dict[str, Any] = {}
        self.calls: list[str] = []
        self.kernels: Callable[[Launched], None] | None = None
        self._current, self._lock = threading.local(), threading.RLock()
        self._objects: dict[int, Any] = {}
        self._capturing: dict[int, list[Launched]] = {}
        for name in ("device", "function", "pointer", "memPool"):
            setattr(self, f"CU{name}_attribute", _Numbers())
        self.CUjit_option = _Numbers()
        self.CUstream_flags = types.SimpleNamespace(CU_STREAM_NON_BLOCKING=1)
        self.CUevent_flags = types.SimpleNamespace(CU_EVENT_DISABLE_TIMING=2)
        self.CUstreamCaptureMode = types.SimpleNamespace(CU_STREAM_CAPTURE_MODE_RELAXED=2)
        self.CUstream = self.cuuint64_t = Handle
        self.CUresult = Status
        self._encode = tensor_maps._PROTOTYPE(self._encode_tiled)
        self._launch = _LAUNCH(self._launch_configured)
        self.kept = 0

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if not name.startswith("cu") or name == "cuuint64_t" or not callable(found):
            return found

        def called(*args: Any) -> Any:
            self.calls.append(name)
            failing = self.failures.get(name)
            if isinstance(failing, list):
                failing = failing.pop(0) if failing else None
            if failing:
                return (failing,) if name in _WITHOUT_VALUE else (failing, None)
            with self._lock:
                return found(*args)

        return called

    def _new(self, thing: Any) -> Handle:
        handle = Handle(0x1000 + 16 * len(self._objects))
        self._objects[handle] = thing
        return handle

    def _device(self) -> int | None:
        context = getattr(self._current, "context", 0)
        return self._objects[context][1] if context else None

    # -- devices, contexts --------------------------------------------------------------

    def cuInit(self, flags: int) -> Any:
        return (Status.SUCCESS,)

    def cuDriverGetVersion(self) -> Any:
        return Status.SUCCESS, self.version

    def cuDeviceGetCount(self) -> Any:
        return Status.SUCCESS, len(self.gpus)

    def cuDeviceGet(self, ordinal: int) -> Any:
        return (Status.SUCCESS, Handle(ordinal)) if ordinal < len(self.gpus) else (Status.INVALID_DEVICE, None)

    def cuDeviceGetName(self, length: int, device: int) -> Any:
        return Status.SUCCESS, self.gpus[device].name.encode() + bytes(8)

    def cuDeviceTotalMem(self, device: int) -> Any:
        return Status.SUCCESS, self.gpus[device].memory_bytes

    def cuDeviceGetAttribute(self, attribute: str, device: int) -> Any:
        gpu = self.gpus[device]
        values = {
            "COMPUTE_CAPABILITY_MAJOR": gpu.capability[0],
            "COMPUTE_CAPABILITY_MINOR": gpu.capability[1],
            "MULTIPROCESSOR_COUNT": 132,
            "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN": gpu.max_shared_bytes,
            "MEMORY_POOLS_SUPPORTED": int(gpu.pools),
        }
        return Status.SUCCESS, values[attribute.removeprefix("CU_DEVICE_ATTRIBUTE_")]

    def cuDevicePrimaryCtxRetain(self, device: int) -> Any:
        return Status.SUCCESS, self._new(("context", int(device)))

    def cuCtxGetCurrent(self) -> Any:
        return Status.SUCCESS, Handle(getattr(self._current, "context", 0))

    def cuCtxSetCurrent(self, context: int) -> Any:
        self._current.context = int(context)
        return (Status.SUCCESS,)

    # -- memory -------------------------------------------------------------------------

    def cuMemAlloc(self, nbytes: int) -> Any:
        device = self._device()
        if device is None:
            return Status.INVALID_CONTEXT, None
        if nbytes <= 0:
            return Status.INVALID_VALUE, None
        used = sum(n for n, d, _ in self.live.values() if d == device)
        if used + nbytes > self.gpus[device].memory_bytes:
            return Status.OUT_OF_MEMORY, None
        memory = ctypes.create_string_buffer(nbytes + 256)
        ctypes.memset(memory, 0xA5, nbytes + 256)  # contents of new memory are anything but zero
        address = (ctypes.addressof(memory) + 255) // 256 * 256
        self.live[address] = (nbytes, device, memory)
        return Status.SUCCESS, Handle(address)

    def cuMemAllocAsync(self, nbytes: int, stream: int) -> Any:
        return StandIn.cuMemAlloc(self, nbytes)

    def cuMemFree(self, address: int) -> Any:
        return (Status.SUCCESS if self.live.pop(int(address), None) else Status.INVALID_VALUE,)

    def cuMemFreeAsync(self, address: int, stream: int) -> Any:
        return StandIn.cuMemFree(self, address)

    def holds(self, address: int, nbytes: int = 1) -> bool:
        """Whether an address range is inside a live allocation."""
        return any(a <= address and address + nbytes <= a + n for a, (n, _, _) in self.live.items())

    def cuDeviceGetDefaultMemPool(self, device: int) -> Any:
        return Status.SUCCESS, self._new("pool")

    def cuMemPoolGetAttribute(self, pool: int, attribute: str) -> Any:
        return Status.SUCCESS, Handle(self.kept)

    def cuMemPoolSetAttribute(self, pool: int, attribute: str, value: Handle) -> Any:
        self.kept = int(value)
        return (Status.SUCCESS,)

    def cuMemcpyHtoDAsync(self, target: int, source: int, nbytes: int, stream: int) -> Any:
        if not self.holds(int(target), nbytes):
            return (Status.INVALID_VALUE,)
        ctypes.memmove(int(target), source, nbytes)
        return (Status.SUCCESS,)

    def cuMemcpyDtoH(self, target: int, source: int, nbytes: int) -> Any:
        if not self.holds(int(source), nbytes):
            return (Status.INVALID_VALUE,)
        ctypes.memmove(target, int(source), nbytes)
        return (Status.SUCCESS,)

    def cuPointerGetAttribute(self, attribute: str, address: int) -> Any:
        for start, (nbytes, device, _) in self.live.items():
            if start <= address < start + nbytes:
                return Status.SUCCESS, device
        return Status.INVALID_VALUE, None

    # -- code ---------------------------------------------------------------------------

    def cuModuleLoadDataEx(self, image: bytes, count: int, options: list[str], values: list[Any]) -> Any:
        device = self._device()
        if device is None:
            return Status.INVALID_CONTEXT, None
        text = image.split(b"\0")[0].decode()
        version = re.search(r"\.version (\d+)\.(\d+)", text)
        if version is None:
            values[options.index("CU_JIT_ERROR_LOG_BUFFER")][:17] = b"ptxas : no .vers\0"
            return Status.INVALID_PTX, None
        # PTX 8.7 came with CUDA 12.7, 9.0 with 13.0: the major version is four below CUDA's.
        if (int(version[1]) + 4) * 1000 + int(version[2]) * 10 > self.version:
            return Status.UNSUPPORTED_PTX_VERSION, None
        return Status.SUCCESS, self._new(_Module(device, entries_of(text)))

    def cuModuleGetFunction(self, module: int, name: bytes) -> Any:
        found = self._objects[module]
        if name.decode() not in found.entries:
            return Status.NOT_FOUND, None
        return Status.SUCCESS, self._new(_Function(found, name.decode()))

    def cuFuncSetAttribute(self, function: int, attribute: str, value: int) -> Any:
        found = self._objects[function]
        if value > self.gpus[found.module.device].max_shared_bytes:
            return (Status.INVALID_VALUE,)
        found.shared_bytes = value
        return (Status.SUCCESS,)

    def cuLaunchKernel(self, function, gx, gy, gz, bx, by, bz, shared_bytes, stream, parameters, extra) -> Any:
        found = self._objects[function]
        if found.module.device != self._device():
            return (Status.INVALID_HANDLE,)
        if 0 in (gx, gy, gz) or max(gy, gz) > 65535 or bx * by * bz > 1024 or shared_bytes > found.shared_bytes:
            return (Status.INVALID_VALUE,)
        sizes = found.module.entries[found.kernel]
        pointers = (ctypes.c_uint64 * len(sizes)).from_address(parameters)
        values = tuple(int.from_bytes(ctypes.string_at(p, n), "little") for p, n in zip(pointers, sizes))
        launch = Launched(found.kernel, (gx, gy, gz), (bx, by, bz), shared_bytes, int(stream), values)
        if int(stream) in self._capturing:
            self._capturing[int(stream)].append(launch)
        else:
            self._execute(launch)
        return (Status.SUCCESS,)

    def _execute(self, launch: Launched) -> None:
        self.launched.append(launch)
        if self.kernels is not None:
            self.kernels(launch)

    def cuGetProcAddress(self, symbol: bytes, version: int, flags: int) -> Any:
        known = {b"cuTensorMapEncodeTiled": self._encode, b"cuLaunchKernelEx": self._launch}
        if symbol not in known or self.version < version:
            return Status.SUCCESS, 0, 1
        return Status.SUCCESS, ctypes.cast(known[symbol], ctypes.c_void_p).value, 0

    def _launch_configured(self, config: Any, function: int, parameters: int, extra: None) -> int:
        """``cuLaunchKernelEx``, noted as ``cuLaunchKernel``."""
        c = config[0]
        assert not c.attributes and not c.attribute_count and extra is None
        called = self.cuLaunchKernel(function, *c.grid, *c.block, c.shared_bytes, c.stream or 0, parameters, 0)
        return int(called[0])

    def _encode_tiled(
        self, target, kind, rank, address, sizes, strides, box, steps, interleave, swizzle, l2, fill
    ) -> int:
        """What the driver checks; descriptors are those of the emulator."""
        self.calls.append("cuTensorMapEncodeTiled")
        if status := self.failures.get("cuTensorMapEncodeTiled"):
            return int(status)
        width = {0: 1, 1: 2, 2: 4, 4: 8}[kind]
        sizes, strides, box = list(sizes[0])[:rank], list(strides[0])[: rank - 1], list(box[0])[:rank]
        row = {0: 1 << 30, 1: 32, 2: 64, 3: 128}[swizzle]
        fits = all(0 < n <= 1 << 32 for n in sizes) and all(s % 16 == 0 and s < 1 << 40 for s in strides)
        boxed = all(0 < n <= 256 for n in box) and box[0] * width % 16 == 0 and box[0] * width <= row
        placed = target % MAP_ALIGNMENT == 0 and address % 16 == 0 and self.holds(address)
        if not (
            fits and boxed and placed and 1 <= rank <= 5 and list(steps[0])[:rank] == [1] * rank and not interleave
        ):
            return int(Status.INVALID_VALUE)
        held = EmulatedMap.from_address(target)
        ctypes.memset(target, 0, ctypes.sizeof(held))
        held.magic, held.address, held.rank, held.element_bytes = MAGIC, address, rank, width
        held.swizzle = row if swizzle else 0
        held.sizes[:rank], held.strides[: rank - 1], held.box[:rank] = sizes, strides, box
        return int(Status.SUCCESS)

    # -- streams, events, graphs ----------------------------------------------------------

    def cuStreamCreate(self, flags: int) -> Any:
        return Status.SUCCESS, self._new("stream")

    def cuStreamDestroy(self, stream: int) -> Any:
        return (Status.SUCCESS if self._objects.get(stream) == "stream" else Status.INVALID_HANDLE,)

    def cuStreamSynchronize(self, stream: int) -> Any:
        return (Status.STREAM_CAPTURE_UNSUPPORTED if int(stream) in self._capturing else Status.SUCCESS,)

    def cuEventCreate(self, flags: int) -> Any:
        return Status.SUCCESS, self._new("event")

    def cuEventRecord(self, event: int, stream: int) -> Any:
        return (Status.SUCCESS,)

    def cuStreamWaitEvent(self, stream: int, event: int, flags: int) -> Any:
        return (Status.SUCCESS,)

    def cuEventDestroy(self, event: int) -> Any:
        return (Status.SUCCESS,)

    def cuStreamBeginCapture(self, stream: int, mode: int) -> Any:
        self._capturing[int(stream)] = []
        return (Status.SUCCESS,)

    def cuStreamEndCapture(self, stream: int) -> Any:
        return Status.SUCCESS, self._new(self._capturing.pop(int(stream)))

    def cuGraphInstantiate(self, graph: int, flags: int) -> Any:
        return Status.SUCCESS, self._new(list(self._objects[graph]))

    def cuGraphLaunch(self, graph: int, stream: int) -> Any:
        for launch in self._objects[graph]:
            self._execute(dataclasses.replace(launch, stream=int(stream)))
        return (Status.SUCCESS,)

    def cuGraphExecDestroy(self, graph: int) -> Any:
        return (Status.SUCCESS,)

    def cuGraphDestroy(self, graph: int) -> Any:
        return (Status.SUCCESS,)

    # -- texts ----------------------------------------------------------------------------

    def cuGetErrorName(self, status: int) -> Any:
        return Status.SUCCESS, b"CUDA_ERROR_" + Status(status).name.encode()

    def cuGetErrorString(self, status: int) -> Any:
        return Status.SUCCESS, Status(status).name.lower().replace("_", " ").encode()


_WITHOUT_VALUE = {
    "cuInit", "cuLaunchKernel", "cuFuncSetAttribute", "cuStreamSynchronize", "cuGraphLaunch", "cuMemcpyHtoDAsync",
    "cuMemFreeAsync", "cuMemFree", "cuCtxSetCurrent", "cuStreamBeginCapture", "cuMemcpyDtoH", "cuMemPoolSetAttribute",
}  # fmt: skip


@contextlib.contextmanager
def standing_in(*gpus: Gpu, version: int = 13000) -> Iterator[StandIn]:
    """The stand-in takes the driver's place inside the block, also for what pith has cached."""
    stand_in = StandIn(*gpus, version=version)
    names = ("cuda", "cuda.bindings", "cuda.bindings.driver")
    before = {name: sys.modules.get(name) for name in names}
    sys.modules.update(zip(names, (types.ModuleType("cuda"), types.ModuleType("cuda.bindings"), stand_in)))  # type: ignore[arg-type]
    _forget()
    try:
        yield stand_in
    finally:
        _forget()
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


def _forget() -> None:
    driver.driver.cache_clear()
    hardware.devices.cache_clear()
    tensor_maps._encode.cache_clear()
    frame._start.cache_clear()
    streams.as_object.cache_clear()
    modules._LOADED.clear()
    resident._KEPT._copies.clear()
