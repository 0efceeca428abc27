"""One product of dense matrices: chunks of rows with packed panels, accumulated in place where that can be."""

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, ir, memref, vector

from ... import builder as b
from ...builder import Index
from ...transpose import Transform, tile_width
from ..ahead import Ahead
from ..pack import Panel
from ..walk import Walk
from ..write import added_to, as_it_is, write_tile
from .next_block import NextBlock
from .pack_ahead import PackAhead
from .rest import Spread
from .tile import DenseTile
from .unpacked import InSource, Unpacked

#: Of how many parts of L2 one is the strip of a panel that a chunk's rows pass over at once. Rows of the tile share
#: what they load of it, so it may come from L2, and sums put down half-way cost more: on a Zen 3 core (512 KiB) 1024^3
#: f32 takes 25.9, 25.7, 24.8 and 24.4 ms with 24, 48, 64 and 96 KiB, 512x512x4096 takes 27.4, 26.8, 26.6 and 26.9 ms
#: (MKL 24.4, 24.7); on Emerald Rapids (2 MiB) 13.8, 13.5 and 13.4 ms with 64, 128 and 256 KiB (2026-11).
STRIP_SHARE = 8

#: Indices of the accumulators' first elements in a matrix.
_Places = list[list[ir.Value]]

#: Is told the number of an unrolled block, or a contracted position, while it is multiplied.
Meanwhile = Callable[[Index], None]


