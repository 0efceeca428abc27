"""Reshapes and slices of tensors: views where memory allows, else copies.

A launcher knows buffers only. So a view that reaches a launch is moved into the kernel (:func:`sink_views`)::

    %v = memref.expand_shape %x [[0, 1], [2]] output_shape [%a, %b, 384]        on the host
    gpu.launch_func @k args(%v)

becomes ``gpu.launch_func @k args(%x, %a, %b)`` with the ``memref.expand_shape`` at the top of ``@k``.
"""

from collections.abc import Sequence

from pith._mlir import func, gpu, ir, memref
from pith.dialect import shape_of
from pith.passes.core import pass_error

from .. import builder as b
from ..builder import Index
from .fill import BLOCK_THREADS, linear_grid
from .host import Host, buffer_type
from .loops import split_index
from .outputs import extents

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


def convert_cast(host: Host, op: ir.OpView) -> None:
    """``tensor.cast``: the same memory, or a copy into a buffer of the other type."""
    source, result = op.operands[0], op.results[0]
    if buffer_type(source.type) == buffer_type(result.type):
        host.bind(result, host.buffers_of(op, source))
        return
    sizes = extents(host, op, source)
    _copy(host, op, sizes, [0] * len(sizes), [1] * len(sizes), list(range(len(sizes))))


def convert_slice(host: Host, op: ir.OpView) -> None:
    """``tensor.extract_slice``: a copy of the elements it takes."""
    rank = op.operands[0].type.rank
    given = iter(list(op.operands)[1:])
    dynamic = ir.ShapedType.get_dynamic_size()
    offsets, sizes, strides = (
        [s if s != dynamic else host.size(op, next(given)) for s in _numbers(op, name)]
        for name in ("static_offsets", "static_sizes", "static_strides")
    )
    kept = _kept_dimensions(list(_numbers(op, "static_sizes")), shape_of(op.results[0].type), rank)
    _copy(host, op, sizes, offsets, strides, kept)


def _numbers(op: ir.OpView, name: str) -> list[int]:
    return list(ir.DenseI64ArrayAttr(op.operation.attributes[name]))


def _kept_dimensions(sizes: Sequence[int], result: Sequence[int], rank: int) -> list[int]:
    """Source dimension per dimension of a slice that may drop some of extent 1."""
    kept, wanted = [], list(result)
    for d in range(rank):
        left = rank - d
        matches = wanted and (sizes[d] == wanted[0] or sizes[d] < 0 > wanted[0])
        if matches and (sizes[d] != 1 or left == len(wanted) or wanted[0] == 1):
            kept.append(d)
            wanted.pop(0)
    return kept


def _copy(
    host: Host, op: ir.OpView, sizes: list[Index], offsets: list[Index], strides: list[Index], kept: list[int]
) -> None:
    """A new buffer of the result: element i is the source's at ``offsets + i * strides``."""
    source = host.buffers_of(op, op.operands[0])[-1]
    type_ = buffer_type(op.results[0].type)
    out = host.allocate(type_, [sizes[d] for d in kept])
    numbers = [v for v in (*offsets, *strides) if not isinstance(v, int)]
    arguments = [source, out, *numbers]
    with host.kernel("slice", [v.type for v in arguments], BLOCK_THREADS) as (name, block):
        read, write, *rest = block.arguments
        known = iter(rest)
        inside = [v if isinstance(v, int) else next(known) for v in (*offsets, *strides)]
        shape = [b.dim_size(write, d) for d in range(type_.rank)]
        i = b.add(b.mul(gpu.block_id(gpu.Dimension.x), BLOCK_THREADS), gpu.thread_id(gpu.Dimension.x))

        def one() -> None:
            at = split_index(i, shape)
            point = [inside[d] for d in range(len(offsets))]
            for place, d in zip(at, kept):
                point[d] = b.add(point[d], b.mul(place, inside[len(offsets) + d]))
            memref.store(memref.load(read, [b.value(p) for p in point]), write, [b.value(p) for p in at])

        b.if_else(b.less(i, b.product(shape)), one)
    host.launch(op, name, [linear_grid([sizes[d] for d in kept])], BLOCK_THREADS, 0, arguments)
    host.bind(op.results[0], [out])


def sink_views(host: Host, function: func.FuncOp) -> None:
    """Move the reshapes of a converted function into the kernels that read through them."""
    for op in reversed(list(function.entry_block.operations)):
        if op.operation.name not in _RESHAPES:
            continue
        for use in list(op.results[0].uses):
            user = use.owner.opview
            if user.operation.name == "memref.dim":
                _resolve_size(user, op)
            elif user.operation.name == "gpu.launch_func":
                _sink(host, user, op)
            else:
                pass_error(user, "has no GPU lowering: a reshaped buffer is not an argument of a kernel")
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
        gpu.launch_func(
            list(ir.SymbolRefAttr(launch.operation.attributes["kernel"]).value),
            (launch.gridSizeX, launch.gridSizeY, launch.gridSizeZ),
            (launch.blockSizeX, launch.blockSizeY, launch.blockSizeZ),
            operands,
            dynamic_shared_memory_size=launch.dynamicSharedMemorySize,
        )
    launch.operation.erase()


def _kernel_of(host: Host, launch: ir.OpView) -> ir.OpView:
    name = ir.SymbolRefAttr(launch.operation.attributes["kernel"]).value[-1]
    for op in host.kernels.bodyRegion.blocks[0].operations:
        if ir.StringAttr(op.operation.attributes["sym_name"]).value == name:
            return op
    return pass_error(launch, f"launches @{name}, which is not there")
