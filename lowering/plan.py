"""Analysis: which lowering each op on encoded data takes, and why (what ``explain()`` prints)."""

import dataclasses

from pith._mlir import ir
from pith.dialect import format_of, shape_of
from pith.formats import DYNAMIC, Format

from .contraction import analyse, encoded_operands, match_matmul, why_not_sparse
from .convert_pith_to_sparse_tensor import sparse_tensor_encoding


@dataclasses.dataclass(frozen=True)
class OpPlan:
    """The lowering of one ``linalg`` op.

    Attributes:
        location: where the op comes from.
        shape, dtype, format: of the operand that drives the iteration.
        choice: ``panel``, ``sparsifier``, ``scalar`` or ``dense`` (decompress, then the dense op).
        reason: why.
    """

    location: str
    shape: tuple[int, ...]
    dtype: str
    format: Format
    choice: str
    reason: str


def plan_module(module: ir.Module, path: str) -> list[OpPlan]:
    """Plans of all ``linalg`` ops with encoded operands, in program order; requires the linalg level."""
    plans: list[OpPlan] = []

    def visit(op: ir.Operation) -> ir.WalkResult:
        if op.name == "linalg.generic" and encoded_operands(op.opview):
            plans.append(_plan(op.opview, path))
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit, ir.WalkOrder.PRE_ORDER)
    return plans


def _plan(op: ir.OpView, path: str) -> OpPlan:
    encoded = encoded_operands(op)
    driver = next((i for i in encoded if why_not_sparse(op, i) is None), None)
    operand = op.operands[encoded[0] if driver is None else driver]
    fmt = format_of(operand.type)
    choice, reason = _choose(op, encoded, driver, path)
    shape = shape_of(operand.type)
    return OpPlan(str(op.location), shape, str(operand.type.element_type), fmt, choice, reason)


def _choose(op: ir.OpView, encoded: list[int], driver: int | None, path: str) -> tuple[str, str]:
    type_ = op.operands[encoded[0] if driver is None else driver].type
    upstream = sparse_tensor_encoding(format_of(type_)) is not None and DYNAMIC not in shape_of(type_)
    if path == "sparsifier" and upstream:
        return "sparsifier", "sparse_tensor can say the format, and path 'sparsifier' asks for it"
    if driver is None:
        return "dense", f"zeros cannot be skipped: {why_not_sparse(op, encoded[0])}"
    if match_matmul(analyse(op, driver)) and (len(encoded) == 1 or path == "loops"):
        return "panel", "a matrix product of f32 or f64: packed panels, accumulators in registers"
    if upstream and path != "loops":
        return "sparsifier", "no template of its own, and sparse_tensor can say the format"
    return "scalar", "not a 2-D product of f32 or f64, and sparse_tensor cannot say the format or the dynamic shape"
