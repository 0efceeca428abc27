"""A tensor under detection as rows: the loops around its last axis, and runs of elements along it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from pith._mlir import ir, memref

from .. import builder as b
from ..builder import Index


@dataclasses.dataclass(frozen=True)
class View:
    """A buffer whose last dimension is cut into cells, and whose other dimensions are loops.

    Attributes:
        source: a row-major memref.
        granularity: elements of a micro-tile along the dimensions before the last that are axes.
        run: elements of a cell along the last dimension; the dimension's size when that is no axis.
        place: for every axis of the pattern its dimension here; None for the last dimension's.
        split: whether the last dimension is an axis.
    """

    source: ir.Value
    granularity: dict[int, int]
    run: Index
    place: tuple[int, ...]
    split: bool

    @classmethod
    def of(cls, source: ir.Value, axes: Sequence[int], granularity: Sequence[int], channel: int | None) -> View:
        """See ``source`` through ``axes``; dimensions behind the last of them join it, unless one is the channel."""
        rank, innermost = source.type.rank, max(axes)
        if innermost < rank - 1 and (channel is None or channel < innermost):
            inner = b.product([b.dim_size(source, d) for d in range(innermost + 1, rank)])
            groups = [[d] for d in range(innermost)] + [list(range(innermost, rank))]
            source = memref.collapse_shape(_collapsed(source.type, groups), source, groups)
            run = b.maximum(b.mul(granularity[axes.index(innermost)], inner), 1)
        elif innermost == rank - 1:
            run = granularity[axes.index(innermost)]
        else:
            run = b.dim_size(source, rank - 1)
        last = source.type.rank - 1
        split = innermost >= last
        extents = {a: g for a, g in zip(axes, granularity) if a < last}
        return cls(source, extents, run, tuple(min(a, last) for a in axes), split)

    @property
    def size(self) -> Index:
        """Elements along the last dimension."""
        return b.dim_size(self.source, self.source.type.rank - 1)

    @property
    def columns(self) -> Index:
        """Cells along the last dimension."""
        return b.ceildiv(self.size, self.run) if self.split else 1

    @property
    def outer(self) -> list[tuple[int, Index]]:
        """The dimensions before the last that are axes, and the cells along each."""
        return [(d, b.ceildiv(b.dim_size(self.source, d), g)) for d, g in sorted(self.granularity.items())]

    @property
    def rows(self) -> Index:
        """Rows (along the last dimension) that a cell spans at most."""
        sizes = [self.granularity.get(d) or b.dim_size(self.source, d) for d in range(self.source.type.rank - 1)]
        return b.product(sizes)

    def cell(self, number: Index) -> dict[int, Index]:
        """Coordinates, by dimension, of cell ``number`` of the outer grid in row-major order."""
        at: dict[int, Index] = {}
        for n, (d, cells) in reversed(list(enumerate(self.outer))):
            at[d] = b.mod(number, cells) if n else number
            number = b.div(number, cells) if n else number
        return at

    def for_rows(
        self, cell: dict[int, Index], body: Callable[..., Any], carried: Sequence[ir.Value] = ()
    ) -> list[ir.Value]:
        """Loop over the rows of an outer cell: ``body(index, *carried)`` gets the index before the last dimension."""
        last = self.source.type.rank - 1

        def nest(d: int, index: tuple[Index, ...], carried: Sequence[ir.Value]) -> list[ir.Value]:
            if d == last:
                return body(list(index), *carried)
            size, extent = b.dim_size(self.source, d), self.granularity.get(d)
            if extent is None:
                lo, count = 0, size
            else:
                lo = b.mul(cell[d], extent)
                count = (
                    extent
                    if extent == 1 or (isinstance(size, int) and size % extent == 0)
                    else b.minimum(extent, b.sub(size, lo))
                )

            def visit(i: Index, *inner: ir.Value) -> list[ir.Value]:
                return nest(d + 1, (*index, b.add(lo, i)), inner)

            return b.for_loop(0, count, visit, list(carried))

        return nest(0, (), carried)


def _collapsed(type_: ir.MemRefType, groups: Sequence[Sequence[int]]) -> ir.MemRefType:
    dynamic = ir.ShapedType.get_dynamic_size()

    def size(group: Sequence[int]) -> int:
        if any(type_.is_dynamic_dim(d) for d in group):
            return dynamic
        out = 1
        for d in group:
            out *= type_.get_dim_size(d)
        return out

    return ir.MemRefType.get([size(g) for g in groups], type_.element_type)
