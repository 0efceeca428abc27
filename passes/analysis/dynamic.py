"""Where sparsity known only at run time may occur: the attribute ``pith.dynamic`` of a structured op."""

from __future__ import annotations

import dataclasses

from pith._mlir import ir
from pith.dialect.structure import entries_of

from ..core import pass_error
from .pit_axes import PitAxis, pit_axes
from .structured import Structured

#: On a ``linalg`` op: an array of dictionaries, one per operand whose zeros may be skipped.
ATTRIBUTE = "pith.dynamic"
_HINT = "pith.dynamic = [{operand = 0, granularity = array<i64: 32, 1>, threshold = 0.0 : f64}]"


@dataclasses.dataclass(frozen=True)
class Dynamic:
    """What the user says of one operand.

    Attributes:
        operand: its number.
        granularity: extents in which zeros come, per dimension; 0: always the whole dimension.
        threshold: magnitudes up to it count as zero.
        axes: the iteration axis of every dimension that the granularity cuts, by dimension.
    """

    operand: int
    granularity: tuple[int, ...]
    threshold: float
    axes: dict[int, int]


def dynamic_of(op: ir.Operation, structured: Structured) -> tuple[Dynamic, ...]:
    """What stands on ``op``; empty when nothing does.

    Errors: :class:`pith.PassError` for an attribute of another form, an operand that is no input, an axis that
        is not permutation-invariant (with the clause of the rule it breaks), and two operands that share an axis.
    """
    if ATTRIBUTE not in op.attributes:
        return ()
    array = op.attributes[ATTRIBUTE]
    if not isinstance(array, ir.ArrayAttr) or not len(array):
        pass_error(op, f"expects {ATTRIBUTE} to be a list of dictionaries, got {array}", _HINT)
    found = tuple(_read(op, structured, entry) for entry in ir.ArrayAttr(array))
    _require_separate(op, found)
    return found


def _read(op: ir.Operation, structured: Structured, entry: ir.Attribute) -> Dynamic:
    if not isinstance(entry, ir.DictAttr):
        pass_error(op, f"expects {ATTRIBUTE} to be a list of dictionaries, got {entry}", _HINT)
    fields = entries_of(entry)
    operand = _integer(fields, "operand")
    if operand is None or not 0 <= operand < len(structured.inputs):
        pass_error(op, f"expects {ATTRIBUTE} to name an input (0 to {len(structured.inputs) - 1}), got {entry}", _HINT)
    granularity = fields.get("granularity")
    rank = len(structured.maps[operand].results)
    extents: tuple[int, ...] = ()
    if granularity is not None and isinstance(granularity, ir.DenseI64ArrayAttr):
        extents = tuple(ir.DenseI64ArrayAttr(granularity))
    if len(extents) != rank or min(extents, default=0) < 0 or not any(extents):
        pass_error(
            op,
            f"expects the granularity of operand #{operand} to have {rank} extents >= 0, not all 0, got {granularity}",
            "0 stands for the whole dimension",
        )
    given = fields.get("threshold")
    known = given is None or isinstance(given, ir.FloatAttr)
    threshold = 0.0 if given is None or not known else ir.FloatAttr(given).value
    if not known or not threshold >= 0:
        pass_error(op, f"expects the threshold of operand #{operand} to be a float >= 0, got {given}")
    return Dynamic(operand, extents, threshold, _axes(op, operand, extents))


def _axes(op: ir.Operation, operand: int, extents: tuple[int, ...]) -> dict[int, int]:
    """The axis of every dimension the granularity cuts; each must be permutation-invariant."""
    verdict = pit_axes(op)
    legal: dict[int, PitAxis] = {}
    for axis in verdict.axes if verdict else ():
        legal.update((dim, axis) for number, dim in axis.operands if number == operand)
    refusals = "; ".join(f"axis {r.axis}: {r.reason}" for r in verdict.refusals) if verdict else ""
    for dim, extent in enumerate(extents):
        if extent and dim not in legal:
            pass_error(
                op,
                f"cannot follow a pattern along dimension {dim} of operand #{operand}: it lies on no "
                f"permutation-invariant axis ({refusals or 'no axis indexes it alone'})",
                "give that dimension granularity 0: whole",
            )
    return {dim: legal[dim].axis for dim, extent in enumerate(extents) if extent}


def _require_separate(op: ir.Operation, found: tuple[Dynamic, ...]) -> None:
    """One list per axis: operands that share one would need the intersection of their patterns."""
    owner: dict[int, int] = {}
    for entry in found[1:]:
        if len(entry.axes) > 1:
            pass_error(
                op,
                f"expects the granularity of operand #{entry.operand} to cut one dimension: only the first marked "
                "operand may be cut along several",
                "0 stands for the whole dimension",
            )
    for entry in found:
        for axis in entry.axes.values():
            if (other := owner.setdefault(axis, entry.operand)) != entry.operand:
                pass_error(
                    op,
                    f"operands #{other} and #{entry.operand} must share one index list along axis {axis}",
                    "annotate one of them, or intersect their patterns with pith.intersection and build the pit_tile",
                )


def _integer(fields: dict[str, ir.Attribute], name: str) -> int | None:
    value = fields.get(name)
    return ir.IntegerAttr(value).value if isinstance(value, ir.IntegerAttr) else None
