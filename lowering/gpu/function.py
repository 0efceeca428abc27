"""Make the ``gpu.func`` of a kernel."""

from collections.abc import Sequence

from pith._mlir import gpu, ir


def kernel_function(name: str, types: Sequence[ir.Type], threads: int) -> ir.Block:
    """The entry block of a new kernel ``name`` for blocks of ``threads`` threads in a row."""
    function = gpu.GPUFuncOp(ir.FunctionType.get(list(types), []), name, known_block_size=[threads, 1, 1])
    # `kernel` is a property; the bindings' own `kernel=True` sets a second, discardable attribute beside
    # it, and the lowered function then prints `gpu.kernel` twice, which does not parse.
    function.operation.attributes["kernel"] = ir.UnitAttr.get()
    return function.add_entry_block()
