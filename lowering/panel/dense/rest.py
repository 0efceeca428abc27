"""Rows of the output that no list names: zeros, stored while listed rows are multiplied, for memory is idle then.

Every unrolled block of a register tile stores one vector of them. A task has whole rows, so neighbours in memory are
stored one after the other: pieces of rows as wide as the panel lie pages apart, where hardware fetches nothing.
1024^3 f32 with 11 % of the rows on one thread takes 2.21 ms with zeros stored before the product, 2.10 with such
pieces, 1.96 with whole rows and 1.91 without zeros; with 50 % 7.25, 7.14, 7.10 and 6.97 (Emerald Rapids, 2026-11).
"""

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, ir, vector

from ... import builder as b
from ...builder import Index
from ..walk import Walk
from ..write import as_it_is, fill_block


@dataclasses.dataclass(frozen=True)
class Rest:
    """The rows that one task fills.

    Attributes:
        out: ``(rows, cols)``.
        rows: those that are filled.
        lanes: of a machine vector.
    """

    out: ir.Value
    rows: Walk
    lanes: int

    @property
    def across(self) -> Index:
        """Vectors in a row; what is left behind them is narrower."""
        return b.div(b.dim_size(self.out, 1), self.lanes)

    @property
    def vectors(self) -> Index:
        """Of all rows."""
        return b.mul(self.rows.count, self.across)

    def fill(self) -> None:
        """Store zeros everywhere."""
        self._fill_columns(0)

    def fill_from(self, first: Index) -> None:
        """Store the vectors from number ``first`` on, and what is narrower."""
        b.for_loop(b.minimum(first, self.vectors), self.vectors, self.store, rolled=True)
        self._fill_columns(b.mul(self.across, self.lanes))

    def store(self, number: Index) -> None:
        """Store a vector."""
        row, column = b.div(number, self.across), b.mul(b.mod(number, self.across), self.lanes)
        type_ = ir.VectorType.get([self.lanes], self.out.type.element_type)
        zeros = vector.broadcast(type_, b.zero_of(type_.element_type))
        vector.store(zeros, self.out, [b.value(self.rows.at(row)), b.value(column)])

    def _fill_columns(self, first: Index) -> None:
        columns = (first, b.dim_size(self.out, 1))

        def one(position: Index) -> None:
            row = b.value(self.rows.at(position))
            fill_block(self.out, (row, b.add(row, 1)), columns, self.lanes, as_it_is)

        b.for_loop(0, self.rows.count, one)


@dataclasses.dataclass(frozen=True)
class Spread:
    """The vectors of a rest, spread evenly over the register tiles of a task.

    Attributes:
        first: tiles with a panel that store none.
        tiles: those with the same panel that store some.
        column: of the task's first panel.
        lanes: of a panel.
        panels: panels that tiles multiply with in place.
        blocks: unrolled blocks of a tile.
    """

    rest: Rest
    first: int
    tiles: Index
    column: Index
    lanes: int
    panels: Index
    blocks: Index

    @property
    def share(self) -> Index:
        """Vectors that fall to a tile."""
        tiles = b.maximum(b.mul(self.panels, self.tiles), 1)
        return b.minimum(b.ceildiv(self.rest.vectors, tiles), self.blocks)

    def store(self, column: Index, tile: Index) -> Callable[[Index], None]:
        """What stores the vector that falls to a block of a tile (numbered from 0, the first ones included).

        ``column``: of the tile's panel.
        """
        panel = b.div(b.sub(column, self.column), self.lanes)
        start = b.mul(b.add(b.mul(panel, self.tiles), b.sub(tile, self.first)), self.share)
        end = b.minimum(b.add(start, self.share), self.rest.vectors)
        end = arith.select(b.less(tile, self.first), b.value(0), b.value(end)) if self.first else end

        def one(block: Index) -> None:
            number = b.add(start, block)
            b.only_if(b.less(number, end), lambda: self.rest.store(number))

        return one

    def fill_left(self) -> None:
        """Store what tiles do not."""
        self.rest.fill_from(b.product([self.panels, self.tiles, self.share]))
