"""Where a kernel writes a result that overwrites its destination.

Kernels write through ``bufferization.to_buffer``, and one-shot bufferization does not see that two
kernels which merely overwrite the same undefined tensor need one buffer each (CSE makes such
sharing out of every pair of equal ``tensor.empty``). So a kernel writes in place only where
nothing else uses the destination, and into memory of its own everywhere else.
"""

from pith._mlir import bufferization, ir
from pith.passes.analysis.traversal import defining_op

from . import builder as b


def is_exclusive(init: ir.Value) -> bool:
    """True when ``init``, its fill and the tensor filled have one reader and stand for existing memory."""
    while _readers(init) == 1:
        op = defining_op(init)
        if op is None:
            return True
        if op.name == "tensor.collapse_shape":
            init = op.operands[0]
        elif op.name in ("linalg.fill", "linalg.generic"):
            init = op.operands[len(op.operands) - 1]
        else:
            return op.name != "tensor.empty"
    return False


def _readers(v: ir.Value) -> int:
    """Number of uses other than asking for a size."""
    return sum(use.owner.name != "tensor.dim" for use in v.uses)


def buffer_to_overwrite(destination: ir.Value, exclusive: bool) -> ir.Value:
    """A buffer of the shape of ``destination`` whose content does not matter."""
    type_ = ir.MemRefType.get(destination.type.shape, destination.type.element_type)
    if exclusive:
        return bufferization.to_buffer(type_, destination)
    sizes = [b.dim_size(destination, d) for d in range(type_.rank)]
    return b.alloc(sizes, type_.element_type)
