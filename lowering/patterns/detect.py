"""``pith.detect`` and ``pith.detect_by`` on a CPU: flag elements as bits, list the cells that hold any.

One pass over the tensor, in parallel over chunks of cells. Cells of few elements along rows are flagged
for whole pieces of rows (a bit per element, in a buffer of constant size) and then listed; a cell of many
is searched until something is found.
"""

from __future__ import annotations

import dataclasses

from pith._mlir import arith, ir, memref
from pith.dialect.fields import read_bool, read_i64s
from pith.dialect.ops_detect import BUFFER, DETERMINISTIC, UNSIGNED
from pith.dialect.pattern import PatternShape

from .. import builder as b
from ..builder import Index
from ..storage.tree import buffer_of
from .collect import CHUNK_CELLS, Chunks, Out, Pieces, collect
from .detect_view import View
from .presence import WORD, Presence, integer, limit_of, limits_of, require_testable
from .scan import Cells, flag_row, is_set, search_row, word_of

#: Elements a chunk tests: a few microseconds, worth reserving room in the list once (10 to 100 ns).
_CHUNK_ELEMENTS = 1 << 16

#: Cells of so many elements along a row are searched one by one: the search can stop early.
_LONG = 256

#: Cells of one row and a multiple of so many elements are tested as they are read, without a branch. Where elements
#: are flagged first and cells listed after that, memory waits meanwhile: 4096x4096 f32 at 1x32 in 1.13 (half of the
#: cells empty: 1.30) in place of 1.39 (1.56) times of reading it (one thread, 2026-11-22, AVX2).
_TESTED = 32

#: Elements of a row that are flagged at once: at least some cache lines, at most what 4 KB of bits hold.
_PIECE = (512, 1 << 15)

#: What reads a list and hands it to nobody.
_READERS = ("bufferization.to_buffer", "pith.pit_tile", "pith.sread", "pith.swrite", "tensor.dim", "tensor.extract")

#: With fewer rows of cells than this, rows are cut to the smaller pieces, for threads to share. Whole rows are read
#: at 0.8 times the time of halves (32x32 cells of 4096x4096 f32, 2026-11-21).
_FEW = 16


def lower_detect(op: ir.OpView, shape: PatternShape) -> ir.Value:
    """The micro-tiles of ``op`` that hold anything, as a list (:func:`pith.dialect.coordinates_type`)."""
    source, element = op.source, op.source.type.element_type
    require_testable(op, element)
    threshold, channel = _threshold(op)
    axes = read_i64s(op, "axes")
    view = View.of(buffer_of(source), axes, shape.granularity, channel)
    detection = Detection(view, Presence(view.source, threshold, channel, not _flag(op, UNSIGNED)))
    attributes = op.operation.attributes
    declared = attributes[BUFFER].to_buffer() if BUFFER in attributes else None
    return collect(detection.chunks(), len(axes), _flag(op, DETERMINISTIC), declared, not _is_only_read(op.result))


def _is_only_read(pattern: ir.Value) -> bool:
    """Whether nothing but ops of its function look at a pattern: it is gone when that returns."""
    users = [use.owner.operation for use in pattern.uses]
    return all(
        _is_only_read(user.results[0]) if user.name == "pith.coordinates" else user.name in _READERS for user in users
    )


def _threshold(op: ir.OpView) -> tuple[ir.Value, int | None]:
    """What magnitudes must exceed, and the dimension it follows."""
    element = op.source.type.element_type
    if op.operation.name == "pith.detect":
        return limit_of(arith.constant(ir.F64Type.get(), op.threshold.value), element), None
    if isinstance(op.threshold.type, ir.F64Type):
        return limit_of(op.threshold, element), None
    return limits_of(op.threshold, element), read_i64s(op, "channel")[0]


def _flag(op: ir.OpView, name: str) -> bool:
    return name in op.operation.attributes and read_bool(op, name)


