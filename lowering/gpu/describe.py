"""Read a :class:`pith.programs.Program` off the host function of a module at the gpu, nvvm or binary level.

Nothing here executes. A host function is a straight line of sizes, allocations and launches.
"""

import functools
import re
from collections.abc import Iterator
from typing import Any

from pith._mlir import ir
from pith.dialect import shape_of
from pith.errors import UnsupportedError
from pith.programs import Launch, Operand, Program, Size, TensorMap, const, dim, scalar
from pith.programs.sizes import binary

from .gpu_module_to_binary import module_target
from .host import NOTE, STORAGE, WRITABLE

_ARITHMETIC = {
    "arith.addi": "add",
    "arith.subi": "sub",
    "arith.muli": "mul",
    "arith.divui": "floordiv",
    "arith.ceildivui": "ceildiv",
    "arith.remui": "mod",
    "arith.minui": "min",
    "arith.maxui": "max",
}


#: Ops whose result is the memory of their first operand.
_SAME_MEMORY = ("memref.cast", "memref.collapse_shape", "memref.expand_shape")


def describe_program(module: ir.Module) -> Program:
    """The program of the one function of ``module`` that launches kernels.

    Errors: :class:`pith.UnsupportedError` for a module with none or several, and for a grid, a shape or a kernel
        argument that does not follow from the function's arguments by sizes and integer arithmetic.
    """
    functions = [op for op in module.body.operations if op.operation.name == "func.func" and list(_launches(op))]
    if len(functions) != 1:
        raise UnsupportedError(
            f"expects one function with GPU kernels in the module, got {len(functions)}",
            hint="compile one function at a time",
        )
    return _Reader(module, functions[0]).program()


def _launches(function: ir.OpView) -> Iterator[Any]:
    for block in function.regions[0].blocks:
        yield from (op for op in block.operations if op.operation.name == "gpu.launch_func")


