"""A block of queries meets streams of keys, a chunk at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, ir, vector

from .. import builder as b
from ..builder import Index
from ..panel.arithmetic import convert
from .keys import KeyStream
from .operands import CHUNK_KEYS, load, scratch, store
from .queries import LO, QueryBlock, Span
from .tile import Bounds, Row


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Some keys of a stream.

    Attributes:
        first: of them in the stream.
        keys, values: where their features are.
        position: of key ``u`` of the chunk, in its sequence.
        count: how many.
        bounds: which of them the queries are shown, one per vector of queries.
        edge: whether some query is not shown all; None: not known.
    """

    first: ir.Value
    keys: Row
    values: Row
    position: Callable[[Index], ir.Value]
    count: Index
    bounds: list[Bounds]
    edge: ir.Value | None


@dataclasses.dataclass(frozen=True)
class Meeting:
    """What chunks share; subclasses say what a chunk is met for (:meth:`meet`) and what that makes (:meth:`write`).

    Attributes:
        wide: memory for keys and values of a chunk in the computed type; None where they are of that type.
    """

    block: QueryBlock
    span: Span
    wide: tuple[ir.Value, ir.Value] | None

    def meet(self, chunk: Chunk) -> None:
        """Emit the code for a chunk."""
        raise NotImplementedError

    def write(self) -> None:
        """Emit the code that stores results, after all chunks."""
        raise NotImplementedError

    def run(self, stream: KeyStream, shown: int, but_for: int | None = None) -> None:
        """Meet all keys of ``stream``.

        Args:
            shown: row of the block's ``seen`` where the intervals start that queries are shown keys in.
            but_for: row of intervals whose keys have been met.
        """
        rows = self.block.blocking.rows
        pieces = b.maximum(b.ceildiv(stream.count, CHUNK_KEYS), 1)
        step = b.mul(b.maximum(b.ceildiv(b.ceildiv(stream.count, pieces), rows), 1), rows)
        bounds = [self._bounds(q, shown, but_for) for q in self.block.blocking.starts()]
        whole = shown == LO  # only what the intervals say tells chunks that all queries see
        o = self.block.operands

        def chunk(first: ir.Value) -> None:
            count = b.minimum(step, b.sub(stream.count, first))
            keys, values = self._rows(0, o.key, stream, first, count), self._rows(1, o.value, stream, first, count)
            edge = self._is_edge(stream, first, count) if whole else None
            self.meet(Chunk(first, keys, values, lambda u: stream.at(b.add(first, u)), count, bounds, edge))

        b.for_loop(0, stream.count, chunk, step=step)

    def _bounds(self, q: int, shown: int, but_for: int | None) -> Bounds:
        type_ = ir.VectorType.get([self.block.blocking.lanes], ir.IntegerType.get_signless(32))

        def interval(row: int) -> tuple[ir.Value, ir.Value]:
            lo, hi = (vector.load(type_, self.block.seen, [b.value(row + side), b.value(q)]) for side in (0, 1))
            return lo, hi

        return Bounds(interval(shown), None if but_for is None else interval(but_for))

    def _is_edge(self, stream: KeyStream, first: ir.Value, count: Index) -> ir.Value:
        """Some query does not see some key of the chunk."""
        if stream.listed is None:
            least, most = stream.at(first), stream.at(b.sub(b.add(first, count), 1))
        else:

            def widen(u: ir.Value, least: ir.Value, most: ir.Value) -> list[ir.Value]:
                at = stream.at(u)
                return [arith.minui(least, at), arith.maxui(most, at)]

            at = stream.at(first)
            least, most = b.for_loop(first, b.add(first, count), widen, [at, at])
        before = b.less(least, self.span.all_from)
        return arith.ori(before, arith.cmpi(arith.CmpIPredicate.uge, most, self.span.all_to))

    def _rows(self, which: int, source: ir.Value, stream: KeyStream, first: ir.Value, count: Index) -> Row:
        """Where the features of the chunk's keys are; narrow ones are widened first."""
        o, block = self.block.operands, self.block
        head = b.value(b.div(block.head, b.div(o.heads, b.dim_size(source, 1))))

        def stored(u: Index) -> tuple[ir.Value, list[ir.Value]]:
            return source, [block.batch, head, stream.at(b.add(first, u))]

        if self.wide is None:
            return stored
        wide = self.wide[which]

        def widen(u: ir.Value) -> None:
            memory, at = stored(u)

            def element(d: ir.Value) -> None:
                x = load(memory, [*at, d])
                store(convert(x, block.blocking.element), wide, [u, d])

            b.for_loop(0, source.type.get_dim_size(3), element)

        b.for_loop(0, count, widen)
        return lambda u: (wide, [b.value(u)])


def widening(block: QueryBlock) -> tuple[ir.Value, ir.Value] | None:
    """Memory for what :class:`Meeting` widens."""
    o, element = block.operands, block.blocking.element
    if not o.is_narrow:
        return None
    return scratch([CHUNK_KEYS, o.depth], element), scratch([CHUNK_KEYS, o.width], element)
