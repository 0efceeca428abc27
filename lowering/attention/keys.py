"""The keys a block of queries meets, as an index stream: an interval, listed blocks of it, global tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, ir, memref

from .. import builder as b
from ..builder import Index
from .operands import load_signed, shared_index
from .queries import QueryBlock, Span


@dataclasses.dataclass(frozen=True)
class KeyStream:
    """Positions of keys, those of global tokens last.

    Attributes:
        listed: the positions; None for those from ``first`` on, one after the other.
        count: of the positions the intervals are about.
        total: with global tokens.
        is_sorted: the first ``count`` positions ascend.
    """

    listed: ir.Value | None
    first: Index
    count: Index
    total: Index
    is_sorted: bool

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


def stream_of(block: QueryBlock, span: Span, lists: BlockLists | None, pattern_row: Index) -> KeyStream:
    """The keys that some query of ``block`` sees.

    Global tokens are left out of the intervals and listed after them, so each key occurs once.
    """
    o = block.operands
    if o.global_tokens is None and lists is None:
        return KeyStream(None, span.first, b.sub(b.value(b.maximum(span.end, span.first)), span.first), 0, True)
    i32 = ir.IntegerType.get_signless(32)
    room = memref.alloc(
        ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], i32), [b.value(b.add(o.keys, o.tokens))], []
    )
    writer = _Writer(block, room)
    everything = lambda: [writer.interval(span.first, span.end, b.value(0))]  # noqa: E731
    if lists is None:
        (count,) = everything()
    else:
        listed: Callable[[], list[ir.Value]] = lambda: [writer.blocks(span, lists, pattern_row)]  # noqa: E731
        if block.is_global is None:
            (count,) = listed()
        else:
            (count,) = b.if_else(block.is_global, everything, listed, [ir.IndexType.get()])
    total = count if o.global_tokens is None else writer.tokens(span, count)
    return KeyStream(room, 0, count, total, lists is None)


@dataclasses.dataclass(frozen=True)
class _Writer:
    """Appends positions to a list. The next one is always stored, and kept when it counts: no branch."""

    block: QueryBlock
    room: ir.Value

    def interval(self, first: Index, end: Index, count: ir.Value) -> ir.Value:
        """Append all but global tokens of an interval; returns the new count."""
        i32, index = ir.IntegerType.get_signless(32), ir.IndexType.get()
        flags = self.block.flags
        row = None if flags is None else b.value(shared_index(flags, self.block.batch))

        def one(j: ir.Value, n: ir.Value) -> list[ir.Value]:
            memref.store(arith.index_cast(i32, j), self.room, [n])
            if flags is None:
                return [arith.addi(n, b.value(1))]
            skipped = arith.index_castui(index, memref.load(flags, [row, j]))
            return [arith.addi(n, arith.subi(b.value(1), skipped))]

        return b.for_loop(first, end, one, [count])[0]

    def blocks(self, span: Span, lists: BlockLists, row: Index) -> ir.Value:
        """Append what the listed blocks and ``span`` share."""
        width = self.block.operands.granularity[1]

        def one(entry: ir.Value, n: ir.Value) -> list[ir.Value]:
            start = b.mul(load_signed(lists.columns, [entry]), width)
            first, end = b.maximum(start, span.first), b.minimum(b.add(start, width), span.end)
            return [self.interval(first, end, n)]

        lo, hi = (memref.load(lists.bounds, [b.value(b.add(row, i))]) for i in (0, 1))
        return b.for_loop(lo, hi, one, [b.value(0)])[0]

    def tokens(self, span: Span, count: ir.Value) -> ir.Value:
        """Append the global tokens that some query reaches."""
        o = self.block.operands
        row = shared_index(o.global_tokens, self.block.batch)
        i32, index = ir.IntegerType.get_signless(32), ir.IndexType.get()

        def one(t: ir.Value, n: ir.Value) -> list[ir.Value]:
            named = load_signed(o.global_tokens, [row, t])
            memref.store(arith.index_cast(i32, named), self.room, [n])
            after = arith.cmpi(arith.CmpIPredicate.uge, named, span.reach_first)
            reached = arith.andi(after, b.less(named, span.reach_end))
            return [arith.addi(n, arith.index_castui(index, reached))]

        return b.for_loop(0, o.tokens, one, [count])[0]


def flag_tokens(tokens: ir.Value, length: Index) -> ir.Value:
    """``(batch or 1, length)`` bytes: 1 where a position is a global token."""
    i8 = ir.IntegerType.get_signless(8)
    rows, count = b.dim_size(tokens, 0), b.dim_size(tokens, 1)
    flags = b.alloc([rows, length], i8)
    zero, one = arith.constant(i8, 0), arith.constant(i8, 1)
    b.for_loop(0, rows, lambda r: b.for_loop(0, length, lambda j: memref.store(zero, flags, [r, j])))

    def mark(r: ir.Value, t: ir.Value) -> None:
        named = load_signed(tokens, [r, t])

        def flag() -> None:
            memref.store(one, flags, [r, named])

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
    b.for_loop(0, b.add(rows, 2), lambda r: memref.store(zero, bounds, [r]))

    def each(visit: Callable[[ir.Value, ir.Value], None]) -> None:
        def entry(p: ir.Value) -> None:
            row = load_signed(blocks, [p, 0])
            b.only_if(b.less(row, rows), lambda: visit(p, row))

        b.for_loop(0, count, entry)

    def bump(at: ir.Value) -> ir.Value:
        old = memref.load(bounds, [at])
        memref.store(arith.addi(old, one), bounds, [at])
        return old

    def tally(_, row: ir.Value) -> None:
        bump(arith.addi(row, b.value(2)))

    def total(r: ir.Value) -> None:
        before, own = memref.load(bounds, [arith.subi(r, one)]), memref.load(bounds, [r])
        memref.store(arith.addi(before, own), bounds, [r])

    def place(p: ir.Value, row: ir.Value) -> None:
        column = memref.load(blocks, [p, b.value(1)])
        memref.store(column, columns, [bump(arith.addi(row, one))])

    each(tally)
    b.for_loop(2, b.add(rows, 2), total)
    each(place)
    return BlockLists(bounds, columns)
