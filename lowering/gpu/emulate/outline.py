"""Take kernels out of their ``gpu.module`` as ordinary functions, and put memory into one address space."""

import math
import re

from pith._mlir import func, ir, memref
from pith.passes.analysis.traversal import ops_named

from ... import builder as b
from .boxes import BARRIER_BYTES
from .context import Emulation, address_of
from .memory import element_bytes

#: Types that are numbers here: tokens, and addresses of descriptors and barriers.
_WORDS = ("!nvgpu.device.async.token", "!nvgpu.tensormap.descriptor", "!nvgpu.mbarrier.group", "!llvm.ptr")
#: Static shared memory is laid out in steps of this many bytes: the strictest alignment of an ordinary access.
_ALIGNMENT = 128
#: Where dynamic shared memory begins behind barriers: what is copied in boxes wants to be at multiples of this.
_DYNAMIC_ALIGNMENT = 1024


def outline_module(e: Emulation, holder: ir.Operation) -> dict[str, int]:
    """Replace a ``gpu.module`` by its kernels as functions; bytes of static shared memory per kernel."""
    statics: dict[str, int] = {}
    shared_globals = _shared_globals(holder)
    for op in list(holder.regions[0].blocks[0].operations):
        operation = op.operation
        if operation.name == "gpu.func":
            name = ir.StringAttr(operation.attributes["sym_name"]).value
            statics[name] = _outline(e, operation, holder, shared_globals)
        elif (
            operation.name not in ("gpu.module_end",)
            and ir.StringAttr(operation.attributes["sym_name"]).value not in shared_globals
        ):
            operation.move_before(holder)
    holder.erase()
    return statics


def _shared_globals(holder: ir.Operation) -> dict[str, tuple[int, ir.MemRefType]]:
    """Offset and type of every ``memref.global`` in shared memory."""
    found, offset = {}, 0
    for op in holder.regions[0].blocks[0].operations:
        if op.operation.name != "memref.global":
            continue
        type_ = ir.MemRefType(ir.TypeAttr(op.operation.attributes["type"]).value)
        if "workgroup" in str(type_.memory_space) or str(type_.memory_space) == "3":
            found[ir.StringAttr(op.operation.attributes["sym_name"]).value] = (offset, type_)
            offset += _bytes(type_)
    return found


def _outline(e: Emulation, kernel: ir.Operation, holder: ir.Operation, shared_globals) -> int:
    attrs = kernel.attributes
    name = ir.StringAttr(attrs["sym_name"]).value
    type_ = ir.FunctionType(ir.TypeAttr(attrs["function_type"]).value)
    with ir.InsertionPoint(holder), kernel.location:
        function = func.FuncOp(name, type_)
        function.attributes["llvm.emit_c_interface"] = ir.UnitAttr.get()
    for block in list(kernel.regions[0].blocks):
        block.append_to(function.regions[0])
    used = sum(_bytes(t) for _, t in shared_globals.values())
    block = function.regions[0].blocks[0]
    shared = ir.IntegerAttr(attrs["workgroup_attributions"]).value if "workgroup_attributions" in attrs else 0
    with ir.InsertionPoint.at_block_begin(block), kernel.location:
        for number, argument in enumerate(list(block.arguments)[len(type_.inputs) :]):
            held = _view(e, used, argument.type) if number < shared else memref.alloca(_plain(argument.type), [], [])
            used += _bytes(argument.type) if number < shared else 0
            argument.replace_all_uses_with(held)
    for number in reversed(range(len(type_.inputs), len(list(block.arguments)))):
        block.erase_argument(number)
    for op in ops_named(function.operation, "gpu.return", "memref.get_global"):
        _rewrite(e, op, shared_globals)
    groups = ops_named(function.operation, "nvgpu.mbarrier.create")
    for op in groups:
        used += _place_barriers(e, op, used)
    return -(-used // _DYNAMIC_ALIGNMENT) * _DYNAMIC_ALIGNMENT if groups else used


def _place_barriers(e: Emulation, op: ir.Operation, offset: int) -> int:
    """Replace a group of barriers by its address in static shared memory; its bytes."""
    count = re.search(r"num_barriers = (\d+)", str(op.results[0].type))
    needed = BARRIER_BYTES * (int(count[1]) if count else 1)
    with ir.InsertionPoint(op), op.location:
        op.results[0].replace_all_uses_with(address_of(e.shared_bytes(offset, needed)))
    op.erase()
    return -(-needed // _ALIGNMENT) * _ALIGNMENT


def _rewrite(e: Emulation, op: ir.Operation, shared_globals) -> None:
    with ir.InsertionPoint(op), op.location:
        if op.name == "gpu.return":
            func.ReturnOp(list(op.operands))
            op.erase()
            return
        name = ir.FlatSymbolRefAttr(op.attributes["name"]).value
        if name in shared_globals:
            op.results[0].replace_all_uses_with(_view(e, *shared_globals[name]))
            op.erase()


def _view(e: Emulation, offset: int, type_: ir.MemRefType) -> ir.Value:
    """Static shared memory of ``type_``; it keeps its memory space until :func:`flatten_spaces`."""
    return memref.view(type_, e.shared_bytes(offset, _bytes(type_)), b.value(0), [])


def _bytes(type_: ir.MemRefType) -> int:
    return -(-math.prod(type_.shape) * element_bytes(type_) // _ALIGNMENT) * _ALIGNMENT


def flatten_spaces(function: ir.Operation) -> None:
    """Forget memory spaces and asynchronous tokens, which the rest of the pipeline does not know."""
    casts: list[ir.Operation] = []

    def visit(op: ir.Operation) -> ir.WalkResult:
        for region in op.regions:
            for block in region.blocks:
                for argument in block.arguments:
                    argument.set_type(_plain(argument.type))
        for result in op.results:
            result.set_type(_plain(result.type))
        if op.name == "memref.memory_space_cast":
            casts.append(op)
        return ir.WalkResult.ADVANCE

    function.walk(visit, ir.WalkOrder.PRE_ORDER)
    for op in casts:
        op.results[0].replace_all_uses_with(op.operands[0])
        op.erase()
    type_ = ir.FunctionType(ir.TypeAttr(function.attributes["function_type"]).value)
    plain = ir.FunctionType.get([_plain(t) for t in type_.inputs], [_plain(t) for t in type_.results])
    function.attributes["function_type"] = ir.TypeAttr.get(plain)


def _plain(type_: ir.Type) -> ir.Type:
    if str(type_).startswith(_WORDS):
        return ir.IndexType.get()
    if not isinstance(type_, ir.MemRefType) or type_.memory_space is None:
        return type_
    return ir.MemRefType.get(type_.shape, type_.element_type, layout=type_.layout)
