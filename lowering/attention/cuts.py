"""Where blocks of queries end: not across sequences that share no key."""

from __future__ import annotations

import dataclasses

from pith._mlir import arith, ir

from .. import builder as b
from ..builder import Index
from .operands import Blocking, Operands, load, load_signed, store
from .sizes import shared_row

#: Keys that two neighbours without a common key see together, from which on they are better off in two blocks: a
#: block costs what about 14 more keys would (D = 32 and 64, f32, Zen 3, 2026-11).
WORTH_CUTTING = 32


@dataclasses.dataclass(frozen=True)
class Cuts:
    """Blocks of queries per sequence of the batch, or for all.

    Attributes:
        starts: ``(batch or 1, queries + 1)`` of i32: first query of every block, then where the last ends.
        counts: ``(batch or 1,)``: how many blocks.
        most: the largest of those.
    """

    starts: ir.Value
    counts: ir.Value
    most: ir.Value

    def extent(self, batch: ir.Value, number: Index) -> tuple[ir.Value, ir.Value]:
        """Queries of block ``number`` of a sequence: none past its last block."""
        row = b.value(shared_row(self.counts, batch))
        exists = b.less(number, load(self.counts, [row]))
        safe = arith.select(exists, b.value(number), b.value(0))
        first = load_signed(self.starts, [row, safe])
        return first, arith.select(exists, load_signed(self.starts, [row, b.add(safe, 1)]), first)


def cut_queries(o: Operands, blocking: Blocking) -> Cuts:
    """Blocks of up to ``blocking.queries`` queries. Reads the intervals once."""
    i32, index = ir.IntegerType.get_signless(32), ir.IndexType.get()
    rows, zero = b.dim_size(o.intervals, 0), b.value(0)
    starts = b.alloc([rows, b.add(o.queries, 1)], i32)
    counts = b.alloc([rows], index)

    def note(row: ir.Value, block: ir.Value, query: Index) -> None:
        store(arith.index_cast(i32, b.value(query)), starts, [row, block])

    def one_row(number: Index, most: ir.Value) -> list[ir.Value]:
        row = b.value(number)  # a number where the batch is known to be one

        def query(i: ir.Value, blocks: ir.Value, size: ir.Value, end: ir.Value, seen: ir.Value) -> list[ir.Value]:
            lo, hi = o.interval(o.intervals, row, i)
            width = arith.subi(arith.maxui(hi, lo), lo)
            apart = arith.andi(
                arith.cmpi(arith.CmpIPredicate.uge, lo, end),
                arith.cmpi(arith.CmpIPredicate.uge, arith.addi(width, seen), b.value(WORTH_CUTTING)),
            )
            full = arith.cmpi(arith.CmpIPredicate.eq, size, b.value(blocking.queries))
            cut = arith.ori(arith.ori(full, apart), arith.cmpi(arith.CmpIPredicate.eq, b.value(i), zero))
            note(row, blocks, i)  # kept when a block starts here
            size = arith.select(cut, b.value(1), arith.addi(size, b.value(1)))
            return [arith.addi(blocks, arith.index_castui(index, cut)), size, hi, width]

        count = b.for_loop(0, o.queries, query, [zero] * 4)[0]
        note(row, count, o.queries)
        store(count, counts, [row])
        return [arith.maxui(most, count)]

    (most,) = b.for_loop(0, rows, one_row, [zero])
    return Cuts(starts, counts, most)
