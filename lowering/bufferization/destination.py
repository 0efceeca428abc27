"""Where a kernel writes its result: into its destination, or into memory of its own.

Kernels write through ``bufferization.to_buffer``, and one-shot bufferization does not see that what a kernel made
lies in the memory of an undefined tensor that other ops write to as well (CSE makes such sharing out of every pair
of equal ``tensor.empty``). So a kernel that overwrites its destination does so in place only where nothing else
uses it, and one that adds to its destination gets a copy where that lies in a shared undefined tensor.
"""

from pith._mlir import ir, memref, tensor
from pith.passes.analysis.traversal import defining_op
from pith.passes.analysis.vanishing import zero_fill

from .. import builder as b

#: Position of the operand that holds the elements of an op's result, or that the op may write it over.
_UNDER = {
    "tensor.collapse_shape": 0,
    "tensor.expand_shape": 0,
    "tensor.cast": 0,
    "tensor.extract_slice": 0,
    "tensor.insert_slice": 1,
    "linalg.fill": -1,
    "linalg.generic": -1,
}


def result_buffer(init: ir.Value) -> tuple[ir.Value, bool]:
    """Memory for the result of a kernel with destination ``init``, and whether that is zeros.

    The memory holds what ``init`` does, zeros excepted: in place of these its content does not matter.
    """
    exclusive, zeroed = is_exclusive(init), zero_filled(init)  # in this order: the second may add a reader
    if zeroed is None:
        return updated_buffer(init), False
    return buffer_to_overwrite(zeroed, exclusive), True


def is_exclusive(init: ir.Value) -> bool:
    """True when ``init``, its fill and the tensor filled have one reader and stand for existing memory."""
    while readers(init) == 1:
        below = _under(init)
        if below is None:
            return defining_op(init, "tensor.empty") is None
        init = below
    return False


def zero_filled(value: ir.Value) -> ir.Value | None:
    """The tensor that ``value`` is a zero-filled version of (through reshapes), or None.

    Reshapes between the fill and ``value`` are repeated on its destination, at the insertion point.
    """
    op = defining_op(value)
    if op is not None and op.name == "tensor.collapse_shape":
        inner = zero_filled(op.operands[0])
        return None if inner is None else tensor.collapse_shape(value.type, inner, op.attributes["reassociation"])
    fill = zero_fill(value)
    return None if fill is None else fill.operands[len(fill.operands) - 1]


def updated_buffer(destination: ir.Value) -> ir.Value:
    """A buffer that holds ``destination``, to be written to."""
    if not _lies_in_shared(destination):
        return b.buffer_of(destination, read_only=False)
    out = buffer_to_overwrite(destination, exclusive=False)
    memref.copy(b.buffer_of(destination), out)
    return out


def buffer_to_overwrite(destination: ir.Value, exclusive: bool) -> ir.Value:
    """A buffer of the shape of ``destination`` whose content does not matter."""
    if exclusive:
        return b.buffer_of(destination, read_only=False)
    type_ = destination.type
    return b.alloc([b.dim_size(destination, d) for d in range(type_.rank)], type_.element_type)


def _under(value: ir.Value) -> ir.Value | None:
    """The tensor whose memory ``value`` may take, None where there is none to be seen."""
    op = defining_op(value, *_UNDER)
    if op is None:
        return None
    position = _UNDER[op.name]
    return op.operands[position % len(op.operands)]


def _lies_in_shared(value: ir.Value) -> bool:
    """True when ``value`` may take the memory of an undefined tensor that has other uses."""
    while (below := _under(value)) is not None:
        value = below
    return defining_op(value, "tensor.empty") is not None and readers(value) > 1


def readers(v: ir.Value) -> int:
    """Number of uses other than asking for a size."""
    return sum(use.owner.name != "tensor.dim" for use in v.uses)
