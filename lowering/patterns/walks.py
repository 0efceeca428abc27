"""The loops of a listed product at run time: lists sorted as its kernel walks them, and what no list names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pith._mlir import arith, bufferization, ir, memref
from pith.dialect import CoordinatesOp

from .. import builder as b
from ..builder import Index
from ..panel.dense.blocks import Blocks
from ..panel.loops import Loops, Point
from ..panel.walk import Walk
from ..panel.write import fill_block
from ..subview import part_of
from ..transpose import Transform
from .grouped import group_coordinates
from .products import ListedProduct, Listing
from .sort import Coordinates, Lists, mark, sort_by_groups

#: Rows of the output that one task fills.
FILL_ROWS = 64


def read_listing(p: ListedProduct, x: Listing, sizes: Mapping[int, Index]) -> Coordinates:
    """What a pattern of the op lists."""
    value = CoordinatesOp.build(p.product.op.patterns[x.pattern]).result
    type_ = ir.MemRefType.get(value.type.shape, value.type.element_type)
    buffer = bufferization.to_buffer(type_, value, read_only=True)
    return Coordinates(buffer, tuple(sizes[d] for d in x.loops), p.tiling.patterns[x.pattern].granularity)


class BoundPatterns:
    """The patterns of a product, sorted at the insertion point.

    Attributes:
        sizes: extent of every loop.
        coordinates: what every pattern lists.
    """

    def __init__(self, p: ListedProduct, sizes: dict[int, Index], given: Mapping[int, Coordinates] | None = None):
        """``given``: what patterns list, by their number, where that is not what the op's values are."""
        self.p, self.sizes, known = p, sizes, given or {}
        self.coordinates = [known[x.pattern] if x.pattern in known else read_listing(p, x, sizes) for x in p.listings]
        self.lists: dict[int, Lists] = {
            x.pattern: group_coordinates(c, x.stream) if x.rows is not None else sort_by_groups(c, x.stream, True)
            for x, c in zip(p.listings, self.coordinates)
        }

    def group(self, x: Listing, indices: Point) -> Index:
        """The group of a pattern's lists at ``indices`` of the loops that are not its stream."""
        coordinates, number = self.coordinates[x.pattern], 0
        for a, d in enumerate(x.loops):
            if a != x.stream:
                block = b.div(indices[d], coordinates.granularity[a])
                number = b.add(b.mul(number, coordinates.grid[a]), block)
        return number

    def walk(self, loop: int) -> Callable[[Point], Walk]:
        """The walk of a loop at a point of the outer loops."""
        x = self.p.listing(loop)
        if x is None:
            return lambda point: Walk(self.sizes[loop])
        lists = self.lists[x.pattern]

        def at(point: Point) -> Walk:
            first, count = lists.range(self.group(x, point))
            return Walk(count, lists.ids, first)

        return at

    def most(self, loop: int) -> Index:
        """Positions of a loop at most: the length of its list where there is only one."""
        x = self.p.listing(loop)
        return self.walk(loop)({}).count if x is not None and len(x.loops) == 1 else self.sizes[loop]

    def loops(self) -> Loops:
        """All loops of the product."""
        c = self.p.product
        outer = {d: self.walk(d)({}) if self.p.listing(d) is not None else Walk(self.sizes[d]) for d in c.outer}
        rows, cols, reds = map(self.walk, (c.row, c.col, c.red))
        most_rows = self.most(c.row)
        x = self.p.blocks
        if x is not None and x.rows is not None:
            blocks = Walk(b.ceildiv(most_rows, self.coordinates[x.pattern].granularity[x.rows]))
            rows, most_rows = (lambda point: blocks), blocks.count
        listed = self.p.listing(c.red)
        all_reds = None if listed is None else b.dim_size(self.lists[listed.pattern].ids, 0)
        red_loops, row_loops = (self._keys(self.p.listing(d)) for d in (c.red, c.row))
        lists_cols = self.p.listing(c.col) is not None
        return Loops(rows, cols, reds, most_rows, self.most(c.col), outer, all_reds, lists_cols, red_loops, row_loops)

    def _keys(self, x: Listing | None) -> dict[int, int]:
        """The loops that tell a pattern's lists apart, and how many of their indices share a list."""
        if x is None:
            return {}
        granularity = self.coordinates[x.pattern].granularity
        return {d: granularity[a] for a, d in enumerate(x.loops) if a != x.stream}

    def blocks(self) -> Blocks | None:
        """The blocks of rows that have lists of their own, if a pattern makes them."""
        x = self.p.blocks
        if x is None or x.rows is None:
            return None
        lists, coordinates = self.lists[x.pattern], self.coordinates[x.pattern]
        high, deep, loop = coordinates.granularity[x.rows], coordinates.granularity[x.stream], x.loops[x.rows]

        def at(point: Point, block: Index) -> tuple[Index, Index]:
            return lists.range(self.group(x, {**point, loop: b.mul(block, high)}))

        outer = {d: g for d, g in self._keys(x).items() if d != loop}
        return Blocks(high, deep, lists.ids, coordinates.count, at, outer)


def fill_rest(bound: BoundPatterns, out: ir.Value, finish: Transform, lanes: int) -> bool:
    """Store what ``finish`` makes of zero where the kernel stores nothing; ``finish`` is of matrices only.

    Returns whether there is such a place: sums over outer loops then add to what is stored here.
    """
    p, c = bound.p, bound.p.product
    kept = set(c.dims[2])
    loops = [x.loop for x in p.listings if x.rows is None and x.loop in kept and (not p.summed or {*x.loops} <= kept)]
    if not loops:
        return False
    rows = p.listing(c.dims[2][-2])
    flags = None
    if rows is not None and not p.summed and loops == [rows.loop]:
        flags = mark(bound.coordinates[rows.pattern], [*range(len(rows.loops))])
    dims, sizes = c.dims[2], [b.dim_size(out, i) for i in range(out.type.rank)]

    def task(*at: ir.Value) -> None:
        point = dict(zip(dims, at[:-1]))
        matrix = matrix_of(out, at[:-1])
        first = b.mul(at[-1], FILL_ROWS)
        last = b.minimum(b.add(first, FILL_ROWS), sizes[-2])

        def row(i: Index) -> None:
            here = {**point, dims[-2]: i}
            unlisted = None if flags is None or rows is None else _is_unlisted(bound, rows, flags, here)
            b.only_if(unlisted, lambda: fill_block(matrix, (i, b.add(i, 1)), (0, sizes[-1]), lanes, finish))

        b.for_loop(first, last, row)

    b.parallel_loop([*sizes[:-2], b.ceildiv(sizes[-2], FILL_ROWS)], task, work=b.div(b.product(sizes), lanes))
    return True


def _is_unlisted(bound: BoundPatterns, x: Listing, flags: ir.Value, point: Point) -> ir.Value:
    number: Index = 0
    for d in x.loops:
        number = b.add(b.mul(number, bound.sizes[d]), point[d])
    flag = memref.load(flags, [b.value(number)])
    return arith.cmpi(arith.CmpIPredicate.eq, flag, arith.constant(flag.type, 0))


def matrix_of(out: ir.Value, outer: tuple[Index, ...]) -> ir.Value:
    """The matrix over the last two dimensions of ``out`` at indices of the others."""
    if not outer:
        return out
    n = len(outer)
    sizes = [b.dim_size(out, n), b.dim_size(out, n + 1)]
    return part_of(out, [*outer, 0, 0], [*[1] * n, *sizes], [n, n + 1])
