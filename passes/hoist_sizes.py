"""``pith-hoist-sizes``: sizes that reshapes ask for are computed as soon as what they depend on is there."""

import dataclasses
from typing import ClassVar

from pith._mlir import ir

from .analysis.traversal import defining_op, ops_where
from .core import Pass


@dataclasses.dataclass(frozen=True)
class HoistSizesPass(Pass):
    """Move the sizes in ``tensor.expand_shape`` up to the last definition that they depend on.

    Before::

        %r = linalg.exp ins(%x) ...
        %n = tensor.dim %x, %c0
        %half = arith.divsi %n, %c2 : index
        %y = tensor.expand_shape %r [[0, 1], [2]] output_shape [2, %half, 8]

    After::

        %n = tensor.dim %x, %c0
        %half = arith.divsi %n, %c2 : index
        %r = linalg.exp ins(%x) ...
        %y = tensor.expand_shape %r [[0, 1], [2]] output_shape [2, %half, 8]

    Upstream's ``linalg-fuse-elementwise-ops`` moves reshapes above what makes their operand, and not the sizes that
    they ask for: the IR does not verify then (attention of attention with every size dynamic).

    Requires: nothing. Preserves: everything but the order of index arithmetic. Does not do: moves between blocks;
    reshapes of pads, which upstream puts behind what is padded, before any size of that. Cost: linear.
    """

    name: ClassVar[str] = "pith-hoist-sizes"

    def run(self, module: ir.Module) -> None:
        blocks: list[ir.Block] = []
        for reshape in ops_where(module.operation, lambda op: op.name == "tensor.expand_shape"):
            if reshape.block not in blocks:
                blocks.append(reshape.block)
        for block in blocks:
            _hoist(block)


def _hoist(block: ir.Block) -> None:
    """Move the sizes that reshapes of ``block`` ask for up, in their order."""
    wanted = _asked_for(block)
    free = None  # the last one so far that reads nothing of the block: such sizes come first
    for op in [op.operation for op in block.operations if op.operation in wanted]:
        last = _last_read(op, block)
        behind = last or free
        if behind is not None:
            op.move_after(behind)
        elif op != block.operations[0].operation:
            op.move_before(block.operations[0])
        if last is None:
            free = op


def _asked_for(block: ir.Block) -> set[ir.Operation]:
    """The ops of ``block`` that sizes in its ``tensor.expand_shape``s are computed by."""
    reshapes = [op.operation for op in block.operations if op.operation.name == "tensor.expand_shape"]
    waiting = [size for op in reshapes for size in list(op.operands)[1:]]
    found: set[ir.Operation] = set()
    while waiting:
        op = defining_op(waiting.pop())
        if op is not None and op.block == block and op not in found and _is_size(op):
            found.add(op)
            waiting.extend(op.operands)
    return found


def _is_size(op: ir.Operation) -> bool:
    """One index, or a truth or number on the way to one, of such alone; or the size of a tensor."""
    if op.name == "tensor.dim":
        return True
    return op.name.startswith("arith.") and all(_is_index(v.type) for v in (*op.results, *op.operands))


def _is_index(type_: ir.Type) -> bool:
    return isinstance(type_, (ir.IndexType, ir.IntegerType))


def _last_read(op: ir.Operation, block: ir.Block) -> ir.Operation | None:
    """The last op of ``block`` that makes an operand of ``op``."""
    last = None
    for operand in op.operands:
        made = defining_op(operand)
        if made is not None and made.block == block and (last is None or last.is_before_in_block(made)):
            last = made
    return last
