"""The keys a tile of queries meets, as an index stream cut into tiles: an interval or listed blocks, then tokens.

A list, made by ``lists`` per tile of queries, holds ``[blocks, tokens, block 0, ..., token 0, ...]``: the numbers of
both, the columns of the pattern's blocks that some query of the tile may see, then from :meth:`Layout.tokens_at` on the
global tokens some query reaches. A token with :data:`MET` set is in the first part of the stream as well, for the
queries whose interval holds it.
"""

import dataclasses

from pith._mlir import arith, ir

from ... import builder as b
from ...attention.sizes import shared_row
from ...builder import Index
from ..product.tiles import SharedTile, is_below
from .problem import Operands, Problem, i32, index, load

#: Bit of a listed token; positions are below 2**30 then.
MET = 1 << 30


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where things are in a list: ``blocks`` entries have room from 2 on, then tokens follow."""

    blocks: Index
    tokens: Index

    @classmethod
    def of(cls, o: Operands, problem: Problem) -> "Layout":
        """Room for every column of blocks, and for every token."""
        blocks = 0 if problem.granularity is None else b.ceildiv(o.keys, problem.granularity[1])
        return cls(blocks, 0 if o.global_tokens is None else b.dim_size(o.global_tokens, 1))

    @property
    def tokens_at(self) -> Index:
        """Entry of the first token."""
        return b.add(self.blocks, 2)

    @property
    def size(self) -> Index:
        """Entries."""
        return b.add(self.tokens_at, self.tokens)


@dataclasses.dataclass(frozen=True)
class Key:
    """A place of a tile of keys.

    Attributes:
        position: of the key; 0 where there is none.
        exists: there is one.
        record: i32 for :class:`.softmax.Masks`: the position, perhaps with :data:`MET`; -1 where there is none.
    """

    position: ir.Value
    exists: ir.Value
    record: ir.Value


@dataclasses.dataclass(frozen=True)
class IntervalStream:
    """Keys ``first`` to ``end``, the hull of what the queries see."""

    first: ir.Value
    end: ir.Value
    width: int

    @property
    def tiles(self) -> Index:
        """Tiles of ``width`` keys."""
        return b.ceildiv(b.sub(self.end, self.first), self.width)

    def of_tokens(self, tile: ir.Value) -> ir.Value | None:
        """Whether a tile is one of tokens: there is none."""
        return None

    def start(self, tile: ir.Value) -> Index:
        """Position of the first key of a tile."""
        return b.add(self.first, b.mul(tile, self.width))

    def at(self, tile: ir.Value, place: Index) -> Key:
        """The key at a place of a tile."""
        position = b.value(b.add(self.start(tile), place))
        exists = is_below(position, self.end)
        return Key(arith.select(exists, position, b.value(0)), exists, arith.select(exists, i32(position), i32(-1)))


@dataclasses.dataclass(frozen=True)
class ListedStream:
    """An interval or the blocks of a list, then its tokens; both parts fill whole tiles.

    Attributes:
        entries: the list of this tile of queries: a memref and the leading indices.
        interval: the first part, where there is no pattern.
        granularity: keys of a block.
        blocks, tokens: how many are listed.
        records: what :class:`Key` records of the tiles in flight, ``(1, width)`` per stage in shared memory.
    """

    entries: tuple[ir.Value, list[Index]]
    layout: Layout
    interval: IntervalStream | None
    granularity: int
    blocks: Index
    tokens: Index
    keys: Index
    width: int
    records: SharedTile

    @property
    def first_tiles(self) -> Index:
        """Tiles before those of tokens."""
        if self.interval is not None:
            return self.interval.tiles
        return b.ceildiv(b.mul(self.blocks, self.granularity), self.width)

    @property
    def tiles(self) -> Index:
        """All tiles."""
        return b.add(self.first_tiles, b.ceildiv(self.tokens, self.width))

    def of_tokens(self, tile: ir.Value) -> ir.Value | None:
        """Whether a tile is one of tokens."""
        if self.layout.tokens == 0:
            return None
        return arith.cmpi(arith.CmpIPredicate.uge, tile, b.value(self.first_tiles))

    def at(self, tile: ir.Value, place: Index) -> Key:
        """The key at a place of a tile."""
        late = self.of_tokens(tile)
        first = self._block_key(tile, place) if self.interval is None else self.interval.at(tile, place)
        if late is None:
            return first
        token = self._token(tile, place)
        names = ("position", "exists", "record")
        return Key(*(arith.select(late, getattr(token, n), getattr(first, n)) for n in names))

    def _entry(self, number: Index, exists: ir.Value) -> ir.Value:
        memory, at = self.entries
        return load(memory, [*at, arith.select(exists, b.value(number), b.value(0))])

    def _block_key(self, tile: ir.Value, place: Index) -> Key:
        place = b.add(b.mul(tile, self.width), place)
        number = b.div(place, self.granularity)
        listed = is_below(number, self.blocks)
        column = index(self._entry(b.add(number, 2), listed))
        position = b.value(b.add(b.mul(column, self.granularity), b.mod(place, self.granularity)))
        exists = arith.andi(listed, is_below(position, self.keys))
        return Key(arith.select(exists, position, b.value(0)), exists, arith.select(exists, i32(position), i32(-1)))

    def _token(self, tile: ir.Value, place: Index) -> Key:
        number = b.add(b.mul(b.sub(tile, self.first_tiles), self.width), place)
        exists = is_below(number, self.tokens)
        entry = self._entry(b.add(self.layout.tokens_at, number), exists)
        position = index(arith.andi(entry, i32(MET - 1)))
        return Key(arith.select(exists, position, b.value(0)), exists, arith.select(exists, entry, i32(-1)))


Stream = IntervalStream | ListedStream


def key_stream(
    o: Operands,
    problem: Problem,
    where: tuple[ir.Value, ir.Value],
    span: tuple[ir.Value, ir.Value],
    width: int,
    records: SharedTile | None,
) -> Stream:
    """The stream of the queries of tile ``where`` (sequence, number), who see keys of ``span``, by ``width``."""
    first = index(span[0])
    interval = IntervalStream(first, b.value(b.maximum(index(span[1]), first)), width)
    if o.lists is None or records is None:
        return interval
    batch, number = where
    at: list[Index] = [shared_row(o.lists, batch), number]
    layout = Layout.of(o, problem)
    blocks, tokens = (index(load(o.lists, [*at, i])) for i in (0, 1))
    if problem.granularity is None:
        return ListedStream((o.lists, at), layout, interval, 1, 0, tokens, o.keys, width, records)
    return ListedStream((o.lists, at), layout, None, problem.granularity[1], blocks, tokens, o.keys, width, records)
