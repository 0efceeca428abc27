"""Where the driver reads launches from: words of memory with parameters, and what is launched how."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...programs.tensor_map import MAP_ALIGNMENT, MAP_BYTES
from .driver import driver, entry
from .failures import failure

if TYPE_CHECKING:
    from .plan import Layout, Prepared

_WORD = ctypes.sizeof(ctypes.c_uint64)


class Config(ctypes.Structure):
    """``CUlaunchConfig``."""

    _fields_ = (
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared_bytes", ctypes.c_uint),
        ("stream", ctypes.c_void_p),
        ("attributes", ctypes.c_void_p),
        ("attribute_count", ctypes.c_uint),
    )


class Frame:
    """Memory the driver reads the launches of a layout from; in use by one thread at a time.

    A launch is four addresses that stay: a call stores words, and its stream where that is another than the last one.
    """

    def __init__(self, layout: Layout):
        count, self._where = layout.varying_count, layout.program.name
        self._words = (ctypes.c_uint64 * max(1, count + len(layout.constants)))()
        self._words[count : count + len(layout.constants)] = layout.constants
        base = ctypes.addressof(self._words)
        slots = [slot for prepared in layout.launches for slot in prepared.slots]
        self._encodings, self._described = layout.maps, [0] * len(layout.maps)
        self._descriptors = ctypes.create_string_buffer(MAP_BYTES * len(layout.maps) + MAP_ALIGNMENT)
        self._maps = -(-ctypes.addressof(self._descriptors) // MAP_ALIGNMENT) * MAP_ALIGNMENT
        places = (base + _WORD * slot if slot >= 0 else self._maps + MAP_BYTES * ~slot for slot in slots)
        self._pointers = (ctypes.c_uint64 * max(1, len(slots)))(*places)
        table = ctypes.addressof(self._pointers)
        self._start, self._stream = _start(), 0
        self._configs: list[Config] = []
        self._calls: list[tuple[tuple[Any, ...], str]] = []
        for prepared in layout.launches:
            self._calls.append((self._call(prepared, table), prepared.text))
            table += _WORD * len(prepared.slots)

    def _call(self, prepared: Prepared, parameters: int) -> tuple[Any, ...]:
        """Arguments of ``cuLaunchKernelEx``: configuration, function, parameters, and nothing."""
        config = Config(prepared.grid, prepared.block, prepared.shared_bytes)
        self._configs.append(config)
        addresses = (ctypes.addressof(config), int(prepared.function), parameters, 0)
        return tuple(map(ctypes.c_void_p, addresses))

    def launch(self, words: Sequence[int], stream: int) -> None:
        """Store the operands' words and start every kernel on ``stream``.

        Errors: :class:`pith.GpuLaunchError` naming the kernel, its grid, block and shared memory.
        """
        self._words[: len(words)] = words
        if self._encodings:
            self._encode()
        if stream != self._stream:
            for config in self._configs:
                config.stream = stream
            self._stream = stream
        start = self._start
        for call, text in self._calls:
            if status := start(*call):
                d = driver()
                raise failure(d, d.CUresult(status), "the launch", where=text, launching=True)

    def _encode(self) -> None:
        """Make the descriptors of the arrays whose addresses are in the words.

        Errors: :class:`pith.GpuLaunchError`.
        """
        for i, encoding in enumerate(self._encodings):
            address = self._words[encoding.slot]
            if address != self._described[i]:
                encoding.write(self._maps + MAP_BYTES * i, address, self._where)
                self._described[i] = address


@functools.cache
def _start() -> Any:
    """The driver's ``cuLaunchKernelEx`` itself.

    On addresses that were made before it costs a third of the bindings' ``cuLaunchKernel``, which converts eleven
    arguments every time: 0.4 of 1.2 us (Zen 3, 2026-11, over a driver that does nothing).

    Errors: :class:`pith.GpuArchitectureError` for a driver that is older than the function.
    """
    return ctypes.CFUNCTYPE(ctypes.c_int)(entry("cuLaunchKernelEx", 12000, "launching kernels"))
