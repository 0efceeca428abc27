"""Running GPU programs on the CPU: ``runtime/emulator`` seen from Python. No MLIR is needed.

Kernels compiled by ``pith-emulate-gpu`` run block by block on the threads of the process's pool; the threads of a block
are fibers. What hardware would not define is a :class:`pith.KernelFault`.
"""

from __future__ import annotations

import ctypes
import functools
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, KernelFault, RuntimeLibraryError
from ..programs import Launch, Program, Size, TensorMap
from .arrays import descriptor
from .artifact import Artifact
from .emulated_maps import EmulatedMap, emulated_map
from .library import Library
from .native import lib, library_path
from .results import CTYPES
from .signature import numpy_dtype

#: Environment variable: seconds without progress before a launch that spins counts as a dead-lock.
PATIENCE = "PITH_EMULATOR_PATIENCE"
#: A hundred times the longest block of the tests on a loaded machine.
DEFAULT_PATIENCE = 20.0

#: ``FaultKind`` of runtime/emulator/launch.h.
KINDS = (
    "none",
    "out-of-bounds",
    "uninitialised",
    "race",
    "divergence",
    "misaligned",
    "deadlock",
    "stack-overflow",
    "invalid",
    "out-of-memory",
    "assertion",
)
#: What the hardware allows (CUDA C++ Programming Guide, technical specifications).
_MAX_THREADS, _MAX_GRID = 1024, (2**31 - 1, 65535, 65535)
_ALIGNMENT = 16


class _Launch(ctypes.Structure):
    _fields_ = (
        ("entry", ctypes.c_void_p),
        ("arguments", ctypes.c_void_p),
        ("grid", ctypes.c_int64 * 3),
        ("block", ctypes.c_int64 * 3),
        ("shared_bytes", ctypes.c_int64),
        ("static_bytes", ctypes.c_int64),
        ("checks", ctypes.c_int64),
        ("patience", ctypes.c_double),
    )


class _Fault(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_int64),
        ("site", ctypes.c_int64),
        ("other_site", ctypes.c_int64),
        ("block", ctypes.c_int64 * 3),
        ("thread", ctypes.c_int64 * 3),
        ("other_thread", ctypes.c_int64 * 3),
        ("text", ctypes.c_char * 320),
    )


class EmulatedProgram:
    """The kernels of a program, compiled for the emulator.

    Args:
        artifact: the kernels' object; ``meta`` holds ``sites``, ``static_bytes`` and ``checks``.
        origins: the op of the pith level that a kernel stands for, by its place, where that is known.

    Call it with a program and its arguments (NumPy arrays and numbers, one per argument); it returns the results.
    Buffers begin as bytes of 0xFF: NaN, or -1.

    Errors: :class:`pith.KernelFault` names the kernel, block, thread and op of the first fault; what kernels wrote
        before it stays written.
    """

    def __init__(self, artifact: Artifact, origins: Mapping[str, str] | None = None):
        self.artifact = artifact
        self._origins = dict(origins or {})
        self._sites: Sequence[str] = artifact.meta["sites"]
        self._static: Mapping[str, int] = artifact.meta["static_bytes"]

    @functools.cached_property
    def _library(self) -> Library:
        return Library.from_object(self.artifact.object, "emulated kernels")

    def __call__(self, program: Program, arguments: Sequence[Any]) -> list[Any]:
        """Run the launches in order."""
        values = [_aligned(v) if isinstance(v, np.ndarray) else v for v in arguments]
        facts = program.shapes([v.shape if isinstance(v, np.ndarray) else int(v) for v in values])
        values += [_poisoned(shape, b.dtype) for shape, b in zip(facts[len(arguments) :], program.buffers)]
        for launch in program.launches:
            self._launch(program, launch, values, facts)
        for given, used, operand in zip(arguments, values, program.arguments):
            if operand.written and given is not used:
                given[...] = used
        return [arguments[i] if i < len(arguments) else values[i] for i in program.results]

    def _launch(self, program: Program, launch: Launch, values: Sequence[Any], facts: Sequence[Any]) -> None:
        grid = [size.evaluate(facts) for size in launch.grid]
        if 0 in grid:
            return
        _check_limits(launch, grid)
        held: list[Any] = []
        for operand in launch.operands:
            if isinstance(operand, Size):
                held.append(ctypes.c_int64(operand.evaluate(facts)))
            elif isinstance(operand, TensorMap):
                held.append(_by_address(_described(operand, values[operand.operand], facts)))
            else:
                held.append(_native(values[operand], program.operands[operand].dtype))
        pointers = (ctypes.c_void_p * len(held))(*(ctypes.addressof(x) for x in held))
        static = self._static.get(launch.kernel, 0)
        described = _Launch(
            self._library.address(f"_mlir__mlir_ciface_{launch.kernel}"),
            ctypes.addressof(pointers),
            (ctypes.c_int64 * 3)(*grid),
            (ctypes.c_int64 * 3)(*launch.block),
            static + launch.shared_bytes,
            static,
            int(self.artifact.meta["checks"]),
            _patience(),
        )
        fault = _Fault()
        if _entry()(ctypes.byref(described), ctypes.byref(fault)):
            raise self._error(launch, fault)

    def _error(self, launch: Launch, fault: _Fault) -> KernelFault:
        text, location = fault.text.decode(errors="replace"), self._sites[int(fault.site)]
        other = tuple(fault.other_thread) if fault.other_thread[0] >= 0 else None
        if other is not None or fault.other_site:
            who = f"thread {_triple(other)}" if other is not None else "the other"
            at = f" at {self._sites[int(fault.other_site)]}" if fault.other_site else ""
            text += f" ({who}{at})"
        return KernelFault(
            text,
            kind=KINDS[fault.kind],
            kernel=launch.kernel,
            block=(fault.block[0], fault.block[1], fault.block[2]),
            thread=(fault.thread[0], fault.thread[1], fault.thread[2]),
            location=location,
            origin=self._origins.get(launch.kernel, ""),
        )


