"""The warpgroup body: ``wgmma.mma_async``, which reads both operands from shared memory while threads do other things.

One instruction multiplies 64 rows of the lhs by up to 256 columns of the rhs, over 32 bytes of k; four warps issue it
together, and warp w of them holds rows 16 w to 16 w + 15 of the sums, in the fragments of ``mma.sync``. Operands are
described by 64 bits each (:func:`descriptor`). What is still being read when :meth:`WgmmaBody.step` returns is told by
:attr:`WgmmaBody.lag`.

Source: PTX ISA, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Instructions": "Shared Memory Matrix Layout"
(canonical layouts), "Matrix Descriptor Format", "Register Fragments and Shared Memory Matrix Layouts".
"""

import dataclasses
from collections.abc import Sequence

from pith._mlir import arith, ir, llvm, memref, nvvm, vector
from pith.programs.chips import Chip

from ... import builder as b
from ...builder import Index
from .bodies import WARP, Tiles
from .layout import CHUNK_BYTES, SWIZZLE_BYTES, layout_of
from .tiles import SharedTile, TileShape

#: Threads that issue one instruction, its rows, and bytes of k that it multiplies.
GROUP, ROWS, DEPTH_BYTES = 128, 64, 32
#: Columns of one instruction at most.
_MOST_COLUMNS = 256
#: Rows of shared memory that are swizzled, largest first, and what a descriptor calls the swizzle.
ROW_BYTES = {128: 1, 64: 2, 32: 3}
#: Element types as the instruction names them.
_NAMES = {"f16": "f16", "bf16": "bf16", "f32": "tf32", "i8": "s8"}


def gain_of(chip: Chip, kind: str, fast: tuple[str, str]) -> float:
    """How much faster than ``mma.sync`` warpgroups of ``chip`` multiply what lies along ``fast``; 1: they cannot.

    Example:
        >>> from pith.programs.chips import CHIPS
        >>> gain_of(CHIPS["sm_90a"], "half", ("k", "n")) > 1.5, gain_of(CHIPS["sm_90a"], "tf32", ("k", "n"))
        (True, 1.0)
        >>> gain_of(CHIPS["sm_90"], "half", ("k", "n"))
        1.0
    """
    takes = chip.wgmma and (kind == "half" or (kind != "fma" and fast == ("k", "k")))
    return 1.0 / chip.mma_share if takes else 1.0


def warpgroups_of(
    extents: dict[str, int], warps: tuple[int, int], fast: tuple[str, str], width: int
) -> tuple[int, int] | None:
    """How warpgroups split a tile that ``warps`` (down, across) split; None: this is no tile for them.

    Only 2-byte elements may lie across k.

    Example:
        >>> tile = {"m": 128, "n": 256, "k": 64}
        >>> warpgroups_of(tile, (8, 1), ("k", "n"), 2), warpgroups_of(tile, (2, 4), ("k", "n"), 2)
        ((2, 1), None)
        >>> warpgroups_of({**tile, "k": 32}, (8, 1), ("k", "n"), 4) is None
        True
    """
    down, across = warps[0] // 4, warps[1]
    m, n, depth = extents["m"], extents["n"], extents["k"] * width
    if warps[0] % 4 or m % (ROWS * down) or n % (8 * across) or depth not in ROW_BYTES:
        return None
    columns = n // across
    if columns > _MOST_COLUMNS or (width != 2 and fast != ("k", "k")):
        return None
    # Rows of 32 bytes at least; and the columns that instructions for bytes have: those below 32, and every other one.
    coarse = (fast[1] == "n") if width == 2 else (width == 1 and columns > 32)
    return None if coarse and columns % 16 else (down, across)


def warps_for(extents: dict[str, int], fast: tuple[str, str], width: int, most: int) -> tuple[int, int] | None:
    """Warps of a tile nobody chose warps for, with ``most`` sums per thread at most; None: no tile for warpgroups.

    Example:
        >>> warps_for({"m": 64, "n": 128, "k": 64}, ("k", "k"), 2, 128)
        (4, 1)
        >>> warps_for({"m": 32, "n": 128, "k": 64}, ("k", "k"), 2, 128) is None
        True
    """
    places = extents["m"] * extents["n"]
    for warps in ((4, 1), (8, 1), (4, 2)):
        sums = places // (WARP * warps[0] * warps[1])
        if sums <= most and warpgroups_of(extents, warps, fast, width):
            return warps
    return None