class _Reader:
    """Numbers the operands of one host function, arguments first."""

    def __init__(self, module: ir.Module, function: ir.OpView):
        self.module, self.function = module, function
        self.block = function.regions[0].blocks[0]
        self.allocations = [op for op in self.block.operations if op.operation.name == "memref.alloc"]
        self.values = [*self.block.arguments, *(op.results[0] for op in self.allocations)]

    def program(self) -> Program:
        *_, last = self.block.operations
        results = tuple(self._number(last, v) for v in last.operands)
        arguments = tuple(self._argument(i, v) for i, v in enumerate(self.block.arguments))
        buffers = tuple(self._buffer(op, results) for op in self.allocations)
        name = ir.StringAttr(self.function.operation.attributes["sym_name"]).value
        launches = [self._launch(op) for op in _launches(self.function)]
        return Program(name, self._target(), arguments, buffers, tuple(launches), results)

    def _target(self) -> str:
        op = next(_launches(self.function))
        container, _ = ir.SymbolRefAttr(op.operation.attributes["kernel"]).value
        return next(module_target(o).chip for o in self.module.body.operations if _symbol(o) == container)

    def _argument(self, number: int, value: ir.Value) -> Operand:
        attrs = ir.DictAttr(ir.ArrayAttr(self.function.operation.attributes["arg_attrs"])[number])
        name = ir.StringAttr(attrs[STORAGE]).value if STORAGE in attrs else f"{number}.values"
        if not isinstance(value.type, ir.MemRefType):
            return Operand(name, str(value.type), None)
        shape = (dim(number, d) if s < 0 else const(s) for d, s in enumerate(shape_of(value.type)))
        return Operand(name, str(value.type.element_type), tuple(shape), WRITABLE in attrs)

    def _buffer(self, op: ir.OpView, results: tuple[int, ...]) -> Operand:
        number = self._number(op, op.results[0])
        temporaries = [v for i, v in enumerate(self.values) if i not in results and i >= len(self.block.arguments)]
        name = f"result{results.index(number)}" if number in results else f"temporary{temporaries.index(op.results[0])}"
        given, type_ = iter(op.operands), op.results[0].type
        shape = tuple(self._size(op, next(given)) if s < 0 else const(s) for s in shape_of(type_))
        return Operand(name, str(type_.element_type), shape)

    def _launch(self, op: Any) -> Launch:
        _, kernel = ir.SymbolRefAttr(op.operation.attributes["kernel"]).value
        shared = op.dynamicSharedMemorySize
        x, y, z = (self._size(op, v) for v in (op.gridSizeX, op.gridSizeY, op.gridSizeZ))
        block = [self._size(op, v).evaluate([]) for v in (op.blockSizeX, op.blockSizeY, op.blockSizeZ)]
        return Launch(
            kernel,
            (x, y, z),
            (block[0], block[1], block[2]),
            0 if shared is None else self._size(op, shared).evaluate([]),
            tuple(self._operand(op, v) for v in op.kernelOperands),
            ir.StringAttr(op.operation.attributes[NOTE]).value if NOTE in op.operation.attributes else "",
        )

    def _operand(self, op: ir.OpView, value: ir.Value) -> int | Size | TensorMap:
        if isinstance(value.type, ir.IndexType):
            return self._size(op, value)
        described = value.owner if value not in self.values else None
        while described is not None and described.name == "builtin.unrealized_conversion_cast":
            described = described.operands[0].owner
        if described is not None and described.name == "nvgpu.tma.create.descriptor":
            return self._tensor_map(op, described)
        return self._number(op, value)

    def _tensor_map(self, op: ir.OpView, made: ir.Operation) -> TensorMap:
        """What ``nvgpu.tma.create.descriptor`` describes: an argument or a buffer, or a view of one."""
        ranked = made.operands[0].owner.operands[0]
        box = tuple(self._size(op, v).evaluate([]) for v in list(made.operands)[1:])
        swizzle = re.search(r"swizzle = swizzle_(\d+)b", str(made.results[0].type))
        shape = tuple(self._extents(op, ranked))
        return TensorMap(self._number(op, ranked), shape, box, int(swizzle[1]) if swizzle else 0)

    def _extents(self, op: ir.OpView, array: ir.Value) -> list[Size]:
        """The shape of an argument, a buffer, or a view of one."""
        known = shape_of(array.type)
        if array in self.values:
            return [dim(self._number(op, array), d) if s < 0 else const(s) for d, s in enumerate(known)]
        view, source = array.owner, array.owner.operands[0]
        if view.name == "memref.expand_shape":
            given = iter(list(view.operands)[1:])
            return [self._size(op, next(given)) if s < 0 else const(s) for s in known]
        inner = self._extents(op, source)
        if view.name != "memref.collapse_shape":
            return inner
        groups = [[int(d) for d in group] for group in view.attributes["reassociation"]]
        return [functools.reduce(lambda x, y: binary("mul", x, y), (inner[d] for d in group)) for group in groups]

    def _number(self, op: ir.OpView, value: ir.Value) -> int:
        while value not in self.values and value.owner.name in _SAME_MEMORY:
            value = value.owner.operands[0]
        if value not in self.values:
            made = value.owner.name
            raise UnsupportedError(f"a kernel argument is made by {made}", where=str(op.operation.location))
        return self.values.index(value)

    def _size(self, op: ir.OpView, value: ir.Value) -> Size:
        if value in self.values:
            return scalar(self._number(op, value))
        owner = value.owner
        name = owner.name
        if name == "arith.constant":
            return const(ir.IntegerAttr(owner.attributes["value"]).value)
        if name == "memref.dim":
            dimension = self._size(op, owner.operands[1]).evaluate([])
            return dim(self._number(op, owner.operands[0]), dimension)
        if name in _ARITHMETIC:
            left, right = (self._size(op, v) for v in owner.operands)
            return binary(_ARITHMETIC[name], left, right)
        where = str(op.operation.location)
        raise UnsupportedError(f"a launch depends on {name}", where=where, hint="use sizes and constants")


def _symbol(op: ir.Operation | ir.OpView) -> str | None:
    attrs = op.operation.attributes
    return ir.StringAttr(attrs["sym_name"]).value if "sym_name" in attrs else None
