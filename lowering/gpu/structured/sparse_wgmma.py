"""The sparse body of warpgroups: ``wgmma.mma_async.sp`` on 2:4 values and coordinates as formats store them.

Values and the dense operand are read from shared memory, through descriptors. Coordinates are registers: each of the
four warps holds those of its 16 rows as ``mma.sp`` does. Source: PTX ISA, "Asynchronous Warpgroup Level Multiply-and-
Accumulate Operation using wgmma.mma_async.sp"; its figures of the metadata are those of ``mma.sp.m16n8k32`` and k64.
"""

import dataclasses
from collections.abc import Sequence

from pith._mlir import ir, llvm, nvvm, vector

from ... import builder as b
from ...builder import Index
from ..product.bodies import WARP, Tiles
from ..product.tiles import SharedTile, TileShape
from ..product.wgmma import GROUP, ROW_BYTES, ROWS, WgmmaBody, bytes_to, descriptor, moved
from .sparse_mma import COORDINATES, coordinates_shape, coordinates_word, transposed_slab

#: Bytes of k of the dense operand that one instruction multiplies.
_DEPTH_BYTES = 64
_TYPES = {"f16": "f32.f16.f16", "bf16": "f32.bf16.bf16", "i8": "s32.s8.s8"}


def sparse_groups(extents: dict[str, int], role: str, fast: str, width: int, most: int) -> tuple[int, int] | None:
    """How warpgroups split a tile (down, across) whose 2:4 operand has rows along ``role``; None: it is none for them.

    ``fast``: the role along which the dense operand is contiguous; ``most``: sums of a thread.

    Example:
        >>> sparse_groups({"m": 128, "n": 64, "k": 64}, "m", "n", 2, 128)
        (1, 1)
        >>> sparse_groups({"m": 64, "n": 256, "k": 64}, "n", "k", 2, 64)
        (1, 2)
        >>> sparse_groups({"m": 32, "n": 64, "k": 64}, "m", "k", 2, 128) is None
        True
    """
    rows, columns = (extents[r] for r in (role, "n" if role == "m" else "m"))
    depth, coarse = extents["k"] * width, (fast != "k" if width == 2 else columns > 32)
    known = depth in ROW_BYTES and depth // 2 in ROW_BYTES and extents["k"] % COORDINATES == 0
    if not known or columns > 256 or columns % (16 if coarse else 8) or (width != 2 and fast != "k"):
        return None
    for groups in (1, 2):
        if rows % (ROWS * groups) == 0 and rows * columns // (GROUP * groups) <= most:
            return (groups, 1) if role == "m" else (1, groups)
    return None


