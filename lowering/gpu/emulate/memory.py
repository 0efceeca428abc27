"""Which memory a memref is in, and addresses of its elements."""

from collections.abc import Sequence

from pith._mlir import arith, ir, memref
from pith.dialect import shape_of
from pith.passes.analysis.traversal import constant_index, defining_op

from ... import builder as b
from ...builder import Index
from .context import address_of
from .words import element_bits

_SPACES = {"workgroup": "shared", "3": "shared", "3 : i32": "shared", "3 : i64": "shared"}
_PRIVATE = ("private", "5")


def space_of(buffer: ir.Value) -> str:
    """``shared``, ``private`` or ``global``."""
    space = str(buffer.type.memory_space or "")
    name = space.rpartition("<")[2].rstrip(">")
    if name in _SPACES:
        return _SPACES[name]
    on_stack = defining_op(buffer, "memref.alloca") is not None
    return "private" if name.startswith(_PRIVATE) or on_stack else "global"


def element_bytes(type_: ir.MemRefType) -> int:
    """Bytes of one element in memory."""
    return max(1, element_bits(type_.element_type) // 8)


def element_address(buffer: ir.Value, indices: Sequence[Index]) -> Index:
    """Address of an element, as an index."""
    type_ = buffer.type
    strides, offset = _layout(buffer)
    place = offset
    for i, stride in zip(indices, strides):
        place = b.add(place, b.mul(i, stride))
    return b.add(address_of(buffer), b.mul(place, element_bytes(type_)))


def _layout(buffer: ir.Value) -> tuple[list[Index], Index]:
    """Strides and offset in elements."""
    type_ = buffer.type
    if "strided" not in str(type_):
        strides: list[Index] = [1] * type_.rank
        for d in range(type_.rank - 1, 0, -1):
            strides[d - 1] = b.mul(strides[d], b.dim_size(buffer, d))
        return strides, 0
    static, known = type_.get_strides_and_offset()
    unknown = ir.ShapedType.get_dynamic_stride_or_offset()
    op = memref.ExtractStridedMetadataOp(buffer)
    found = list(op.operation.results)[2 + type_.rank :]
    strides = [given if s == unknown else s for s, given in zip(static, found)]
    return strides, op.operation.results[1] if known == unknown else known


def constant_of(value: Index) -> int | None:
    """The number a constant index is."""
    return value if isinstance(value, int) else constant_index(value)


def extents_of(buffer: ir.Value) -> list[Index]:
    """Extent of every dimension."""
    return [b.dim_size(buffer, d) for d in range(len(shape_of(buffer.type)))]


def first_beyond(extent: Index, count: int) -> Index:
    """The first index from which ``count`` elements do not fit any more."""
    if isinstance(extent, int):
        return max(extent - count + 1, 0)
    if count == 1:
        return extent
    return arith.maxsi(b.value(b.sub(extent, count - 1)), b.value(0))
