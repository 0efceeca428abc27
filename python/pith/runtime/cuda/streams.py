"""Streams: whose is used, and how work on one waits for work on another."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from ...errors import ArgumentError
from .driver import check, driver

#: The legacy default stream: it waits for all blocking streams, and they for it.
DEFAULT = 0


def handle_of(stream: Any) -> int:
    """The driver's handle of a stream.

    Args:
        stream: a handle; a stream of PyTorch, CuPy or cuda-bindings; an object with ``__cuda_stream__``.

    Errors: :class:`pith.ArgumentError` for anything else.

    Example:
        >>> handle_of(7)
        7
    """
    if isinstance(stream, int):
        return stream
    described: Any = getattr(stream, "__cuda_stream__", None)
    if described is not None:  # a method; a property in early versions of NVIDIA's own classes
        answer: Any = described() if callable(described) else described
        return int(answer[1])
    for name in ("cuda_stream", "ptr"):  # PyTorch, CuPy
        if isinstance(found := getattr(stream, name, None), int):
            return found
    if type(stream).__name__ == "CUstream":
        return int(stream)
    raise ArgumentError(
        f"expects a CUDA stream, got {type(stream).__name__}",
        where="stream",
        hint="pass a torch.cuda.Stream, a cupy.cuda.Stream, or the handle as a number",
    )


def current(framework: str, ordinal: int) -> Callable[[], int]:
    """A function that says on which stream of a device the framework works then."""
    if framework == "torch":
        return _torch_query(ordinal)
    if framework == "cupy":
        return lambda: sys.modules["cupy"].cuda.get_current_stream().ptr
    return lambda: DEFAULT


def _torch_query(ordinal: int) -> Callable[[], int]:
    """How PyTorch is asked: its raw entry costs a tenth of ``torch.cuda.current_stream``, which makes an object."""
    torch = sys.modules["torch"]
    raw = getattr(torch._C, "_cuda_getCurrentRawStream", None)
    if raw is not None:
        return functools.partial(raw, ordinal)
    return lambda: torch.cuda.current_stream(ordinal).cuda_stream


@functools.lru_cache(maxsize=64)
def as_object(stream: int) -> Any:
    """The bindings' object for a stream: they would make one per driver call from a number."""
    return driver().CUstream(stream)


def wait(waiting: int, for_: int) -> None:
    """Work given to ``waiting`` from now on starts after what was given to ``for_`` so far; the host does not wait."""
    if waiting == for_:
        return
    d = driver()
    flags = d.CUevent_flags.CU_EVENT_DISABLE_TIMING
    event = check(d.cuEventCreate(int(flags)), "making an event")
    try:
        check(d.cuEventRecord(event, for_), "recording an event")
        check(d.cuStreamWaitEvent(waiting, event, 0), "waiting for an event")
    finally:
        d.cuEventDestroy(event)  # takes effect when the event has happened


def synchronize(stream: int) -> None:
    """Wait on the host until all work given to ``stream`` is done.

    Errors: those of kernels that failed: :class:`pith.GpuLaunchError`.
    """
    check(driver().cuStreamSynchronize(stream), "waiting for the device")
