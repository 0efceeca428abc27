"""A GPU program as plain data: operands, device buffers and launches in order.

Calling convention of kernels. Every array is passed as MLIR's memref descriptor, spread into scalar
parameters: allocated pointer, aligned pointer, offset (i64), then its sizes and its strides (i64 each),
so an array of rank r takes ``3 + 2 * r`` parameters. Kernels use the aligned pointer and the sizes; arrays are
row-major, start at offset 0 and at a multiple of 16 bytes. Bare pointers cannot carry run-time sizes, so they are
not used. A :class:`TensorMap` is one parameter of 128 bytes. A launch with a 0 in its grid has nothing to do and is
skipped, so of two launches whose grids exclude each other the sizes choose one.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from .sizes import Fact, Size
from .tensor_map import TensorMap


@dataclasses.dataclass(frozen=True)
class Operand:
    """An argument of a program, or a buffer it needs on the device.

    Attributes:
        name: of an argument, which part of the caller's operands it is: ``0.values``, ``1.pattern``,
            ``0.coordinates[2]``, ``0.size[1]``; of a buffer ``result0`` or ``temporary0``.
        dtype: element type, spelled as in IR.
        shape: extents; None for a number, which is passed by value. A dynamic extent of an argument is its own
            ``dim``; those of a buffer are expressions of the arguments' sizes.
        written: True when a kernel writes to an argument: the caller declared it writable.
    """

    name: str
    dtype: str
    shape: tuple[Size, ...] | None
    written: bool = False

    @property
    def rank(self) -> int:
        """Dimensions of an array, 0 for a number."""
        return len(self.shape or ())

    @property
    def parameters(self) -> int:
        """Scalar kernel parameters it takes."""
        return 1 if self.shape is None else 3 + 2 * self.rank


@dataclasses.dataclass(frozen=True)
class Launch:
    """How to start one kernel.

    Attributes:
        kernel: name of the entry.
        grid, block: extents on x, y, z.
        shared_bytes: dynamic shared memory; above 48 KiB a launcher must opt in. Beside it kernels have the barriers
            that tensor maps' copies land on.
        operands: in order: the number of an operand of the program (buffers count on after the arguments), a size,
            which is passed by value as an i64, or a tensor map, passed by value as its descriptor.
        note: how the kernel does it and why so, in words, for people.
    """

    kernel: str
    grid: tuple[Size, Size, Size]
    block: tuple[int, int, int]
    shared_bytes: int
    operands: tuple[int | Size | TensorMap, ...]
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Program:
    """All that a launcher needs beside the machine code.

    Attributes:
        name: the function it was.
        target: the chip its kernels were made for.
        arguments: in the order of the host function.
        buffers: device memory it needs, contents undefined; results among them.
        launches: in order; each sees what those before it wrote.
        results: the operands that are returned, in order.
    """

    name: str
    target: str
    arguments: tuple[Operand, ...]
    buffers: tuple[Operand, ...]
    launches: tuple[Launch, ...]
    results: tuple[int, ...]

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The arguments, then the buffers."""
        return self.arguments + self.buffers

    def parameters(self, launch: Launch) -> int:
        """Kernel parameters of a launch: scalars, and descriptors."""
        return sum(self.operands[x].parameters if isinstance(x, int) else 1 for x in launch.operands)

    def shapes(self, facts: Sequence[Fact]) -> list[Fact]:
        """The facts of all operands, from those of the arguments."""
        buffers = [tuple(s.evaluate(facts) for s in b.shape or ()) for b in self.buffers]
        return [*facts, *buffers]

    def to_json(self) -> str:
        """Canonical JSON; :meth:`from_json` is the inverse."""
        return json.dumps(_plain(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Program:
        """Rebuild a program from :meth:`to_json`.

        Errors: ``ValueError``, ``KeyError`` or ``TypeError`` for what is none.
        """
        data = json.loads(text)
        return cls(
            data["name"],
            data["target"],
            tuple(map(_operand, data["arguments"])),
            tuple(map(_operand, data["buffers"])),
            tuple(map(_launch, data["launches"])),
            tuple(data["results"]),
        )


def _plain(value: Any) -> Any:
    if isinstance(value, Size | TensorMap):
        return value.to_json()
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _operand(data: Mapping[str, Any]) -> Operand:
    shape = data["shape"]
    sizes = None if shape is None else tuple(map(Size.from_json, shape))
    return Operand(data["name"], data["dtype"], sizes, data["written"])


def _launch(data: Mapping[str, Any]) -> Launch:
    x, y, z = map(Size.from_json, data["grid"])
    bx, by, bz = data["block"]
    operands = tuple(map(_launch_operand, data["operands"]))
    return Launch(data["kernel"], (x, y, z), (bx, by, bz), data["shared_bytes"], operands, data.get("note", ""))


def _launch_operand(data: Any) -> int | Size | TensorMap:
    if isinstance(data, Mapping):
        return TensorMap.from_json(data)
    return Size.from_json(data) if isinstance(data, list) else data
