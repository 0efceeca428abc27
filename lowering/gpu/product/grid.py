"""Which tile a block owns: the stream of every role, how many blocks there are, and the order in which they run.

Blocks are one line, so no limit on a grid's y and z is met. Batches come one after the other; within one, blocks go
down a group of rows of tiles before they go on to the next column, so that blocks that run together share operands in
L2. The host launches blocks for everything that sizes allow; where a list says how much there is, those that have work
come first and the rest return at once.
"""

import dataclasses
from collections.abc import Mapping

from pith._mlir import arith, gpu, ir

from ... import builder as b
from ...builder import Index
from .match import Listing, Product
from .tiles import Axis, PatternAxis, all_of, is_below, plain_axis

#: Rows of tiles that blocks go down before they go on to the next column. 8 x 16 tiles of 128 x 128 are about one
#: wave of an H100 (132 multiprocessors): 24 operand panels for 128 tiles. On paper.
GROUP = 8


@dataclasses.dataclass(frozen=True)
class Lists:
    """The memory of a listing: a list as the runtime has it, or one list per group.

    Attributes:
        entries: coordinates; of one list, the count comes first.
        counts: per group, how many coordinates it has; None for one list.
        capacity: room for coordinates per group.
    """

    entries: ir.Value
    counts: ir.Value | None = None
    capacity: Index = 0

    def first(self, group: Index) -> Index:
        """Where the coordinates begin."""
        return 1 if self.counts is None else b.mul(group, self.capacity)

    def count(self, group: Index) -> ir.Value:
        """Micro-tiles of a list, never more than there is room for."""
        if self.counts is not None:
            return b.value(b.minimum(b.load_index(self.counts, group), self.capacity))
        return b.value(b.minimum(b.load_index(self.entries, 0), b.sub(b.dim_size(self.entries, 0), 1)))


@dataclasses.dataclass(frozen=True)
class Segment(Axis):
    """Elements ``first ... first + span - 1``: positions count from ``first``, and tiles may be wider."""

    first: Index = 0
    span: Index = 0

    @property
    def length(self) -> Index:
        return self.span

    def at(self, place: Index) -> tuple[Index, ir.Value | None]:
        position = b.add(self.base, place)
        element = b.add(self.first, position)
        return element, arith.andi(is_below(position, self.span), is_below(element, self.size))


