"""Into how many parts the rows of a product are cut, so that all threads have as much to do."""

from pith._mlir import arith

from .. import builder as b
from ..builder import Index

#: Numbers of parts that are weighed, per thread.
PARTS_PER_THREAD = 2


def part_rows(rows: Index, tasks: Index, packing: Index, step: int) -> Index:
    """Rows of a part, a multiple of ``step`` or all of them.

    A part of the rows is a task for each of ``tasks`` groups of columns, and packs panels for itself, which takes as
    long as ``packing`` rows. Threads take tasks in equal numbers, so the slowest takes
    ``ceil(tasks * parts / threads) * (rows / parts + packing)``: least of that decides. One thread has one part.
    """
    if isinstance(rows, int) and rows <= step:
        return max(rows, 1)
    threads, rows = b.thread_count(), b.maximum(rows, 1)

    def size(parts: Index) -> Index:
        return b.mul(b.ceildiv(rows, b.mul(parts, step)), step)

    def weigh(parts: Index, best: Index, least: Index) -> list:
        part = size(parts)
        slowest = b.mul(b.ceildiv(b.mul(tasks, parts), threads), b.add(part, packing))
        better = b.less(slowest, least)
        return [arith.select(better, b.value(part), best), arith.select(better, b.value(slowest), least)]

    most = b.add(b.mul(threads, PARTS_PER_THREAD), 1)
    return b.for_loop(1, most, weigh, [b.value(size(1)), b.value(1 << 62)], rolled=True)[0]


def chunk_rows(rows: Index, least: int, most: int, step: int) -> Index:
    """Rows of a task, a multiple of ``step``: as many as ``most`` allows if all threads get as many tasks.

    ``least`` and ``most`` are multiples of ``step``; with fewer rows than ``least``, a task costs more than its rows.
    """
    threads = b.thread_count()
    parts = b.mul(b.ceildiv(b.ceildiv(b.maximum(rows, 1), most), threads), threads)
    even = b.mul(b.ceildiv(b.ceildiv(rows, parts), step), step)
    return b.maximum(b.minimum(even, most), least)
