"""``pith-guard-asserts``: failing asserts become errors of the caller instead of the end of the process."""

import dataclasses
import hashlib
from typing import ClassVar

from pith._mlir import arith, func, ir
from pith.dialect.structure import entries_of

from .analysis.traversal import defining_op, ops_named
from .core import Pass

#: Module attribute with ``id -> message`` of the checks, read by the compiler driver.
CHECKS_ATTRIBUTE = "pith.checks"
CHECK_FUNCTION = "pith_check"


@dataclasses.dataclass(frozen=True)
class GuardAssertsPass(Pass):
    """Turn ``cf.assert`` into a recorded check, and make the value it guards safe to use.

    Before::

        %ok = arith.cmpi slt, %i, %n : i64
        cf.assert %ok, "index must be smaller than dim size"
        %j = arith.index_cast %i : i64 to index

    After::

        %ok = arith.cmpi slt, %i, %n : i64
        func.call @pith_check(%ok, %id) : (i1, i64) -> ()
        %safe = arith.select %ok, %i, %zero : i64
        %j = arith.index_cast %safe : i64 to index

    The runtime remembers the id of a check that fails; a compiled kernel raises
    :class:`pith.CheckError` with the message when it returns. Upstream lowers ``cf.assert`` to
    ``abort``. The values that later ops of the same block read instead are those compared by the
    condition; asserts on other conditions are only recorded. May run several times.

    Requires: nothing. Preserves: everything but asserts. Cost: one call per evaluation of a check.
    """

    name: ClassVar[str] = "pith-guard-asserts"

    def run(self, module: ir.Module) -> None:
        asserts = ops_named(module.operation, "cf.assert")
        if not asserts:
            return
        _declare(module)
        checks: dict[str, ir.Attribute] = {}
        safe: dict[ir.Value, ir.Value] = {}
        for op in asserts:
            message = op.attributes["msg"].value
            checks[str(_check_id(message))] = ir.StringAttr.get(message)
            _guard(op, _check_id(message), safe)
        if CHECKS_ATTRIBUTE in module.operation.attributes:
            checks |= entries_of(module.operation.attributes[CHECKS_ATTRIBUTE])
        module.operation.attributes[CHECKS_ATTRIBUTE] = ir.DictAttr.get(checks)


def _declare(module: ir.Module) -> None:
    """Declare the check function, once."""
    declared = any(
        o.operation.name == "func.func" and o.sym_name.value == CHECK_FUNCTION for o in module.body.operations
    )
    if not declared:
        with ir.InsertionPoint.at_block_begin(module.body):
            types = [ir.IntegerType.get_signless(1), ir.IntegerType.get_signless(64)]
            func.FuncOp(CHECK_FUNCTION, ir.FunctionType.get(types, []), visibility="private")


def _check_id(message: str) -> int:
    """A positive number that is the same in every process."""
    return int.from_bytes(hashlib.sha256(message.encode()).digest()[:7], "little") + 1


def _guard(op: ir.Operation, number: int, safe: dict[ir.Value, ir.Value]) -> None:
    condition = op.operands[0]
    with ir.InsertionPoint(op), op.location:
        id_ = arith.constant(ir.IntegerType.get_signless(64), number)
        func.call([], CHECK_FUNCTION, [condition, id_])
        compared = defining_op(condition, "arith.cmpi")
        for value in compared.operands if compared is not None else ():
            _make_safe(value, condition, op, safe)
    op.erase()


def _make_safe(value: ir.Value, condition: ir.Value, op: ir.Operation, safe: dict[ir.Value, ir.Value]) -> None:
    """Let the ops that follow ``op`` in its block read ``condition ? value : 0`` for ``value``.

    ``safe`` holds what earlier asserts put in a value's place: asserts on one value add up.
    """
    current = safe.get(value, value)
    readers = [
        use for use in current.uses if use.owner.operation.block == op.block and op.is_before_in_block(use.owner)
    ]
    if not readers or defining_op(value, "arith.constant") is not None:
        return
    safe[value] = arith.select(condition, current, arith.constant(value.type, 0))
    for use in readers:
        use.owner.operands[use.operand_number] = safe[value]
