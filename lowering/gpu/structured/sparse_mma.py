"""The sparse tensor-core body: ``mma.sp.sync`` on a 2:4 lhs, as fragments of its stored values and their coordinates.

One instruction takes 64 bytes of k of the rhs, and the half of the lhs that is stored: 32 bytes of each row, so the
fragment of values is that of the dense instruction. The coordinates of a row are 2 bits per stored value in the order
of the values. Of 16 elements along k that is a halfword, low bits first, which is also how ``pith`` stores the
coordinates of ``nm(2:4)`` levels. Lane l holds of them, with g = l // 4 and t = l % 4:

- f16, bf16 (m16n8k32): those of rows g (low half) and g + 8 (high half) at elements 16 t .. 16 t + 15 of 64. Selector
  0 takes lanes with t = 0, 1 of every four, selector 1 those with t = 2, 3, so one word serves two instructions.
- i8 (m16n8k64): those of row g + 8 (t % 2) at elements 32 (t // 2) .. 32 (t // 2) + 31.

Source: PTX ISA, "Sparse matrix storage", "Matrix Fragments for sparse mma.m16n8k32" and "... m16n8k64".
"""

import dataclasses
from collections.abc import Sequence

from pith._mlir import ir, nvgpu, vector

from ... import builder as b
from ...builder import Index
from ..product.bodies import WARP, Tiles
from ..product.mma import MmaBody
from ..product.tiles import SharedTile, TileShape, tile_shape

#: Elements along k that one byte of coordinates is about, and one halfword.
BYTE, HALFWORD = 8, 16
#: Elements along k whose coordinates the lanes of a warp hold at once.
COORDINATES = 64


