"""Products of dense matrices, whole or along lists of rows, columns, contracted coordinates: panels, tiles, streams.

Code it emits for ``out[outer, row, col] += lhs[outer, row, red] * rhs[outer, red, col]``::

    scf.parallel (thread, group of columns at a point of outer loops that index out, or part of its rows: parts.py)
      for outer loops that are summed over  (then some groups are one task: for each of them)
        pack rhs[listed reds, listed columns of the group] into panels
        for each chunk of the part's listed rows
          for each panel: register tiles, their rows read and written where the list says

Only panels are copied, as long as the list is; dense operands are read and written through it. A task packs what it
multiplies with, which costs about as much as four rows do (``parts.py``), or lets its first tile of rows pack it
(``pack_along.py``), or those that meet the panel before (``pack_ahead.py``); of a few rows a block of contracted
coordinates at a time (``cut.py``); fewer meet what is not packed (``few_rows.py``, ``few_dots.py``). What sticks out
on the right, outputs stored by columns and epilogues behind
several strips go through a tile in memory.
"""

from collections.abc import Sequence
from typing import Any

from pith._mlir import arith, ir

from ... import builder as b
from ...builder import Index
from ...transpose import Transform
from ..arithmetic import bytes_of
from ..loops import Point
from ..parts import Shares, split_index
from ..walk import Walk
from ..write import added_to, clear_columns
from .blocking import LISTED_PACKING_ROWS, PACKING_ROWS, most_panels
from .compact import copy_left
from .firsts import Firsts
from .listed_task import ListedTask, Span


