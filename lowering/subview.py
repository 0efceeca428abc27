"""Parts of memrefs."""

from collections.abc import Sequence

from pith._mlir import ir, memref

from .builder import Index


def part_of(buffer: ir.Value, offsets: Sequence[Index], sizes: Sequence[Index], kept: Sequence[int]) -> ir.Value:
    """``sizes`` elements from ``offsets`` on, as a memref of the dimensions ``kept``; the others have size one.

    Offsets may be numbers or values: that of the result is static where it can be, as ``memref.subview`` demands.
    """
    source, unknown = buffer.type, ir.ShapedType.get_dynamic_stride_or_offset()
    strides, start = source.get_strides_and_offset()
    for offset, stride in zip(offsets, strides):
        if isinstance(offset, int) and offset == 0:
            continue
        static = isinstance(offset, int) and unknown not in (stride, start)
        start = start + offset * stride if static else unknown
    shape = [sizes[i] if isinstance(sizes[i], int) else ir.ShapedType.get_dynamic_size() for i in kept]
    layout = ir.StridedLayoutAttr.get(start, [strides[i] for i in kept])
    type_ = ir.MemRefType.get(shape, source.element_type, layout, source.memory_space)
    return memref.subview(buffer, list(offsets), list(sizes), [1] * len(sizes), result_type=type_)
