"""The kernels of fills and copies: every thread writes one element of a buffer seen as a line."""

from collections.abc import Callable, Sequence

from pith._mlir import arith, gpu, ir, memref

from ... import builder as b

#: Threads of a block.
BLOCK_THREADS = 256


def linear_grid(sizes: Sequence[b.Index]) -> b.Index:
    """Blocks that give every element of an array of ``sizes`` a thread."""
    total: b.Index = 1
    for size in sizes:
        total = b.mul(total, size)
    return b.ceildiv(total, BLOCK_THREADS)


def emit_fill(out: ir.Value, constant: ir.Attribute) -> None:
    """Emit the body of a kernel that sets every element of ``out`` to ``constant``."""
    value = arith.ConstantOp(out.type.element_type, constant).result
    line = line_of(out)
    _at_thread(line, lambda i: _store(value, line, i))


def emit_copy(source: ir.Value, out: ir.Value) -> None:
    """Emit the body of a kernel that copies a buffer to one of the same shape."""
    read, line = line_of(source), line_of(out)
    _at_thread(line, lambda i: _store(memref.load(read, [i]), line, i))


def line_of(buffer: ir.Value) -> ir.Value:
    """A row-major buffer as one dimension."""
    type_ = buffer.type
    if type_.rank == 1:
        return buffer
    sizes = [type_.get_dim_size(d) if not type_.is_dynamic_dim(d) else -1 for d in range(type_.rank)]
    total = ir.ShapedType.get_dynamic_size()
    if -1 not in sizes:
        total = 1
        for size in sizes:
            total *= size
    line = ir.MemRefType.get([total], type_.element_type)
    if type_.rank:
        groups = [list(range(type_.rank))]
        return memref.collapse_shape(line, buffer, groups)
    return memref.expand_shape(line, buffer, [], [], [1])


def _store(value: ir.Value, line: ir.Value, i: ir.Value) -> None:
    memref.store(value, line, [i])


def _at_thread(line: ir.Value, body: Callable[[ir.Value], None]) -> None:
    """``body`` of this thread's element, where it has one."""
    block, thread = gpu.block_id(gpu.Dimension.x), gpu.thread_id(gpu.Dimension.x)
    i = b.value(b.add(b.mul(block, BLOCK_THREADS), thread))
    b.if_else(b.less(i, b.dim_size(line, 0)), lambda: body(i))
