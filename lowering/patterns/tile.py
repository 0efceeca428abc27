"""``pith.pit_tile`` on a CPU: a loop nest around one instance of the dense body.

Dimensions of the iteration space become, from the outside in: the patterns' axes that are not
packed (one micro-tile at a time), the parallel dimensions, then the reductions. An input's tile
is read as soon as the dimensions that index it are placed, an init's tile between the parallel
dimensions and the reductions, so it is read and written once per reduction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import arith, ir
from pith.dialect.tiling import PARALLEL, Tiling, bare_dim

from ..builder import Index, add, ceildiv, dim_size, div, for_loop, if_else, minimum, mul, sub, value
from .lists import Groups, IndexList, clipped, group_by_other_axes, micro_span, split_chunk
from .slices import Span, zeros
from .tile_io import Packed, Piece, Place, cast_tile, places_of, read_tile, write_tile

_Body = Callable[[dict[int, Place], ir.Value], ir.Value]


@dataclasses.dataclass(frozen=True)
class Listed:
    """One pattern of the nest.

    Attributes:
        entries: what it lists; ``groups``: the same, sorted along the ``packed`` one of its axes.
        dims: iteration dimension of every axis.
        micro: elements fetched together along every axis.
    """

    entries: IndexList
    dims: tuple[int, ...]
    micro: tuple[int, ...]
    packed: int
    groups: Groups

    @classmethod
    def of(cls, tiling: Tiling, number: int, entries: IndexList) -> Listed:
        """Sort the entries of pattern ``number``: micro-tiles that share a tile together."""
        axes, packed = tiling.pattern_axes[number], tiling.packed_axes[number]
        packed = entries.rank - 1 if packed is None else packed - axes.start
        dims, micro = ([v[i] for i in axes] for v in (tiling.axes, tiling.micro_tile))
        return cls(entries, tuple(dims), tuple(micro), packed, group_by_other_axes(entries, packed))

    @property
    def others(self) -> list[int]:
        """Axes that are not packed."""
        return [a for a in range(self.entries.rank) if a != self.packed]


def lower_pit_tile(op: ir.OpView, tiling: Tiling, lists: Sequence[IndexList]) -> list[ir.Value]:
    """Emit the nest at the current insertion point and move the body into it; the new value of the init."""
    return [_Nest(op, tiling, lists).emit()]


#: A range of entries per pattern.
_Ranges = tuple[tuple[Index, Index], ...]


class _Nest:
    """What stays fixed while the nest is emitted."""

    def __init__(self, op: ir.OpView, tiling: Tiling, lists: Sequence[IndexList]):
        self.tiling = tiling
        self.inputs, self.init, self.init_map = list(op.inputs), op.init, tiling.maps[-1]
        self.block = op.operation.regions[0].blocks[0]
        self.sizes = _extents([*self.inputs, self.init], tiling, [n for entries in lists for n in entries.sizes])
        self.listed = [Listed.of(tiling, i, entries) for i, entries in enumerate(lists)]
        self.packed = {p.dims[p.packed]: i for i, p in enumerate(self.listed)}
        cells = [p.dims[a] for p in self.listed for a in p.others]
        dims = [d for d in range(len(self.sizes)) if d not in cells and tiling.tile[d]]
        self.parallel = [d for d in dims if tiling.iterators[d] == PARALLEL]
        self.reduction = [d for d in dims if tiling.iterators[d] != PARALLEL]
        self.whole = {d: Piece(0, n, n) for d, n in enumerate(self.sizes) if not tiling.tile[d]}

    def emit(self) -> ir.Value:
        return self._patterns(self.listed, dict(self.whole), (), self.init)

    def _patterns(self, listed: Sequence[Listed], placed: dict[int, Place], ranges: _Ranges, init) -> ir.Value:
        """The loops over the cells of every pattern in turn, then those over tiles."""
        if not listed:
            return self._outer(self.parallel, placed, {}, ranges, init)
        first, *rest = listed

        def inside(placed: dict[int, Place], span: tuple[Index, Index], init: ir.Value) -> ir.Value:
            return self._patterns(rest, placed, (*ranges, span), init)

        return self._cells(first, first.others, 0, placed, init, inside)

    def _cells(
        self, p: Listed, others: Sequence[int], group: Index, placed: dict[int, Place], init, inside
    ) -> ir.Value:
        """One loop per axis that is not packed, over the micro-tiles of its grid; empty groups do nothing."""
        if not others:
            first, last = p.groups.range(group)
            if p.groups.bounds is None:
                return inside(placed, (first, last), init)
            listed = arith.cmpi(arith.CmpIPredicate.ult, value(first), value(last))
            return if_else(listed, lambda: [inside(placed, (first, last), init)], lambda: [init], [init.type])[0]
        axis, *rest = others
        micro = p.micro[axis]
        per_block = p.entries.granularity[axis] // micro

        def visit(m: Index, init: ir.Value) -> list[ir.Value]:
            span = clipped(mul(m, micro), micro, self.sizes[p.dims[axis]])
            cell = add(mul(group, p.entries.grid[axis]), div(m, per_block))
            here = {**placed, p.dims[axis]: Piece(span.offset, span.size, micro)}
            return [self._cells(p, rest, cell, here, init, inside)]

        return for_loop(0, ceildiv(p.entries.sizes[axis], micro), visit, [init])[0]

    def _outer(self, dims, placed: dict[int, Place], tiles: dict, ranges: _Ranges, init) -> ir.Value:
        """The loops over parallel dimensions, then the tile of the init around the reductions."""
        tiles = self._read_inputs(placed, tiles)
        if dims:
            return self._loop(
                dims[0], ranges, init, lambda p, init: self._outer(dims[1:], placed | p, tiles, ranges, init)
            )
        if self.tiling.accumulate:
            old = zeros([p.extent for p in places_of(self.init_map, placed, init)], init.type.element_type)
        else:
            old = read_tile(init, self.init_map, placed)
        old = cast_tile(old, self.block.arguments[len(self.inputs)].type)
        new = self._inner(self.reduction, placed, tiles, ranges, old)
        return write_tile(new, init, self.init_map, placed, self.tiling.accumulate)

    def _inner(self, dims, placed: dict[int, Place], tiles: dict, ranges: _Ranges, tile) -> ir.Value:
        """The loops over reductions, carrying the init's tile, then the body."""
        tiles = self._read_inputs(placed, tiles)
        if dims:
            return self._loop(
                dims[0], ranges, tile, lambda p, tile: self._inner(dims[1:], placed | p, tiles, ranges, tile)
            )
        return inline_body(self.block, [*(tiles[i] for i in range(len(self.inputs))), tile])

    def _loop(self, dim: int, ranges: _Ranges, carried: ir.Value, body: _Body) -> ir.Value:
        """A loop over the tiles of ``dim``; ``body({dim: place}, carried)`` gives the next carried value."""
        extent = self.tiling.tile[dim]
        if dim not in self.packed:
            size = self.sizes[dim]

            def dense(start: Index, carried: ir.Value) -> list[ir.Value]:
                divides = isinstance(size, int) and size % extent == 0
                valid = extent if divides else minimum(extent, sub(size, start))
                return [body({dim: Piece(start, valid, extent)}, carried)]

            return for_loop(0, size, dense, [carried], extent)[0]

        number = self.packed[dim]
        p, (first, last) = self.listed[number], ranges[number]
        micro = p.micro[p.packed]
        per_block, per_tile = p.entries.granularity[p.packed] // micro, extent // micro
        total = mul(sub(last, first), per_block)

        def packed(start: Index, carried: ir.Value) -> list[ir.Value]:
            def span(q: Index) -> Span:
                entry, sub_tile = split_chunk(add(start, q), per_block)
                coordinate = p.groups.coordinate(add(first, entry))
                return micro_span(coordinate, sub_tile, p.entries, p.packed, micro)

            chunks = minimum(per_tile, sub(total, start))
            return [body({dim: Packed(extent, micro, chunks, span)}, carried)]

        return for_loop(0, total, packed, [carried], per_tile)[0]

    def _read_inputs(self, placed: dict[int, Place], tiles: dict) -> dict:
        """``tiles`` and those inputs whose dimensions are all placed now."""
        ready = {
            i: cast_tile(read_tile(v, m, placed), self.block.arguments[i].type)
            for i, (v, m) in enumerate(zip(self.inputs, self.tiling.maps))
            if i not in tiles and all(bare_dim(e) is None or bare_dim(e) in placed for e in m.results)
        }
        return {**tiles, **ready}


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


def _extents(operands: Sequence[ir.Value], tiling: Tiling, listed: Sequence[Index]) -> list[Index]:
    """Size of every iteration dimension: ``listed`` along ``axes``, else the first operand's that shows it."""
    sizes: dict[int, Index] = dict(zip(tiling.axes, listed))
    for operand, map_ in zip(operands, tiling.maps):
        for at, expr in enumerate(map_.results):
            dim = bare_dim(expr)
            if dim is not None and (dim not in sizes or not isinstance(sizes[dim], int)):
                known = not operand.type.is_dynamic_dim(at)
                if known or dim not in sizes:
                    sizes[dim] = dim_size(operand, at)
    return [sizes.get(d, 1) for d in range(len(tiling.iterators))]
