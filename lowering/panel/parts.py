"""Into how many tasks the rows of a product are cut, so that all threads have as much to do."""

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import arith, ir

from .. import builder as b
from ..builder import Index

#: Numbers of parts that are weighed, per thread.
PARTS_PER_THREAD = 2


@dataclasses.dataclass(frozen=True)
class Shares:
    """What each thread does of a product: equal numbers of whole groups of columns, then parts of those left over.

    A part is some rows of a group. On two threads of three groups each takes one, and half of the rows of the third.
    Against parts of every group, and none, f32, 3x3 windows, two threads (Zen 4, 2026-11): 128 channels of 28x28 1.30
    to 1.12 ms, 64 of 56x56 1.23 to 1.14, with a stride of two 0.69 to 0.59, 256 of 14x14 1.46 to 1.19.

    Attributes:
        threads: that there are.
        whole: groups that a thread takes with all their ``rows``.
        left: groups left over, behind them.
        part: rows of a part, all of them where that is best.
    """

    threads: Index
    whole: Index
    left: Index
    rows: Index
    part: Index

    @classmethod
    def of(
        cls, rows: Index, groups: Index, packing: Index, step: int, last: tuple[Index, Index] | None = None
    ) -> "Shares":
        """The shares whose longest is shortest.

        A part packs panels for itself, which takes as long as ``packing`` rows, and has a multiple of ``step`` rows.
        Threads take parts in equal numbers, so the slowest takes ``ceil(left * parts / threads) * (rows / parts +
        packing)`` with them: least of that decides. Where no group is left over, but the last is only ``last[0]`` of
        ``last[1]`` columns wide, half or less, and threads gain by that, all take a part of each of as many groups as
        they are.
        """
        threads, rows = b.thread_count(), b.maximum(rows, 1)
        whole = b.div(groups, threads)
        left = b.sub(groups, b.mul(whole, threads))

        def size(parts: Index) -> Index:
            return b.mul(b.ceildiv(rows, b.mul(parts, step)), step)

        def weigh(parts: Index, best: Index, least: Index) -> list:
            part = size(parts)
            slowest = b.mul(b.ceildiv(b.mul(left, parts), threads), b.add(part, packing))
            better = b.less(slowest, least)
            return [arith.select(better, b.value(part), best), arith.select(better, b.value(slowest), least)]

        most = b.add(b.mul(threads, PARTS_PER_THREAD), 1)
        part = b.for_loop(1, most, weigh, [b.value(size(1)), b.value(1 << 62)], rolled=True)[0]
        if last is None:
            return cls(threads, whole, left, rows, part)
        # Threads wait rows * (last[1] - last[0]) / threads less, and pack all groups but two more often, and the last.
        own, all_ = (b.mul(n, rows) for n in last)
        besides = b.mul(b.product([threads, packing]), b.add(b.mul(b.sub(b.maximum(threads, 2), 2), last[1]), last[0]))
        gains = arith.andi(b.less(b.add(own, b.maximum(own, besides)), b.add(all_, 1)), b.less(1, threads))
        even = arith.andi(arith.andi(b.less(left, 1), b.less(0, whole)), gains)
        pairs = (b.sub(whole, 1), whole), (threads, left), (size(threads), part)
        whole, left, part = (arith.select(even, *map(b.value, pair)) for pair in pairs)
        return cls(threads, whole, left, rows, part)

    def visit(self, task: Callable[[Index, Index, Index], None], work: Index) -> None:
        """Emit the parallel loop of ``task(group, first row, rows at most)``; ``work``: see the builder's.

        Parts are dealt forth and back: of two threads neither gets the first parts of all groups, which are longer
        where lists end early, nor both parts of the last group, which may be narrow.
        """
        parts = b.ceildiv(self.rows, self.part)
        pieces = b.mul(self.left, parts)
        each = b.ceildiv(pieces, self.threads)

        def run(thread: ir.Value, number: ir.Value) -> None:
            is_whole, turn = b.less(number, self.whole), b.sub(number, self.whole)
            back = b.sub(b.sub(self.threads, 1), thread)
            place = arith.select(b.less(b.mod(turn, 2), 1), thread, b.value(back))
            piece = b.add(b.mul(turn, self.threads), place)
            first = b.mul(b.mod(piece, parts), self.part)
            group = b.add(b.mul(self.whole, self.threads), b.div(piece, parts))
            of_whole = b.add(b.mul(thread, self.whole), number)
            pairs = (of_whole, group), (0, first), (self.rows, self.part)
            chosen = [arith.select(is_whole, *map(b.value, pair)) for pair in pairs]
            b.only_if(arith.ori(is_whole, b.less(piece, pieces)), lambda: task(*chosen))

        b.parallel_loop([self.threads, b.add(self.whole, each)], run, work)


def split_index(index: Index, sizes: Sequence[Index]) -> list[Index]:
    """The places in loops of ``sizes`` at the ``index``-th point of all of them; the first loop's may be larger."""
    out: list[Index] = []
    for size in reversed(sizes[1:]):
        out.insert(0, b.mod(index, size))
        index = b.div(index, size)
    return [index, *out]


def chunk_rows(rows: Index, least: int, most: int, step: int) -> Index:
    """Rows of a task, a multiple of ``step``: as many as ``most`` allows if all threads get as many tasks.

    ``least`` and ``most`` are multiples of ``step``; with fewer rows than ``least``, a task costs more than its rows.
    """
    threads = b.thread_count()
    parts = b.mul(b.ceildiv(b.ceildiv(b.maximum(rows, 1), most), threads), threads)
    even = b.mul(b.ceildiv(b.ceildiv(rows, parts), step), step)
    return b.maximum(b.minimum(even, most), least)
