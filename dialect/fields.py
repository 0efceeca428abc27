"""What op definitions share: field constraints the bindings lack, and readers of fields.

Most readers raise :class:`~.diagnostics.Misuse`, so verifiers use them as their first guards.
"""

from collections.abc import Iterable, Sequence

from pith._mlir import ir
from pith.errors import Error, FormatError
from pith.formats import Format

from .diagnostics import Misuse, one_line, require
from .formats import FormatAttr, PaddedAttr, encoding_of


class I64Array(ir.Attribute):
    """Constraint of an ``array<i64: ...>`` field (the bindings give dense arrays no name to constrain by)."""

    attr_name = "builtin.dense_array"
    names_only = True


class Bool(ir.Attribute):
    """Constraint of a ``bool`` field; the bindings give it no name either. Verifiers call :func:`read_bool`."""

    attr_name = "builtin.integer"
    names_only = True


def i64_array(values: Iterable[int]) -> ir.Attribute:
    """``array<i64: values>`` in the current context."""
    return as_field(ir.DenseI64ArrayAttr.get(list(values)))


def bool_attr(value: bool) -> ir.Attribute:
    """``true`` or ``false`` in the current context."""
    return as_field(ir.BoolAttr.get(value))


def as_field(attr: ir.Attribute) -> ir.Attribute:
    """``attr`` as a constructor argument: the bindings drop attributes that are falsy in Python
    (``false``, empty arrays), which the untyped view of an attribute never is."""
    return ir.Attribute(attr)


def read_i64s(op: ir.OpView, field: str) -> tuple[int, ...]:
    """Elements of the ``array<i64>`` attribute ``field`` of ``op``."""
    attr = op.operation.attributes[field]
    require(isinstance(attr, ir.DenseI64ArrayAttr), "expects {} to be array<i64: ...>, got {}", field, attr)
    return tuple(attr)


def read_bool(op: ir.OpView, field: str) -> bool:
    """Value of the ``bool`` attribute ``field`` of ``op``."""
    attr = op.operation.attributes[field]
    require(isinstance(attr, ir.BoolAttr), "expects {} to be true or false, got {}", field, attr)
    return attr.value


def read_ints(attr: ir.Attribute, what: str) -> tuple[int, ...]:
    """Elements of an array attribute of integers. Errors: :class:`pith.FormatError`."""
    items = list(ir.ArrayAttr(attr))
    for item in items:
        if not isinstance(item, ir.IntegerAttr):
            raise FormatError(f"expects integers as {what}, got {item}")
    return tuple(ir.IntegerAttr(item).value for item in items)


def dense_type(type_: ir.Type, what: str) -> ir.RankedTensorType:
    """The ranked tensor type ``type_`` when it has no encoding."""
    tensor = ir.RankedTensorType(type_)
    require(tensor.encoding is None, "expects {} without an encoding, got {}", what, type_)
    return tensor


def encoded_format(type_: ir.Type, what: str) -> Format:
    """The format of the ranked tensor type ``type_`` when it has a legal pith encoding."""
    try:
        fmt = encoding_of(type_)
    except Error as e:
        raise Misuse(f"expects a legal encoding on {what}: {one_line(e)}") from e
    if fmt is None:
        raise Misuse(f"expects {what} with a #pith.format encoding, got {type_}")
    return fmt


def format_field(op: ir.OpView, shape: Sequence[int]) -> Format:
    """The op's ``format`` attribute, checked against the shape it is used on."""
    attr = op.operation.attributes["format"]
    try:
        fmt = (attr if isinstance(attr, PaddedAttr) else FormatAttr(attr)).to_format()
        fmt.check_shape(shape)
    except Error as e:
        raise Misuse(f"expects a format for its operand: {one_line(e)}") from e
    return fmt


def require_distinct_dims(dims: Sequence[int], rank: int, what: str, field: str) -> None:
    """Every entry of ``dims`` is a dimension of a rank-``rank`` tensor, none twice."""
    for d in dims:
        require(0 <= d < rank, "expects {} to be dimensions of {} (0 to {}), got {}", field, what, rank - 1, d)
    require(len(set(dims)) == len(dims), "expects distinct {}, got {}", field, list(dims))
