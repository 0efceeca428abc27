"""Padded formats: what they store is the tensor rounded up with zeros, so that is what packing and pruning walk."""

from collections.abc import Sequence

from pith._mlir import ir, memref
from pith.formats import Format
from pith.passes.generic import filled

from .. import builder as b
from ..builder import Index


def rounded_up(source: ir.Value, fmt: Format) -> ir.Value:
    """A copy of the memref ``source`` with zeros up to the next sizes ``fmt`` divides.

    ``source`` itself where the format is not padded, or is known to divide it.
    """
    if not fmt.padded:
        return source
    sizes = [b.dim_size(source, d) for d in range(fmt.rank)]
    if all(isinstance(size, int) and size % divisor == 0 for size, divisor in zip(sizes, fmt.divisors())):
        return source
    whole = [b.mul(b.ceildiv(size, divisor), divisor) for size, divisor in zip(sizes, fmt.divisors())]
    out = b.alloc(whole, source.type.element_type)
    filled(out, b.zero_of(source.type.element_type))
    _copy(source, out, sizes)
    return out


def cropped(whole: ir.Value, sizes: Sequence[Index]) -> ir.Value:
    """The part of the memref ``whole`` that the tensor of ``sizes`` takes; itself when that is all of it."""
    if all(isinstance(size, int) and size == b.dim_size(whole, d) for d, size in enumerate(sizes)):
        return whole
    out = b.alloc(sizes, whole.type.element_type)
    _copy(whole, out, sizes)
    return out


def _copy(source: ir.Value, dest: ir.Value, sizes: Sequence[Index]) -> None:
    *outer, last = sizes

    def row(*at: Index) -> None:
        def element(i: Index) -> None:
            where = [b.value(c) for c in (*at, i)]
            memref.store(memref.load(source, where), dest, where)

        b.for_loop(0, last, element)

    if outer:
        b.parallel_loop(outer, row, work=b.product(sizes))
    else:
        row()