@dataclasses.dataclass(frozen=True)
class WgmmaBody:
    """Hopper's tensor cores: f16, bf16 and f32 (read as tf32) with f32 sums, i8 with i32 sums, which wrap.

    Attributes:
        m, n, k: the block's tile.
        groups: (down, across): how warpgroups split it evenly (:func:`warpgroups_of`).
        fast: the role along which lhs and rhs are contiguous; k where elements have not 2 bytes.
        width: bytes of an element of the inputs.
    """

    m: int
    n: int
    k: int
    groups: tuple[int, int]
    fast: tuple[str, str] = ("k", "n")
    width: int = 2
    #: The instructions of a step are waited for at the end of the next one: tensor cores do not wait for barriers.
    lag = 1

    @property
    def threads(self) -> int:
        return GROUP * self.groups[0] * self.groups[1]

    @property
    def fragments(self) -> int:
        """Instructions of one warpgroup that lie below each other."""
        return self.m // ROWS // self.groups[0]

    @property
    def columns(self) -> int:
        """Columns of one warpgroup."""
        return self.n // self.groups[1]

    @property
    def sums(self) -> ir.Type:
        """Element type of the accumulators."""
        return ir.IntegerType.get_signless(32) if self.width == 1 else ir.F32Type.get()

    def layout(self, lhs: ir.Type, rhs: ir.Type) -> tuple[list[TileShape], list[TileShape]]:
        left, right = (
            self._shape(role, along, part, element)
            for role, along, part, element in zip("mn", self.fast, (ROWS, self.columns), (lhs, rhs))
        )
        return [left], [right]

    def _shape(self, role: str, along: str, part: int, element: ir.Type) -> TileShape:
        """Rows of the swizzled lengths; what is longer is cut into panels, of which ``part`` is a multiple."""
        extents = {"m": self.m, "n": self.n, "k": self.k}
        order, across = ((role, "k"), self.k) if along == "k" else (("k", role), part)
        row = next(r for r in ROW_BYTES if across * self.width % r == 0)
        rows, columns = extents[order[0]], extents[order[1]]
        swizzle = layout_of(row // CHUNK_BYTES)[1]
        pitch = row // self.width
        return TileShape(order, (rows, columns), element, pitch, swizzle, columns // pitch, SWIZZLE_BYTES)

    def zeros(self) -> list[ir.Value]:
        held = ", ".join([str(self.sums)] * (self.columns // 2))
        type_ = ir.Type.parse(f"!llvm.struct<({held})>")
        return [llvm.mlir_zero(type_)] * self.fragments

    def step(self, lhs: Tiles, rhs: Tiles, acc: Sequence[ir.Value], thread: ir.Value) -> list[ir.Value]:
        group = b.div(thread, GROUP)
        row = b.mul(b.div(group, self.groups[1]), self.m // self.groups[0])
        column = b.mul(b.mod(group, self.groups[1]), self.columns)
        left, right = descriptor(lhs[0], row), descriptor(rhs[0], column)
        sums = list(acc)
        nvvm.wgmma_fence_aligned()
        for k in range(0, self.k, DEPTH_BYTES // self.width):
            y = moved(right, bytes_to(rhs[0].shape, 0, k))
            for i, old in enumerate(sums):
                sums[i] = self._multiply(old, moved(left, bytes_to(lhs[0].shape, ROWS * i, k)), y, lhs, rhs)
        nvvm.wgmma_commit_group_sync_aligned()
        return sums

    def _multiply(self, old: ir.Value, x: ir.Value, y: ir.Value, lhs: Tiles, rhs: Tiles) -> ir.Value:
        types = [_attribute("wgmma_type", _NAMES[str(tiles[0].shape.element)]) for tiles in (lhs, rhs)]
        one, plus = _attribute("wgmma_scale_out", "one"), _attribute("wgmma_scale_in", "one")
        # "row" says of the lhs that k is fast, of the rhs that k is slow.
        layouts = ["row" if tiles[0].shape.roles[1] == fast else "col" for tiles, fast in ((lhs, "k"), (rhs, "n"))]
        shape = ir.Attribute.parse(f"#nvvm.shape<m = {ROWS}, n = {self.columns}, k = {DEPTH_BYTES // self.width}>")
        result = _attribute("wgmma_type", "s32" if self.width == 1 else "f32")
        transposed = [_attribute("mma_layout", name) for name in layouts]
        return nvvm.wgmma_mma_async(old.type, old, x, y, shape, *types, result, one, plus, plus, *transposed)

    def settle(self, steps: int) -> None:
        nvvm.wgmma_wait_group_sync_aligned(steps)

    def publish(self) -> None:
        kind, space = _attribute("proxy_kind", "async.shared"), _attribute("shared_space", "cta")
        nvvm.fence_proxy(kind, space=space)

    @property
    def slabs(self) -> int:
        return self.fragments

    @property
    def slab_rows(self) -> int:
        return ROWS * self.groups[0]

    def slab_shape(self) -> TileShape:
        # As those of mma.sync: rows 8 words apart modulo 32 meet different banks.
        return TileShape(("m", "n"), (self.slab_rows, self.n), self.sums, self.n + (8 - self.n) % 32)

    def deposit(self, acc: Sequence[ir.Value], slab: int, tile: SharedTile, thread: ir.Value) -> None:
        group, lane = b.div(thread, GROUP), b.mod(thread, WARP)
        warp = b.div(b.mod(thread, GROUP), WARP)
        first = b.add(b.mul(b.div(group, self.groups[1]), ROWS), b.mul(warp, 16))
        row = b.add(first, b.div(lane, 4))
        column = b.add(b.mul(b.mod(group, self.groups[1]), self.columns), b.mul(b.mod(lane, 4), 2))
        pair = ir.VectorType.get([2], self.sums)
        for j in range(self.columns // 8):
            for half in (0, 1):
                held = [llvm.extractvalue(self.sums, acc[slab], [4 * j + 2 * half + c]) for c in (0, 1)]
                value = vector.from_elements(pair, held)
                tile.store_vector(value, b.add(row, 8 * half), b.add(column, 8 * j))

    def slab_row(self, slab: int, row: Index) -> Index:
        down, inside = b.div(row, ROWS), b.mod(row, ROWS)
        return b.add(b.mul(down, self.m // self.groups[0]), b.add(inside, ROWS * slab))


def descriptor_bits(shape: TileShape) -> int:
    """What a descriptor says besides the address: offsets between swizzled blocks of 8 rows, and the swizzle.

    Where k is fast, the leading offset says nothing and is 1 by convention; else it is that of the next panel. The
    other one is that of the next 8 rows. Offsets are in units of 16 bytes.
    """
    row = shape.pitch * shape.width
    stride = 8 * row // CHUNK_BYTES
    leading = 1 if shape.roles[1] == "k" else shape.extents[0] * row // CHUNK_BYTES
    return leading << 16 | stride << 32 | ROW_BYTES[row] << 62


def descriptor(tile: SharedTile, place: Index) -> ir.Value:
    """The descriptor of a tile from row (column) ``place`` on, a multiple of those of its swizzled blocks."""
    shape, i64 = tile.shape, ir.IntegerType.get_signless(64)
    base = memref.ExtractAlignedPointerAsIndexOp(tile.memory).operation.results[0]
    row = shape.pitch * shape.width
    # One place along m or n: a row where k is fast; else a whole panel holds as many as a row has elements.
    each = row if shape.roles[1] == "k" else shape.extents[0] * shape.width
    start = b.add(b.add(base, b.mul(tile.copy, shape.nbytes)), b.mul(place, each))
    address = b.mod(b.div(start, CHUNK_BYTES), 1 << 14)
    bits = descriptor_bits(shape)
    constant = arith.constant(ir.IntegerType.get_signless(64), bits - (1 << 64) if bits >> 63 else bits)
    return arith.ori(arith.index_cast(i64, b.value(address)), constant)


def bytes_to(shape: TileShape, place: int, k: int) -> int:
    """From the start of a warpgroup's part to its ``place``-th row (column) and the ``k``-th element of k.

    Inside of a swizzled row the address moves as if nothing were permuted: the hardware permutes what it computes.
    """
    row = shape.pitch * shape.width
    if shape.roles[1] == "k":
        return place * row + k * shape.width
    return place * shape.extents[0] * shape.width + k * row


def moved(descriptor: ir.Value, nbytes: int) -> ir.Value:
    """The descriptor of what lies ``nbytes`` after what ``descriptor`` says; its low bits are an address in chunks."""
    if not nbytes:
        return descriptor
    return arith.addi(descriptor, arith.constant(descriptor.type, nbytes // CHUNK_BYTES))


def _attribute(kind: str, value: str) -> ir.Attribute:
    """``#nvvm.kind<value>``."""
    return ir.Attribute.parse(f"#nvvm.{kind}<{value}>")
