"""Descriptors of arrays for the copy engine (TMA), which kernels take by value."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from ...programs import Program, TensorMap
from ...programs.sizes import Fact
from ..arrays import row_major_strides
from .driver import driver, entry
from .elements import size_of
from .failures import failure

#: CUDA version that brought ``cuTensorMapEncodeTiled``.
_SINCE = 12000
#: ``CUtensorMapDataType`` by bytes of an element: boxes are copied as they are.
_DATA_TYPES = {1: 0, 2: 1, 4: 2, 8: 4}
#: ``CUtensorMapSwizzle`` by bytes.
_SWIZZLES = {0: 0, 32: 1, 64: 2, 128: 3}
#: No interleaving; L2 lines are fetched 128 bytes at a time; what is outside is zero.
_INTERLEAVE, _L2_PROMOTION, _FILL = 0, 2, 0

#: What to do about an array that the driver does not describe.
_ADDRESSABLE = "rows must be multiples of 16 bytes and fewer than 2**40: pad them, or compile for target='sm_90'"

_Words, _Halves = ctypes.c_uint64 * 5, ctypes.c_uint32 * 5
_PROTOTYPE = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_uint32,
    ctypes.c_void_p,
    ctypes.POINTER(_Words),
    ctypes.POINTER(_Words),
    ctypes.POINTER(_Halves),
    ctypes.POINTER(_Halves),
    *[ctypes.c_int] * 4,
)


@dataclasses.dataclass(frozen=True)
class Encoding:
    """A tensor map of one signature: all that the driver needs but the address of the array.

    Attributes:
        slot: which word of a layout the address is.
        arguments: of ``cuTensorMapEncodeTiled``, those before and behind the address.
        text: what an error says about it.
    """

    slot: int
    arguments: tuple[tuple[Any, ...], tuple[Any, ...]]
    text: str

    @classmethod
    def of(cls, held: TensorMap, program: Program, facts: Sequence[Fact], slot: int) -> Encoding:
        """The map for operands with these facts; the driver counts dimensions from the fastest."""
        element = program.operands[held.operand].dtype
        shape, width = held.extents(facts), size_of(element)
        strides = [s * width for s in row_major_strides(shape)][:-1]
        sizes, apart = _Words(*reversed(shape)), _Words(*reversed(strides))
        before = (_DATA_TYPES[width], len(shape))
        behind = (sizes, apart, _Halves(*reversed(held.box)), _Halves(*[1] * 5), _INTERLEAVE, _SWIZZLES[held.swizzle])
        sides = "x".join(map(str, shape))
        return cls(slot, (before, (*behind, _L2_PROMOTION, _FILL)), f"{held} ({sides}x{element})")

    def write(self, target: int, address: int, where: str) -> None:
        """Put the descriptor of the array at ``address`` to the address ``target``, a multiple of 64.

        Errors: :class:`pith.GpuLaunchError` for what the copy engine cannot address.
        """
        before, behind = self.arguments
        status = _encode()(target, *before, address, *behind)
        if status:
            d = driver()
            doing = f"describing {self.text} at {address:#x}"
            raise failure(d, d.CUresult(status), doing, where=where, launching=True, hint=_ADDRESSABLE)


@functools.cache
def _encode() -> Any:
    """The driver's function itself: what the bindings wrap around descriptors may not be aligned as it must.

    Errors: :class:`pith.GpuArchitectureError` for a driver that is older than the function.
    """
    return _PROTOTYPE(entry("cuTensorMapEncodeTiled", _SINCE, "a kernel for sm_90a"))
