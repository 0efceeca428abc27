"""Launch descriptions: what a runtime needs to start a kernel, as plain data.

:func:`describe_launches` reads them off the host functions of a module at the gpu, nvvm or binary
level; nothing here executes.

Calling convention of kernels. Every memref is passed as MLIR's descriptor, spread into scalar
parameters: allocated pointer, aligned pointer, offset (i64), then its sizes and its strides (i64 each),
so a rank-r memref takes ``3 + 2 * r`` parameters. Kernels use the aligned pointer and the sizes; buffers
are row-major and start at offset 0. Bare pointers cannot carry run-time sizes, so they are not used.
A launch with a 0 in its grid has nothing to do and is skipped.
"""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

from pith._mlir import ir
from pith.dialect import shape_of
from pith.errors import UnsupportedError

from ..gpu_module_to_binary import module_target
from .host import STORAGE


@dataclasses.dataclass(frozen=True)
class Extent:
    """A size known at launch: ``ceildiv(size of dimension dim of argument + add, divisor)``, or a constant.

    Example:
        >>> e = Extent(argument=2, dim=0, divisor=64)
        >>> str(e), e.evaluate([(), (), (100, 8)])
        ('ceildiv(arg2.dim0, 64)', 2)
        >>> str(Extent(add=3)), Extent(add=3).evaluate([])
        ('3', 3)
    """

    argument: int | None = None
    dim: int = 0
    add: int = 0
    divisor: int = 1

    def evaluate(self, shapes: Sequence[Sequence[int]]) -> int:
        """The value for host arguments of these ``shapes``."""
        size = 0 if self.argument is None else shapes[self.argument][self.dim]
        return -(-(size + self.add) // self.divisor)

    def __str__(self) -> str:
        if self.argument is None:
            return str(self.add)
        text = f"arg{self.argument}.dim{self.dim}" + (f" + {self.add}" if self.add else "")
        return text if self.divisor == 1 else f"ceildiv({text}, {self.divisor})"


@dataclasses.dataclass(frozen=True)
class LaunchArgument:
    """One kernel argument.

    Attributes:
        host_argument: which argument of the host function it is.
        source: which part of the program's operands that is, e.g. ``0.values``, ``1.pattern``, ``result0``.
        kind: ``memref`` or ``scalar``.
        dtype: element type, spelled as in IR.
        rank: rank of a memref, 0 for a scalar.
    """

    host_argument: int
    source: str
    kind: str
    dtype: str
    rank: int

    @property
    def parameters(self) -> int:
        """Scalar kernel parameters it takes."""
        return 3 + 2 * self.rank if self.kind == "memref" else 1


@dataclasses.dataclass(frozen=True)
class LaunchDescription:
    """How to start one kernel; launches of a program run in order.

    Attributes:
        function: the host function it belongs to.
        kernel: name of the entry in the PTX.
        module: symbol of the GPU module that holds it.
        grid, block: extents on x, y, z.
        dynamic_shared_bytes: dynamic shared memory; above 48 KiB the runtime must opt in. Kernels have no other.
        arguments: in order.
        target: the chip.
    """

    function: str
    kernel: str
    module: str
    grid: tuple[Extent, Extent, Extent]
    block: tuple[int, int, int]
    dynamic_shared_bytes: int
    arguments: tuple[LaunchArgument, ...]
    target: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data; :meth:`from_dict` is the inverse."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """Canonical JSON."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "LaunchDescription":
        """Rebuild a description from :meth:`to_dict`."""
        return cls(
            **{
                **data,
                "grid": tuple(Extent(**e) for e in data["grid"]),
                "block": tuple(data["block"]),
                "arguments": tuple(LaunchArgument(**a) for a in data["arguments"]),
            }
        )


def describe_launches(module: ir.Module) -> tuple[LaunchDescription, ...]:
    """Every ``gpu.launch_func`` of ``module``, in program order.

    Errors: :class:`pith.UnsupportedError` for a grid, block or argument that does not follow from the
    host function's arguments by constants, sizes, sums and ceiling divisions.
    """
    return tuple(_describe(module, op) for op in _launches(module))


def _launches(module: ir.Module) -> Iterator[ir.OpView]:
    for function in module.body.operations:
        if function.operation.name == "func.func":
            for block in function.regions[0].blocks:
                yield from (op for op in block.operations if op.operation.name == "gpu.launch_func")


def _describe(module: ir.Module, op: Any) -> LaunchDescription:
    container, kernel = ir.SymbolRefAttr(op.operation.attributes["kernel"]).value
    shared = op.dynamicSharedMemorySize
    holder = next(o for o in module.body.operations if _symbol(o) == container)
    return LaunchDescription(
        function=_symbol(op.operation.parent) or "",
        kernel=kernel,
        module=container,
        grid=tuple(_extent(op, v) for v in (op.gridSizeX, op.gridSizeY, op.gridSizeZ)),  # type: ignore[arg-type]
        block=tuple(_extent(op, v).evaluate([]) for v in (op.blockSizeX, op.blockSizeY, op.blockSizeZ)),  # type: ignore[arg-type]
        dynamic_shared_bytes=0 if shared is None else _extent(op, shared).evaluate([]),
        arguments=tuple(_argument(op, v) for v in op.kernelOperands),
        target=module_target(holder).chip,
    )


def _symbol(op: ir.Operation | ir.OpView) -> str | None:
    attrs = op.operation.attributes
    return ir.StringAttr(attrs["sym_name"]).value if "sym_name" in attrs else None


def _extent(op: ir.OpView, value: ir.Value) -> Extent:
    where = str(op.operation.location)
    owner = None if isinstance(value.owner, ir.Block) else value.owner
    if owner is None:
        raise UnsupportedError("a launch depends on a scalar argument", where=where, hint="use sizes")
    name = owner.name
    if name == "arith.constant":
        return Extent(add=ir.IntegerAttr(owner.attributes["value"]).value)
    if name == "memref.dim" and isinstance(owner.operands[0].owner, ir.Block):
        dim = _extent(op, owner.operands[1])
        return Extent(ir.BlockArgument(owner.operands[0]).arg_number, dim.evaluate([]))
    if name in ("arith.addi", "arith.ceildivui"):
        base, constant = (_extent(op, v) for v in owner.operands)
        if constant.argument is None and base.divisor == 1:
            by = constant.evaluate([])
            if name == "arith.addi":
                return dataclasses.replace(base, add=base.add + by)
            return dataclasses.replace(base, divisor=by)
    raise UnsupportedError(f"a launch depends on {name}", where=where, hint="use sizes and constants")


def _argument(op: ir.OpView, value: ir.Value) -> LaunchArgument:
    if not isinstance(value.owner, ir.Block):
        raise UnsupportedError(f"a kernel argument is made by {value.owner.name}", where=str(op.operation.location))
    number = ir.BlockArgument(value).arg_number
    type_ = value.type
    memref = isinstance(type_, ir.MemRefType)
    return LaunchArgument(
        number,
        _source(op.operation.parent, number),
        "memref" if memref else "scalar",
        str(type_.element_type if memref else type_),
        len(shape_of(type_)) if memref else 0,
    )


def _source(function: ir.Operation, number: int) -> str:
    if "arg_attrs" in function.attributes:
        attrs = ir.DictAttr(ir.ArrayAttr(function.attributes["arg_attrs"])[number])
        if STORAGE in attrs:
            return ir.StringAttr(attrs[STORAGE]).value
    return f"arg{number}"
