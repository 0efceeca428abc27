"""Replace a function by a module of kernels and a host function that launches them."""

from pith._mlir import func, gpu, ir
from pith.dialect import encoding_of
from pith.passes.core import pass_error

from ..bufferization.protect_arguments import is_entry
from ..targets import GpuTarget
from .converters import convert_op
from .host import STORAGE, WRITABLE, Host, buffer_type
from .linalg.views import sink_views


def convert_function(source: func.FuncOp, target: GpuTarget) -> None:
    """Replace ``source`` by a ``gpu.module`` of kernels and a host function on memrefs.

    Tensor arguments become row-major memrefs, patterns lists. Results and intermediates are ``memref.alloc``ed by
    the host function, which returns the buffers of the results. Arguments are only written to where the source says
    ``bufferization.writable = true``.
    """
    name = source.sym_name.value
    types, attrs = _signature(source)
    with ir.InsertionPoint(source.operation), source.operation.location:
        kernels = gpu.GPUModuleOp(f"{name}_kernels")
        kernels.operation.attributes["targets"] = ir.ArrayAttr.get(
            [ir.Attribute.parse(f'#nvvm.target<chip = "{target.chip}">')]
        )
        kernels.bodyRegion.blocks.append()
        results = [buffer_type(t) for t in source.type.results]
        replacement = func.FuncOp(name, (types, results), visibility=source.attributes.get("sym_visibility"))
    replacement.arg_attrs = attrs
    block = replacement.add_entry_block()
    host = Host(source, kernels, target)
    for value, argument, stored in zip(source.entry_block.arguments, block.arguments, attrs):
        host.bind(value, [argument])
        if WRITABLE in stored:
            host.owned.append(argument)
    with ir.InsertionPoint(block):
        *ops, last = source.entry_block.operations
        for op in ops:
            with op.operation.location:
                convert_op(host, op)
        with last.operation.location:
            func.return_([_result(host, last, v) for v in last.operands])
    sink_views(host, replacement)
    source.operation.erase()


def _result(host: Host, op: ir.OpView, value: ir.Value) -> ir.Value:
    """The buffer of a result: its own, even where an argument or another result holds the same values."""
    if isinstance(value.type, ir.RankedTensorType) and encoding_of(value.type) is None:
        return host.init_buffer(op, value)
    return host.buffers_of(op, value)[-1]


def _signature(source: func.FuncOp) -> tuple[list[ir.Type], list[ir.Attribute]]:
    """Argument types and attributes of the host function; sources are numbered as before pith-assemble-arguments."""
    types: list[ir.Type] = []
    attrs: list[ir.Attribute] = []
    given = source.arg_attrs if "arg_attrs" in source.attributes else [ir.DictAttr.get({})] * len(source.type.inputs)
    number, part_of = -1, ""
    for type_, held in zip(source.type.inputs, given):
        stored = ir.DictAttr(held)
        name = ir.StringAttr(stored[STORAGE]).value if STORAGE in stored else ""
        if not name or name.partition(".")[0] != part_of:
            number += 1
        part_of = name.partition(".")[0]
        if encoding_of(type_) is not None:
            pass_error(source, f"has an encoded argument {number}", "run pith-assemble-arguments first")
        buffer = buffer_type(type_)
        types.append(buffer)
        said = {STORAGE: ir.StringAttr.get(name or f"{number}.{_kind(type_, buffer)}")}
        if isinstance(type_, ir.MemRefType) or _is_writable(source, stored):
            said[WRITABLE] = ir.BoolAttr.get(True)
        attrs.append(ir.DictAttr.get(said))
    return types, attrs


def _kind(type_: ir.Type, buffer: ir.Type) -> str:
    if not isinstance(buffer, ir.MemRefType):
        return "value"
    return "values" if isinstance(type_, ir.RankedTensorType | ir.MemRefType) else "pattern"


def _is_writable(source: func.FuncOp, stored: ir.DictAttr) -> bool:
    """As on the CPU (``pith-protect-arguments``): arguments of entry functions are the caller's unless declared."""
    return ir.BoolAttr(stored[WRITABLE]).value if WRITABLE in stored else not is_entry(source)
