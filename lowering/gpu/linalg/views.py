"""Reshapes of tensors: the same memory.

A launcher knows buffers only. So a view that reaches a launch is moved into the kernel (:func:`sink_views`)::

    %v = memref.expand_shape %x [[0, 1], [2]] output_shape [%a, %b, 384]        on the host
    gpu.launch_func @k args(%v)

becomes ``gpu.launch_func @k args(%x, %a, %b)`` with the ``memref.expand_shape`` at the top of ``@k``. What describes a
view to the copy engine (``nvgpu.tma.create.descriptor``) stays on the host, and the view with it.
"""

from pith._mlir import func, gpu, ir, memref
from pith.dialect import shape_of
from pith.passes.core import pass_error

from ... import builder as b
from ..host import NOTE, Host, buffer_type

_RESHAPES = ("memref.collapse_shape", "memref.expand_shape")


def convert_reshape(host: Host, op: ir.OpView) -> None:
    """``tensor.collapse_shape`` and ``tensor.expand_shape``: the same memory, which nothing updates through them."""
    source, result = op.operands[0], op.results[0]

    def make() -> list[ir.Value]:
        return [_reshaped(host, op, host.buffers_of(op, source)[-1])]

    host.defer(result, make)


def _reshaped(host: Host, op: ir.OpView, buffer: ir.Value) -> ir.Value:
    type_ = buffer_type(op.results[0].type)
    groups = op.operation.attributes["reassociation"]
    if op.operation.name == "tensor.collapse_shape":
        return memref.collapse_shape(type_, buffer, groups)
    sizes = [b.value(host.size(op, v)) for v in list(op.operands)[1:]]
    return memref.expand_shape(type_, buffer, groups, sizes, list(type_.shape))


def sink_views(host: Host, function: func.FuncOp) -> None:
    """Move the reshapes of a converted function into the kernels that read through them."""
    for op in reversed(list(function.entry_block.operations)):
        if op.operation.name not in _RESHAPES:
            continue
        stays = False
        for user in [owner.opview for owner in dict.fromkeys(use.owner.operation for use in op.results[0].uses)]:
            if user.operation.name == "memref.dim":
                _resolve_size(user, op)
            elif user.operation.name == "gpu.launch_func":
                _sink(host, user, op)
            elif user.operation.name in ("memref.cast", *_RESHAPES):
                stays = True
            else:
                pass_error(user, "has no GPU lowering: a reshaped buffer is not an argument of a kernel")
        if not stays:
            op.operation.erase()


def _resolve_size(dim: ir.OpView, view: ir.OpView) -> None:
    """Replace the size of a view by those of what it is a view of."""
    number = ir.IntegerAttr(dim.operands[1].owner.attributes["value"]).value
    source = view.operands[0]
    with ir.InsertionPoint(dim), dim.operation.location:
        if view.operation.name == "memref.collapse_shape":
            group = view.operation.attributes["reassociation"][number]
            size = b.value(b.product([b.dim_size(source, int(d)) for d in group]))
        else:
            known = shape_of(view.results[0].type)
            size = list(view.operands)[1:][sum(s < 0 for s in known[:number])]
    dim.results[0].replace_all_uses_with(size)
    dim.operation.erase()


def _sink(host: Host, launch: ir.OpView, view: ir.OpView) -> None:
    """Give a kernel the buffer, and the sizes, that a view is made of."""
    kernel = _kernel_of(host, launch)
    operands = list(launch.kernelOperands)
    block = kernel.operation.regions[0].blocks[0]
    source, sizes = view.operands[0], list(view.operands)[1:]
    while view.results[0] in operands:
        number = operands.index(view.results[0])
        operands = [*operands[:number], *operands[number + 1 :], source, *sizes]
        given = [block.add_argument(v.type, view.operation.location) for v in (source, *sizes)]
        clone = view.operation.clone(ip=ir.InsertionPoint.at_block_begin(block))
        for i, v in enumerate(given):
            clone.operands[i] = v
        block.arguments[number].replace_all_uses_with(clone.results[0])
        block.erase_argument(number)
    types = [a.type for a in block.arguments]
    kernel.operation.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(types, []))
    with ir.InsertionPoint(launch), launch.operation.location:
        made = gpu.launch_func(
            list(ir.SymbolRefAttr(launch.operation.attributes["kernel"]).value),
            (launch.gridSizeX, launch.gridSizeY, launch.gridSizeZ),
            (launch.blockSizeX, launch.blockSizeY, launch.blockSizeZ),
            operands,
            dynamic_shared_memory_size=launch.dynamicSharedMemorySize,
        )
    if NOTE in launch.operation.attributes:
        made.operation.attributes[NOTE] = launch.operation.attributes[NOTE]
    launch.operation.erase()


def _kernel_of(host: Host, launch: ir.OpView) -> ir.OpView:
    name = ir.SymbolRefAttr(launch.operation.attributes["kernel"]).value[-1]
    for op in host.kernels.bodyRegion.blocks[0].operations:
        if ir.StringAttr(op.operation.attributes["sym_name"]).value == name:
            return op
    return pass_error(launch, f"launches @{name}, which is not there")
