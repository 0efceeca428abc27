"""``pith.pit_tile`` on a CPU: a loop nest around one instance of the dense body.

Dimensions of the iteration space become, from the outside in: the pattern's axes that are not
packed (one micro-tile at a time), the parallel dimensions, then the reductions. An input's tile
is read as soon as the dimensions that index it are placed, an init's tile between the parallel
dimensions and the reductions, so it is read and written once per reduction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial

from pith._mlir import arith, ir, tensor
from pith.dialect.tiling import PARALLEL, Tiling, bare_dim

from ..builder import Index, add, ceildiv, dim_size, div, for_loop, if_else, minimum, mul, sub, value
from .lists import IndexList, clipped, group_by_other_axes, micro_span, split_chunk
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
_Body = Callable[[dict[int, Place], ir.Value], ir.Value]


def lower_pit_tile(op: ir.OpView, tiling: Tiling, entries: IndexList) -> list[ir.Value]:
    """Emit the nest at the current insertion point and move the body into it; the new value of the init."""
    return [_Nest(op, tiling, entries).emit()]


class _Nest:
    """What stays fixed while the nest is emitted."""

    def __init__(self, op: ir.OpView, tiling: Tiling, entries: IndexList):
        self.tiling, self.entries = tiling, entries
        self.inputs, self.init, self.init_map = list(op.inputs), op.init, tiling.maps[-1]
        self.block = op.operation.regions[0].blocks[0]
        self.sizes = _extents([*self.inputs, self.init], tiling, entries)
        packed = tiling.packed_axis
        self.packed = entries.rank - 1 if packed is None else packed
        cells = [d for a, d in enumerate(tiling.axes) if a != self.packed]
        dims = [d for d in range(len(self.sizes)) if d not in cells and tiling.tile[d]]
        self.parallel = [d for d in dims if tiling.iterators[d] == PARALLEL]
        self.reduction = [d for d in dims if tiling.iterators[d] != PARALLEL]
        self.whole = {d: Piece(0, n, n) for d, n in enumerate(self.sizes) if not tiling.tile[d]}
        self.groups = group_by_other_axes(entries, self.packed)

    def emit(self) -> ir.Value:
        others = [a for a in range(self.entries.rank) if a != self.packed]
        return self._cells(others, 0, dict(self.whole), self.init)

    def _cells(self, others: Sequence[int], group: Index, placed: dict[int, Place], init: ir.Value) -> ir.Value:
        """One loop per pattern axis that is not packed, over the micro-tiles of its grid; empty groups do nothing."""
        if not others:
            first, last = self.groups.range(group)
            if self.groups.bounds is None:
                return self._outer(self.parallel, placed, {}, (first, last), init)
            listed = arith.cmpi(arith.CmpIPredicate.ult, value(first), value(last))
            visit_group = partial(self._outer, self.parallel, placed, {}, (first, last), init)
            return if_else(listed, lambda: [visit_group()], lambda: [init], [init.type])[0]
        axis, *rest = others
        micro = self.tiling.micro_tile[axis]
        per_block = self.entries.granularity[axis] // micro

        def visit(m: Index, init: ir.Value) -> list[ir.Value]:
            span = clipped(mul(m, micro), micro, self.sizes[self.tiling.axes[axis]])
            cell = add(mul(group, self.entries.grid[axis]), div(m, per_block))
            here = {**placed, self.tiling.axes[axis]: Piece(span.offset, span.size, micro)}
            return [self._cells(rest, cell, here, init)]

        return for_loop(0, ceildiv(self.entries.sizes[axis], micro), visit, [init])[0]

    def _outer(self, dims, placed: dict[int, Place], tiles: dict, group: tuple[Index, Index], init) -> ir.Value:
        """The loops over parallel dimensions, then the tile of the init around the reductions."""
        tiles = self._read_inputs(placed, tiles)
        if dims:
            return self._loop(
                dims[0], group, init, lambda p, init: self._outer(dims[1:], placed | p, tiles, group, init)
            )
        if self.tiling.accumulate:
            old = zeros([p.extent for p in _places(self.init_map, placed, init)], init.type.element_type)
        else:
            old = read_tile(init, self.init_map, placed)
        old = _cast(old, self.block.arguments[len(self.inputs)].type)
        new = self._inner(self.reduction, placed, tiles, group, old)
        return write_tile(new, init, self.init_map, placed, self.tiling.accumulate)

    def _inner(self, dims, placed: dict[int, Place], tiles: dict, group: tuple[Index, Index], tile) -> ir.Value:
        """The loops over reductions, carrying the init's tile, then the body."""
        tiles = self._read_inputs(placed, tiles)
        if dims:
            return self._loop(
                dims[0], group, tile, lambda p, tile: self._inner(dims[1:], placed | p, tiles, group, tile)
            )
        return inline_body(self.block, [*(tiles[i] for i in range(len(self.inputs))), tile])

    def _loop(self, dim: int, group: tuple[Index, Index], carried: ir.Value, body: _Body) -> ir.Value:
        """A loop over the tiles of ``dim``; ``body({dim: place}, carried)`` gives the next carried value."""
        extent = self.tiling.tile[dim]
        if dim != self.tiling.axes[self.packed]:
            size = self.sizes[dim]

            def dense(start: Index, carried: ir.Value) -> list[ir.Value]:
                divides = isinstance(size, int) and size % extent == 0
                valid = extent if divides else minimum(extent, sub(size, start))
                return [body({dim: Piece(start, valid, extent)}, carried)]

            return for_loop(0, size, dense, [carried], extent)[0]

        micro = self.tiling.micro_tile[self.packed]
        per_block, per_tile = self.entries.granularity[self.packed] // micro, extent // micro
        first, last = group
        total = mul(sub(last, first), per_block)

        def packed(start: Index, carried: ir.Value) -> list[ir.Value]:
            def span(q: Index) -> Span:
                entry, sub_tile = split_chunk(add(start, q), per_block)
                coordinate = self.groups.coordinate(add(first, entry))
                return micro_span(coordinate, sub_tile, self.entries, self.packed, micro)

            chunks = minimum(per_tile, sub(total, start))
            return [body({dim: Packed(extent, micro, chunks, span)}, carried)]

        return for_loop(0, total, packed, [carried], per_tile)[0]

    def _read_inputs(self, placed: dict[int, Place], tiles: dict) -> dict:
        """``tiles`` and those inputs whose dimensions are all placed now."""
        ready = {
            i: _cast(read_tile(v, m, placed), self.block.arguments[i].type)
            for i, (v, m) in enumerate(zip(self.inputs, self.tiling.maps))
            if i not in tiles and all(bare_dim(e) is None or bare_dim(e) in placed for e in m.results)
        }
        return {**tiles, **ready}


