"""Does an op have the operands, attributes, results and regions its definition declares?

MLIR runs the verifiers written in Python before IRDL's structural ones, so a Python verifier may
meet an op that lacks what it is about to read. Such ops are left to IRDL, which names what is wrong.
"""

import contextlib
import functools
from typing import Any

from pith._mlir import ir
from pith.errors import IRError


def is_well_formed(op: ir.OpView) -> bool:
    """True when counts, segment sizes and kinds are those ``op``'s class declares.

    Errors: :class:`pith.IRError` for an attribute that cannot be read.
    """
    fields = _fields(type(op))
    operation = op.operation
    return (
        _counts_fit(fields["OperandDef"], len(operation.operands), _segments(operation, "operandSegmentSizes"))
        and _counts_fit(fields["ResultDef"], len(operation.results), _segments(operation, "resultSegmentSizes"))
        and len(operation.regions) == len(fields["RegionDef"])
        and all(_has(operation, field) for field in fields["AttributeDef"])
        and all(_is_kind(v.type, c) for v, c in zip(operation.operands, _single_constraints(fields["OperandDef"])))
    )


@functools.cache
def _fields(cls: Any) -> dict[str, list[Any]]:
    """Fields of an op class by kind."""
    out: dict[str, list[Any]] = {kind: [] for kind in ("OperandDef", "ResultDef", "AttributeDef", "RegionDef")}
    for field in cls._fields:
        out[type(field).__name__].append(field)
    return out


def attribute_of(operation: ir.Operation, name: str) -> ir.Attribute | None:
    """An attribute; None for a dense array of elements (``ui8``, ``bf16``) that the bindings have no class for."""
    try:
        return operation.attributes[name]
    except TypeError:
        return None


def entries_of(attr: ir.Attribute) -> dict[str, ir.Attribute]:
    """A dictionary's entries without those that :func:`attribute_of` has no class for: reading one of them as
    ``NamedAttribute.attr`` ends the process.
    """
    dictionary, out = ir.DictAttr(attr), {}
    for i in range(len(dictionary)):
        name = dictionary[i].name
        with contextlib.suppress(TypeError):
            out[name] = dictionary[name]
    return out


def _segments(operation: ir.Operation, name: str) -> list[int] | None:
    if name not in operation.attributes:
        return None
    attr = attribute_of(operation, name)
    return list(attr) if attr is not None and isinstance(attr, ir.DenseI32ArrayAttr) else []


def _counts_fit(fields: list[Any], count: int, segments: list[int] | None) -> bool:
    """The number of values, cut into ``segments`` where several groups vary, fits the fields."""
    limits = {"single": (1, 1), "optional": (0, 1), "variadic": (0, count)}
    bounds = [limits[f.variadicity.name] for f in fields]
    varying = [f for f in fields if f.variadicity.name != "single"]
    if not varying:
        return count == len(fields)
    if len(varying) == 1 and segments is None:
        segments = [count - len(fields) + 1 if f is varying[0] else 1 for f in fields]
    return (
        segments is not None
        and len(segments) == len(fields)
        and sum(segments) == count
        and all(low <= n <= high for n, (low, high) in zip(segments, bounds))
    )


def _has(operation: ir.Operation, field: Any) -> bool:
    if field.name not in operation.attributes:
        return False
    value = attribute_of(operation, field.name)
    if value is None:  # IRDL takes any dense array
        raise IRError(f"expects {field.name} to be an array of signless integers, f32 or f64")
    return _is_kind(value, field.constraint)


def _single_constraints(fields: list[Any]) -> list[Any]:
    """Constraints of the leading operands that are neither optional nor variadic."""
    out = []
    for field in fields:
        if field.variadicity.name != "single":
            break
        out.append(field.constraint)
    return out


def _is_kind(value: ir.Type | ir.Attribute, constraint: Any) -> bool:
    """Constraints made for a name only (dense arrays, bool) tell nothing: the readers check those."""
    return getattr(constraint, "names_only", False) or isinstance(value, constraint)
