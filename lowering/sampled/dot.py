"""Dot products of a sampled product: tiles of them in vector registers, over one strip."""

import dataclasses
import functools

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from .entries import Entries
from .pack import Packed
from .tile import Leaf, Tile, add_lanes


@dataclasses.dataclass(frozen=True)
class TileEmitter:
    """Emits the dot products of runs of entries, a tile at a time."""

    leaf: Leaf
    tile: Tile
    shared: bool
    lanes: int
    rows: Packed
    cols: Packed
    entries: Entries
    values: ir.Value

    def run(self, strip: Index, depth: Index, lo: Index, hi: Index) -> None:
        """All elements of entries ``[lo, hi)``, over the first ``depth`` coordinates of a strip.

        Whole tiles first. What is left takes a tile of half as many entries, or a whole one; entries past
        the end then repeat the last one, and are not stored.
        """
        size = self.tile.entries
        rest = b.mod(b.sub(hi, lo), size)
        end = b.sub(hi, rest)
        b.for_loop(
            lo, end, lambda e: self._tile(self.tile, strip, depth, [b.add(e, i) for i in range(size)]), step=size
        )
        if size == 1:
            return
        last = b.sub(hi, 1)

        def partial(tile: Tile) -> None:
            numbers = [end, *(b.minimum(b.add(end, i), last) for i in range(1, tile.entries))]
            self._tile(tile, strip, depth, numbers, hi)

        half = self.tile.half()
        if size > 2:
            b.if_else(b.less(half.entries, rest), lambda: partial(self.tile))
        few = arith.andi(b.less(0, rest), b.less(rest, half.entries + 1))
        b.if_else(few, lambda: partial(half))

    def _tile(self, tile: Tile, strip: Index, depth: Index, numbers: list[Index], hi: Index | None = None) -> None:
        """The elements of the entries called ``numbers``; with ``hi``, store those of entries below it only."""

        def at(r0: Index, c0: Index) -> None:
            parts = add_lanes(self._sums(tile, strip, depth, numbers, r0, c0))
            inside = b.add(b.mul(r0, self.leaf.row_stride), b.mul(c0, self.leaf.col_stride))
            self._store(tile, parts, numbers, hi, inside)

        leaf = self.leaf
        b.for_loop(
            0, leaf.rows, lambda r0: b.for_loop(0, leaf.cols, lambda c0: at(r0, c0), step=tile.cols), step=tile.rows
        )

    def _sums(
        self, tile: Tile, strip: Index, depth: Index, numbers: list[Index], r0: Index, c0: Index
    ) -> list[ir.Value]:
        """One vector of partial sums per element of the tile, by offset in memory."""
        type_ = ir.VectorType.get([self.lanes], self.values.type.element_type)
        left = [
            self._bases(strip, self.rows, self.entries.rows, n, r0, tile.rows, self.leaf.row_step)
            for n in (numbers[:1] if self.shared else numbers)
        ]
        right = [
            self._bases(strip, self.cols, self.entries.cols, n, c0, tile.cols, self.leaf.col_step) for n in numbers
        ]
        order = tile.offsets(self.leaf)

        def load(side: Packed, bases: list[list[Index]], k: Index) -> list[list[ir.Value]]:
            return [[vector.load(type_, side.buffer, [b.value(b.add(base, k))]) for base in some] for some in bases]

        def body(k: Index, *sums: ir.Value) -> list[ir.Value]:
            out: list[ir.Value] = []
            for step in range(tile.steps):
                at = b.add(k, step * self.lanes)
                lefts, rights = load(self.rows, left, at), load(self.cols, right, at)
                for old, (_, e, r, c) in zip(sums[len(out) :], order):
                    out.append(vector.fma(lefts[0 if self.shared else e][r], rights[e][c], old))
            return out

        zero = vector.broadcast(type_, b.zero_of(type_.element_type))
        sums = b.for_loop(0, depth, body, [zero] * (tile.steps * len(order)), step=tile.steps * self.lanes)
        return [functools.reduce(arith.addf, sums[i :: len(order)]) for i in range(len(order))]

    def _bases(
        self, strip: Index, packed: Packed, origins: ir.Value, number: Index, first: Index, count: int, step: int
    ) -> list[Index]:
        """Where the strips of ``count`` neighbouring rows (columns) of an entry start."""
        origin = b.add(b.load_index(origins, number), b.mul(first, step))
        return [packed.at(strip, b.add(origin, i * step)) for i in range(count)]

    def _store(self, tile: Tile, parts: list[ir.Value], numbers: list[Index], hi: Index | None, inside: Index) -> None:
        """Add the sums in ``parts`` to the values: whole vectors where they are neighbours, else one by one."""
        if hi is None and tile.is_contiguous(self.leaf) and (tile.entries == 1 or not self.entries.loose):
            at = b.add(b.mul(b.load_index(self.entries.positions, numbers[0]), self.leaf.size), inside)
            for part in parts:
                where = [b.value(at)]
                vector.store(arith.addf(vector.load(part.type, self.values, where), part), self.values, where)
                at = b.add(at, part.type.shape[0])
            return
        scalars = [vector.extract(part, [], [lane]) for part in parts for lane in range(part.type.shape[0])]

        def entry(number: int) -> None:
            first = b.add(b.mul(b.load_index(self.entries.positions, numbers[number]), self.leaf.size), inside)
            for scalar, (offset, owner, _, _) in zip(scalars, tile.offsets(self.leaf)):
                if owner == number:
                    at = [b.value(b.add(first, offset - number * self.leaf.size))]
                    memref.store(arith.addf(memref.load(self.values, at), scalar), self.values, at)

        entry(0)
        for number in range(1, tile.entries):
            if hi is None:
                entry(number)
            else:
                b.if_else(b.less(b.add(numbers[0], number), hi), lambda number=number: entry(number))