def read_tile(source: ir.Value, map_: ir.AffineMap, placed: dict[int, Place]) -> ir.Value:
    """The tile of an operand (SRead): a slice where nothing is packed or sticks out, else a copy padded with zeros."""
    places = _places(map_, placed, source)
    spans, packed = _spans(places)
    if packed is None:
        pieces = [p for p in places if isinstance(p, Piece)]
        if all(p.full for p in pieces):
            return _slice(source, pieces)
        return _padded(source, pieces)
    dim, place = packed
    tile = zeros([p.extent for p in places], source.type.element_type)

    def gather(q: Index, tile: ir.Value) -> list[ir.Value]:
        at = place.span(q)
        outside, inside = _at(spans, dim, at), _at(_inner_spans(places), dim, Span(mul(q, place.micro), at.size))
        return [store(cut(source, outside), tile, inside)]

    return for_loop(0, place.chunks, gather, [tile])[0]


def write_tile(
    tile: ir.Value, dest: ir.Value, map_: ir.AffineMap, placed: dict[int, Place], accumulate: bool
) -> ir.Value:
    """``dest`` with a tile put back where :func:`read_tile` found it (SWrite); what sticks out is dropped."""
    places = _places(map_, placed, dest)
    spans, packed = _spans(places)
    if packed is None:
        if not accumulate and all(p.full for p in places if isinstance(p, Piece)):
            return tile if tile.type == dest.type else paste(_cast(tile, piece_type(dest, spans)), dest, spans)
        return store(cut(tile, _inner_spans(places)), dest, spans, accumulate)
    dim, place = packed

    def scatter(q: Index, dest: ir.Value) -> list[ir.Value]:
        at = place.span(q)
        inside, outside = _at(_inner_spans(places), dim, Span(mul(q, place.micro), at.size)), _at(spans, dim, at)
        return [store(cut(tile, inside), dest, outside, accumulate)]

    return for_loop(0, place.chunks, scatter, [dest])[0]