@dataclasses.dataclass(frozen=True)
class DenseProduct:
    """What the tasks of one matrix product share.

    Attributes:
        tile: of whole panels; ``narrow``: of what is left of the last one, a machine vector at a time.
        out: ``(rows, cols)``, or ``(cols, rows)`` when ``out_transposed``.
        rows, cols, reds: positions, and what those of rows and columns are in ``out``.
        fresh: the content of ``out`` does not matter.
        finish: given what is to be stored in ``out``, makes what is; None when that is the same.
        ahead, following: fetches what is packed next, and packs the next panel, where that is known.
        l2_bytes: of a core.
        by_chunk: ``lhs`` of the tiles holds the rows of the chunk that is multiplied, and no others.
        spread: what tiles store besides.
        block: contracted positions that are multiplied now, where that is not all of them.
    """

    tile: DenseTile
    narrow: DenseTile
    out: ir.Value
    out_transposed: bool
    rows: Walk
    cols: Walk
    reds: Index
    fresh: bool
    finish: Transform | None
    l2_bytes: int
    ahead: Ahead | NextBlock | None = None
    by_chunk: bool = False
    spread: Spread | None = None
    following: PackAhead | None = None
    block: tuple[Index, Index] | None = None

    @property
    def lanes(self) -> int:
        """Columns of a panel."""
        return self.tile.variant.lanes

    @property
    def element(self) -> ir.Type:
        """Of all operands."""
        return self.tile.element

    @property
    def strip(self) -> Index:
        """Contracted coordinates that rows pass over at once."""
        row_bytes, step = self.lanes * (8 if isinstance(self.element, ir.F64Type) else 4), self.tile.unrolled
        strip = max(1, self.l2_bytes // STRIP_SHARE // (row_bytes * step)) * step
        if isinstance(self.reds, int) and self.reds:
            return -(-self.reds // -(-self.reds // strip) // step) * step  # strips of about one size
        return strip

    @property
    def is_one_strip(self) -> bool:
        """Sums are never put down half-way."""
        return self.block is None and isinstance(self.reds, int) and self.reds <= self.strip

    @property
    def span(self) -> tuple[Index, Index]:
        """Contracted positions that are multiplied now."""
        return self.block or (0, self.reds)

    @property
    def transform(self) -> Transform:
        """What is stored in ``out`` for a finished sum."""
        return self.finish or (as_it_is if self.fresh else added_to(self.out))

    @property
    def in_place(self) -> bool:
        """Whole panels are stored in ``out`` as they are finished."""
        return not self.out_transposed and not self.cols.is_listed

    @property
    def adds_in_place(self) -> bool:
        """What a strip leaves of a whole panel stands in ``out``."""
        return self.in_place and (self.is_one_strip or self.finish is None)

    def room(self, rows: Index, on_stack: bool) -> ir.Value | None:
        """Memory for the sums of ``rows`` rows and one panel, where it may be needed: once per task."""
        if self.adds_in_place and self.is_whole:
            return None
        if not on_stack:
            return b.alloc([b.add(rows, self.spare_rows), self.lanes], self.element)
        type_ = ir.MemRefType.get([rows + self.spare_rows, self.lanes], self.element)
        return memref.alloca(type_, [], [], alignment=64)

    @property
    def spare_rows(self) -> int:
        """Rows that the last tile may have too many."""
        return max(self.tile.variant.rows, self.narrow.variant.rows)

    @property
    def is_whole(self) -> bool:
        """Every panel is known to be full."""
        return self.cols.whole(self.lanes)

    def pack(self, panel: Unpacked, first_col: Index, sums: ir.Value | None) -> None:
        """The first register tile of rows with a whole panel that it packs; in place."""
        self._tile_in_place(self.tile, panel, (0, first_col), 0, self.span, sums, None)

    def run(
        self,
        panel: Panel,
        first_col: Index,
        chunk: Index,
        chunk_rows: int,
        sums: ir.Value | None,
        done: Index = 0,
    ) -> None:
        """One chunk of rows but for the first ``done`` with one panel; ``sums`` is from :meth:`room`."""
        first_row = b.mul(chunk, chunk_rows)
        count = b.minimum(chunk_rows, b.sub(self.rows.count, first_row))
        width = b.minimum(self.lanes, b.sub(self.cols.count, first_col))
        corner, extent = (first_row, first_col), (count, width)
        if not self.in_place:
            self._through_tile(self.tile, panel, corner, extent, sums)
        elif self.is_whole:
            self.run_whole(panel, corner, count, sums, done)
        elif isinstance(self.cols.count, int) and self.cols.count < self.lanes:
            self._through_tile(self.narrow, panel, corner, extent, sums)
        else:
            b.if_else(
                arith.cmpi(arith.CmpIPredicate.eq, b.value(width), b.value(self.lanes)),
                lambda: self.run_whole(panel, corner, count, sums, done),
                lambda: self._through_tile(self.narrow, panel, corner, extent, sums),
            )

    def run_whole(
        self, panel: Panel | InSource, corner: tuple[Index, Index], count: Index, sums: ir.Value | None, done: Index
    ) -> None:
        """Some rows of a chunk with a whole panel."""
        first_row, first_col = corner

        def some_rows(tile: DenseTile, u: Index, span: tuple[Index, Index]) -> None:
            besides = self._besides(panel, b.add(first_row, u), done, first_col)
            self._tile_in_place(tile, panel, corner, u, span, sums, besides)

        self._strips(self.tile, count, some_rows, done, self.tile.low)

    def _tile_in_place(
        self,
        tile: DenseTile,
        panel: Panel | InSource,
        corner: tuple[Index, Index],
        u: Index,
        span: tuple[Index, Index],
        sums: ir.Value | None,
        besides: Meanwhile | None,
    ) -> None:
        """The register tile of the rows from ``u`` on of a chunk; its results are finished behind the last strip."""
        first_row, first_col = corner
        kept = self.out if self.adds_in_place else sums
        positions = tile.positions(b.add(first_row, u))
        rows, places = self._left_rows(positions, first_row), self._places(tile, positions, first_col)
        tile.expect(self.out, places, self.reds, self._is_last(span) if self.block else None)
        if isinstance(span[0], int) and span[1] is self.reds:
            self._finish(tile.multiply(rows, panel, 0, span, tile.zeros(), besides), places)
            return
        parts = places if kept is self.out else self._places_of_sums(tile, u, 0)
        accs = self._started(tile, span[0], self.fresh or kept is sums, kept, parts)
        accs = tile.multiply(rows, panel, 0, span, accs, besides)
        if kept is self.out:
            _store(accs, kept, parts)
        else:
            b.if_else(self._is_last(span), lambda: self._finish(accs, places), lambda: _store(accs, kept, parts))

    def _is_last(self, span: tuple[Index, Index]) -> ir.Value:
        return arith.cmpi(arith.CmpIPredicate.eq, b.value(span[1]), b.value(self.reds))

    def _places(self, tile: DenseTile, positions: list[Index], first_col: Index) -> _Places:
        """Of the accumulators of rows at ``positions`` in ``out``."""
        return tile.places([(self.rows.at(p), b.add(self.cols.first, first_col)) for p in positions])

    def _left_rows(self, positions: list[Index], first_row: Index) -> list[Index]:
        """What the positions of rows in a chunk are in ``lhs``."""
        return [b.sub(p, first_row) if self.by_chunk else self.rows.at(p) for p in positions]

    def _besides(self, panel: Panel | InSource, row: Index, done: Index, first_col: Index) -> Meanwhile | None:
        """What unrolled blocks of the register tile from position ``row`` on do about memory while they multiply."""
        (lo, hi), unrolled = self.span, self.tile.unrolled
        height, does = self.tile.variant.rows, list[Meanwhile]()
        tile, blocks = b.ceildiv(b.sub(row, done), height), b.div(b.sub(hi, lo), unrolled)
        if self.ahead is not None:
            does.append(self.ahead.fetch(tile, blocks, b.add(self.cols.first, first_col)))
        if self.following is not None and isinstance(panel, Panel):
            # What asks for what is packed here, or behind it: the core has room for few lines.
            does = [self.following.pack(panel.panels, first_col, tile, blocks, *does)]
        if self.spread is not None:
            does.append(self.spread.store(first_col, b.ceildiv(row, height)))

        def block(number: Index) -> None:
            for each in does:
                each(b.sub(number, b.div(lo, unrolled)))

        return block if does else None

    def besides_packing(self, first_col: Index) -> Meanwhile | None:
        """What the tile that packs does about memory at every contracted position."""
        if not isinstance(self.ahead, NextBlock):
            return None
        return self.ahead.pack(b.add(self.cols.first, first_col))

    def _finish(self, accs: list[ir.Value], places: _Places) -> None:
        """Store what becomes of finished sums; all are made before any is stored, for rows may be there twice."""
        _store([self.transform(acc, place) for acc, place in zip(accs, places)], self.out, places)

    def _places_of_sums(self, tile: DenseTile, first: Index, column: Index) -> _Places:
        return tile.places([(b.add(first, i), column) for i in range(tile.variant.rows)])

    def _through_tile(
        self, tile: DenseTile, panel: Panel, corner: tuple[Index, Index], extent: tuple[Index, Index], sums
    ) -> None:
        first_row, (count, width) = corner[0], extent

        def some_rows(u: Index, column: Index, span: tuple[Index, Index]) -> None:
            where = self._places_of_sums(tile, u, column)
            accs = tile.zeros() if self.is_one_strip else self._started(tile, span[0], True, sums, where)
            rows = self._left_rows(tile.positions(b.add(first_row, u)), first_row)
            _store(tile.multiply(rows, panel, column, span, accs), sums, where)

        def columns(column: Index) -> None:
            self._strips(tile, count, lambda _, u, span: some_rows(u, column, span))

        b.for_loop(0, self.lanes if tile is self.tile else width, columns, step=tile.variant.lanes)
        out, step = (self.out, self.out_transposed), self._write_step

        def write() -> None:
            write_tile(sums, *out, corner, extent, self.transform, step, self.rows, self.cols)

        b.only_if(self._is_last(self.block) if self.block else None, write)

    @property
    def _write_step(self) -> int:
        return self.lanes if self.finish is None else 2 * tile_width(self.element)

    def _strips(self, tile: DenseTile, count: Index, some_rows, done: Index = 0, low: DenseTile | None = None) -> None:
        """``some_rows(tile, first, span)`` for rows ``done`` to ``count``, a strip at a time; ``low``: see its tile."""
        (begin, end), last = self.span, count
        if low:
            last = b.maximum(b.sub(count, tile.low_rows(count, low)), done)

        def one_strip(lo: Index) -> None:
            span = self.span if self.is_one_strip else (lo, b.minimum(b.add(lo, self.strip), end))
            b.for_loop(done, last, lambda u: some_rows(tile, u, span), step=tile.variant.rows)
            if low:
                b.for_loop(last, count, lambda u: some_rows(low, u, span), step=low.variant.rows)

        if self.is_one_strip:
            one_strip(0)
        else:
            b.for_loop(begin, b.maximum(end, 1), one_strip, step=self.strip)

    def _started(self, tile: DenseTile, lo: Index, fresh: bool, results: ir.Value, where) -> list[ir.Value]:
        """Accumulators before the strip from ``lo`` on: zero before the first when ``fresh``, else what is stored."""

        def stored() -> list[ir.Value]:
            return [vector.load(type_, results, at) for type_, at in zip(tile.types, where)]

        if not fresh:
            return stored()
        first = arith.cmpi(arith.CmpIPredicate.eq, b.value(lo), b.value(0))
        return b.if_else(first, tile.zeros, stored, tile.types)


def _store(values: list[ir.Value], memory: ir.Value, places: _Places) -> None:
    for value, place in zip(values, places):
        vector.store(value, memory, place)