@dataclasses.dataclass(frozen=True)
class SparseWgmmaBody(WgmmaBody):
    """Sparse tensor cores of warpgroups: f16 and bf16 with f32 sums, i8 with i32 sums.

    Attributes as :class:`WgmmaBody`, where ``k`` counts elements of the dense operand, and
        sparse: the role of the rows of the 2:4 operand; where it is ``n``, the transpose of the tile is computed.
    """

    sparse: str = "m"
    #: Registers of coordinates are free again when a step is over.
    lag = 0

    @property
    def fragments(self) -> int:
        rows, groups = (self.m, self.groups[0]) if self.sparse == "m" else (self.n, self.groups[1])
        return rows // ROWS // groups

    @property
    def columns(self) -> int:
        return self.n if self.sparse == "m" else self.m

    def layout(self, lhs: ir.Type, rhs: ir.Type) -> tuple[list[TileShape], list[TileShape]]:
        rows, other, at = (self.m, "n", 0) if self.sparse == "m" else (self.n, "m", 1)
        stored = dataclasses.replace(self, k=self.k // 2)
        values = stored._shape(self.sparse, "k", ROWS, (lhs, rhs)[at])
        dense = self._shape(other, self.fast[1 - at], self.columns, (rhs, lhs)[at])
        out = [dense], [dense]
        out[at][:] = [values, coordinates_shape(self.sparse, rows, self.k)]
        return out

    def step(self, lhs: Tiles, rhs: Tiles, acc: Sequence[ir.Value], thread: ir.Value) -> list[ir.Value]:
        (values, coordinates), (dense,) = (lhs, rhs) if self.sparse == "m" else (rhs, lhs)
        row = b.mul(b.div(thread, GROUP), ROWS * self.fragments)
        left, right = descriptor(values, row), descriptor(dense, 0)
        warp, lane = b.div(b.mod(thread, GROUP), WARP), b.mod(thread, WARP)
        held = b.add(row, b.mul(warp, 16))
        sums, depth = list(acc), _DEPTH_BYTES // self.width
        words = {
            (first, i): coordinates_word(coordinates, b.add(held, ROWS * i), first, lane, self.width)
            for first in range(0, self.k, COORDINATES)
            for i in range(self.fragments)
        }
        nvvm.wgmma_fence_aligned()
        for k in range(0, self.k, depth):
            y, first = moved(right, bytes_to(dense.shape, 0, k)), k // COORDINATES * COORDINATES
            for i, old in enumerate(sums):
                x = moved(left, bytes_to(values.shape, ROWS * i, k // 2))
                word = vector.extract(vector.bitcast(_words(), words[first, i]), [], [0])
                sums[i] = self._sparse(old, x, y, word, (k - first) // depth, dense)
        nvvm.wgmma_commit_group_sync_aligned()
        return sums

    def _sparse(self, old: ir.Value, x: ir.Value, y: ir.Value, word: ir.Value, selector: int, dense: SharedTile):
        """The instruction, of which the nvvm dialect has no op."""
        count = self.columns // 2
        held = [llvm.extractvalue(self.sums, old, [i]) for i in range(count)]
        registers = ", ".join(f"${i}" for i in range(count))
        rest = f"${2 * count}, ${2 * count + 1}, ${2 * count + 2}, {selector}, p"
        # Scales of one; whether k is the slow dimension of the values (never) and of the dense operand.
        scales = f", 1, 1, 0, {int(dense.shape.roles[1] != 'k')}" if self.width == 2 else ""
        name = f"m{ROWS}n{self.columns}k{_DEPTH_BYTES // self.width}.{_TYPES[str(dense.shape.element)]}"
        text = (
            "{\n.reg .pred p;\nsetp.ne.b32 p, 1, 0;\n"
            f"wgmma.mma_async.sp.sync.aligned.{name} {{{registers}}}, {rest}{scales};\n}}"
        )
        kind = "r" if self.width == 1 else "f"
        constraints = [f"={kind}"] * count + [str(i) for i in range(count)] + ["l", "l", "r"]
        op = llvm.InlineAsmOp(old.type, [*held, x, y, word], text, ",".join(constraints), has_side_effects=True)
        return op.operation.results[0]

    @property
    def slab_rows(self) -> int:
        return ROWS * self.groups[0] if self.sparse == "m" else self.m // self.slabs

    @property
    def slabs(self) -> int:
        return self.fragments if self.sparse == "m" else min(self.m // 8, 4)

    def slab_shape(self) -> TileShape:
        if self.sparse == "m":
            return super().slab_shape()
        return transposed_slab(self.slab_rows, self.n, self.sums)

    def deposit(self, acc: Sequence[ir.Value], slab: int, tile: SharedTile, thread: ir.Value) -> None:
        if self.sparse == "m":
            super().deposit(acc, slab, tile, thread)
            return
        group, lane = b.div(thread, GROUP), b.mod(thread, WARP)
        first = b.add(b.mul(group, ROWS * self.fragments), b.mul(b.div(b.mod(thread, GROUP), WARP), 16))
        column, row = b.add(first, b.div(lane, 4)), b.mul(b.mod(lane, 4), 2)
        for j in range(self.slab_rows // 8):
            register = 4 * (slab * self.slab_rows // 8 + j)
            for i, sums in enumerate(acc):
                for half, odd in ((0, 0), (0, 1), (1, 0), (1, 1)):
                    value = llvm.extractvalue(self.sums, sums, [register + 2 * half + odd])
                    tile.store(value, b.add(row, 8 * j + odd), b.add(column, ROWS * i + 8 * half))

    def slab_row(self, slab: int, row: Index) -> Index:
        return super().slab_row(slab, row) if self.sparse == "m" else b.add(row, slab * self.slab_rows)


def _words() -> ir.VectorType:
    return ir.VectorType.get([1], ir.IntegerType.get_signless(32))