@dataclasses.dataclass(frozen=True)
class Grid:
    """The blocks of a product.

    Attributes:
        product: what is computed.
        extents: places of the body's tile per role (1 for batch roles).
        steps: positions a block owns per role; less than the extent where a group is smaller than a tile.
        sizes: elements per role.
        splits: blocks that share one tile of the output, each with a part of k; axis ``split`` says which.
    """

    product: Product
    extents: Mapping[str, int]
    steps: Mapping[str, int]
    sizes: Mapping[str, Index]
    splits: int = 1

    @property
    def outer(self) -> tuple[str, ...]:
        """Roles of blocks beside m and n, slowest first."""
        by_k = self.splits > 1 or self.product.grouped("k") is not None
        return (*(("k",) if by_k else ()), *self.product.batch)

    def blocks(self, role: str, lists: Mapping[Listing, Lists] | None = None) -> Index:
        """Blocks along a role: as many as sizes allow, or, with ``lists``, as they say.

        ceil(size / g) micro-tiles of g elements fill fewer than size + g positions.
        """
        if role == "k" and self.splits > 1:
            return self.splits
        listing, size = self.product.listing(role), self.sizes[role]
        if listing is not None and lists is not None and listing.group is None:
            size = b.mul(lists[listing].count(0), listing.granularity)
        elif listing is not None:
            size = b.add(size, listing.granularity - 1)
        return b.ceildiv(size, self.steps[role])

    def total(self, lists: Mapping[Listing, Lists] | None = None) -> Index:
        """All blocks; see :meth:`blocks`."""
        return b.product([self.blocks(role, lists) for role in (*self.outer, "m", "n")])

    def enter(self, lists: Mapping[Listing, Lists]) -> tuple[dict[str, Axis], ir.Value | None]:
        """The axes of this block's tile, and whether there is such a tile (None: there is)."""
        rows, columns = (self._divisor(role, lists) for role in "mn")
        within = b.mul(rows, columns)
        block: Index = gpu.block_id(gpu.Dimension.x)
        rest, at = b.div(block, within), b.mod(block, within)
        index = dict(zip("mn", _in_groups(at, rows, columns)))
        for role in reversed(self.outer):
            count = self._divisor(role, lists)
            index[role] = rest if role == self.outer[0] else b.mod(rest, count)
            rest = b.div(rest, count)
        bases = {role: b.mul(i, self.steps[role]) for role, i in index.items() if self.splits == 1 or role != "k"}
        axes = {role: self._axis(role, bases, lists) for role in (*bases, "k")}
        if self.splits > 1:
            axes |= {"k": self._part(index["k"]), "split": plain_axis(index["k"], 1, self.splits)}
        return axes, self._exists(axes, block, lists)

    def _part(self, number: Index) -> Axis:
        """Part ``number`` of k: whole tiles, as many as in every other part."""
        extent, size = self.extents["k"], self.sizes["k"]
        share = b.mul(b.ceildiv(b.ceildiv(size, extent), self.splits), extent)
        first = b.mul(number, share)
        left = b.sub(b.maximum(size, first), first)
        return Segment(0, extent, size, first=first, span=b.minimum(share, left))

    def _divisor(self, role: str, lists: Mapping[Listing, Lists]) -> Index:
        """Blocks along a role, 1 where a list says none: no block has a tile then, but dividing by 0 is undefined."""
        listing, count = self.product.listing(role), self.blocks(role, lists)
        return count if listing is None or listing.group is not None else b.maximum(count, 1)

    def _axis(self, role: str, bases: Mapping[str, Index], lists: Mapping[Listing, Lists]) -> Axis:
        extent, size, listing = self.extents[role], self.sizes[role], self.product.listing(role)
        base = 0 if role == "k" else bases[role]
        if listing is not None:
            group = b.div(bases[listing.group], listing.group_granularity) if listing.group else 0
            held = lists[listing]
            return PatternAxis(
                base,
                extent,
                size,
                entries=held.entries,
                first=held.first(group),
                count=held.count(group),
                granularity=listing.granularity,
            )
        if role in bases and (role == "k" or self.steps[role] != extent):
            return Segment(0, extent, size, first=bases[role], span=self.steps[role])
        return plain_axis(base, extent, size)

    def _exists(self, axes: Mapping[str, Axis], block: Index, lists: Mapping[Listing, Lists]) -> ir.Value | None:
        """Lists make blocks that have no tile: behind all tiles, or behind the end of their group's list."""
        conditions: list[ir.Value | None] = []
        if any(x.group is None and x.role != "k" for x in self.product.listings):
            conditions.append(is_below(block, self.total(lists)))
        for x in self.product.listings:
            if x.group is not None and x.role != "k":
                conditions.append(is_below(axes[x.role].base, axes[x.role].length))
        return all_of(*conditions)


def _in_groups(at: Index, rows: Index, columns: Index) -> tuple[Index, Index]:
    """(row, column) of tile number ``at``: down :data:`GROUP` rows, then to the next column."""
    if isinstance(columns, int) and columns == 1:
        return at, 0
    if isinstance(rows, int) and rows == 1:
        return 0, at
    per_group = b.mul(columns, GROUP)
    first = b.mul(b.div(at, per_group), GROUP)
    inside = b.mod(at, per_group)
    height = b.minimum(b.sub(rows, first), GROUP)
    return b.add(first, b.mod(inside, height)), b.div(inside, height)