@dataclasses.dataclass(frozen=True)
class SparseMmaBody(MmaBody):
    """Sparse tensor cores: f16 and bf16 with f32 sums, i8 with i32 sums.

    The 2:4 operand is two tiles: values and coordinates.

    The instruction wants its 2:4 operand on the left. With ``sparse = "n"`` it is the rhs: the warps compute the
    transpose of the tile, and transpose it again when they deposit it.

    Attributes as :class:`MmaBody`, where ``k`` counts elements of the dense operand, a multiple of 64, and
        sparse: the role of the rows of the 2:4 operand.
    """

    sparse: str = "m"

    @property
    def depth(self) -> int:
        return 2 * super().depth

    @property
    def fragments(self) -> tuple[int, int]:
        """Fragments of one warp: 16 rows of the 2:4 operand, 8 of the other."""
        (m, down), (n, across) = zip((self.m, self.n), self.warps)
        return (m // 16 // down, n // 8 // across) if self.sparse == "m" else (n // 16 // across, m // 8 // down)

    def layout(self, lhs: ir.Type, rhs: ir.Type) -> tuple[list[TileShape], list[TileShape]]:
        out = super().layout(lhs, rhs)
        at, rows, element = (0, self.m, lhs) if self.sparse == "m" else (1, self.n, rhs)
        values = tile_shape((self.sparse, "k"), (rows, self.k // 2), element)
        out[at][:] = [values, coordinates_shape(self.sparse, rows, self.k)]
        return out

    def step(self, lhs: Tiles, rhs: Tiles, acc: Sequence[ir.Value], thread: ir.Value) -> list[ir.Value]:
        down, across = self.fragments
        (values, coordinates), (dense,) = (lhs, rhs) if self.sparse == "m" else (rhs, lhs)
        row, column = self._corner(thread)[:: 1 if self.sparse == "m" else -1]
        lane, sums = b.mod(thread, WARP), list(acc)
        for first in range(0, self.k, COORDINATES):
            words = [coordinates_word(coordinates, b.add(row, 16 * i), first, lane, self.width) for i in range(down)]
            for selector, k in enumerate(range(first, first + COORDINATES, self.depth)):
                left = [self._rows(values, b.add(row, 16 * i), k // 2, lane) for i in range(down)]
                for j in range(across):
                    right = self._column(dense, b.add(column, 8 * j), k, lane)
                    for i, (x, word) in enumerate(zip(left, words)):
                        at = i * across + j
                        sums[at] = self._multiply(x, right, sums[at], word, selector)
        return sums

    def _multiply(self, x: ir.Value, y: ir.Value, old: ir.Value, word: ir.Value, selector: int) -> ir.Value:
        return nvgpu.mma_sp_sync(old.type, x, y, old, word, [16, 8, self.depth], sparsity_selector=selector)

    def _rows(self, tile: SharedTile, row: Index, k: int, lane: Index) -> ir.Value:
        """16 rows and 32 bytes of stored values: the upper and the lower 8 x 16-byte matrix of each half along k."""
        matrix = b.div(lane, 8)
        row = b.add(b.add(row, b.mul(b.mod(matrix, 2), 8)), b.mod(lane, 8))
        along = b.add(b.mul(b.div(matrix, 2), tile.shape.chunk), k)
        type_ = ir.VectorType.get([4, 4 // self.width], tile.shape.element)
        return nvgpu.ldmatrix(type_, tile.memory, tile.at(row, along), False, 4)

    def _column(self, tile: SharedTile, column: Index, k: int, lane: Index) -> ir.Value:
        """8 columns and 64 bytes of k of the dense operand: four 8 x 16-byte matrices, one after the other along k."""
        transposed = tile.shape.roles[1] != "k"
        along = b.add(b.mul(b.div(lane, 8), tile.shape.chunk), k)
        inside = b.mod(lane, 8)
        at = tile.at(b.add(along, inside), column) if transposed else tile.at(b.add(column, inside), along)
        type_ = ir.VectorType.get([4, 4 // self.width], tile.shape.element)
        return nvgpu.ldmatrix(type_, tile.memory, at, transposed, 4)

    @property
    def slabs(self) -> int:
        return self.fragments[0 if self.sparse == "m" else 1]

    @property
    def slab_rows(self) -> int:
        return (16 if self.sparse == "m" else 8) * self.warps[0]

    def slab_shape(self) -> TileShape:
        if self.sparse == "m":
            return super().slab_shape()
        return transposed_slab(self.slab_rows, self.n, self.sums)

    def deposit(self, acc: Sequence[ir.Value], slab: int, tile: SharedTile, thread: ir.Value) -> None:
        if self.sparse == "m":
            super().deposit(acc, slab, tile, thread)
            return
        down, across = self.fragments
        _, column = self._corner(thread)
        lane = b.mod(thread, WARP)
        row = b.add(b.mul(b.div(b.div(thread, WARP), self.warps[1]), 8), b.mul(b.mod(lane, 4), 2))
        column = b.add(column, b.div(lane, 4))
        for i in range(down):
            for half, odd in ((0, 0), (0, 1), (1, 0), (1, 1)):
                value = vector.extract(acc[i * across + slab], [], [half, odd])
                tile.store(value, b.add(row, odd), b.add(column, 16 * i + 8 * half))

    def slab_row(self, slab: int, row: Index) -> Index:
        if self.sparse == "m":
            return super().slab_row(slab, row)
        return b.add(b.mul(b.div(row, 8), self.m // self.warps[0]), b.add(b.mod(row, 8), 8 * slab))


def coordinates_shape(role: str, rows: int, k: int) -> TileShape:
    """The coordinates of a tile whose 2:4 operand has ``rows`` rows along ``role``; ``k``: elements of the dense one.

    Eight rows of up to 16 bytes are one pass over the banks: nothing to permute.
    """
    return TileShape((role, "k"), (rows, k // BYTE), ir.IntegerType.get_signless(8), k // BYTE)


def transposed_slab(rows: int, columns: int, sums: ir.Type) -> TileShape:
    """A slab of a product whose columns are the fragments' rows.

    Lanes store one word each, eight rows of four at a time: two rows are 8 words apart modulo 32.
    """
    return TileShape(("m", "n"), (rows, columns), sums, columns + (4 - columns) % 16)


def coordinates_word(tile: SharedTile, row: Index, k: int, lane: Index, width: int) -> ir.Value:
    """This lane's coordinates of 16 rows from ``row`` on and 64 elements from ``k`` on: ``vector<2xi16>``."""
    i16 = ir.IntegerType.get_signless(16)
    group, inside = b.div(lane, 4), b.mod(lane, 4)
    if width == 1:
        row = b.add(b.add(row, group), b.mul(b.mod(inside, 2), 8))
        word = tile.load_vector(4, row, b.add(b.mul(b.div(inside, 2), 4), k // BYTE))
        return vector.bitcast(ir.VectorType.get([2], i16), word)
    column = b.add(b.mul(inside, 2), k // BYTE)
    pairs = [tile.load_vector(2, b.add(b.add(row, group), 8 * half), column) for half in (0, 1)]
    halves = [vector.extract(vector.bitcast(ir.VectorType.get([1], i16), p), [], [0]) for p in pairs]
    return vector.from_elements(ir.VectorType.get([2], i16), halves)