def _patience() -> float:
    """Seconds that a launch may spin.

    Errors: :class:`pith.ArgumentError` for a variable that does not say so.
    """
    text = os.environ.get(PATIENCE) or str(DEFAULT_PATIENCE)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ArgumentError(
            f"expects a number of seconds above 0, got {text!r}",
            where=PATIENCE,
            hint=f"leave it unset for {DEFAULT_PATIENCE:g}",
        )
    return seconds


def _native(value: Any, dtype: str) -> Any:
    """The ctypes object a packed argument points to: a number, or a pointer to a memref descriptor."""
    if not isinstance(value, np.ndarray):
        return CTYPES[dtype](value)
    words = descriptor(value)
    return _by_address((ctypes.c_int64 * len(words))(*words))


def _by_address(block: Any) -> ctypes.c_void_p:
    """A pointer that keeps what it points to alive."""
    pointer = ctypes.c_void_p(ctypes.addressof(block))
    pointer.block = block  # type: ignore[attr-defined]
    return pointer


def _described(held: TensorMap, array: np.ndarray, facts: Sequence[Any]) -> EmulatedMap:
    """The descriptor of an array that a launch passes by value."""
    address = array.__array_interface__["data"][0]
    return emulated_map(address, array.itemsize, held.extents(facts), held.box, held.swizzle)


def _check_limits(launch: Launch, grid: Sequence[int]) -> None:
    threads = launch.block[0] * launch.block[1] * launch.block[2]
    if threads < 1 or threads > _MAX_THREADS or any(n > most for n, most in zip(grid, _MAX_GRID)):
        raise KernelFault(
            f"a grid of {_triple(grid)} blocks of {threads} threads cannot be launched",
            kind="invalid",
            kernel=launch.kernel,
        )


def _triple(values: Sequence[int] | None) -> str:
    return "(" + ", ".join(map(str, values or ())) + ")"


def _aligned(array: np.ndarray) -> np.ndarray:
    """The array, or a copy that begins where device memory would."""
    if array.flags.c_contiguous and array.__array_interface__["data"][0] % _ALIGNMENT == 0:
        return array
    out = _empty(array.shape, array.dtype)
    out[...] = array
    return out


def _poisoned(shape: Any, dtype: str) -> np.ndarray:
    """A buffer nobody has written to."""
    out = _empty(shape, numpy_dtype(dtype))
    out.reshape(-1).view(np.uint8)[...] = 0xFF
    return out


def _empty(shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    skip = -raw.__array_interface__["data"][0] % _ALIGNMENT
    return raw[skip : skip + size].view(dtype).reshape(shape)


@functools.cache
def _entry() -> Any:
    try:
        function = lib().pith_emulator_launch
    except AttributeError as error:
        raise RuntimeLibraryError(
            "the native support library has no emulator", where=str(library_path()), hint="reinstall pith-mlir"
        ) from error
    function.restype = ctypes.c_int
    function.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    return function
