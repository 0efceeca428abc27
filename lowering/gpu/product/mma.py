"""The tensor-core body: ``mma.sync`` on fragments that ``ldmatrix`` reads from shared memory.

Whatever the element type, one instruction takes 32 bytes of k: a 16 x 32-byte fragment of the lhs, an 8 x 32-byte one
of the rhs, both made of 8 x 16-byte matrices, which is what ``ldmatrix`` reads. Lane l holds, of every 16 x 8 fragment
of sums, rows l // 4 and l // 4 + 8 and columns 2 (l % 4) and 2 (l % 4) + 1.
Source: PTX ISA, "Matrix Fragments for mma.m16n8k16", "... m16n8k8", "... m16n8k32" and "ldmatrix".
"""

import dataclasses
from collections.abc import Sequence

from pith._mlir import arith, ir, nvgpu, vector

from ... import builder as b
from ...builder import Index
from .bodies import WARP, Synchronous, Tiles
from .tiles import SharedTile, TileShape, tile_shape

#: Bytes along k of one instruction, and of one of its two halves.
_DEPTH_BYTES, _HALF_BYTES = 32, 16


@dataclasses.dataclass(frozen=True)
class MmaBody(Synchronous):
    """Tensor cores: f16, bf16 and f32 (read as tf32) with f32 sums, i8 with i32 sums.

    Sums of i8 products saturate, where those of the IR wrap: after 131072 products at the earliest.

    Attributes:
        m, n, k: the block's tile.
        warps: (down, across): how warps split it evenly.
        fast: the role along which lhs and rhs are contiguous.
        width: bytes of an element of the inputs.
    """

    m: int
    n: int
    k: int
    warps: tuple[int, int]
    fast: tuple[str, str] = ("k", "n")
    width: int = 2

    @property
    def threads(self) -> int:
        return WARP * self.warps[0] * self.warps[1]

    @property
    def depth(self) -> int:
        """Elements along k of one instruction."""
        return _DEPTH_BYTES // self.width

    @property
    def fragments(self) -> tuple[int, int]:
        """Fragments of one warp: down, across."""
        return self.m // 16 // self.warps[0], self.n // 8 // self.warps[1]

    def layout(self, lhs: ir.Type, rhs: ir.Type) -> tuple[list[TileShape], list[TileShape]]:
        extents = {"m": self.m, "n": self.n, "k": self.k}
        out = []
        for role, element, along in zip("mn", (lhs, rhs), self.fast):
            # Lanes read whole rows along k. ldmatrix transposes elements of 2 bytes; those of 4 are read one by one.
            transposed = along == role and self.width > 1
            order = ("k", role) if transposed else (role, "k")
            apart = 2 if transposed and self.width == 4 else 1
            out.append([tile_shape(order, (extents[order[0]], extents[order[1]]), element, apart)])
        return out[0], out[1]

    @property
    def sums(self) -> ir.Type:
        """Element type of the accumulators."""
        return ir.IntegerType.get_signless(32) if self.width == 1 else ir.F32Type.get()

    def zeros(self) -> list[ir.Value]:
        type_ = ir.VectorType.get([2, 2], self.sums)
        zero = ir.IntegerAttr.get(self.sums, 0) if self.width == 1 else ir.FloatAttr.get(self.sums, 0.0)
        down, across = self.fragments
        return [arith.constant(type_, ir.DenseElementsAttr.get_splat(type_, zero))] * (down * across)

    def step(self, lhs: Tiles, rhs: Tiles, acc: Sequence[ir.Value], thread: ir.Value) -> list[ir.Value]:
        down, across = self.fragments
        row, column = self._corner(thread)
        lane, sums = b.mod(thread, WARP), list(acc)
        for k in range(0, self.k, self.depth):
            left = [_fragment(lhs[0], "m", b.add(row, 16 * i), k, lane, 2) for i in range(down)]
            right = []
            for j in range(0, across, 2):
                pair = min(2, across - j)
                read = _fragment(rhs[0], "n", b.add(column, 8 * j), k, lane, pair, wide=False)
                right += [read] if pair == 1 else [_rows(read, 0), _rows(read, 2)]
            tf32 = True if self.width == 4 else None
            for j, y in enumerate(right):
                for i, x in enumerate(left):
                    old = sums[i * across + j]
                    shape = [16, 8, self.depth]
                    sums[i * across + j] = nvgpu.mma_sync(old.type, x, y, old, shape, tf32_enabled=tf32)
        return sums

    @property
    def slabs(self) -> int:
        return self.fragments[0]

    @property
    def slab_rows(self) -> int:
        return 16 * self.warps[0]

    def slab_shape(self) -> TileShape:
        # Lanes store two words each, four rows of eight words at a time: rows 8 words apart modulo 32 meet
        # different banks.
        pitch = self.n + (8 - self.n) % 32
        return TileShape(("m", "n"), (self.slab_rows, self.n), self.sums, pitch)

    def deposit(self, acc: Sequence[ir.Value], slab: int, tile: SharedTile, thread: ir.Value) -> None:
        _, across = self.fragments
        _, column = self._corner(thread)
        warp_row = b.div(b.div(thread, WARP), self.warps[1])
        lane = b.mod(thread, WARP)
        row = b.add(b.mul(warp_row, 16), b.div(lane, 4))
        column = b.add(column, b.mul(b.mod(lane, 4), 2))
        for j in range(across):
            for half in (0, 1):
                pair = vector.extract(acc[slab * across + j], [], [half])
                tile.store_vector(pair, b.add(row, 8 * half), b.add(column, 8 * j))

    def slab_row(self, slab: int, row: Index) -> Index:
        warp_row, inside = b.div(row, 16), b.mod(row, 16)
        return b.add(b.mul(warp_row, self.m // self.warps[0]), b.add(inside, 16 * slab))

    def _corner(self, thread: ir.Value) -> tuple[Index, Index]:
        """Upper left place of this thread's warp."""
        warp = b.div(thread, WARP)
        down, across = self.warps
        return (
            b.mul(b.div(warp, across), self.m // down),
            b.mul(b.mod(warp, across), self.n // across),
        )


def _fragment(
    tile: SharedTile, role: str, first: Index, k: int, lane: Index, eights: int, wide: bool = True
) -> ir.Value:
    """``eights`` times 8 rows (columns) from ``first`` on, 32 bytes of k from ``k`` on: two 8 x 16-byte matrices each.

    Register q of the lhs (``wide``) is rows 8 (q % 2), half q // 2 of k; of the rhs columns 8 (q // 2), half q % 2.
    Lane l gives the address of row l % 8 of matrix l // 8; ldmatrix turns the matrices if k is the slow role.
    """
    transposed = tile.shape.roles[1] != "k"
    if transposed and tile.shape.width == 4:
        return _words(tile, first, k, lane, eights, wide)
    half = _HALF_BYTES // tile.shape.width
    matrix = b.mod(b.div(lane, 8), 2 * eights)
    part, side = (b.div(matrix, 2), b.mod(matrix, 2)) if wide else (b.mod(matrix, 2), b.div(matrix, 2))
    place, depth = b.add(first, b.mul(side, 8)), b.add(b.mul(part, half), k)
    if transposed:
        row, column = b.add(depth, b.mod(lane, 8)), place
    else:
        row, column = b.add(place, b.mod(lane, 8)), depth
    type_ = ir.VectorType.get([2 * eights, 4 // tile.shape.width], tile.shape.element)
    return nvgpu.ldmatrix(type_, tile.memory, tile.at(row, column), transposed, 2 * eights)


def _words(tile: SharedTile, first: Index, k: int, lane: Index, eights: int, wide: bool) -> ir.Value:
    """The same for 4-byte elements of a tile whose slow role is k: ldmatrix cannot transpose those."""
    type_ = ir.VectorType.get([2 * eights, 1], tile.shape.element)
    out = arith.constant(type_, ir.DenseElementsAttr.get_splat(type_, ir.FloatAttr.get(tile.shape.element, 0.0)))
    group, inside = b.div(lane, 4), b.mod(lane, 4)
    for q in range(2 * eights):
        part, side = (q // 2, q % 2) if wide else (q % 2, q // 2)
        value = tile.load(b.add(inside, k + 4 * part), b.add(b.add(first, 8 * side), group))
        out = vector.insert(value, out, [], [q, 0])
    return out


def _rows(fragment: ir.Value, first: int) -> ir.Value:
    """Registers ``first`` and ``first + 1``."""
    _, lanes = fragment.type.shape
    element = fragment.type.element_type
    type_ = ir.VectorType.get([2, lanes], element)
    zero = ir.IntegerAttr.get(element, 0) if isinstance(element, ir.IntegerType) else ir.FloatAttr.get(element, 0.0)
    out = arith.constant(type_, ir.DenseElementsAttr.get_splat(type_, zero))
    for i in (0, 1):
        out = vector.insert(vector.extract(fragment, [], [first + i]), out, [], [i])
    return out
