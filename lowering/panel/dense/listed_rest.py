"""Products along lists of rows that also store the rows which no list names."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from pith._mlir import arith, ir

from ... import builder as b
from ...builder import Index
from ...linalg.contraction import DenseContraction
from ..ahead import Ahead
from ..loops import Point
from ..walk import Walk
from .listed import ListedEmitter
from .listed_task import Members
from .product import DenseProduct
from .rest import Rest, Spread


class RestEmitter(ListedEmitter):
    """The loops around the tasks of a product without outer loops; arguments as of :class:`ListedEmitter`.

    Every task zeroes as large a share of the rows that are not listed as it has of listed rows times groups of columns.

    Args:
        unlisted: those rows.
    """

    may_cut = False
    rest: Rest
    spread: Spread
    span: tuple[Index, Index]

    def __init__(self, unlisted: Walk, c: DenseContraction, buffers: Sequence[ir.Value], *args: Any, **kwargs: Any):
        super().__init__(c, buffers, *args, **kwargs)
        self.unlisted = unlisted

    def emit(self) -> None:
        """See :class:`ListedEmitter`; what is not listed is stored also where nothing is."""
        b.if_else(b.less(0, self.loops.most_rows), super().emit, Rest(self._matrix, self.unlisted, self.vector).fill)

    @property
    def _matrix(self) -> ir.Value:
        return self.out.matrix({}, self.c.row, self.c.col)

    def _panels_per_task(self) -> Index:
        """One where the first tile of rows packs it: L2 then holds the rows besides. 1024^3 f32 with 11 % of the rows
        takes 1.96 ms, with four panels 2.07 (Emerald Rapids, one thread, 2026-11)."""
        usual = super()._panels_per_task()
        if not self.packs_along:
            return usual
        one = arith.select(b.less(self.few, self.loops.most_rows), b.value(1), b.value(usual))
        ahead = self._packs_ahead(self.loops.most_rows)
        return one if ahead is None else arith.select(ahead, b.value(usual), one)

    def _task(self, at: Sequence[Index], first: Index, most: Index, groups: tuple[Index, Index]) -> None:
        rows = self.loops.most_rows
        places = b.mul(rows, b.ceildiv(self.loops.most_cols, b.mul(self.group, self.lanes)))
        last = b.minimum(b.add(first, most), rows)
        ends = b.add(b.mul(groups[0], rows), first), b.add(b.mul(b.sub(groups[1], 1), rows), last)
        begin, end = (b.div(b.mul(self.unlisted.count, place), places) for place in ends)
        self.rest = Rest(self._matrix, self.unlisted.part(begin, b.sub(end, begin)), self.vector)
        super()._task(at, first, most, groups)

    def _multiply_few(self, point: Point, rows: Walk, members: Members) -> None:
        self.rest.fill()
        super()._multiply_few(point, rows, members)

    def _multiply_packed(self, point: Point, rows: Walk, members: Members) -> None:
        full = b.div(self.loops.cols(point).count, self.lanes)
        first, last = (b.minimum(panel, full) for panel in members[0])
        self.span = (first, last)
        super()._multiply_packed(point, rows, members)
        self.spread.fill_left()

    def _product(self, point: Point, rows: Walk, cols: Walk, reds: Walk, widened: ir.Value | None) -> DenseProduct:
        product = super()._product(point, rows, cols, reds, widened)
        (first, last), packing = self.span, int(self.packs_along)  # the tile that packs waits for memory
        tiles = b.sub(b.maximum(b.ceildiv(rows.count, self.variant.rows), packing), packing)
        column, blocks = b.mul(first, self.lanes), b.div(product.reds, product.tile.unrolled)
        self.spread = Spread(self.rest, packing, tiles, column, self.lanes, b.sub(last, first), blocks)
        return dataclasses.replace(product, spread=self.spread)

    def _ahead(self, point: Point, cols: Walk, reds: Walk) -> Ahead | None:
        """None where panels are packed along: 1024^3 f32 with 11 % of the rows takes 2.43 ms with it, 2.24 without
        (Emerald Rapids, one thread, zeros stored before, 2026-11)."""
        return None if self.packs_along else super()._ahead(point, cols, reds)
