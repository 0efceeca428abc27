"""Shapes of the register tile and of the blocks around it: what one variant of the generator is.

Needs no MLIR: the selector ranks variants before anything is compiled.
"""

from __future__ import annotations

import dataclasses
import math
import re

from pith.errors import UnsupportedError

from ..isa import Isa
from .roles import Roles

#: Rows per parallel task. Its tile of results (64 rows of 256 bytes) is half of a 32 KiB L1.
CHUNK_ROWS = 64

#: Rows per parallel task at most, where contracted coordinates are cut into strips: each comes from L2 once per task.
#: On a Zen 3 core 256 rows take 1.02 to 1.05 times less than 64 at 25 % density, 128 half of that (2026-11).
MOST_CHUNK_ROWS = 256

#: Bytes of the strip of a panel that stays in L1 while the rows of a task pass over it. From L2 one core gets a third
#: of L1's bandwidth. Results and entries are read once per strip, so a strip may be all of a 32 KiB L1: against 24 KiB,
#: C1(4:6)->C0(1:4) and C1(4:7)->C0(1:4) gain 1.2x to 1.35x, 25 % density 1.02x to 1.06x, 2:4 1.01x to 1.07x; 48 KiB
#: lose (Zen 3, 64 lanes, 2026-11).
STRIP_BYTES = 32 * 1024

#: Vector multiply-adds in one unrolled block. 128 are 1 KiB of code, some of the 4 KiB of decoded
#: instructions that Zen and Core keep, and enough to hide what a block does once.
BLOCK_OPERATIONS = 128

#: What a block may grow to so that its coordinates begin and end on bytes.
MOST_OPERATIONS = 320

#: Accumulators that leave registers for operands, of 16 registers and of 32.
ACCUMULATORS = {16: 12, 32: 24}

#: Bytes of a panel's row when rows share nothing: 8 registers of 256 bits, 4 of 512.
PANEL_BYTES = 256


