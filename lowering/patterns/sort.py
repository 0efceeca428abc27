"""Coordinates of patterns as lists of indices in memory, sorted by counting into groups where that is asked for.

Everything here runs once per op and costs a few operations per listed micro-tile. Sorting is one thread's work; lists
that are grouped as they stand are only looked at, by all threads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pith._mlir import arith, ir, memref

from .. import builder as b
from ..builder import Index


@dataclasses.dataclass(frozen=True)
class Coordinates:
    """What a pattern lists.

    Attributes:
        values: ``memref<?xi32>``, or ``memref<?xRxi32>`` over R axes.
        sizes, granularity: elements along every axis, and those of a micro-tile.
    """

    values: ir.Value
    sizes: tuple[Index, ...]
    granularity: tuple[int, ...]

    @property
    def count(self) -> Index:
        """Micro-tiles listed."""
        return b.dim_size(self.values, 0)

    @property
    def grid(self) -> list[Index]:
        """Micro-tiles along every axis."""
        return [b.ceildiv(n, g) for n, g in zip(self.sizes, self.granularity)]

    def at(self, entry: Index, axis: int) -> ir.Value:
        """Coordinate of ``entry`` along ``axis``, as an index."""
        where = [b.value(entry)] if len(self.sizes) == 1 else [b.value(entry), b.value(axis)]
        return arith.index_castui(ir.IndexType.get(), memref.load(self.values, where))


@dataclasses.dataclass(frozen=True)
class Lists:
    """Indices along one axis, those of group ``c`` at ``bounds[c]`` up to ``bounds[c + past]`` of ``ids``.

    ``past`` is 1 where groups follow each other in order.
    """

    ids: ir.Value
    bounds: ir.Value
    groups: Index
    past: Index = 1

    def range(self, group: Index) -> tuple[ir.Value, Index]:
        """Where the list of a group begins, and its length."""
        first = memref.load(self.bounds, [b.value(group)])
        return first, b.sub(memref.load(self.bounds, [b.value(b.add(group, self.past))]), first)


def sort_by_groups(c: Coordinates, axis: int, expand: bool) -> Lists:
    """Lists along ``axis``, one per combination of the coordinates along all other axes, row-major.

    ``expand``: indices of elements, those past the end of the axis left out; else coordinates. Micro-tiles
    past the grid are left out.
    """
    lists = room_for(c, axis, expand, 1)
    sort_into(c, axis, expand, lists)
    return lists


def room_for(c: Coordinates, axis: int, expand: bool, bounds: int) -> Lists:
    """Memory for lists, with one bound per group, or two for groups in any order."""
    groups = b.product([n for a, n in enumerate(c.grid) if a != axis])
    bounds = b.alloc([b.add(b.mul(groups, bounds), 2)], ir.IndexType.get())
    extent = c.granularity[axis] if expand else 1
    most = extent if extent == 1 else b.minimum(extent, c.sizes[axis])
    ids = b.alloc([b.mul(c.count, most)], ir.IntegerType.get_signless(32))
    return Lists(ids, bounds, groups)


def sort_into(c: Coordinates, axis: int, expand: bool, lists: Lists) -> None:
    """Fill ``lists``, whose groups follow each other."""
    others, grid = [a for a in range(len(c.sizes)) if a != axis], c.grid
    extent = c.granularity[axis] if expand else 1
    size = c.sizes[axis] if expand else grid[axis]
    bounds, groups = lists.bounds, lists.groups
    b.for_loop(0, b.add(groups, 2), lambda i: memref.store(b.value(0), bounds, [b.value(i)]))

    def visit(entry: Index, slot: int, place: bool) -> None:
        group, legal = group_of(c, entry, others, grid)
        start = b.mul(c.at(entry, axis), extent)
        inside = b.less(start, size)
        legal = inside if legal is None else arith.andi(legal, inside)

        def count() -> None:
            length = b.minimum(extent, b.sub(size, start))
            at = [b.value(b.add(group, slot))]
            cursor = memref.load(bounds, at)
            if place:
                b.for_loop(0, length, lambda j: store_id(lists.ids, b.add(cursor, j), b.add(start, j)))
            memref.store(b.value(b.add(cursor, length)), bounds, at)

        b.if_else(legal, count)

    # Lengths go two places up, so that after the sums a group's first place is one up: there it is
    # advanced to the next group's first, which is where it belongs.
    b.for_loop(0, c.count, lambda p: visit(p, 2, False)) if others else None
    _sum_up(bounds, groups)
    b.for_loop(0, c.count, lambda p: visit(p, 1, True))


def group_of(
    c: Coordinates, entry: Index, others: Sequence[int], grid: Sequence[Index]
) -> tuple[Index, ir.Value | None]:
    """Row-major number of the entry's group, and whether its coordinates lie on the grid."""
    group: Index = 0
    legal: ir.Value | None = None
    for a in others:
        at = c.at(entry, a)
        inside = b.less(at, grid[a])
        legal = inside if legal is None else arith.andi(legal, inside)
        group = b.add(b.mul(group, grid[a]), at)
    return group, legal


def _sum_up(bounds: ir.Value, groups: Index) -> None:
    def add_previous(i: Index) -> None:
        total = b.add(memref.load(bounds, [b.value(i)]), memref.load(bounds, [b.value(b.sub(i, 1))]))
        memref.store(b.value(total), bounds, [b.value(i)])

    b.for_loop(2, b.add(groups, 2), add_previous)


def store_id(ids: ir.Value, at: Index, index: Index) -> None:
    """Make ``index`` the list's number ``at``."""
    memref.store(arith.index_castui(ids.type.element_type, b.value(index)), ids, [b.value(at)])


def mark(c: Coordinates, axes: Sequence[int]) -> ir.Value:
    """A byte per combination of indices along ``axes``, row-major: 1 where a micro-tile covers it, else 0."""
    sizes = [c.sizes[a] for a in axes]
    i8 = ir.IntegerType.get_signless(8)
    flags = b.alloc([b.product(sizes)], i8)
    b.for_loop(0, b.product(sizes), lambda i: memref.store(arith.constant(i8, 0), flags, [b.value(i)]))

    def cover(entry: Index, rest: Sequence[int], at: Index) -> None:
        if not rest:
            memref.store(arith.constant(i8, 1), flags, [b.value(at)])
            return
        axis, *inner = rest
        g, size = c.granularity[axis], c.sizes[axis]
        start = b.minimum(b.mul(c.at(entry, axis), g), size)
        end = b.minimum(b.add(start, g), size)
        b.for_loop(start, end, lambda i: cover(entry, inner, b.add(b.mul(at, size), i)))

    b.for_loop(0, c.count, lambda p: cover(p, axes, 0))
    return flags