class ListedEmitter(ListedTask):
    """The loops around the tasks; :meth:`emit` emits them at the insertion point. Arguments: :class:`ListedTask`.

    Args:
        adds: what ``finish_at`` makes is added to what the output holds.
    """

    firsts: Firsts | None = None

    def __init__(self, *args: Any, adds: bool = False, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.adds = adds

    def emit(self) -> None:
        self.compact = copy_left(self.c, self.lhs, self.rhs.size(self.c.red), self.loops, self.element)
        self._emit_tasks()

    def _panels_per_task(self) -> Index:
        """As many as stay in L2, within bounds."""
        most = most_panels(self.rhs.size(self.c.red), self.lanes, bytes_of(self.element), self.l2_bytes)
        panels = b.maximum(b.ceildiv(self.loops.most_cols, self.lanes), 1)
        packed = b.ceildiv(panels, b.ceildiv(panels, most))
        if (cut := self.cut) and not self.summed:
            wide = b.minimum(b.ceildiv(panels, b.thread_count()), cut.panels)
            packed = cut.choose(self.loops.most_rows, wide, packed)
        ahead = None if self.summed else self._packs_ahead(self.loops.most_rows)
        if ahead is not None:
            packed = arith.select(ahead, b.value(b.ceildiv(panels, b.thread_count())), b.value(packed))
        if not self.may_be_few:
            return packed
        few = b.less(self.loops.most_rows, self.few + 1)
        return arith.select(few, b.ceildiv(panels, b.thread_count()), b.value(packed))

    def _emit_tasks(self) -> None:
        loops = self.loops
        self.group = self._panels_per_task()
        sizes = [loops.outer[d].count for d in self.shared]
        groups = b.ceildiv(loops.most_cols, b.mul(self.group, self.lanes))
        rows, step = b.maximum(loops.most_rows, 1), min(self.chunk, self.variant.rows)
        if self.summed or (isinstance(rows, int) and rows <= step):
            some = self._groups_per_task(groups)

            def task(*at: ir.Value) -> None:
                span = (first := b.mul(at[-1], some), b.minimum(b.add(first, some), groups))
                self._task(at[:-1], 0, rows, span)

            b.parallel_loop([*sizes, b.ceildiv(groups, some)], task, work=self._work())
            return

        def part(number: Index, first: Index, most: Index) -> None:
            *at, group = split_index(number, [*sizes, groups])
            self._task(at, first, most, (group, b.add(group, 1)))

        count = b.product([*sizes, groups])
        shares = Shares.of(rows, count, self._packing_rows(), step, None if sizes else self._last_group(groups))
        shares.visit(part, work=self._work())

    def _last_group(self, groups: Index) -> tuple[Index, Index]:
        """Vectors of columns that the last group has, and that each other one has."""
        full = b.mul(self.group, self.lanes // self.vector)
        vectors = b.ceildiv(self.loops.most_cols, self.vector)
        return b.sub(vectors, b.mul(b.sub(groups, 1), full)), full

    def _packing_rows(self) -> Index:
        """Positions of the walk over rows that take as long as packing the panels does."""
        return LISTED_PACKING_ROWS if self.loops.lists_cols else PACKING_ROWS

    def _groups_per_task(self, groups: Index) -> Index:
        """Groups of columns that a task walks for every point of the loops that it sums over: neighbours lie in the
        same pages, and one at a time 64 experts of 512x1024 f32 take 15 % longer (2026-11-21)."""
        return b.maximum(b.ceildiv(groups, b.thread_count()), 1) if self.summed else 1

    def _work(self) -> Index:
        """About how many vector operations there are."""
        loops = self.loops
        sizes = [*(w.count for w in loops.outer.values()), loops.most_rows, loops.most_cols, self.rhs.size(self.c.red)]
        return b.div(b.product(sizes), self.vector)

    def _task(self, at: Sequence[Index], first: Index, most: Index, groups: Span) -> None:
        point = {d: self.loops.outer[d].at(i) for d, i in zip(self.shared, at)}
        if self.clears:
            out = self.out.matrix(point, self.c.row, self.c.col)
            rows, cols = self.out.size(self.c.row), self.out.size(self.c.col)
            lo, hi = (b.minimum(b.product([g, self.group, self.lanes]), cols) for g in groups)
            self._clear(point, out, rows, (lo, hi))
        self._sum(self.summed, point, first, most, groups)

    def _clear(self, point: Point, out: ir.Value, rows: Index, cols: Span) -> None:
        """Zero some columns of the output, or of what no list names where lists tell which of them come first."""
        loops, transposed = self.loops, self.c.out_transposed
        if not set(loops.row_loops) & set(self.summed):
            clear_columns(out, transposed, rows, cols, self.vector)
            return
        operands = [self.lhs if d in self.lhs.dims else self.rhs for d in self.summed]
        sizes = {d: operand.size(d) for d, operand in zip(self.summed, operands)}
        self.firsts = Firsts.find(rows, {d: loops.outer[d] for d in self.summed}, sizes, point, loops.rows)
        self.firsts.clear_others(out, transposed, rows, cols, self.vector)

    def _finish(self, point: Point, out: ir.Value) -> Transform | None:
        finish = super()._finish(point, out)
        if self.firsts is not None:
            return self.firsts.added(finish, point, out, self.c.out_transposed)
        if finish is None or not self.adds:
            return finish
        return lambda value, at: added_to(out)(finish(value, at), at)

    def _sum(self, summed: Sequence[int], point: Point, first: Index, most: Index, groups: tuple[Index, Index]) -> None:
        """The loops that tasks run themselves, because they add to the same output, then the product."""
        if summed:
            loop, *rest = summed
            walk = self.loops.outer[loop]
            b.for_loop(0, walk.count, lambda i: self._sum(rest, {**point, loop: walk.at(i)}, first, most, groups))
            return
        rows = self.loops.rows(point).part(first, most)
        b.only_if(b.less(0, rows.count), lambda: self._multiply_groups(point, rows, groups))

    def _multiply_groups(self, point: Point, rows: Walk, groups: Span) -> None:
        """The product with the panels of a task."""
        cols = self.loops.cols(point)
        if not self.summed:
            members = self.members(groups[0], cols)
            self._multiply(point, rows, (members, members))
            return
        first, last = (self.members(g, cols)[0] for g in groups)
        cut = self.cut
        width = cut.choose(rows.count, cut.panels, self.group) if cut else self.group
        if (ahead := self._packs_ahead(rows.count)) is not None:
            width = arith.select(ahead, b.value(b.maximum(b.sub(last, first), 1)), b.value(width))

        def some(panel: Index) -> None:
            self._multiply(point, rows, ((panel, b.minimum(b.add(panel, width), last)), (first, last)))

        b.for_loop(first, last, some, step=width)

    def members(self, group: Index, cols: Walk) -> tuple[Index, Index]:
        """The panels of a group of columns: the first, and one past the last."""
        panels = b.ceildiv(cols.count, self.lanes)
        first = b.minimum(b.mul(group, self.group), panels)
        return first, b.minimum(b.add(first, self.group), panels)
