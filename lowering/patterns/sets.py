"""Patterns made of patterns, on a CPU: operands become bitmaps of the grid, whose words are combined and listed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pith._mlir import arith, ir, memref
from pith.dialect.pattern import PatternShape
from pith.formats import DYNAMIC

from .. import builder as b
from ..builder import Index
from ..storage.tree import buffer_of
from .collect import CHUNK_CELLS, Out, Pieces, collect
from .presence import WORD, integer
from .scan import Cells, below, word_of


def lower_set(op: ir.OpView, shape: PatternShape) -> ir.Value:
    """The union, intersection or complement of patterns over one grid, in row-major order.

    Costs a bit per cell of the grid and operand, and one pass over these.
    """
    name, operands = op.operation.name, list(op.operation.operands)
    patterns = 1 if name == "pith.complement" else 2
    given = iter(operands[patterns:])
    sizes = [next(given) if s == DYNAMIC else s for s in shape.sizes]
    grid = _Grid(tuple(b.ceildiv(s, g) for s, g in zip(sizes, shape.granularity)))
    bitmaps = [grid.bitmap(listed) for listed in operands[:patterns]]

    def word(at: Index, w: Index) -> ir.Value:
        words = [memref.load(bitmap, [b.value(at)]) for bitmap in bitmaps]
        if name == "pith.complement":
            return arith.andi(arith.xori(words[0], word_of(-1)), grid.inside(w))
        return (arith.ori if name == "pith.union" else arith.andi)(*words)

    def emit(rows: tuple[Index, Index], columns: tuple[Index, Index], out: Out) -> Index:
        first = b.div(columns[0], WORD)

        def row(r: Index, listed: ir.Value) -> list[ir.Value]:
            outer = grid.outer(r)
            base = b.mul(r, grid.stride)
            cells = Cells(1, lambda c, n: out.store(n, [*outer, c]))
            return [cells.in_words(lambda w: word(b.add(base, w), w), first, columns[1], listed)]

        return b.for_loop(*rows, row, [b.value(0)])[0]

    pieces = Pieces(grid.rows, grid.cells[-1], CHUNK_CELLS)
    return collect(pieces.chunks(b.product(grid.cells), emit), len(grid.cells), ordered=True)


@dataclasses.dataclass(frozen=True)
class _Grid:
    """A grid of cells as rows of whole words, along its last axis."""

    cells: tuple[Index, ...]

    @property
    def rows(self) -> Index:
        return b.product(self.cells[:-1])

    @property
    def stride(self) -> Index:
        """Words of a row."""
        return b.ceildiv(self.cells[-1], WORD)

    def outer(self, row: Index) -> list[Index]:
        """Coordinates of a row along all axes but the last."""
        at: list[Index] = []
        for n, cells in reversed(list(enumerate(self.cells[:-1]))):
            at.insert(0, b.mod(row, cells) if n else row)
            row = b.div(row, cells) if n else row
        return at

    def inside(self, word: Index) -> ir.Value:
        """The bits of word number ``word`` of a row that are cells."""
        rest = b.sub(self.cells[-1], b.mul(word, WORD))
        partial = below(b.minimum(rest, WORD - 1))
        return arith.select(b.less(rest, WORD), partial, word_of(-1))

    def bitmap(self, coordinates: ir.Value) -> ir.Value:
        """A memref of words in which the bits of the listed cells are set."""
        size = b.mul(self.rows, self.stride)
        bitmap = b.alloc([size], integer(WORD))
        b.for_loop(0, size, lambda i: memref.store(word_of(0), bitmap, [b.value(i)]))
        listed = buffer_of(coordinates)
        count = b.dim_size(listed, 0)

        def mark(entry: Index) -> None:
            at = _coordinates(listed, entry)
            legal = b.less(at[0], self.cells[0])
            for c, cells in zip(at[1:], self.cells[1:]):
                legal = arith.andi(legal, b.less(c, cells))
            b.only_if(legal, lambda: self._set_bit(bitmap, at))

        b.parallel_loop([count], mark, work=b.mul(count, 8))
        return bitmap

    def _set_bit(self, bitmap: ir.Value, at: Sequence[ir.Value]) -> None:
        row: Index = 0
        for c, cells in zip(at[:-1], self.cells[:-1]):
            row = b.add(b.mul(row, cells), c)
        place = b.value(b.add(b.mul(row, self.stride), b.div(at[-1], WORD)))
        shift = arith.index_cast(integer(WORD), b.value(b.mod(at[-1], WORD)))
        memref.atomic_rmw(arith.AtomicRMWKind.ori, arith.shli(word_of(1), shift), bitmap, [place])


def _coordinates(listed: ir.Value, entry: Index) -> list[ir.Value]:
    rank = 1 if listed.type.rank == 1 else listed.type.get_dim_size(1)
    places = [[b.value(entry)]] if rank == 1 else [[b.value(entry), b.value(a)] for a in range(rank)]
    return [arith.index_castui(ir.IndexType.get(), memref.load(listed, place)) for place in places]
