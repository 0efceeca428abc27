"""Copies of ops on other operands."""

from __future__ import annotations

from collections.abc import Iterable

from pith._mlir import ir


def clone(ops: Iterable[ir.OpView | ir.Operation], known: dict[ir.Value, ir.Value]) -> None:
    """Copy ``ops``, in order, to the insertion point.

    Args:
        known: what stands for values in the copies, inside of regions too; other values are the same. Learns the
            results of the copies.
    """
    for op in ops:
        copy = op.operation.clone()
        substitute(copy, known)
        known.update(zip(op.operation.results, copy.results))


def substitute(op: ir.Operation, known: dict[ir.Value, ir.Value]) -> None:
    """Make ``op`` and the ops inside of it read what stands for their operands in ``known``."""

    def visit(inner: ir.Operation) -> ir.WalkResult:
        for number, operand in enumerate(inner.operands):
            if operand in known:
                inner.operands[number] = known[operand]
        return ir.WalkResult.ADVANCE

    op.walk(visit)
