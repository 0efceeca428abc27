"""Devices, what they can do, and their primary contexts."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

from ...errors import GpuError, NoGpuError, UnsupportedError
from ...programs.chips import CHIPS
from .driver import check, driver
from .failures import failure

#: Freed memory a device's pool keeps. By default it keeps none: the first allocation after every synchronisation would
#: ask the operating system, which takes longer than most kernels. Intermediate results of a layer fit, and PyTorch,
#: whose own pool cannot use it, hardly misses it.
KEPT_BYTES = 256 << 20


@dataclasses.dataclass(frozen=True)
class Device:
    """A GPU.

    Attributes:
        ordinal: its number among the visible ones, as in PyTorch.
        name: what the vendor calls it.
        capability: compute capability (major, minor).
        memory_bytes: its memory.
        multiprocessors: how many it has.
        max_shared_bytes: largest dynamic shared memory of one block.
        has_pools: stream-ordered allocation works.
    """

    ordinal: int
    name: str
    capability: tuple[int, int]
    memory_bytes: int
    multiprocessors: int
    max_shared_bytes: int
    has_pools: bool

    @property
    def chip(self) -> str:
        """``sm_90`` for capability 9.0."""
        major, minor = self.capability
        return f"sm_{major}{minor}"

    @functools.cached_property
    def context(self) -> Any:
        """The primary context, which PyTorch and CuPy use too; kept until the process ends."""
        d = driver()
        handle = check(d.cuDeviceGet(self.ordinal), f"opening device {self.ordinal}")
        context = check(d.cuDevicePrimaryCtxRetain(handle), f"making a context on device {self.ordinal}")
        if self.has_pools:
            with contextlib.suppress(GpuError):  # it is faster so, and works without
                _keep_freed_memory(handle)
        return context

    def enter(self) -> Any | None:
        """Make this the thread's device; returns what :func:`leave` takes, None when the thread had this one or none.

        The one driver call of the usual case takes the place of a context manager, which costs a microsecond.
        """
        d = driver()
        status, current = d.cuCtxGetCurrent()
        if current == self.context:
            return None
        if status:
            raise failure(d, status, "asking for the context")
        check(d.cuCtxSetCurrent(self.context), f"switching to device {self.ordinal}")
        return current if int(current) else None

    def __str__(self) -> str:
        return f"cuda:{self.ordinal} ({self.name}, {self.chip})"


def leave(previous: Any | None) -> None:
    """Undo :meth:`Device.enter`."""
    if previous is not None:
        check(driver().cuCtxSetCurrent(previous), "switching the device back")


@contextlib.contextmanager
def using(device: Device) -> Iterator[None]:
    """``device`` is the thread's device inside the block."""
    previous = device.enter()
    try:
        yield
    finally:
        leave(previous)


@functools.cache
def devices() -> tuple[Device, ...]:
    """The GPUs this process may use, in the driver's order.

    Errors: :class:`pith.NoGpuError` when the driver is missing or does not start.
    """
    count = check(driver().cuDeviceGetCount(), "counting devices")
    return tuple(map(_describe, range(count)))


def device(ordinal: int = 0) -> Device:
    """The GPU with a number.

    Errors: :class:`pith.NoGpuError` when there is no such device.
    """
    found = devices()
    if not 0 <= ordinal < len(found):
        names = ", ".join(map(str, found)) or "none"
        raise NoGpuError(
            f"there is no device {ordinal}; there are: {names}", hint="CUDA_VISIBLE_DEVICES says which are visible"
        )
    return found[ordinal]


def runs_on(target: str, capability: tuple[int, int], machine_code: bool = False) -> bool:
    """Whether a device of ``capability`` executes code for the chip ``target``.

    PTX runs on its architecture and later ones, machine code only on the same major version, and what uses
    features of one architecture (``sm_90a``) on nothing else.

    Source: CUDA C++ Programming Guide, application compatibility.

    Example:
        >>> runs_on("sm_80", (9, 0)), runs_on("sm_80", (9, 0), machine_code=True), runs_on("sm_90a", (10, 0))
        (True, False, False)
        >>> runs_on("sm_86", (8, 0)), runs_on("sm_86", (8, 9), machine_code=True)
        (False, True)
    """
    wanted = capability_of(target)
    if target.endswith("a"):
        return capability == wanted
    if machine_code and capability[0] != wanted[0]:
        return False
    return capability >= wanted


def chip_for(capability: tuple[int, int]) -> str:
    """The chip to compile for on a device: the last of :data:`pith.programs.chips.CHIPS` whose code runs there.

    Errors: :class:`pith.UnsupportedError` for devices older than all of them.

    Example:
        >>> chip_for((9, 0)), chip_for((8, 9)), chip_for((10, 3))
        ('sm_90a', 'sm_89', 'sm_100')
    """
    usable = [chip for chip in CHIPS if runs_on(chip, capability)]
    if not usable:
        raise UnsupportedError(
            f"compute capability {capability[0]}.{capability[1]} is too old", hint=f"known chips: {', '.join(CHIPS)}"
        )
    return usable[-1]


def chip_of(tensor: Any) -> str:
    """The chip whose code the device of a PyTorch tensor executes best. Errors: those of :func:`chip_for`."""
    return chip_for(device(tensor.device.index or 0).capability)


def capability_of(target: str) -> tuple[int, int]:
    """The compute capability of a chip.

    Example:
        >>> capability_of("sm_90a"), capability_of("sm_120")
        ((9, 0), (12, 0))
    """
    digits = target.removeprefix("sm_").rstrip("af")
    return int(digits[:-1]), int(digits[-1])


def _keep_freed_memory(handle: Any) -> None:
    """Let the device's pool keep :data:`KEPT_BYTES`, if nobody lets it keep more."""
    d = driver()
    doing = "setting what the memory pool keeps"
    pool = check(d.cuDeviceGetDefaultMemPool(handle), doing)
    threshold = d.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
    if int(check(d.cuMemPoolGetAttribute(pool, threshold), doing)) < KEPT_BYTES:
        check(d.cuMemPoolSetAttribute(pool, threshold, d.cuuint64_t(KEPT_BYTES)), doing)


def _describe(ordinal: int) -> Device:
    d = driver()
    doing = f"asking what device {ordinal} can do"
    handle = check(d.cuDeviceGet(ordinal), doing)
    name = check(d.cuDeviceGetName(256, handle), doing)

    def attribute(key: str) -> int:
        return check(d.cuDeviceGetAttribute(getattr(d.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{key}"), handle), doing)

    return Device(
        ordinal,
        name.split(b"\0")[0].decode(errors="replace"),
        (attribute("COMPUTE_CAPABILITY_MAJOR"), attribute("COMPUTE_CAPABILITY_MINOR")),
        check(d.cuDeviceTotalMem(handle), doing),
        attribute("MULTIPROCESSOR_COUNT"),
        attribute("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"),
        bool(attribute("MEMORY_POOLS_SUPPORTED")),
    )
