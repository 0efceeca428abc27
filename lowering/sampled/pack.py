"""Packing the dense factors of a sampled product: contracted dimension last, in strips."""

import dataclasses

from pith._mlir import arith, ir, memref

from .. import builder as b
from ..builder import Index
from ..transpose import copy_transposed
from .match import Factor

#: Vectors packed by one task.
PACK_VECTORS = 64


@dataclasses.dataclass(frozen=True)
class Packed:
    """A factor as ``[strip][vector][depth]``, flat; what the last strip lacks is zero.

    Attributes:
        buffer: 1-D memref of the element type of the sums.
        count: vectors: rows or columns of the result, rounded up to those of a padded format.
        depth: contracted coordinates per strip, a multiple of the granule.
    """

    buffer: ir.Value
    count: Index
    depth: Index

    def at(self, strip: Index, vector: Index) -> Index:
        """Where a vector's strip starts."""
        return b.mul(b.add(b.mul(strip, self.count), vector), self.depth)


def strip_depth(reds: Index, granule: int, longest: Index) -> Index:
    """Depth of the strips ``reds`` coordinates are cut into: up to ``longest``, whole granules, never zero."""
    return b.minimum(longest, b.mul(b.add(b.div(reds, granule), 1), granule))


def pack(factor: Factor, element: ir.Type, reds: Index, depth: Index, granule: int, divisor: int) -> Packed:
    """Emit the copy of ``factor`` into strips, widened to ``element``.

    A strip ends in zeros up to whole granules; zero vectors make their number a multiple of ``divisor``.
    """
    source = factor.value
    view = b.buffer_of(source)
    existing = b.dim_size(source, 1 - factor.contracted)
    count = b.mul(b.ceildiv(existing, divisor), divisor)
    strips = b.ceildiv(reds, depth)
    size = b.product([strips, count, depth])
    buffer = memref.alloc(
        ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], element), [b.value(size)], [], alignment=64
    )
    packed = Packed(buffer, count, depth)

    def task(strip: ir.Value, group: ir.Value) -> None:
        first = b.mul(group, PACK_VECTORS)
        width = b.minimum(PACK_VECTORS, b.sub(existing, first))
        k0 = b.mul(strip, depth)
        length = b.minimum(depth, b.sub(reds, k0))
        _copy(factor, view, packed, strip, first, width, k0, length)
        _clear(packed, strip, first, width, length, b.mul(b.ceildiv(length, granule), granule))

    b.parallel_loop([strips, b.ceildiv(existing, PACK_VECTORS)], task, work=b.mul(reds, existing))
    if divisor > 1:
        b.for_loop(0, strips, lambda s: _clear(packed, s, existing, b.sub(count, existing), 0, depth) and None)
    return packed


def _copy(
    factor: Factor, view: ir.Value, to: Packed, strip: Index, first: Index, width: Index, k0: Index, length: Index
) -> None:
    if factor.contracted == 0:
        copy_transposed(
            view,
            lambda k, j: [b.value(b.add(k0, k)), b.value(b.add(first, j))],
            to.buffer,
            lambda j, k: [b.value(b.add(to.at(strip, b.add(first, j)), k))],
            rows=length,
            cols=width,
            transform=lambda value, at: widened(value, to.buffer.type.element_type),
        )
        return

    def row(j: Index) -> None:
        vector = b.add(first, j)
        base = to.at(strip, vector)

        def element(k: Index) -> None:
            loaded = memref.load(view, [b.value(vector), b.value(b.add(k0, k))])
            memref.store(widened(loaded, to.buffer.type.element_type), to.buffer, [b.value(b.add(base, k))])

        b.for_loop(0, length, element)

    b.for_loop(0, width, row)


def _clear(to: Packed, strip: Index, first: Index, width: Index, lo: Index, hi: Index) -> None:
    """Zero coordinates ``[lo, hi)`` of a group of vectors."""
    zero = b.zero_of(to.buffer.type.element_type)

    def row(j: Index) -> None:
        base = to.at(strip, b.add(first, j))
        b.for_loop(lo, hi, lambda k: memref.store(zero, to.buffer, [b.value(b.add(base, k))]) and None)

    b.for_loop(0, width, row)


def widened(v: ir.Value, element: ir.Type) -> ir.Value:
    """A float, or a vector of floats, with elements of a type at least as wide."""
    type_ = ir.VectorType.get(v.type.shape, element) if isinstance(v.type, ir.VectorType) else element
    return v if v.type == type_ else arith.extf(type_, v)
