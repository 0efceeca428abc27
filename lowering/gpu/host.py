"""The host side: what every value of a function is in memory, and the launches that replace its ops."""

import dataclasses
from typing import NoReturn

from pith._mlir import arith, func, gpu, ir
from pith.dialect import encoding_of, shape_of
from pith.dialect.pattern import PatternType
from pith.passes.core import pass_error

from .. import builder as b
from ..targets import GpuTarget
from .fill import BLOCK_THREADS, emit_fill
from .kernel import emit_kernel, role_sizes
from .match import Product, is_product, match_product
from .plan import plan_product

#: Attribute of a host argument that says which buffer it is: ``1.values``, ``0.pattern``, ``result0``; numbers count
#: the arguments as they were before ``pith-assemble-arguments``.
STORAGE = "pith.storage"


def pattern_list_type() -> ir.MemRefType:
    """A pattern in device memory: ``memref<?xi32>``, the count and then the coordinates."""
    return ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], ir.IntegerType.get_signless(32))


def buffer_type(type_: ir.RankedTensorType) -> ir.MemRefType:
    """The row-major memref of a dense tensor."""
    dynamic = ir.ShapedType.get_dynamic_size()
    return ir.MemRefType.get([dynamic if s < 0 else s for s in shape_of(type_)], type_.element_type)


@dataclasses.dataclass
class Host:
    """Conversion of one function: buffers per value, and counters for the kernels it makes."""

    source: func.FuncOp
    kernels: gpu.GPUModuleOp
    target: GpuTarget
    buffers: dict[ir.Value, list[ir.Value]] = dataclasses.field(default_factory=dict)
    count: int = 0

    def launch(self, op: ir.OpView, kind: str, grid: list[b.Index], threads: int, shared: int, args: list[ir.Value]):
        """``gpu.launch_func`` of the kernel emitted last."""
        i32 = ir.IntegerType.get_signless(32)
        sizes = [b.value(g) for g in grid]
        block = [b.value(n) for n in (threads, 1, 1)]
        gpu.launch_func(
            [self.kernels.sym_name.value, kind],
            tuple(sizes),
            tuple(block),
            args,
            dynamic_shared_memory_size=arith.constant(i32, shared) if shared else None,
            loc=op.operation.location,
        )

    def next_name(self, kind: str) -> str:
        """A kernel name that is unique in the program: function, kind, number."""
        self.count += 1
        return f"{self.source.sym_name.value}_{kind}_{self.count - 1}"


def convert_function(source: func.FuncOp, target: GpuTarget) -> None:
    """Replace ``source`` by a ``gpu.module`` of kernels and a host function of launches on memrefs.

    Tensor arguments become row-major memrefs and patterns lists; an init that is an argument is
    updated in place; an init made by ``tensor.empty`` becomes a further argument at the end. The host
    function returns nothing.
    """
    name = source.sym_name.value
    roots = _result_roots(source)
    types, attrs = _signature(source, roots)
    with ir.InsertionPoint(source.operation), source.operation.location:
        kernels = gpu.GPUModuleOp(f"{name}_kernels")
        kernels.operation.attributes["targets"] = ir.ArrayAttr.get(
            [ir.Attribute.parse(f'#nvvm.target<chip = "{target.chip}">')]
        )
        kernels.bodyRegion.blocks.append()
        replacement = func.FuncOp(name, (types, []), visibility=source.attributes.get("sym_visibility"))
    replacement.arg_attrs = attrs
    block = replacement.add_entry_block()
    host = Host(source, kernels, target)
    old = list(source.entry_block.arguments)
    for value, argument in zip([*old, *(r for r in roots if r not in old)], block.arguments):
        host.buffers[value] = [argument]
    with ir.InsertionPoint(block):
        for op in list(source.entry_block.operations):
            with op.operation.location:
                _convert_op(host, op)
        func.return_([])
    source.operation.erase()


def _convert_op(host: Host, op: ir.OpView) -> None:
    name = op.operation.name
    if name in ("func.return", "arith.constant", "tensor.dim"):
        return
    if name == "tensor.empty":
        if op.results[0] not in host.buffers:
            pass_error(op, "has no GPU lowering: it is an intermediate result", "return it, or split the function")
    elif name == "pith.assemble":
        parts = [v for v in op.operands if isinstance(v.type, ir.RankedTensorType)]
        host.buffers[op.results[0]] = [_buffer(host, op, v) for v in parts]
    elif name == "linalg.fill":
        _convert_fill(host, op)
    elif is_product(op):
        _convert_product(host, op)
    else:
        pass_error(op, "has no GPU lowering", "gpu functions hold linalg.fill, matrix products and pith.pit_tile")


def _convert_fill(host: Host, op: ir.OpView) -> None:
    constant, init = op.operands
    owner = constant.owner
    if isinstance(owner, ir.Block) or owner.name != "arith.constant":
        pass_error(op, "has no GPU lowering: expects a constant to fill with")
    out = _init_buffer(host, op, init)
    if out.type.rank != 2:
        pass_error(op, f"has no GPU lowering: expects a matrix, got rank {out.type.rank}")
    name = host.next_name("fill")
    with ir.InsertionPoint(host.kernels.bodyRegion.blocks[0]):
        emit_fill(name, out.type, owner.attributes["value"])
    host.launch(op, name, [b.dim_size(out, 0), 1, 1], BLOCK_THREADS, 0, [out])
    host.buffers[op.results[0]] = [out]


