"""The keys a block of queries meets, as an index stream: an interval, listed blocks of it, global tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, ir

from .. import builder as b
from ..builder import Index
from .operands import load, load_signed, store
from .queries import QueryBlock, Span
from .sizes import shared_row


@dataclasses.dataclass(frozen=True)
class KeyStream:
    """Positions of keys.

    Attributes:
        listed: the positions; None for those from ``first`` on, one after the other.
        count: how many.
    """

    listed: ir.Value | None
    first: Index
    count: Index

    def at(self, u: Index) -> ir.Value:
        """Position of entry ``u``."""
        if self.listed is None:
            return b.value(b.add(self.first, u))
        return load_signed(self.listed, [u])


@dataclasses.dataclass(frozen=True)
class BlockLists:
    """Blocks of a pattern by block of queries: entries ``bounds[r]`` up to ``bounds[r + 1]`` of ``columns``."""

    bounds: ir.Value
    columns: ir.Value


def interval_stream(span: Span) -> KeyStream:
    """All keys from the first to the last that a query sees."""
    end = b.maximum(span.end, span.first)
    return KeyStream(None, span.first, b.sub(end, span.first))


def block_stream(block: QueryBlock, span: Span, lists: BlockLists, row: Index) -> KeyStream:
    """The keys of ``span`` in the blocks listed for ``row``, without global tokens (:func:`token_stream`)."""
    writer = _Writer(block, _room(block.operands.keys))
    width = block.operands.granularity[1]

    def one(entry: ir.Value, count: ir.Value) -> list[ir.Value]:
        start = b.mul(load_signed(lists.columns, [entry]), width)
        first, end = b.maximum(start, span.first), b.minimum(b.add(start, width), span.end)
        return [writer.interval(first, end, count)]

    lo, hi = (load(lists.bounds, [b.value(b.add(row, i))]) for i in (0, 1))
    (count,) = b.for_loop(lo, hi, one, [b.value(0)])
    return KeyStream(writer.room, 0, count)


def token_stream(block: QueryBlock, span: Span, tokens: ir.Value) -> KeyStream:
    """The global tokens that some query of the block reaches."""
    return _Writer(block, _room(b.dim_size(tokens, 1))).tokens(span, tokens)


def _room(count: Index) -> ir.Value:
    """Memory for positions; one more is written than is kept."""
    return b.alloc([b.add(count, 1)], ir.IntegerType.get_signless(32))


@dataclasses.dataclass(frozen=True)
class _Writer:
    """Appends positions to a list. The next one is always stored, and kept when it counts: no branch."""

    block: QueryBlock
    room: ir.Value

    def interval(self, first: Index, end: Index, count: ir.Value) -> ir.Value:
        """Append all but global tokens of an interval; returns the new count."""
        flags = self.block.flags
        row = None if flags is None else b.value(shared_row(flags, self.block.batch))

        def one(j: ir.Value, n: ir.Value) -> list[ir.Value]:
            if flags is None:
                return [self._append(j, n, None)]
            flag = load(flags, [row, j])
            return [self._append(j, n, arith.cmpi(arith.CmpIPredicate.eq, flag, b.zero_of(flag.type)))]

        return b.for_loop(first, end, one, [count])[0]

    def tokens(self, span: Span, tokens: ir.Value) -> KeyStream:
        """The stream of the global tokens in reach."""
        row = b.value(shared_row(tokens, self.block.batch))

        def one(t: ir.Value, n: ir.Value) -> list[ir.Value]:
            named = load_signed(tokens, [row, t])
            after = arith.cmpi(arith.CmpIPredicate.uge, named, span.reach_first)
            return [self._append(named, n, arith.andi(after, b.less(named, span.reach_end)))]

        (count,) = b.for_loop(0, b.dim_size(tokens, 1), one, [b.value(0)])
        return KeyStream(self.room, 0, count)

    def _append(self, position: ir.Value, count: ir.Value, keep: ir.Value | None) -> ir.Value:
        store(arith.index_cast(ir.IntegerType.get_signless(32), position), self.room, [count])
        one = b.value(1) if keep is None else arith.index_castui(ir.IndexType.get(), keep)
        return arith.addi(count, one)


def flag_tokens(tokens: ir.Value, length: Index) -> ir.Value:
    """``(batch or 1, length)`` bytes: 1 where a position is a global token."""
    i8 = ir.IntegerType.get_signless(8)
    rows, count = b.dim_size(tokens, 0), b.dim_size(tokens, 1)
    flags = b.alloc([rows, length], i8)
    zero, one = arith.constant(i8, 0), arith.constant(i8, 1)
    b.for_loop(0, rows, lambda r: b.for_loop(0, length, lambda j: store(zero, flags, [r, j])))

    def mark(r: ir.Value, t: ir.Value) -> None:
        named = load_signed(tokens, [r, t])

        def flag() -> None:
            store(one, flags, [r, named])

        b.only_if(b.less(named, length), flag)

    b.for_loop(0, rows, lambda r: b.for_loop(0, count, lambda t: mark(r, t)))
    return flags


def sort_blocks(blocks: ir.Value, rows: Index) -> BlockLists:
    """The coordinates ``blocks`` of a pattern by their row, in the order of the pattern (counting sort).

    Blocks past the last row are left out; those past the last key are empty intervals.
    """
    count = b.dim_size(blocks, 0)
    index = ir.IndexType.get()
    bounds = b.alloc([b.add(rows, 2)], index)
    columns = b.alloc([count], blocks.type.element_type)
    zero, one = b.value(0), b.value(1)
    b.for_loop(0, b.add(rows, 2), lambda r: store(zero, bounds, [r]))

    def each(visit: Callable[[ir.Value, ir.Value], None]) -> None:
        def entry(p: ir.Value) -> None:
            row = load_signed(blocks, [p, 0])
            b.only_if(b.less(row, rows), lambda: visit(p, row))

        b.for_loop(0, count, entry)

    def bump(at: ir.Value) -> ir.Value:
        old = load(bounds, [at])
        store(arith.addi(old, one), bounds, [at])
        return old

    def tally(_, row: ir.Value) -> None:
        bump(arith.addi(row, b.value(2)))

    def total(r: ir.Value) -> None:
        before, own = load(bounds, [b.sub(r, 1)]), load(bounds, [r])
        store(arith.addi(before, own), bounds, [r])

    def place(p: ir.Value, row: ir.Value) -> None:
        column = load(blocks, [p, 1])
        store(column, columns, [bump(arith.addi(row, one))])

    each(tally)
    b.for_loop(2, b.add(rows, 2), total)
    each(place)
    return BlockLists(bounds, columns)
