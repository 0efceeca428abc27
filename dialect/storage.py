"""The flat buffers of an encoded tensor type, as ``assemble`` and ``disassemble`` see them."""

from collections.abc import Iterator, Sequence

from pith._mlir import ir
from pith.formats import BufferSpec, Format, buffer_specs

from .diagnostics import require
from .fields import encoded_format

#: Operand groups of ``assemble`` and result groups of ``disassemble``, before the values.
GROUPS = ("positions", "coordinates", "packed")


def storage_groups(fmt: Format) -> list[str]:
    """Group of every metadata buffer of ``fmt``, in storage order.

    >>> storage_groups(Format.csr())
    ['positions', 'coordinates']
    >>> storage_groups(Format.make(2, (0, "dense"), (1, "bitmask")))
    ['positions', 'packed']
    """
    packed = ("nm", "bitmask")
    return [
        b.role if b.role == "positions" else "packed" if fmt.levels[b.level].kind in packed else "coordinates"
        for b in buffer_specs(fmt)
    ]


def buffer_types(type_: ir.RankedTensorType) -> list[ir.RankedTensorType]:
    """Types of the flat buffers of an encoded tensor type: metadata in storage order, then values.

    All are 1-D with a dynamic size; values of 4 bits are packed into bytes.
    Errors: :class:`pith.FormatError` for a malformed encoding.
    """
    fmt = encoded_format(type_, "tensor")
    elements = [_element_type(spec) for spec in buffer_specs(fmt)] + [_value_type(type_.element_type)]
    unknown, dynamic = ir.Location.unknown(type_.context), ir.ShapedType.get_dynamic_size()
    return [ir.RankedTensorType.get([dynamic], e, loc=unknown) for e in elements]


def _value_type(element: ir.Type) -> ir.Type:
    """Integers of 4 bits are packed; booleans have a byte each and keep their type."""
    packed = isinstance(element, ir.IntegerType) and element.width == 4
    return ir.IntegerType.get_signless(8) if packed else element


def _element_type(spec: BufferSpec) -> ir.Type:
    return ir.IndexType.get() if spec.native else ir.IntegerType.get_signless(spec.storage_bits)


def grouped(groups: Sequence[str], items: Sequence) -> list[list]:
    """Items (one per metadata buffer; more are ignored) sorted into :data:`GROUPS`."""
    return [[item for group, item in zip(groups, items) if group == name] for name in GROUPS]


def in_storage_order(fmt: Format, *groups_then_values) -> list[ir.Value]:
    """The items of :func:`grouped` and the values, in the order of the storage contract."""
    *groups, values = groups_then_values
    left: dict[str, Iterator[ir.Value]] = dict(zip(GROUPS, (iter(g) for g in groups)))
    return [*(next(left[name]) for name in storage_groups(fmt)), values]


def require_buffers(tensor: ir.RankedTensorType, *groups_then_values) -> None:
    """The grouped buffers are those the encoding of ``tensor`` asks for."""
    *groups, values = groups_then_values
    *metadata, values_type = buffer_types(tensor)
    wanted = grouped(storage_groups(encoded_format(tensor, "tensor")), metadata)
    for name, want, got in zip(GROUPS, wanted, groups):
        require(len(got) == len(want), "expects {} {} buffers for {}, got {}", len(want), name, tensor, len(got))
        require(
            len(set(want)) <= 1,
            "expects one storage width for all {} buffers of {}, got {}",
            name,
            tensor,
            " and ".join(sorted({str(t.element_type) for t in want})),
        )
        for value, type_ in zip(got, want):
            require(value.type == type_, "expects {} to be {}, got {}", name, type_, value.type)
    require(values.type == values_type, "expects values to be {}, got {}", values_type, values.type)
