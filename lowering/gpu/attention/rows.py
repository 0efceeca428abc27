"""The queries of a block of threads: which they are, and what each of them sees."""

import dataclasses
from collections.abc import Sequence

from pith._mlir import arith, gpu, ir

from ... import builder as b
from ...attention.sizes import shared_row
from ...builder import Index
from ..product.staging import Threads
from ..product.tiles import SharedTile, is_below
from ..warp import WARP, fold, reduce_lanes
from .problem import Operands, i32, index, load

#: Above every position: sizes of tensors are below 2**31 (indices are i32).
_BEYOND = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class QueryTile:
    """Entries ``first <= i < end``: positions of queries, or of the list of global tokens that names them.

    Attributes:
        tokens: the list, ``(batch or 1, count)``; None where entries are positions.
    """

    first: Index
    end: Index
    tokens: ir.Value | None = None


@dataclasses.dataclass(frozen=True)
class Interval:
    """Keys ``first``, ``first + 1``, ...: ``count`` of them. Numbers are i32."""

    first: ir.Value
    count: ir.Value

    def holds(self, key: ir.Value) -> ir.Value:
        """Whether ``key`` is among them; negative ones never are."""
        return arith.cmpi(arith.CmpIPredicate.ult, arith.subi(key, self.first), self.count)


@dataclasses.dataclass(frozen=True)
class Row:
    """One query.

    Attributes:
        place: its position; 0 where there is none.
        live: it exists, and is computed by this block.
        seen: its keys by interval; ``reach``: where it sees global tokens, None without any.
    """

    place: ir.Value
    live: ir.Value
    seen: Interval
    reach: Interval | None


@dataclasses.dataclass(frozen=True)
class Hull:
    """Keys of several queries, i32.

    Attributes:
        first, end: of what some of them see; ``first`` is beyond ``end`` where they see nothing.
        all_from, all_to: of what all see.
    """

    first: ir.Value
    end: ir.Value
    all_from: ir.Value
    all_to: ir.Value


def place_of(o: Operands, tile: QueryTile, batch: ir.Value, i: Index) -> tuple[ir.Value, ir.Value]:
    """(position, whether it exists) of query ``i`` of the tile."""
    entry = b.value(b.add(tile.first, i))
    exists = is_below(entry, tile.end)
    safe = arith.select(exists, entry, b.value(0))
    if tile.tokens is None:
        return safe, exists
    named = index(load(tile.tokens, [shared_row(tile.tokens, batch), safe]))
    exists = arith.andi(exists, is_below(named, o.queries))
    return arith.select(exists, named, b.value(0)), exists


def look_up(o: Operands, tile: QueryTile, batch: ir.Value, i: Index, skipped: SharedTile | None) -> Row:
    """Query ``i`` of the tile; those that ``skipped`` marks are not this block's."""
    place, live = place_of(o, tile, batch, i)
    if skipped is not None:
        mark = skipped.load(0, i)
        live = arith.andi(live, arith.cmpi(arith.CmpIPredicate.eq, mark, i32(0)))
    seen = interval(o, o.intervals if tile.tokens is None else o.reach, batch, place, live)
    reach = None if o.reach is None or tile.tokens is not None else interval(o, o.reach, batch, place, live)
    return Row(place, live, seen, reach)


def interval(o: Operands, buffer: ir.Value | None, batch: ir.Value, place: ir.Value, live: ir.Value) -> Interval:
    """An entry of ``intervals`` or ``reach``, cut to the keys there are; empty for what is not live."""
    at = [shared_row(buffer, batch), place]
    keys, zero = i32(o.keys), i32(0)
    first, end = (arith.minsi(arith.maxsi(load(buffer, [*at, side]), zero), keys) for side in (0, 1))
    count = arith.maxsi(arith.subi(end, first), zero)
    return Interval(first, arith.select(live, count, zero))


def hull_of(rows: Sequence[Row], distances: Sequence[int]) -> Hull:
    """The hull of a warp's queries: those of this thread, and of lanes that are ``distances`` apart."""
    zero, beyond = i32(0), i32(_BEYOND)
    sees = [arith.cmpi(arith.CmpIPredicate.sgt, r.seen.count, zero) for r in rows]
    ends = [arith.addi(r.seen.first, r.seen.count) for r in rows]
    first = [arith.select(s, r.seen.first, beyond) for s, r in zip(sees, rows)]
    end = [arith.select(s, e, zero) for s, e in zip(sees, ends)]
    all_from = [arith.select(r.live, r.seen.first, zero) for r in rows]
    all_to = [arith.select(r.live, e, beyond) for r, e in zip(rows, ends)]
    sides = ((first, arith.minsi), (end, arith.maxsi), (all_from, arith.maxsi), (all_to, arith.minsi))
    return Hull(*(reduce_lanes(fold(values, combine), distances, combine) for values, combine in sides))


def span_of_block(hull: Hull, thread: ir.Value, shared: SharedTile) -> tuple[ir.Value, ir.Value]:
    """First and end of the hulls of all warps of the block, through ``shared`` (warps x 2). Has a barrier."""
    warps = shared.shape.extents[0]
    if warps == 1:
        return hull.first, hull.end
    warp = b.div(thread, WARP)

    def note() -> None:
        shared.store(hull.first, warp, 0)
        shared.store(hull.end, warp, 1)

    b.only_if(arith.cmpi(arith.CmpIPredicate.eq, b.value(b.mod(thread, WARP)), b.value(0)), note)
    gpu.barrier()
    firsts, ends = ([shared.load(w, side) for w in range(warps)] for side in (0, 1))
    return fold(firsts, arith.minsi), fold(ends, arith.maxsi)


def mark_tokens(o: Operands, tile: QueryTile, batch: ir.Value, marks: SharedTile, threads: Threads) -> None:
    """Set ``marks[0, i]`` to 1 where query ``i`` of the tile is a global token, else to 0. Has barriers."""
    tokens, size = o.global_tokens, marks.shape.extents[1]
    threads.share(size, lambda i: marks.store(i32(0), 0, i))
    gpu.barrier()
    row = shared_row(tokens, batch)

    def one(t: Index) -> None:
        named = index(load(tokens, [row, t]))
        offset = b.sub(named, tile.first)
        here = arith.andi(is_below(named, o.queries), is_below(offset, size))
        b.only_if(here, lambda: marks.store(i32(1), 0, offset))

    b.for_loop(threads.number, b.dim_size(tokens, 1), one, step=threads.count)
    gpu.barrier()