@dataclasses.dataclass(frozen=True)
class Detection:
    """Lists the cells of ``view`` in which ``presence`` finds anything."""

    view: View
    presence: Presence

    @property
    def short(self) -> int | None:
        """Elements of a cell along a row, where that is known and small."""
        run = self.view.run
        return run if isinstance(run, int) and run < _LONG and self.view.split else None

    @property
    def tested(self) -> bool:
        """Whether cells are tested one by one, without a branch."""
        whole = self.short is not None and self.short % _TESTED == 0
        return whole and self.view.rows == 1 and not self.presence.limits_vary

    def chunks(self) -> Chunks:
        """The cells in chunks of about equal cost."""
        view = self.view
        outer = b.product([cells for _, cells in view.outer])
        most, least = CHUNK_CELLS, 1
        if self.short:
            most = min(CHUNK_CELLS, _PIECE[1] // self.short)
            least = _if_less(outer, _FEW, -(-_PIECE[0] // self.short), most)
        per_cell = b.maximum(b.mul(view.rows, view.run), 1)
        wanted = b.minimum(b.maximum(b.div(_CHUNK_ELEMENTS, per_cell), 1), most)
        pieces = Pieces(outer, view.columns, wanted, least)
        work = b.product([b.dim_size(view.source, d) for d in range(view.source.type.rank)])
        return pieces.chunks(work, self._list)

    def _list(self, rows: tuple[Index, Index], columns: tuple[Index, Index], out: Out) -> Index:
        """List cells of ``columns`` in the outer cells ``rows``; the number listed."""
        scratch = None
        if self.short and not self.tested:
            scratch = memref.alloca(ir.MemRefType.get([_PIECE[1] // WORD + 1], integer(WORD)), [], [])

        def visit(number: Index, listed: ir.Value) -> list[ir.Value]:
            cell = self.view.cell(number)
            if self.tested:
                return [self._test(cell, *columns, out, listed)]
            if scratch is None:
                return [self._search(cell, *columns, out, listed)]
            return [self._flag_and_list(cell, *columns, out, listed, scratch)]

        return b.for_loop(*rows, visit, [b.value(0)])[0]

    def _store(self, out: Out, entry: Index, cell: dict[int, Index], column: Index) -> None:
        out.store(entry, [cell.get(d, column) for d in self.view.place])

    def _test(self, cell: dict[int, Index], start: Index, end: Index, out: Out, listed: ir.Value) -> ir.Value:
        """Cells of some vectors in a row: each is stored as the next to be found, and counted if it holds anything."""
        run, size = self.short or 1, self.view.size
        whole = b.minimum(end, b.div(size, run))

        def count(c: Index, word: ir.Value, listed: ir.Value) -> list[ir.Value]:
            self._store(out, listed, cell, c)
            return [arith.addi(listed, arith.index_castui(ir.IndexType.get(), is_set(word)))]

        def in_row(row: list[Index], listed: ir.Value) -> list[ir.Value]:
            def full(c: Index, listed: ir.Value) -> list[ir.Value]:
                return count(c, self.presence.any([*row, b.mul(c, run)], run), listed)

            def partial(c: Index, listed: ir.Value) -> list[ir.Value]:
                return count(c, search_row(self.presence, row, b.mul(c, run), size, word_of(0)), listed)

            return b.for_loop(whole, end, partial, b.for_loop(start, whole, full, [listed]))

        return self.view.for_rows(cell, in_row, [listed])[0]

    def _flag_and_list(
        self, cell: dict[int, Index], start: Index, end: Index, out: Out, listed: ir.Value, words: ir.Value
    ) -> ir.Value:
        """Cells of few elements: a bit per element of the columns' piece of every row, then the set ones."""
        run = self.short or 1
        first = b.mul(start, run)
        count = b.sub(b.minimum(b.mul(end, run), self.view.size), first)
        cells = Cells(run, lambda c, n: self._store(out, n, cell, b.add(start, c)))
        number, several = b.ceildiv(count, WORD), self.view.rows != 1
        if several:
            b.for_loop(0, number, lambda w: memref.store(word_of(0), words, [b.value(w)]))
        self.view.for_rows(cell, lambda row: flag_row(self.presence, row, first, count, words, several))
        return cells.in_words(lambda w: memref.load(words, [b.value(w)]), 0, count, listed)

    def _search(self, cell: dict[int, Index], start: Index, end: Index, out: Out, listed: ir.Value) -> ir.Value:
        """Cells of many elements, one by one."""

        def column(c: Index, listed: ir.Value) -> list[ir.Value]:
            lo = b.mul(c, self.view.run)
            hi = b.minimum(b.add(lo, self.view.run), self.view.size)
            (word,) = self.view.for_rows(
                cell, lambda row, word: [search_row(self.presence, row, lo, hi, word)], [word_of(0)]
            )
            self._store(out, listed, cell, c)
            return [arith.addi(listed, arith.index_castui(ir.IndexType.get(), is_set(word)))]

        return b.for_loop(start, end, column, [listed])[0]


def _if_less(x: Index, bound: int, then: int, otherwise: int) -> Index:
    if isinstance(x, int):
        return then if x < bound else otherwise
    return arith.select(b.less(x, bound), b.value(then), b.value(otherwise))