def inline_body(block: ir.Block, tiles: Sequence[ir.Value]) -> ir.Value:
    """Move the ops of ``block`` to the insertion point with its arguments replaced; what it yields."""
    for argument, tile in zip(block.arguments, tiles):
        argument.replace_all_uses_with(tile)
    *body, terminator = list(block.operations)
    yielded = terminator.operation.operands[0]
    here = ir.InsertionPoint.current
    for op in body:
        here.insert(op.operation.detach_from_parent())
    return yielded


def _extents(operands: Sequence[ir.Value], tiling: Tiling, entries: IndexList) -> list[Index]:
    """Size of every iteration dimension: the pattern's along its axes, else the first operand's that shows it."""
    sizes: dict[int, Index] = dict(zip(tiling.axes, entries.sizes))
    for operand, map_ in zip(operands, tiling.maps):
        for at, expr in enumerate(map_.results):
            dim = bare_dim(expr)
            if dim is not None and (dim not in sizes or not isinstance(sizes[dim], int)):
                known = not operand.type.is_dynamic_dim(at)
                if known or dim not in sizes:
                    sizes[dim] = dim_size(operand, at)
    return [sizes.get(d, 1) for d in range(len(tiling.iterators))]


def _places(map_: ir.AffineMap, placed: dict[int, Place], operand: ir.Value) -> list[Place]:
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


def _spans(places: Sequence[Place]) -> tuple[list[Span], tuple[int, Packed] | None]:
    """Where the places lie in the operand, and the packed one (whose span depends on the chunk)."""
    packed = next(((i, p) for i, p in enumerate(places) if isinstance(p, Packed)), None)
    return [Span(0, 0) if isinstance(p, Packed) else Span(p.offset, p.valid) for p in places], packed


def _inner_spans(places: Sequence[Place]) -> list[Span]:
    """Where the valid elements lie in the tile."""
    return [Span(0, 0) if isinstance(p, Packed) else Span(0, p.valid) for p in places]


def _at(spans: list[Span], dim: int, span: Span) -> list[Span]:
    return [*spans[:dim], span, *spans[dim + 1 :]]


def _slice(source: ir.Value, places: Sequence[Piece]) -> ir.Value:
    if all(p.offset == 0 if isinstance(p.offset, int) else False for p in places):
        whole = ir.RankedTensorType(source.type)
        shape = [p.valid if isinstance(p.valid, int) else -1 for p in places]
        if all(n == -1 or (not whole.is_dynamic_dim(i) and whole.get_dim_size(i) == n) for i, n in enumerate(shape)):
            return source
    return cut(source, [Span(p.offset, p.valid) for p in places])


def _padded(source: ir.Value, places: Sequence[Piece]) -> ir.Value:
    tile = zeros([p.extent for p in places], source.type.element_type)
    return store(cut(source, [Span(p.offset, p.valid) for p in places]), tile, _inner_spans(places))


def _cast(tile: ir.Value, type_: ir.Type) -> ir.Value:
    """``tile`` as the body wants it: a size only another operand's type tells may be dynamic there."""
    return tile if tile.type == type_ else tensor.cast(type_, tile)
