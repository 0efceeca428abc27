"""A pattern as a tensor of coordinates: ``tensor<?xi32>``, or ``tensor<?xRxi32>`` over R axes.

The dynamic extent is the count. Coordinates are unsigned; one past the grid names nothing:
it is cut to an empty piece, so it is read as zeros and written nowhere.
"""

from __future__ import annotations

import dataclasses

from pith._mlir import arith, cf, ir, tensor
from pith.passes.core import pass_error

from ..builder import Index, add, ceildiv, dim_size, div, for_loop, minimum, mul, sub, value
from ..numbers import plus
from .slices import Span, zeros


@dataclasses.dataclass(frozen=True)
class IndexList:
    """The coordinates of a pattern's micro-tiles.

    Attributes:
        values: a value of :func:`pith.dialect.coordinates_type`.
        sizes: elements along every pattern axis; None when no tensor at hand has that axis.
        granularity: elements of a micro-tile along every axis.
    """

    values: ir.Value
    sizes: tuple[Index | None, ...]
    granularity: tuple[int, ...]

    @property
    def rank(self) -> int:
        """How many axes there are."""
        return len(self.sizes)

    @property
    def grid(self) -> list[Index]:
        """Micro-tiles along every axis."""
        return [ceildiv(n, g) for n, g in zip(self.sizes, self.granularity)]

    def count(self) -> Index:
        """How many micro-tiles are listed."""
        return dim_size(self.values, 0)

    def coordinate(self, entry: Index, axis: int) -> ir.Value:
        """Coordinate of ``entry`` along ``axis`` as an index."""
        at = [value(entry)] if self.rank == 1 else [value(entry), value(axis)]
        return arith.index_castui(ir.IndexType.get(), tensor.extract(self.values, at))

    def span(self, entry: Index, axis: int) -> Span:
        """The elements micro-tile ``entry`` covers along ``axis``, cut at the end of the axis."""
        g = self.granularity[axis]
        return clipped(mul(self.coordinate(entry, axis), g), g, self.sizes[axis])


@dataclasses.dataclass(frozen=True)
class Groups:
    """A pattern's entries, sorted into groups that agree on every axis but one.

    Group ``c`` holds the entries ``bounds[c]`` up to ``bounds[c + 1]`` of ``coordinates``. A pattern over
    a single axis is one group and needs no sorting (``bounds`` is None).
    """

    coordinates: ir.Value
    bounds: ir.Value | None
    count: Index

    def range(self, group: Index) -> tuple[Index, Index]:
        """First entry of the group and one past its last."""
        if self.bounds is None:
            return 0, self.count
        return tensor.extract(self.bounds, [value(group)]), tensor.extract(self.bounds, [value(add(group, 1))])

    def coordinate(self, entry: Index) -> ir.Value:
        """Coordinate of an entry along the axis the groups do not fix."""
        return arith.index_castui(ir.IndexType.get(), tensor.extract(self.coordinates, [value(entry)]))


def clipped(offset: Index, extent: int, size: Index) -> Span:
    """``extent`` elements from ``offset`` on, cut at ``size`` (to nothing when it lies past it)."""
    start = minimum(offset, size)
    return Span(start, minimum(extent, sub(size, start)))


def group_by_other_axes(entries: IndexList, axis: int) -> Groups:
    """Sort the entries (by counting) into groups that agree on every axis but ``axis``.

    Entries past the grid land in a group of their own after the last that nobody visits.
    """
    count = entries.count()
    if entries.rank == 1:
        return Groups(entries.values, None, count)
    others = [a for a in range(entries.rank) if a != axis]
    grid = entries.grid
    n_groups: Index = 1
    for a in others:
        n_groups = mul(n_groups, grid[a])
    index = ir.IndexType.get()
    bounds = zeros([add(n_groups, 3)], index)

    def tally(p, bounds):
        return [_bump(bounds, add(_group_of(entries, p, others, n_groups), 2))]

    (bounds,) = for_loop(0, count, tally, [bounds])

    def accumulate(c, bounds):
        total = plus(tensor.extract(bounds, [value(c)]), tensor.extract(bounds, [value(sub(c, 1))]))
        return [tensor.insert(total, bounds, [value(c)])]

    (bounds,) = for_loop(1, add(n_groups, 3), accumulate, [bounds])
    coordinates = tensor.EmptyOp([count], entries.values.type.element_type).result

    def place(p, bounds, coordinates):
        cursor = add(_group_of(entries, p, others, n_groups), 1)
        raw = tensor.extract(entries.values, [value(p), value(axis)])
        coordinates = tensor.insert(raw, coordinates, [tensor.extract(bounds, [value(cursor)])])
        return [_bump(bounds, cursor), coordinates]

    bounds, coordinates = for_loop(0, count, place, [bounds, coordinates])
    return Groups(coordinates, bounds, count)


def assert_distinct_in_range(op: ir.OpView, entries: IndexList) -> None:
    """Emit ``cf.assert`` that no coordinate is past the grid and none is listed twice."""
    if None in entries.sizes:
        pass_error(
            op, f"cannot check pattern axis {entries.sizes.index(None)}: its size is dynamic and no operand has it"
        )
    grid = entries.grid
    i8 = ir.IntegerType.get_signless(8)
    seen = zeros(grid, i8)

    def check(p, seen):
        at = [entries.coordinate(p, a) for a in range(entries.rank)]
        for a, (c, n) in enumerate(zip(at, grid)):
            cf.assert_(
                arith.cmpi(arith.CmpIPredicate.ult, c, value(n)),
                f"pith.pattern: coordinate of axis {a} is out of range",
            )
        fresh = arith.cmpi(arith.CmpIPredicate.eq, tensor.extract(seen, at), arith.constant(i8, 0))
        cf.assert_(fresh, "pith.pattern: a micro-tile is listed twice")
        return [tensor.insert(arith.constant(i8, 1), seen, at)]

    for_loop(0, entries.count(), check, [seen])


def micro_span(coordinate: ir.Value, sub_tile: Index, entries: IndexList, axis: int, micro: int) -> Span:
    """The elements of micro-tile ``sub_tile`` (of ``micro`` elements) inside listed block ``coordinate``."""
    offset = add(mul(coordinate, entries.granularity[axis]), mul(sub_tile, micro))
    return clipped(offset, micro, entries.sizes[axis])


def split_chunk(chunk: Index, per_block: int) -> tuple[Index, Index]:
    """Listed block and position in it of the ``chunk``-th micro-tile, ``per_block`` to a block."""
    block = div(chunk, per_block)
    return block, 0 if per_block == 1 else sub(chunk, mul(block, per_block))


def _group_of(entries: IndexList, entry: Index, others: list[int], n_groups: Index) -> ir.Value:
    """Row-major number of the entry's group; ``n_groups`` when a coordinate is past the grid."""
    grid, group, legal = entries.grid, None, None
    for a in others:
        c = entries.coordinate(entry, a)
        inside = arith.cmpi(arith.CmpIPredicate.ult, c, value(grid[a]))
        legal = inside if legal is None else arith.andi(legal, inside)
        group = c if group is None else value(add(mul(group, grid[a]), c))
    return arith.select(legal, group, value(n_groups))


def _bump(counters: ir.Value, at: Index) -> ir.Value:
    one = arith.constant(ir.IndexType.get(), 1)
    return tensor.insert(arith.addi(tensor.extract(counters, [value(at)]), one), counters, [value(at)])
