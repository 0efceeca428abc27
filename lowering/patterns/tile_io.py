"""Tiles of operands: read them as ``sread`` does, write them back as ``swrite`` does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import ir, tensor
from pith.dialect.tiling import bare_dim

from ..builder import Index, dim_size, for_loop, mul
from .slices import Span, cut, paste, piece_type, store, zeros


@dataclasses.dataclass(frozen=True)
class Piece:
    """A tile's extent along one dimension: ``valid`` of ``extent`` elements from ``offset`` on."""

    offset: Index
    valid: Index
    extent: Index

    @property
    def full(self) -> bool:
        """Whether the tile is known not to stick out."""
        return self.valid is self.extent or (isinstance(self.valid, int) and self.valid == self.extent)


@dataclasses.dataclass(frozen=True)
class Packed:
    """A tile's extent along the packed axis: ``chunks`` micro-tiles of ``micro`` elements, each from its own place."""

    extent: int
    micro: int
    chunks: Index
    span: Callable[[Index], Span]


Place = Piece | Packed


def read_tile(source: ir.Value, map_: ir.AffineMap, placed: dict[int, Place]) -> ir.Value:
    """The tile of an operand (SRead): a slice where nothing is packed or sticks out, else a copy padded with zeros."""
    places = places_of(map_, placed, source)
    if not any(isinstance(p, Packed) for p in places):
        pieces = [p for p in places if isinstance(p, Piece)]
        if all(p.full for p in pieces):
            return _slice(source, pieces)
        return _padded(source, pieces)

    def gather(outside: list[Span], inside: list[Span], tile: ir.Value) -> ir.Value:
        return store(cut(source, outside), tile, inside)

    return _each_chunk(places, [], [], zeros([p.extent for p in places], source.type.element_type), gather)


def write_tile(
    tile: ir.Value, dest: ir.Value, map_: ir.AffineMap, placed: dict[int, Place], accumulate: bool
) -> ir.Value:
    """``dest`` with a tile put back where :func:`read_tile` found it (SWrite); what sticks out is dropped."""
    places = places_of(map_, placed, dest)
    pieces = [p for p in places if isinstance(p, Piece)]
    if len(pieces) == len(places) and not accumulate and all(p.full for p in pieces):
        spans = [Span(p.offset, p.valid) for p in pieces]
        return tile if tile.type == dest.type else paste(cast_tile(tile, piece_type(dest, spans)), dest, spans)

    def scatter(outside: list[Span], inside: list[Span], dest: ir.Value) -> ir.Value:
        return store(cut(tile, inside), dest, outside, accumulate)

    return _each_chunk(places, [], [], dest, scatter)


def _each_chunk(places: Sequence[Place], outside: list[Span], inside: list[Span], carried: ir.Value, body) -> ir.Value:
    """Loop over the micro-tiles of every packed place: where each lies in the operand and in the tile."""
    if not places:
        return body(outside, inside, carried)
    place, *rest = places
    if isinstance(place, Piece):
        here = Span(place.offset, place.valid), Span(0, place.valid)
        return _each_chunk(rest, [*outside, here[0]], [*inside, here[1]], carried, body)

    def chunk(q: Index, carried: ir.Value) -> list[ir.Value]:
        at = place.span(q)
        local = Span(mul(q, place.micro), at.size)
        return [_each_chunk(rest, [*outside, at], [*inside, local], carried, body)]

    return for_loop(0, place.chunks, chunk, [carried])[0]


def places_of(map_: ir.AffineMap, placed: dict[int, Place], operand: ir.Value) -> list[Place]:
    """The place of every operand dimension; compound expressions take the whole dimension."""
    places: list[Place] = []
    for at, expr in enumerate(map_.results):
        dim = bare_dim(expr)
        if dim is None:
            size = dim_size(operand, at)
            places.append(Piece(0, size, size))
        else:
            places.append(placed[dim])
    return places


def _slice(source: ir.Value, places: Sequence[Piece]) -> ir.Value:
    if all(p.offset == 0 if isinstance(p.offset, int) else False for p in places):
        whole = ir.RankedTensorType(source.type)
        shape = [p.valid if isinstance(p.valid, int) else -1 for p in places]
        if all(n == -1 or (not whole.is_dynamic_dim(i) and whole.get_dim_size(i) == n) for i, n in enumerate(shape)):
            return source
    return cut(source, [Span(p.offset, p.valid) for p in places])


def _padded(source: ir.Value, places: Sequence[Piece]) -> ir.Value:
    tile = zeros([p.extent for p in places], source.type.element_type)
    inside = [Span(0, p.valid) for p in places]
    return store(cut(source, [Span(p.offset, p.valid) for p in places]), tile, inside)


def cast_tile(tile: ir.Value, type_: ir.Type) -> ir.Value:
    """``tile`` as the body wants it: a size only another operand's type tells may be dynamic there."""
    return tile if tile.type == type_ else tensor.cast(type_, tile)
