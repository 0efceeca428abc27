"""Where a module holds tensors with a pith encoding."""

from __future__ import annotations

from pith._mlir import ir
from pith.dialect import encoding_of

from .traversal import ops_where

#: Ops of these dialects make no tensors, or tensors of the types that they read; but for constants.
_BRING_NONE = ("arith.", "math.", "memref.", "vector.")


def holds_encodings(module: ir.Module) -> bool:
    """True when a tensor of the module has an encoding, pith's or another.

    Cost: 1 us an op.
    """
    found = False

    def visit(op: ir.Operation) -> ir.WalkResult:
        nonlocal found
        name = op.name
        if name.startswith(_BRING_NONE) and name != "arith.constant":
            return ir.WalkResult.ADVANCE
        blocks = (block for region in op.regions for block in region.blocks)
        values = (*op.results, *(argument for block in blocks for argument in block.arguments))
        found = any(getattr(v.type, "encoding", None) is not None for v in values)
        return ir.WalkResult.INTERRUPT if found else ir.WalkResult.ADVANCE

    module.operation.walk(visit, ir.WalkOrder.PRE_ORDER)
    return found


def ops_with_encodings(module: ir.Module) -> list[ir.Operation]:
    """Ops that read or make tensors with pith's encodings, in program order.

    Cost: 3 us an op where there are any, 1 us else: ask once where no op was made in between.
    """
    if not holds_encodings(module):
        return []

    def has_encoding(op: ir.Operation) -> bool:
        return any(encoding_of(v.type) for v in (*op.operands, *op.results))

    return ops_where(module.operation, has_encoding)
