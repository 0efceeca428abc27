"""The kernel of ``linalg.fill``: one block per row of a matrix."""

from pith._mlir import arith, gpu, ir, memref

from .. import builder as b
from .function import kernel_function

#: Threads of a block; each writes every 256th element of the row.
BLOCK_THREADS = 256


def emit_fill(name: str, type_: ir.MemRefType, constant: ir.Attribute) -> None:
    """Emit kernel ``name`` that sets every element of a rank-2 buffer of ``type_`` to ``constant``."""
    block = kernel_function(name, [type_], BLOCK_THREADS)
    with ir.InsertionPoint(block):
        out = block.arguments[0]
        value = arith.ConstantOp(type_.element_type, constant).result
        row = gpu.block_id(gpu.Dimension.x)
        thread = gpu.thread_id(gpu.Dimension.x)

        def store(column: b.Index) -> None:
            memref.store(value, out, [row, b.value(column)])

        b.for_loop(thread, b.dim_size(out, 1), store, step=BLOCK_THREADS)
        gpu.ReturnOp([])
