"""A block of queries: which they are, what they may see, and their features, transposed and scaled."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from pith._mlir import arith, ir

from .. import builder as b
from ..builder import Index
from ..panel.arithmetic import convert
from ..transpose import copy_transposed
from ..vectorize import broadcast, lanes_of
from .operands import Blocking, Operands, load, load_signed, scratch, store
from .sizes import shared_row

#: Rows of ``QueryBlock.seen``: first key and end, of the interval and of what global tokens reach.
LO, HI, REACH_LO, REACH_HI = range(4)


@dataclasses.dataclass(frozen=True)
class Span:
    """Keys of a block of queries.

    Attributes:
        first, end: of what some query sees.
        all_from, all_to: of what all queries see.
        reach_first, reach_end: of the global tokens that some query reaches.
    """

    first: ir.Value
    end: ir.Value
    all_from: ir.Value
    all_to: ir.Value
    reach_first: ir.Value
    reach_end: ir.Value


@dataclasses.dataclass(frozen=True)
class QueryBlock:
    """Up to ``Blocking.queries`` queries of one head.

    Attributes:
        batch, head: which sequence and head.
        flags: 1 where a position is a global token; None where there are none.
        of_tokens: the queries are global tokens.
        first: of the queries, or of the entries of ``global_tokens`` that name them.
        end: where the queries (entries) end that belong to the block.
        places: the positions of the queries; those past the end repeat position 0.
        live: 1 where a query is one of this block's.
        seen: ``(4, queries)``, by :data:`LO` to :data:`REACH_HI`.
    """

    operands: Operands
    blocking: Blocking
    flags: ir.Value | None
    batch: ir.Value
    head: ir.Value
    of_tokens: bool
    first: Index
    end: Index
    places: ir.Value
    live: ir.Value
    seen: ir.Value

    @classmethod
    def at(
        cls,
        operands: Operands,
        blocking: Blocking,
        flags: ir.Value | None,
        where: tuple[ir.Value, ir.Value],
        of_tokens: bool,
        extent: tuple[Index, Index],
    ) -> QueryBlock:
        """The block of queries ``extent`` of sequence and head ``where``; nothing is filled in yet."""
        n = blocking.queries
        i8, i32 = (ir.IntegerType.get_signless(bits) for bits in (8, 32))
        room = scratch([n], ir.IndexType.get()), scratch([n], i8), scratch([4, n], i32)
        return cls(operands, blocking, flags, *where, of_tokens, *extent, *room)

    def place(self, i: Index) -> ir.Value:
        """Position of query ``i`` of the block."""
        return load(self.places, [b.value(i)])

    def look_up(self) -> Span:
        """Fill in what the queries are and see; returns the keys that concerns."""
        keys, zero = b.value(self.operands.keys), b.value(0)
        carried = [keys, zero, zero, keys, keys, zero]

        def one(i: ir.Value, *span: ir.Value) -> list[ir.Value]:
            place, live = self._locate(b.add(self.first, i))
            store(place, self.places, [i])
            store(arith.extui(ir.IntegerType.get_signless(8), live), self.live, [i])
            return self._bound(i, place, live, span)

        return Span(*b.for_loop(0, self.blocking.queries, one, carried))

    def _locate(self, entry: Index) -> tuple[ir.Value, ir.Value]:
        """Position of a query, and whether it is computed here."""
        inside = b.less(entry, self.end)
        safe = arith.select(inside, b.value(entry), b.value(0))
        tokens = self.operands.global_tokens
        if tokens is None or self.flags is None:
            return safe, inside
        row = b.value(shared_row(tokens, self.batch))
        if self.of_tokens:
            named = load_signed(tokens, [row, safe])
            legal = arith.andi(inside, b.less(named, self.operands.queries))
            return arith.select(legal, named, b.value(0)), legal
        flag = load(self.flags, [row, safe])
        return safe, arith.andi(inside, arith.cmpi(arith.CmpIPredicate.eq, flag, b.zero_of(flag.type)))

    def _bound(self, i: ir.Value, place: ir.Value, live: ir.Value, span: tuple[ir.Value, ...]) -> list[ir.Value]:
        """Note what query ``i`` sees, and widen the block's span by it."""
        o = self.operands
        lo, hi = self._interval(o.intervals, place)
        first, end, all_from, all_to, reach_first, reach_end = span
        if o.reach is not None:
            reach = self._interval(o.reach, place)
            reach_first, reach_end = _joined(live, reach, (reach_first, reach_end))
            self._note(i, REACH_LO, reach)
            lo, hi = reach if self.of_tokens else (lo, hi)
        self._note(i, LO, (lo, hi))
        sees = arith.andi(live, b.less(lo, hi))
        blind = arith.andi(live, arith.cmpi(arith.CmpIPredicate.uge, lo, hi))
        first, end = _joined(sees, (lo, hi), (first, end))
        all_from = arith.select(sees, arith.maxui(all_from, lo), all_from)
        all_to = arith.select(blind, b.value(0), arith.select(sees, arith.minui(all_to, hi), all_to))
        return [first, end, all_from, all_to, reach_first, reach_end]

    def _interval(self, buffer: ir.Value, place: ir.Value) -> tuple[ir.Value, ir.Value]:
        return self.operands.interval(buffer, shared_row(buffer, self.batch), place)

    def _note(self, i: ir.Value, row: int, interval: tuple[ir.Value, ir.Value]) -> None:
        i32 = ir.IntegerType.get_signless(32)
        for offset, bound in enumerate(interval):
            store(arith.index_cast(i32, bound), self.seen, [b.value(row + offset), i])

    def transposed(self, source: ir.Value, scaled: bool) -> ir.Value:
        """``(features, queries)``: rows of ``source``, times scale and log2(e) so that weights are powers of two."""
        o, element = self.operands, self.blocking.element
        features = source.type.get_dim_size(3)
        out = scratch([features, self.blocking.queries], element)
        factor = arith.mulf(o.scale, arith.constant(ir.F64Type.get(), math.log2(math.e)))
        factor = factor if isinstance(element, ir.F64Type) else arith.truncf(element, factor)

        def converted(x: ir.Value, _) -> ir.Value:
            x = convert(x, element)
            return arith.mulf(x, broadcast(factor, lanes_of([x]))) if scaled else x

        copy_transposed(
            source,
            lambda i, d: [self.batch, self.head, self.place(i), b.value(d)],
            out,
            lambda d, i: [b.value(d), b.value(i)],
            rows=self.blocking.queries,
            cols=features,
            transform=converted,
        )
        return out

    def for_each(self, visit: Callable[[ir.Value, list[ir.Value]], None]) -> None:
        """``visit(i, place)`` for the queries that are this block's own."""

        def one(i: ir.Value) -> None:
            live = load(self.live, [i])
            here = arith.cmpi(arith.CmpIPredicate.ne, live, b.zero_of(live.type))
            b.only_if(here, lambda: visit(i, [self.batch, self.head, self.place(i)]))

        b.for_loop(0, self.blocking.queries, one)


def _joined(also: ir.Value, interval: tuple[ir.Value, ir.Value], hull: tuple[ir.Value, ir.Value]) -> list[ir.Value]:
    """``hull`` widened by ``interval`` where ``also`` holds."""
    (lo, hi), (first, end) = interval, hull
    return [arith.select(also, arith.minui(first, lo), first), arith.select(also, arith.maxui(end, hi), end)]
