"""Kernels that the stand-in driver starts, run by the emulator on what their parameters say."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from pith.programs import Launch, Operand, Program, Size, TensorMap, const
from pith.runtime.emulated_maps import EmulatedMap
from pith.runtime.emulator import EmulatedProgram
from pith.runtime.signature import numpy_dtype


def emulating(program: Program, run: EmulatedProgram) -> Callable[[Any], None]:
    """What runs a launch of ``program``: arrays are where the launch's descriptors say, and as large."""
    launches = {launch.kernel: launch for launch in program.launches}

    def execute(launched: Any) -> None:
        given, operands, arguments, values = launches[launched.kernel], [], [], iter(launched.values)
        maps: list[TensorMap] = []
        for operand in given.operands:
            if isinstance(operand, TensorMap):
                maps.append(_described(operand, next(values), arguments))
                continue
            dtype = "index" if isinstance(operand, Size) else program.operands[operand].dtype
            rank = (
                None
                if isinstance(operand, Size)
                else program.operands[operand].shape and len(program.operands[operand].shape)
            )
            value = next(values) if rank is None else array_at(values, dtype, rank)
            operands.append(Operand(f"{len(operands)}.value", dtype, _sizes(value), True))
            arguments.append(value)
        grid = tuple(map(const, launched.grid))
        passed = (*range(len(operands)), *maps)  # tensor maps come last
        one = Launch(given.kernel, grid, launched.block, launched.shared_bytes, passed)  # type: ignore[arg-type]
        run(Program(program.name, program.target, tuple(operands), (), (one,), ()), arguments)

    return execute


def _described(given: TensorMap, bits: int, arrays: list[Any]) -> TensorMap:
    """The map of a launch's descriptor, which must be that of one of its arrays."""
    held = EmulatedMap.from_buffer_copy(bits.to_bytes(ctypes.sizeof(EmulatedMap), "little"))
    addresses = [a.__array_interface__["data"][0] if isinstance(a, np.ndarray) else 0 for a in arrays]
    shape, box = (tuple(reversed(list(x)[: held.rank])) for x in (held.sizes, held.box))
    assert (box, held.swizzle) == (given.box, given.swizzle)
    assert int(np.prod(shape)) == arrays[addresses.index(held.address)].size
    return TensorMap(addresses.index(held.address), tuple(map(const, shape)), box, int(held.swizzle))


def array_at(values: Any, dtype: str, rank: int) -> np.ndarray:
    """The array that the next parameters of a launch describe."""
    _, address, offset = (next(values) for _ in range(3))
    shape = tuple(next(values) for _ in range(rank))
    strides = tuple(next(values) for _ in range(rank))
    assert offset == 0
    kind = numpy_dtype(dtype)
    count = int(np.prod(shape)) * kind.itemsize
    array = np.frombuffer((ctypes.c_uint8 * count).from_address(address), np.uint8).view(kind).reshape(shape)
    assert strides == tuple(s // kind.itemsize for s in array.strides) or 0 in shape
    return array


def _sizes(value: Any) -> tuple[Size, ...] | None:
    return tuple(map(const, value.shape)) if isinstance(value, np.ndarray) else None
