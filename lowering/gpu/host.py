"""The host side of a GPU program: which device buffers hold a value, and the launches that replace ops."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pith._mlir import arith, func, gpu, ir, memref
from pith.dialect import encoding_of, shape_of
from pith.dialect.pattern import PatternType
from pith.passes.analysis.traversal import defining_op
from pith.passes.core import pass_error

from .. import builder as b
from ..numbers import zero
from ..targets import GpuTarget
from .function import Guard, guard_body, kernel_function
from .linalg.fill import BLOCK_THREADS, emit_copy, emit_fill, linear_grid

#: Attribute of a host argument that says which buffer it is: ``1.values``, ``0.pattern``; numbers count the arguments
#: as they were before ``pith-assemble-arguments``.
STORAGE = "pith.storage"
#: Attribute of a launch: how its kernel works and why so, in words.
NOTE = "pith.note"
#: Attribute of an argument its owner lets kernels write to.
WRITABLE = "bufferization.writable"

_ARITHMETIC = {
    "arith.addi": b.add,
    "arith.subi": b.sub,
    "arith.muli": b.mul,
    "arith.divui": b.div,
    "arith.divsi": b.div,
    "arith.floordivsi": b.div,
    "arith.ceildivui": b.ceildiv,
    "arith.ceildivsi": b.ceildiv,
    "arith.remui": b.mod,
    "arith.minui": b.minimum,
    "arith.minsi": b.minimum,
    "arith.maxui": b.maximum,
    "arith.maxsi": b.maximum,
}


def pattern_list_type() -> ir.MemRefType:
    """A pattern in device memory: ``memref<?xi32>``, the count and then the coordinates, interleaved over the axes."""
    return ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], ir.IntegerType.get_signless(32))


def buffer_type(type_: ir.Type) -> ir.Type:
    """What a value of ``type_`` is on the device: a row-major memref, a list, or the number itself."""
    if isinstance(type_, PatternType):
        return pattern_list_type()
    if not isinstance(type_, ir.RankedTensorType):
        return type_
    dynamic = ir.ShapedType.get_dynamic_size()
    return ir.MemRefType.get([dynamic if s < 0 else s for s in shape_of(type_)], type_.element_type)


@dataclasses.dataclass
class Host:
    """Conversion of one function.

    Attributes:
        source: the function, whose ops are read.
        kernels: the module of the kernels made so far.
        target: the chip.
        buffers: memrefs of every converted value: metadata in storage order, values last; one list for a pattern.
        owned: buffers that may be written to: made here, or arguments that are writable.
        guards: what the kernels made now wait for; see :meth:`guarded`.
        derived: what kernels made of buffers that more than one op wants, by what says so.
        deferred: what makes the buffers of values that nothing has needed yet.
    """

    source: func.FuncOp
    kernels: gpu.GPUModuleOp
    target: GpuTarget
    buffers: dict[ir.Value, list[ir.Value]] = dataclasses.field(default_factory=dict)
    owned: list[ir.Value] = dataclasses.field(default_factory=list)
    guards: list[Guard] = dataclasses.field(default_factory=list)
    derived: dict[tuple[Any, ...], Any] = dataclasses.field(default_factory=dict)
    deferred: dict[ir.Value, Callable[[], list[ir.Value]]] = dataclasses.field(default_factory=dict)
    count: int = 0

    def bind(self, value: ir.Value, buffers: Sequence[ir.Value]) -> None:
        """Say which buffers hold ``value``."""
        self.buffers[value] = list(buffers)

    def derive(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What ``make`` launches kernels for, once per ``key`` where the same branch of a choice runs."""
        key = (*key, *self.guards)
        if key not in self.derived:
            self.derived[key] = make()
        return self.derived[key]

    def defer(self, value: ir.Value, make: Callable[[], list[ir.Value]]) -> None:
        """Have ``make`` convert ``value`` when something needs its buffers: an op may do without them."""
        guards = list(self.guards)

        def under_guards_of_here() -> list[ir.Value]:
            now, self.guards = self.guards, guards
            buffers = make()
            self.guards = now
            return buffers

        self.deferred[value] = under_guards_of_here

    def buffers_of(self, op: ir.OpView, value: ir.Value) -> list[ir.Value]:
        """The buffers of an operand; a diagnostic at ``op`` when it has none."""
        if value in self.deferred:
            self.buffers[value] = self.deferred.pop(value)()
        if value not in self.buffers:
            pass_error(op, f"has no GPU lowering: cannot tell which buffer holds an operand of type {value.type}")
        return self.buffers[value]

    def allocate(self, type_: ir.MemRefType, sizes: Sequence[b.Index] = ()) -> ir.Value:
        """A device buffer of undefined contents; ``sizes`` of all dimensions (those the type knows are ignored)."""
        dynamic = [b.value(s) for d, s in enumerate(sizes) if type_.is_dynamic_dim(d)]
        buffer = memref.alloc(type_, dynamic, [])
        self.owned.append(buffer)
        return buffer

    def zeros(self, op: ir.OpView, sizes: Sequence[b.Index], element: ir.Type) -> ir.Value:
        """A device buffer, and the launch that clears it."""
        dynamic = ir.ShapedType.get_dynamic_size()
        shape = [s if isinstance(s, int) else dynamic for s in sizes]
        buffer = self.allocate(ir.MemRefType.get(shape, element), sizes)
        with self.kernel("clear", [buffer.type], BLOCK_THREADS) as (name, block):
            emit_fill(block.arguments[0], zero(element))
        self.launch(op, name, [linear_grid(sizes)], BLOCK_THREADS, 0, [buffer])
        return buffer

    def init_buffer(self, op: ir.OpView, init: ir.Value) -> ir.Value:
        """A buffer that holds ``init`` and that ``op`` may update in place: a copy where something else needs it."""
        buffer = self.buffers_of(op, init)[-1]
        users = [use.owner for use in init.uses]
        if buffer in self.owned and users.count(op) <= 1 and not any(_also_needs(user, op) for user in users):
            return buffer
        sizes = [b.dim_size(buffer, d) for d in range(buffer.type.rank)]
        copy = self.allocate(buffer.type, sizes)
        self.copy(op, buffer, copy)
        return copy

    def copy(self, op: ir.OpView, source: ir.Value, target: ir.Value) -> None:
        """Launch a kernel that copies a buffer to another one of its shape."""
        sizes = [b.dim_size(source, d) for d in range(source.type.rank)]
        with self.kernel("copy", [source.type, target.type], BLOCK_THREADS) as (name, block):
            emit_copy(*block.arguments)
        self.launch(op, name, [linear_grid(sizes), 1, 1], BLOCK_THREADS, 0, [source, target])

    def size(self, op: ir.OpView, value: ir.Value) -> b.Index:
        """An ``index`` of the source function as an index of the host function."""
        if value in self.buffers:
            return self.buffers[value][0]
        owner = defining_op(value)
        if owner is None:
            return pass_error(op, "has no GPU lowering: a size is not known on the host")
        if owner.name == "arith.constant":
            return ir.IntegerAttr(owner.attributes["value"]).value
        if owner.name == "tensor.dim":
            return self.dim(op, owner.operands[0], self.size(op, owner.operands[1]))
        if owner.name in _ARITHMETIC:
            left, right = (self.size(op, v) for v in owner.operands)
            return _ARITHMETIC[owner.name](left, right)
        return pass_error(op, f"has no GPU lowering: a size is made by {owner.name}", "use sizes of the arguments")

    def dim(self, op: ir.OpView, tensor: ir.Value, dimension: b.Index) -> b.Index:
        """The extent of a dimension of a tensor of the source function."""
        if not isinstance(dimension, int):
            return pass_error(op, "has no GPU lowering: expects the number of a dimension to be a constant")
        shape = shape_of(tensor.type)
        if shape[dimension] >= 0:
            return shape[dimension]
        if encoding_of(tensor.type) is None:
            return b.dim_size(self.buffers_of(op, tensor)[-1], dimension)
        sizes = [v for v in tensor.owner.operands if isinstance(v.type, ir.IndexType)]
        return self.size(op, sizes[sum(s < 0 for s in shape[:dimension])])

    @contextlib.contextmanager
    def kernel(self, kind: str, types: Sequence[ir.Type], threads: int) -> Iterator[tuple[str, ir.Block]]:
        """A new kernel: its name, and its entry block, at whose end ops go. The return is added on the way out."""
        self.count += 1
        name = f"{self.source.sym_name.value}_{kind}_{self.count - 1}"
        with ir.InsertionPoint(self.kernels.bodyRegion.blocks[0]):
            block = kernel_function(name, types, threads)
        with ir.InsertionPoint(block):
            yield name, block
            for guard in self.guards:
                guard_body(block, guard)
            gpu.ReturnOp([])

    @contextlib.contextmanager
    def guarded(self, guard: Guard) -> Iterator[None]:
        """Kernels made and launched within do nothing unless the device says so."""
        self.guards.append(guard)
        yield
        self.guards.pop()

    def replace_buffer(self, old: ir.Value, new: ir.Value) -> None:
        """Let what used buffer ``old``, which was allocated here, use ``new`` of the same type and size."""
        old.replace_all_uses_with(new)
        for held in self.buffers.values():
            held[:] = [new if v == old else v for v in held]
        self.owned = [v for v in self.owned if v != old]
        old.owner.erase()

    def launch(
        self,
        op: ir.OpView,
        name: str,
        grid: Sequence[b.Index],
        threads: int,
        shared_bytes: int,
        args: Sequence[ir.Value],
        note: str = "",
    ) -> None:
        """``gpu.launch_func`` of kernel ``name`` in place of ``op``; ``note`` is what ``explain()`` says of it."""
        i32 = ir.IntegerType.get_signless(32)
        sizes = [b.value(g) for g in (*grid, *[1] * (3 - len(grid)))]
        block = [b.value(n) for n in (threads, 1, 1)]
        made = gpu.launch_func(
            [self.kernels.sym_name.value, name],
            tuple(sizes),
            tuple(block),
            [*args, *(guard.flag for guard in self.guards)],
            dynamic_shared_memory_size=arith.constant(i32, shared_bytes) if shared_bytes else None,
            loc=op.operation.location,
        )
        if note:
            made.operation.attributes[NOTE] = ir.StringAttr.get(note)


def _also_needs(user: ir.Operation | ir.OpView, op: ir.OpView) -> bool:
    """Whether ``user`` of a value needs it beside ``op``: sizes are no contents, and of two branches one runs."""
    if user == op or user.operation.name == "tensor.dim":
        return False
    other = dict(_branches(op))
    return not any(parent in other and other[parent] != block for parent, block in _branches(user))


def _branches(op: ir.Operation | ir.OpView) -> Iterator[tuple[ir.Operation, ir.Block]]:
    """The conditionals around an op, with the branch it is in."""
    inner = op.operation
    while inner.parent is not None:
        if inner.parent.operation.name == "scf.if":
            yield inner.parent.operation, inner.block
        inner = inner.parent.operation
