"""``pith.sample`` on a GPU: the places that a CPU looks at, a block per window, then a warp per large micro-tile.

The warps of a block read a window's rows as votes, a bit per element, into shared memory; then they take the
candidates in turns, a row of micro-tiles per lane. Counts are integers, so atomic additions leave them the same in
every run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, gpu, ir, memref
from pith._mlir import math as math_dialect

from ... import builder as b
from ...builder import Index
from ...patterns.presence import WORD, Presence, integer, limit_of, require_testable
from ...patterns.sample import ROWS, heads_of, ored, share, spread
from ..host import Host
from ..linalg.fill import BLOCK_THREADS, linear_grid
from ..warp import reduce_warp
from .detect import threshold_of
from .flags import Reader
from .lists import STRIDED_BLOCKS, THREADS, WARP, as_index, clear, i32, shared_words, word

_WARPS = THREADS // WARP

_CMP = arith.CmpIPredicate


def convert_sample(host: Host, op: ir.OpView) -> None:
    """Count micro-tiles in windows, those that no window holds one by one, and divide."""
    element = op.source.type.element_type
    require_testable(op, element)
    (source,), (tiles,) = host.buffers_of(op, op.source), host.buffers_of(op, op.tiles)
    candidates, wanted = b.dim_size(tiles, 0), b.value(host.size(op, op.windows))
    rows, columns = (b.dim_size(source, d) for d in range(2))
    windows = b.minimum(wanted, b.mul(b.ceildiv(rows, ROWS), b.ceildiv(columns, WORD)))
    line = ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], integer(WORD))
    seen, empty = (host.allocate(line, [candidates]) for _ in range(2))
    for counts in (seen, empty):
        clear(host, op, counts)
    threshold, _ = threshold_of(host, op, element)
    scalar = [] if isinstance(threshold, float) else [threshold]
    searched = b.minimum(b.ceildiv(b.mul(wanted, 2), _WARPS), STRIDED_BLOCKS)
    launches = (
        ("windows", [windows], b.value(windows), _Sample.windows, 2 * ROWS * 4),
        ("search", [searched, candidates], wanted, _Sample.search, 0),
    )
    for kind, grid, number, emit, shared in launches:
        arguments = [source, tiles, seen, empty, number, *scalar]
        with host.kernel(kind, [v.type for v in arguments], THREADS) as (name, block):
            emit(_Sample.of(block, element, threshold))
        host.launch(op, name, grid, THREADS, shared, arguments)
    host.bind(op.operation.results[0], [_divided(host, op, empty, seen, candidates)])


def _divided(host: Host, op: ir.OpView, part: ir.Value, whole: ir.Value, count: Index) -> ir.Value:
    """A buffer of ``f64``: every entry of ``part`` over that of ``whole``."""
    dynamic = ir.ShapedType.get_dynamic_size()
    type_ = ir.MemRefType.get([count if isinstance(count, int) else dynamic], ir.F64Type.get())
    shares = host.allocate(type_, [count])
    with host.kernel("shares", [part.type, whole.type, type_], BLOCK_THREADS) as (name, block):
        some, all_, out = block.arguments
        at = b.value(b.add(b.mul(gpu.block_id(gpu.Dimension.x), BLOCK_THREADS), gpu.thread_id(gpu.Dimension.x)))
        b.only_if(b.less(at, b.dim_size(out, 0)), lambda: memref.store(share(some, all_, at), out, [at]))
    host.launch(op, name, [linear_grid([count])], BLOCK_THREADS, 0, [part, whole, shares])
    return shares


@dataclasses.dataclass(frozen=True)
class _Sample:
    """The kernels' arguments, and where a thread is.

    Attributes:
        reader: tests elements of the source.
        tiles: rows and columns of every candidate.
        seen: counts of micro-tiles by candidate.
        empty: counts of those that hold nothing.
        places: how many places are looked at.
        thread: this thread's number.
    """

    reader: Reader
    tiles: ir.Value
    seen: ir.Value
    empty: ir.Value
    places: ir.Value
    thread: ir.Value

    @classmethod
    def of(cls, block: ir.Block, element: ir.Type, threshold: float | ir.Value) -> _Sample:
        """At the top of a kernel with entry ``block``."""
        source, tiles, seen, empty, places, *given = block.arguments
        number = arith.constant(ir.F64Type.get(), threshold) if isinstance(threshold, float) else given[0]
        reader = Reader(Presence(source, limit_of(number, element)), 1, 1)
        return cls(reader, tiles, seen, empty, places, gpu.thread_id(gpu.Dimension.x))

    @property
    def _lane(self) -> ir.Value:
        return arith.remui(self.thread, b.value(WARP))

    @property
    def _warp(self) -> ir.Value:
        return arith.divui(self.thread, b.value(WARP))

    @property
    def _sizes(self) -> tuple[Index, Index]:
        source = self.reader.presence.source
        return b.dim_size(source, 0), b.dim_size(source, 1)

    def _tile(self, candidate: Index) -> tuple[ir.Value, ir.Value]:
        sides = (as_index(memref.load(self.tiles, [b.value(candidate), b.value(i)])) for i in range(2))
        rows, columns = (arith.maxui(side, b.value(1)) for side in sides)
        return rows, columns

    def windows(self) -> None:
        """One window per block: read it, then count the micro-tiles of every candidate that fits."""
        rows, columns = self._sizes
        grid = (b.ceildiv(rows, ROWS), b.ceildiv(columns, WORD))
        at = spread(gpu.block_id(gpu.Dimension.x), self.places, grid)
        top, left = (b.mul(place, extent) for place, extent in zip(at, (ROWS, WORD)))
        height, width = b.minimum(ROWS, b.sub(rows, top)), b.minimum(WORD, b.sub(columns, left))
        words = shared_words(0, 2 * ROWS)
        b.for_loop(self._warp, ROWS, lambda r: self._flag(words, r, (top, left), (height, width)), step=_WARPS)
        gpu.barrier()
        ones = arith.constant(integer(WORD), -1)
        inside = arith.shrui(ones, arith.index_cast(integer(WORD), b.value(b.sub(WORD, width))))

        def candidate(c: Index) -> None:
            tile = self._tile(c)
            b.only_if(_fits(tile), lambda: self._count(c, tile, words, height, inside))

        b.for_loop(self._warp, b.dim_size(self.tiles, 0), candidate, step=_WARPS)

    def _flag(self, words: ir.Value, row: Index, at: tuple[Index, Index], size: tuple[Index, Index]) -> None:
        """A row of the window as two words: all lanes vote on an element each."""
        for half in range(2):
            column = b.add(self._lane, half * WARP)
            exists = arith.andi(b.less(row, size[0]), b.less(column, size[1]))
            place = [b.add(at[0], row), b.add(at[1], column)]
            (flag,) = b.if_else(exists, lambda place=place: [self.reader.flag(place)], lambda: [word(0)], [i32()])
            votes = gpu.ballot(i32(), arith.cmpi(_CMP.ne, flag, word(0)))
            at_word = [b.value(b.add(b.mul(row, 2), half))]
            self._first(lambda votes=votes, at_word=at_word: memref.store(votes, words, at_word))

    def _count(
        self, candidate: Index, tile: tuple[ir.Value, ir.Value], words: ir.Value, height: Index, inside: ir.Value
    ) -> None:
        """Count the micro-tiles of a window, a row of them per lane."""
        down = b.minimum(b.div(ROWS, tile[0]), b.ceildiv(height, tile[0]))
        first = b.mul(self._lane, tile[0])
        end = b.minimum(b.add(first, tile[0]), height)

        def join(r: Index, bits: ir.Value) -> list[ir.Value]:
            low, high = (memref.load(words, [b.value(b.add(b.mul(r, 2), half))]) for half in range(2))
            upper = arith.shli(arith.extui(integer(WORD), high), arith.constant(integer(WORD), WARP))
            return [arith.ori(bits, arith.ori(arith.extui(integer(WORD), low), upper))]

        zero = arith.constant(integer(WORD), 0)
        mine = b.for_loop(first, arith.select(b.less(self._lane, down), b.value(end), first), join, [zero])[0]
        heads = arith.andi(heads_of(tile[1]), inside)
        present = math_dialect.ctpop(arith.andi(ored(mine, tile[1]), heads))
        found = reduce_warp(arith.trunci(i32(), present), arith.addi)
        total = arith.muli(math_dialect.ctpop(heads), arith.index_cast(integer(WORD), b.value(down)))
        self._add(candidate, total, arith.subi(total, arith.extui(integer(WORD), found)))

    def search(self) -> None:
        """Micro-tiles larger than a window: twice as many as windows, a warp each until it finds something."""
        candidate = gpu.block_id(gpu.Dimension.y)
        tile = self._tile(candidate)

        def look() -> None:
            rows, columns = self._sizes
            grid = (b.ceildiv(rows, tile[0]), b.ceildiv(columns, tile[1]))
            visited = b.minimum(b.mul(self.places, 2), b.mul(*grid))
            first = b.add(b.mul(gpu.block_id(gpu.Dimension.x), _WARPS), self._warp)
            step = b.mul(gpu.grid_dim(gpu.Dimension.x), _WARPS)

            def one(i: Index) -> None:
                top, left = (b.mul(at, side) for at, side in zip(spread(i, visited, grid), tile))
                height, width = (b.minimum(s, b.sub(n, at)) for s, n, at in zip(tile, (rows, columns), (top, left)))
                votes = self._votes((top, left), (height, width))
                empty = arith.extui(integer(WORD), arith.cmpi(_CMP.eq, votes, word(0)))
                self._add(candidate, arith.constant(integer(WORD), 1), empty)

            b.for_loop(first, visited, one, step=step)

        b.if_else(_fits(tile), lambda: None, look)

    def _votes(self, at: tuple[Index, Index], size: tuple[Index, Index]) -> ir.Value:
        """Not zero where the box ``size`` at ``at`` holds anything; 32 elements at a time."""
        count = b.mul(*size)

        def more(start: ir.Value, votes: ir.Value) -> ir.Value:
            return arith.andi(b.less(start, count), arith.cmpi(_CMP.eq, votes, word(0)))

        def step(start: ir.Value, votes: ir.Value) -> list[ir.Value]:
            number = b.add(start, self._lane)

            def test() -> list[ir.Value]:
                return [self.reader.flag([b.add(at[0], b.div(number, size[1])), b.add(at[1], b.mod(number, size[1]))])]

            (flag,) = b.if_else(b.less(number, count), test, lambda: [word(0)], [i32()])
            return [b.value(b.add(start, WARP)), gpu.ballot(i32(), arith.cmpi(_CMP.ne, flag, word(0)))]

        return b.while_loop([b.value(0), word(0)], more, step)[1]

    def _add(self, candidate: Index, seen: ir.Value, empty: ir.Value) -> None:
        def add() -> None:
            for counts, number in ((self.seen, seen), (self.empty, empty)):
                memref.atomic_rmw(arith.AtomicRMWKind.addi, number, counts, [b.value(candidate)])

        self._first(add)

    def _first(self, body: Callable[[], object]) -> None:
        """``body`` in the first lane of a warp."""
        b.only_if(arith.cmpi(_CMP.eq, self._lane, b.value(0)), body)


def _fits(tile: tuple[ir.Value, ir.Value]) -> ir.Value:
    """Whether a window holds such micro-tiles."""
    return arith.andi(b.less(tile[0], ROWS + 1), b.less(tile[1], WORD + 1))
