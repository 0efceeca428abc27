"""Finding one's way through IR: the op that defines a value, the ops inside of another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pith._mlir import ir


def defining_op(value: ir.Value, *names: str) -> ir.Operation | None:
    """The op that ``value`` is a result of, None for the argument of a block.

    Args:
        names: of ops, where only some count; None for the others.
    """
    owner = value.owner
    if isinstance(owner, ir.Block):
        return None
    op = owner.operation
    return op if not names or op.name in names else None


def constant_attribute(value: ir.Value) -> ir.Attribute | None:
    """What ``arith.constant`` says that ``value`` is; None for what no constant defines."""
    op = defining_op(value, "arith.constant")
    return None if op is None else op.attributes["value"]


def constant_index(value: ir.Value) -> int | None:
    """The integer that ``value`` is by an ``arith.constant``, or None."""
    attribute: Any = constant_attribute(value)
    return attribute.value if isinstance(attribute, ir.IntegerAttr) else None


def is_zero(value: ir.Value) -> bool:
    """True for a constant zero, integer or float."""
    return is_zero_attribute(constant_attribute(value))


def is_zero_attribute(number: Any) -> bool:
    """True for an attribute that is the number 0, integer or float; not for None."""
    return isinstance(number, (ir.FloatAttr, ir.IntegerAttr)) and number.value == 0


def is_used(op: ir.Operation) -> bool:
    """True when anything reads a result of ``op``."""
    return any(True for result in op.results for _ in result.uses)


def ops_where(root: ir.Operation, wanted: Callable[[ir.Operation], bool]) -> list[ir.Operation]:
    """The ops of ``root`` (itself included) that are ``wanted``, in program order.

    It is a list of what is there when asked: its ops may be replaced while one goes through it.
    """
    found: list[ir.Operation] = []
    advance = ir.WalkResult.ADVANCE  # looked up once: walks see every op, and many passes walk

    def visit(op: ir.Operation) -> ir.WalkResult:
        if wanted(op):
            found.append(op)
        return advance

    root.walk(visit, ir.WalkOrder.PRE_ORDER)
    return found


def ops_named(root: ir.Operation, *names: str) -> list[ir.Operation]:
    """The ops of ``root`` with one of these names, in program order."""
    return ops_where(root, lambda op: op.name in names)
