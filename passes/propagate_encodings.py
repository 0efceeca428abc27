"""``pith-propagate-encodings``: let encodings flow into the ops that can read them, and nowhere else."""

from __future__ import annotations

import dataclasses
import sys
from typing import ClassVar

from pith._mlir import ir
from pith.dialect import encoding_of, format_of
from pith.dialect.ops_format import DecompressOp

from .analysis.structured import Structured, erase_if_unused, structured_ops
from .analysis.traversal import defining_op, ops_where
from .analysis.vanishing import why_not_skipped
from .core import Pass

#: Ops outside ``linalg`` and ``pith`` that may hold a value with an encoding.
_TRANSPARENT = ("func.return", "func.call", "tensor.cast", "tensor.dim")


@dataclasses.dataclass(frozen=True)
class PropagateEncodingsPass(Pass):
    """Sink ``pith.decompress`` into contractions and put one in front of everything else.

    Before::

        %d = "pith.decompress"(%w) : (tensor<8x16xf32, #fmt>) -> tensor<8x16xf32>
        %y = linalg.generic ... ins(%x, %d) outs(%c) { mulf, addf }
        %t = tensor.extract_slice %w[0, 0] [4, 16] [1, 1] : tensor<8x16xf32, #fmt> to ...

    After::

        %y = linalg.generic ... ins(%x, %w) outs(%c) { mulf, addf }
        %d = "pith.decompress"(%w) : (tensor<8x16xf32, #fmt>) -> tensor<8x16xf32>
        %t = tensor.extract_slice %d[0, 0] [4, 16] [1, 1] : tensor<8x16xf32> to ...

    An op takes the encoded tensor when zeros of it cannot matter: a ``linalg.generic`` or named
    contraction that reads it through bare, distinct loops, only multiplies by it, and yields the
    product or adds it to the output. ``linalg`` ops
    that have an encoded operand already are left as they are; so are ``pith`` ops, calls, returns,
    ``tensor.cast`` and ``tensor.dim``. Any other use gets a ``pith.decompress`` (one per value and op), so the
    program means the same whatever its author forgot. With ``explain=true`` each of those is
    reported on stderr as a remark.

    Requires: tensors, not buffers. Preserves: results up to ``0 * x = 0`` for every x, as in all
    sparse formats. Does not do: choose formats of results; those stay dense. Cost: linear.
    """

    name: ClassVar[str] = "pith-propagate-encodings"
    explain: bool = False

    def run(self, module: ir.Module) -> None:
        with module.context:
            for op in structured_ops(module):
                sink_decompress(op)
            for op in _ops_with_encoded_operands(module):
                self._decompress_operands(op)

    def _decompress_operands(self, op: ir.Operation) -> None:
        done: list[tuple[ir.Value, ir.Value]] = []
        for i, value in enumerate(list(op.operands)):
            if encoding_of(value.type) is None:
                continue
            dense = next((d for v, d in done if v == value), None)
            if dense is None:
                with ir.InsertionPoint(_ancestor_beside(op, value)), op.location:
                    dense = DecompressOp.build(value).operation.results[0]
                done.append((value, dense))
                if self.explain:
                    print(f"{op.location}: remark: '{op.name}' reads operand {i} decompressed", file=sys.stderr)
            op.operands[i] = dense


def sink_decompress(op: Structured) -> None:
    """Make ``op`` read the encoded tensor itself wherever it reads a decompressed one and may."""
    for i, value in enumerate(op.inputs):
        producer = defining_op(value, "pith.decompress")
        if producer is None or why_not_skipped(op, i, format_of(producer.operands[0].type)):
            continue
        op.op.operation.operands[i] = producer.operands[0]
        erase_if_unused(producer)


def _ancestor_beside(op: ir.Operation, value: ir.Value) -> ir.Operation:
    """The op of the block that defines ``value`` which is, or holds, ``op``: not inside a loop body."""
    block = value.owner if isinstance(value.owner, ir.Block) else value.owner.operation.block
    while op.block != block:
        op = op.parent.operation
    return op


def _ops_with_encoded_operands(module: ir.Module) -> list[ir.Operation]:
    """Ops that hold an encoded operand and cannot take it."""

    def holds_encoded(op: ir.Operation) -> bool:
        foreign = not op.name.startswith(("linalg.", "pith.")) and op.name not in _TRANSPARENT
        return foreign and any(encoding_of(v.type) is not None for v in op.operands)

    return ops_where(module.operation, holds_encoded)
