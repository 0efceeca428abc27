"""How a row-major tensor is cut into the cells that a detection lists; no IR, but for sizes known at run time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import ir, memref

from ... import builder as b
from ...builder import Index
from .lists import unravel


@dataclasses.dataclass(frozen=True)
class Cut:
    """A tensor seen as rows (its last dimensions, merged) under a grid of cells.

    Attributes:
        rank: dimensions of the tensor.
        axes: dimension of every axis of the pattern.
        granularity: elements of a cell along every axis.
        first: the dimension with which rows begin: the first of all where cells follow each other in memory.
    """

    rank: int
    axes: tuple[int, ...]
    granularity: tuple[int, ...]
    first: int

    @classmethod
    def of(cls, shape: Sequence[int], axes: Sequence[int], granularity: Sequence[int], channel: int | None) -> Cut:
        """Merge what can be, for a tensor of ``shape`` (negative: dynamic); the dimension ``channel`` stays its own."""
        rank, innermost = len(shape), max(axes)
        if channel is not None:
            first = rank - 1 if channel >= innermost else innermost
            return cls(rank, tuple(axes), tuple(granularity), first)
        extents = dict(zip(axes, granularity))
        inner = extents.pop(innermost)
        divides = inner == 1 or (shape[innermost] >= 0 and shape[innermost] % inner == 0)
        merged = divides and sorted(axes) == list(range(innermost + 1)) and set(extents.values()) <= {1}
        return cls(rank, tuple(axes), tuple(granularity), 0 if merged else innermost)

    def extent(self, dim: int) -> int | None:
        """Elements of a cell along a dimension; None: all of them."""
        return self.granularity[self.axes.index(dim)] if dim in self.axes else None

    def line(self, source: ir.Value) -> ir.Value:
        """A buffer of the tensor with the dimensions of rows merged."""
        groups = [[d] for d in range(self.first)] + [list(range(self.first, self.rank))]
        if len(groups) == self.rank:
            return source
        shape, dynamic = source.type.shape, ir.ShapedType.get_dynamic_size()
        sizes = []
        for group in groups:
            known = [shape[d] for d in group]
            sizes.append(dynamic if dynamic in known else int(b.product(known)))  # type: ignore[arg-type]
        return memref.collapse_shape(ir.MemRefType.get(sizes, source.type.element_type), source, groups)

    def over(self, sizes: Sequence[Index]) -> Cells:
        """The cells of a tensor of ``sizes``."""
        return Cells(self, tuple(sizes))


@dataclasses.dataclass(frozen=True)
class Cells:
    """The cells of a tensor of certain sizes. Cells are numbered in row-major order of the dimensions."""

    cut: Cut
    sizes: tuple[Index, ...]

    @property
    def size(self) -> Index:
        """Elements of a row."""
        return b.product(self.sizes[self.cut.first :])

    @property
    def run(self) -> Index:
        """Elements of a cell along a row."""
        inside = [d for d in self.cut.axes if d >= self.cut.first]
        if not inside:
            return self.size
        innermost = max(inside)
        return b.mul(b.product(self.sizes[innermost + 1 :]), self.cut.extent(innermost) or 1)

    @property
    def columns(self) -> Index:
        """Cells along a row."""
        return b.product(self._lines)

    @property
    def outer(self) -> list[tuple[int, Index]]:
        """The dimensions before rows that are axes, and the cells along each."""
        return [(d, self._along(d)) for d in range(self.cut.first) if d in self.cut.axes]

    @property
    def outer_count(self) -> Index:
        """Rows of cells."""
        return b.product([n for _, n in self.outer])

    @property
    def count(self) -> Index:
        """All cells."""
        return b.mul(self.outer_count, self.columns)

    @property
    def rows(self) -> Index:
        """Rows of elements that a cell spans at most."""
        return b.product([self.cut.extent(d) or self.sizes[d] for d in range(self.cut.first)])

    def rows_of(self, number: Index) -> Rows:
        """The rows of elements of the cells in row ``number`` of cells."""
        at = dict(zip([d for d, _ in self.outer], unravel(number, [n for _, n in self.outer])))
        spans = []
        for d in range(self.cut.first):
            extent, size = self.cut.extent(d), self.sizes[d]
            start = b.mul(at[d], extent) if extent else 0
            whole = extent == 1 or (extent and isinstance(size, int) and size % extent == 0)
            spans.append((start, extent if whole else b.minimum(extent, b.sub(size, start)) if extent else size))
        return Rows(at, tuple(spans))

    def coordinates(self, rows: Rows, first: Index) -> Callable[[ir.Value], list[Index]]:
        """bit -> coordinates of the cell ``bit`` places after the one in column ``first``; both in range."""
        lines = self._lines
        dims = [d for d in sorted(self.cut.axes) if d >= self.cut.first]
        if len(dims) <= 1:
            return lambda bit: self._by_axis({**rows.cell, **{d: b.add(first, bit) for d in dims}})
        start = unravel(first, lines)

        def locate(bit: ir.Value) -> list[Index]:
            # Divisions only where the cells of a thread go on in the next line.
            last = b.add(start[-1], bit)
            straight = [b.value(x) for x in (*start[:-1], last)]
            onward = lambda: [b.value(x) for x in unravel(b.add(first, bit), lines)]  # noqa: E731
            index = ir.IndexType.get()
            at = b.if_else(b.less(last, lines[-1]), lambda: straight, onward, [index] * len(dims))
            return self._by_axis(dict(zip(dims, at)))

        return locate

    def unravel(self, number: Index) -> list[Index]:
        """Coordinates of cell ``number``."""
        dims = sorted(self.cut.axes)
        return self._by_axis(dict(zip(dims, unravel(number, [self._along(d) for d in dims]))))

    @property
    def _lines(self) -> list[Index]:
        return [self._along(d) for d in sorted(self.cut.axes) if d >= self.cut.first]

    def _along(self, dim: int) -> Index:
        return b.ceildiv(self.sizes[dim], self.cut.extent(dim) or 1)

    def _by_axis(self, at: dict[int, Index]) -> list[Index]:
        return [at[d] for d in self.cut.axes]


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of elements that a row of cells spans.

    Attributes:
        cell: coordinate of the cells by dimension.
        spans: (first, number) of the indices along every dimension before rows.
    """

    cell: dict[int, Index]
    spans: tuple[tuple[Index, Index], ...]

    @property
    def count(self) -> Index:
        """How many rows."""
        return b.product([n for _, n in self.spans])

    def at(self, row: Index) -> list[Index]:
        """The indices before a row's own of its number ``row``."""
        inside = unravel(row, [n for _, n in self.spans])
        return [b.add(start, i) for (start, _), i in zip(self.spans, inside)]