def _convert_product(host: Host, op: ir.OpView) -> None:
    product = match_product(op)
    plan = plan_product(product, host.target)
    buffers = {
        "entries": [] if product.pattern is None else [_buffer(host, op, product.pattern)],
        "lhs": _buffers(host, op, product.lhs.value),
        "rhs": _buffers(host, op, product.rhs.value),
        "out": [_init_buffer(host, op, product.out.value)],
    }
    if buffers["out"][0] in (*buffers["lhs"], *buffers["rhs"]):
        pass_error(op, "has no GPU lowering: its output is updated in place and must not be an input too")
    name = host.next_name("pit" if product.pattern else "matmul")
    with ir.InsertionPoint(host.kernels.bodyRegion.blocks[0]):
        emit_kernel(name, product, plan, {key: [v.type for v in group] for key, group in buffers.items()})
    sizes = role_sizes(product, buffers)
    grid = [_blocks(product, role, sizes[role], plan.tile[role]) for role in "mn"]
    arguments = [v for group in buffers.values() for v in group]
    host.launch(op, name, [*grid, 1], plan.body.threads, plan.shared_bytes, arguments)
    host.buffers[op.results[0]] = buffers["out"]


def _blocks(product: Product, role: str, size: b.Index, tile: int) -> b.Index:
    """Blocks that hold every position of a role, whatever a pattern says: ceil((size + g - 1) / tile).

    ceil(size / g) micro-tiles of g elements fill fewer than size + g positions.
    """
    extra = product.granularity - 1 if product.axis == role else 0
    return b.ceildiv(b.add(size, extra), tile)


def _buffers(host: Host, op: ir.OpView, value: ir.Value) -> list[ir.Value]:
    if value not in host.buffers:
        _refuse_value(op, value)
    return host.buffers[value]


def _buffer(host: Host, op: ir.OpView, value: ir.Value) -> ir.Value:
    return _buffers(host, op, value)[0]


def _init_buffer(host: Host, op: ir.OpView, init: ir.Value) -> ir.Value:
    """The buffer of an init, which is updated in place: nothing else may read the old value."""
    if len(list(init.uses)) != 1:
        pass_error(op, "has no GPU lowering: its init is used again, but is updated in place", "copy it first")
    return _buffer(host, op, init)


def _refuse_value(op: ir.OpView, value: ir.Value) -> NoReturn:
    pass_error(op, f"has no GPU lowering: cannot tell which buffer holds an operand of type {value.type}")


def _signature(source: func.FuncOp, roots: list[ir.Value]) -> tuple[list[ir.Type], list[ir.Attribute]]:
    """Argument types and attributes of the host function; sources are numbered as before pith-assemble-arguments."""
    types: list[ir.Type] = []
    names: list[str] = []
    given = source.arg_attrs if "arg_attrs" in source.attributes else [ir.DictAttr.get({})] * len(source.type.inputs)
    number, part_of = -1, ""
    for type_, attrs in zip(source.type.inputs, given):
        stored = ir.DictAttr(attrs)
        name = ir.StringAttr(stored[STORAGE]).value if STORAGE in stored else ""
        if not name or name.partition(".")[0] != part_of:
            number += 1
        part_of = name.partition(".")[0]
        if isinstance(type_, ir.RankedTensorType) and encoding_of(type_) is not None:
            pass_error(source, f"has an encoded argument {number}", "run pith-assemble-arguments first")
        pattern = isinstance(type_, PatternType)
        names.append(name or (f"{number}.pattern" if pattern else f"{number}.values"))
        types.append(pattern_list_type() if pattern else _host_type(type_))
    arguments = list(source.entry_block.arguments)
    for i, root in enumerate(roots):
        if root not in arguments:
            types.append(buffer_type(root.type))
            names.append(f"result{i}")
    return types, [ir.DictAttr.get({STORAGE: ir.StringAttr.get(n)}) for n in names]


def _host_type(type_: ir.Type) -> ir.Type:
    return buffer_type(type_) if isinstance(type_, ir.RankedTensorType) else type_


def _result_roots(source: func.FuncOp) -> list[ir.Value]:
    """Per result, the argument or ``tensor.empty`` at the start of its chain of inits."""
    returned = list(source.entry_block.operations)[-1]
    roots = [_root(v) for v in returned.operands]
    for i, root in enumerate(roots):
        if root in roots[:i]:
            pass_error(returned, f"returns result {i} from a buffer another result is in", "give each its own init")
    return roots


def _root(value: ir.Value) -> ir.Value:
    while not isinstance(value.owner, ir.Block):
        op = value.owner.opview
        if not (is_product(op) or op.operation.name == "linalg.fill"):
            break
        value = list(op.operands)[-1]
    if not isinstance(value.owner, ir.Block) and value.owner.name != "tensor.empty":
        pass_error(value.owner, "has no GPU lowering", "a result starts from an argument or tensor.empty")
    return value
