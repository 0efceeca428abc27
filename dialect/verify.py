"""Checks that no single op can make: pith types and attributes wherever they occur in a module."""

from collections.abc import Iterator

from pith._mlir import ir
from pith.errors import Error

from .buffer import BufferAttr
from .diagnostics import one_line
from .formats import FormatAttr, PaddedAttr, encoding_of
from .pattern import PatternType
from .structure import attribute_of, entries_of


def verify_module(module: ir.Module | ir.Operation | ir.OpView) -> bool:
    """Check every pith type and attribute in ``module``, also where no pith op touches it.

    Python-defined types and attributes have no verifier of their own, so a malformed format on
    a function argument passes ``Operation.verify``. The pass manager and ``pith-opt`` call this
    after parsing and between passes.

    Returns: False after emitting a diagnostic per malformed type or attribute, at the location
        of the op (or block argument) that has it.
    """
    good = True

    def visit(op: ir.Operation) -> ir.WalkResult:
        nonlocal good
        good = _check_op(op) and good
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return good


def check_type(type_: ir.Type) -> None:
    """Raise :class:`pith.Error` when ``type_`` is, or is built of, a malformed pith type."""
    for part in _parts(type_):
        if isinstance(part, PatternType):
            part.to_shape()
        elif isinstance(part, ir.RankedTensorType):
            encoding_of(part)


def check_attribute(attr: ir.Attribute | None) -> None:
    """Raise :class:`pith.Error` when ``attr`` is, or is built of, a malformed pith attribute."""
    if attr is None:
        return
    if isinstance(attr, (FormatAttr, PaddedAttr)):
        attr.to_format()
    elif isinstance(attr, BufferAttr):
        attr.to_buffer()
    elif isinstance(attr, ir.TypeAttr):
        check_type(attr.value)
    elif isinstance(attr, ir.DictAttr):
        for item in entries_of(attr).values():
            check_attribute(item)
    elif isinstance(attr, ir.ArrayAttr):
        for i in range(len(attr)):
            check_attribute(_item(attr, i))


def _item(attr: ir.ArrayAttr, i: int) -> ir.Attribute | None:
    """An attribute inside another; None as :func:`~.structure.attribute_of`."""
    try:
        return attr[i]
    except TypeError:
        return None


def _check_op(op: ir.Operation) -> bool:
    problems = [_problem(check_type, r.type, f"result {i}") for i, r in enumerate(op.results)]
    arguments = [a for region in op.regions for block in region for a in block.arguments]
    seen = [_problem(check_type, a.type, f"block argument {a.arg_number}") for a in arguments]
    for name in op.attributes:
        # A function's type repeats its arguments: report it only when they are fine.
        if name != "function_type" or not any(seen):
            problems.append(_problem(check_attribute, attribute_of(op, name), f"attribute {name}"))
    problems += seen
    for text in dict.fromkeys(filter(None, problems)):
        op.location.emit_error(f"'{op.name}' op {text}")
    return not any(problems)


def _problem(check, value: ir.Type | ir.Attribute | None, what: str) -> str | None:
    try:
        check(value)
    except Error as e:
        return f"expects a legal pith type or attribute as {what}: {one_line(e)}"
    return None


def _parts(type_: ir.Type) -> Iterator[ir.Type]:
    """``type_`` and, for function and tuple types, what it is built of."""
    yield type_
    if isinstance(type_, ir.FunctionType):
        for inner in (*type_.inputs, *type_.results):
            yield from _parts(inner)
    elif isinstance(type_, ir.TupleType):
        for i in range(type_.num_types):
            yield from _parts(type_.get_type(i))