@dataclasses.dataclass(frozen=True)
class Variant:
    """One shape of the matrix-product kernel.

    Attributes:
        lanes: columns of the register tile, the width of a packed panel.
        rows: rows of the register tile. Rows share each load of the panel when they share coordinates:
            inside blocks, under row sharing V, and in dense formats.
        strip: contracted coordinates per pass over the rows of a compressed format; 0: all in one. Short
            strips keep the panel in L1, at the price of results that come and go once per strip.

    Example:
        >>> Variant.parse(str(Variant(lanes=64, rows=1)))
        Variant(lanes=64, rows=1, strip=0)
    """

    lanes: int
    rows: int
    strip: int = 0

    def __post_init__(self) -> None:
        if self.lanes < 1 or self.rows < 1 or self.strip < 0:
            raise UnsupportedError(f"variant {self} expects positive sizes")

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Read ``lanes=L,rows=R`` or ``lanes=L,rows=R,strip=S``."""
        match = re.fullmatch(r"lanes=(\d+),rows=(\d+)(?:,strip=(\d+))?", text.strip())
        if not match:
            raise UnsupportedError(f"cannot read variant {text!r}", hint="write lanes=64,rows=1")
        return cls(int(match[1]), int(match[2]), int(match[3] or 0))

    def __str__(self) -> str:
        return f"lanes={self.lanes},rows={self.rows}" + (f",strip={self.strip}" if self.strip else "")


def default_variant(roles: Roles, columns: int | None, element_bytes: int, isa: Isa) -> Variant:
    """The register tile that suits a format, for a number of columns (None: unknown, taken as many).

    Of a compressed level all coordinates are visited in one pass: see :func:`strip_of`.

    >>> from pith.formats import Format
    >>> from pith.lowering.isa import ISAS
    >>> default_variant(Roles.of(Format.csr(), 0), 100, 4, ISAS["avx2"])
    Variant(lanes=56, rows=1, strip=0)
    """
    vector = max(1, isa.vector_bytes // element_bytes)
    rows = _tile_rows(roles, columns, vector, isa)
    if columns == 1:  # the lanes of vectors are rows, or elements of one row (lanes.py)
        return Variant(1, _column_rows(roles, vector, rows))
    if roles.is_dense and roles.direct:
        return dense_variant(columns, element_bytes, isa)
    if rows > 2 and roles.shares_widely:
        rows = min(rows, _few_rows(columns, vector, isa))
    # Eight accumulators keep two FMA pipes of latency 4 busy and leave room for the operands among 16 registers.
    # A row alone has no use for more: past 256 bytes its results no longer fit L1 beside the panel.
    shared = vector * min(SHARING_VECTORS, isa.vector_registers // 2 // rows)
    most = max(1, PANEL_BYTES // element_bytes) if rows == 1 else shared
    lanes = fitting_lanes(columns, vector, most)
    return Variant(vector if rows > 1 and lanes * element_bytes == _HALF < isa.vector_bytes else lanes, rows)


#: Bytes of the registers that only one unit multiplies while instructions of 512 bits are on their way, and LLVM makes
#: such of addresses: tiles of several rows take whole registers. B(4x4)C0(1:2), 2048x2048, 8 columns of f32: 0.84 ms
#: instead of 1.68; 4 of f64: 1.6 instead of 2.1 (Emerald Rapids, 2026-11-22).
_HALF = 32

#: Rows that share the windows of one column that groups choose from. On a Zen 3 core, 4096x4096 of 1:4: one row
#: takes 1.5 ms, two 1.4, four 1.0 (2026-11).
_GATHERING_ROWS = 4

#: Lanes of registers of which a permutation takes from two: then windows are constant in groups of groups too.
_PAIRED_LANES = 16


def _column_rows(roles: Roles, vector: int, rows: int) -> int:
    """Rows of the tile of one column."""
    if roles.gathers:  # windows that depend on the data are nobody else's
        constant = sum(level.has_coordinates for level in roles.format.levels) == 1
        constant = constant or (vector >= _PAIRED_LANES and roles.reach <= 2 * vector)
        return _GATHERING_ROWS if constant else 1
    if not roles.direct or roles.is_dense:
        return rows
    # Each row of a block has a sum of its own: eight are enough to hide the latency of adding to them.
    apart = roles.blocks and roles.inner and not roles.shares_groups
    return math.prod(roles.windows(8 if apart else 2 * vector).values())


#: Vectors of a tile whose rows share coordinates, at most. On a Zen 3 core, 4x2, 2x4 and 1x8 vectors in GF/s for 32
#: columns: V(16)C0(2:4) 73, 81, 38; V(16)C0(2:16) 71, 72, 30; B(16x32)C0(2:4) 78, 85, 40; with 128 columns 68, 78, 72;
#: 70, 70, 58; 74, 83, 78 (1024x1024, 2026-11). Where the tile holds all rows that share: B(4x4) 83, 68, 22.
SHARING_VECTORS = 4


def _few_rows(columns: int | None, vector: int, isa: Isa) -> int:
    """Rows of the tile when more share coordinates: half of the registers are sums, of two vectors a row or four.
    Share of the peak of AVX-512 for 8x1, 8x2 and 4x4 vectors: V(16)C0(2:4) 0.61, 0.80, 0.96; B(16x32) 0.62, 0.89, 1.0
    (llvm-mca for Skylake, and 1.4 loads of 64 bytes a cycle as measured beside AMX, 2026-11).

    A core that begins one multiply-add of 512 bits a cycle needs no more than four rows. In tiles of 8x2 LLVM loads
    values of blocks far ahead and spills them: 4096x4096x32 of B(16x32)C0(1:2) takes 6.5 ms in 8x2 and 5.2 in 4x2,
    V(16)C0(2:4) and 16 columns as long in both (one core of Zen 4, 2026-11-23).
    """
    if isa.multiply_adds == 1:
        return 4
    filled = SHARING_VECTORS if columns is None else min(SHARING_VECTORS, max(2, columns // vector))
    return isa.vector_registers // 2 // (1 << filled.bit_length() - 1)


def dense_variant(columns: int | None, element_bytes: int, isa: Isa, rows: int | None = None) -> Variant:
    """The register tile of a product of dense matrices (``columns``, ``rows`` None: unknown, taken as many).

    Two vectors by as many rows as leave registers for operands, or four. On a Zen 3 core in GF/s, for 2048x512x256 and
    1024x1024x1024 (MKL 82, 90): 6x16 91, 84; 4x16 88, 77. Strips of 16 to 32 KiB, groups of 64 to 512 columns and
    chunks of 66 to 192 rows differ by less than repeated runs do (2026-11).

    Of 32 registers, what takes the fewest cycles: see :func:`_cycles`.

    >>> from pith.lowering.isa import ISAS
    >>> [str(dense_variant(n, 4, ISAS["avx2"])) for n in (3, 8, 200)]
    ['lanes=4,rows=8', 'lanes=8,rows=8', 'lanes=16,rows=6']
    >>> [str(dense_variant(n, 4, ISAS["avx512"])) for n in (16, 40, 96, 128)]
    ['lanes=16,rows=8', 'lanes=48,rows=8', 'lanes=48,rows=8', 'lanes=64,rows=6']
    >>> [str(dense_variant(1024, 4, ISAS["avx512"], n)) for n in (4, 8, 16)]
    ['lanes=64,rows=4', 'lanes=32,rows=8', 'lanes=48,rows=8']
    """
    vector = max(1, isa.vector_bytes // element_bytes)
    if columns is not None and columns <= vector:
        return Variant(fitting_lanes(columns, vector, vector), 8)
    if isa.vector_registers <= 16:
        return Variant(2 * vector, 6)
    across = -(-columns // vector) if columns else _MANY
    tiles = [(v, each) for v, most in enumerate(_MOST_ROWS, 1) if v <= across for each in range(4, most + 1)]
    down = rows if rows and rows <= _FEW else _MANY
    vectors, best = min(tiles, key=lambda tile: (_cycles(*tile, down, across), -tile[0], tile[1]))
    return Variant(vectors * vector, best)


def block_variant(rows: int, columns: int | None, element_bytes: int, isa: Isa) -> Variant:
    """The register tile for blocks of ``rows`` rows.

    Among 32 registers four vectors, where columns are as many: 32x1 micro-tiles take 16.1 cycles for 16 in tiles of
    4x4, and 12.1 for 11 in tiles of 11x2 (llvm-mca, Skylake's AVX-512, 2026-11).

    >>> from pith.lowering.isa import ISAS
    >>> [str(block_variant(n, None, 4, ISAS["avx2"])) for n in (1, 2, 7, 32)]
    ['lanes=64,rows=1', 'lanes=32,rows=2', 'lanes=16,rows=4', 'lanes=16,rows=4']
    >>> [str(block_variant(32, n, 4, ISAS["avx512"])) for n in (32, None)]
    ['lanes=32,rows=11', 'lanes=64,rows=4']
    """
    vector = max(1, isa.vector_bytes // element_bytes)
    wide = isa.vector_registers > 16 and (columns is None or columns >= 4 * vector)
    most = 12 if isa.vector_registers > 16 and not wide else 6
    # Rows that a tile has beyond the block's are lost, and a tile's panel rows are loaded for it alone.
    best = min(range(1, most + 1), key=lambda r: -(-rows // r) * (r + 1.5))
    if best == 1:
        return Variant(fitting_lanes(columns, vector, max(1, PANEL_BYTES // element_bytes)), 1)
    if columns is not None and columns <= vector:
        return Variant(fitting_lanes(columns, vector, vector), best)
    return Variant(vector * (4 if wide or best == 2 else 2), best)


#: Rows for which it matters how many the last tile has too many; rows or vectors where there are many: a multiple of
#: what tiles have.
_FEW, _MANY = 64, 55440

#: Cycles in which a vector comes from the last-level cache (28 GB/s, Emerald Rapids, 2026-11).
_FETCH = 6

#: Rows of tiles of one to four vectors that 32 registers hold beside a row of the panel and an element.
_MOST_ROWS = (12, 12, 8, 6)


def _cycles(vectors: int, each: int, rows: int, columns: int) -> float:
    """Of tiles of ``each`` rows, for a contracted coordinate and ``columns`` vectors.

    Two multiply-adds a cycle, and what is loaded for them: six rows of four vectors take 48 cycles for 48, twelve of
    two 52 to 63 (llvm-mca, Skylake's AVX-512, 2026-11). The first tile waits for memory.
    """

    def one(width: int, high: int) -> float:
        tile = max(8, high * width) / 2 + 0.1 * (high + width)
        return max(tile, _FETCH * width) + (-(-rows // high) - 1) * tile if width else 0.0

    rest = columns % vectors
    return columns // vectors * one(vectors, each) + one(rest, _MOST_ROWS[rest - 1])


def _tile_rows(roles: Roles, columns: int | None, vector: int, isa: Isa) -> int:
    if not roles.direct:
        return 1
    if roles.turns(1) > 1:
        # Rows share nothing: each loads panel rows of its own, and the longer those, the fewer loads of values. GF/s of
        # 1, 2 and 4 rows by 64, 32 and 16 lanes, 64 columns: V(4)C1(2:4)->C0(2:4) 60, 57, 47; 16 columns, 16 lanes:
        # 43, 47, 48; of V(16) 42, 40, 34; 4 columns 7, 7, 10 and 8, 9, 10 (Zen 3, 2026-11).
        widest = PANEL_BYTES // isa.vector_bytes
        vectors = widest if columns is None else min(widest, -(-columns // vector))
        wanted = 4 if vectors == 1 else 2 if vectors <= 4 else 1
        return math.prod(roles.windows(wanted).values())
    most = 4 if isa.vector_registers <= 16 else 8
    if roles.is_dense:
        return most
    return math.prod(roles.windows(roles.whole_bytes if roles.rows_differ else most).values())


def fitting_lanes(columns: int | None, vector: int, most: int) -> int:
    """Panel width up to ``most`` that takes the fewest operations: whole vectors, or a power of two below one.

    An element costs one multiply-add per vector of the panel, and about 1.5 to find and broadcast it.

    >>> [fitting_lanes(n, 8, 64) for n in (1, 3, 8, 20, 64, 96, 100)]
    [1, 4, 8, 24, 64, 48, 56]
    """
    if columns is None:
        return most
    if columns <= vector:
        return 1 << max(0, columns - 1).bit_length()
    widths = range(vector, most + 1, vector)
    return min(widths, key=lambda w: (-(-columns // w) * (w / vector + 1.5), -w))


#: Groups of the second level in one unrolled block, at most (``Stream.block``, 512 bits).
MOST_GROUPS = 32


def size_class(roles: Roles, size: int) -> int:
    """A divisor of the contracted size that the generated code makes use of: one of few, so kernels serve many sizes.

    >>> from pith.formats import Format
    >>> [size_class(Roles.of(Format.csr(), 0), k) for k in (64, 100)]
    [1, 1]
    """
    fmt = roles.format
    if not roles.direct or len(fmt.levels) < 2 or not fmt.levels[1].is_dense or 1 in roles.inner:
        return 1
    if fmt.padded:
        size = -(-size // fmt.divisors()[roles.red_dim]) * fmt.divisors()[roles.red_dim]
    return math.gcd(size, MOST_GROUPS * fmt.exprs[1].div)
