"""Shapes of the register tile and of the blocks around it: what one variant of the generator is.

Needs no MLIR: the selector ranks variants before anything is compiled.
"""

from __future__ import annotations

import dataclasses
import math
import re

from pith.errors import UnsupportedError
from pith.formats import Format

from ..isa import Isa

#: Rows per parallel task. Its tile of results (64 rows of 256 bytes) is half of a 32 KiB L1.
CHUNK_ROWS = 64

#: Bytes of the strip of a panel that stays in L1 while the rows of a task pass over it. From L2 one
#: core gets a third of L1's bandwidth.
STRIP_BYTES = 24 * 1024

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


@dataclasses.dataclass(frozen=True)
class Roles:
    """How the levels of a format serve a product that keeps ``row_dim`` and contracts ``red_dim``.

    Attributes:
        format, row_dim, red_dim: the operand.
        unit: rows per coordinate of the first level, when that level is dense over rows; else 0.
        inner: the levels of the row dimension below the first, outermost first.
        direct: every row is visited once, by loops that know it: the first level cuts the rows and the
            levels of ``inner`` are dense. Only then can a row's results stay in registers.
    """

    format: Format
    row_dim: int
    red_dim: int
    unit: int
    inner: tuple[int, ...]
    direct: bool

    @classmethod
    def of(cls, fmt: Format, row_dim: int) -> Roles:
        """Roles of the levels of a matrix format."""
        first, level = fmt.exprs[0], fmt.levels[0]
        unit = first.div if first.dim == row_dim and level.kind == "dense" and not first.mod else 0
        inner = tuple(i for i, e in enumerate(fmt.exprs) if i and e.dim == row_dim)
        direct = bool(unit) and all(fmt.levels[i].is_dense and fmt.exprs[i].mod for i in inner)
        if fmt.diagonal is not None and (len(fmt.levels) > 2 or fmt.levels[fmt.diagonal].kind != "band"):
            direct = False  # where a row's diagonals are is known only below the levels of other rows
        return cls(fmt, row_dim, 1 - row_dim, unit, inner, direct)

    @property
    def rows_differ(self) -> bool:
        """True when rows inside the first level choose coordinates of their own: then they share no panel rows."""
        last = max((i for i, level in enumerate(self.format.levels) if level.has_coordinates), default=0)
        return bool(self.inner) and self.inner[-1] < last

    @property
    def whole_bytes(self) -> int:
        """Neighbouring rows whose packed coordinates below the innermost row level begin and end on bytes."""
        rows, entries = 1, 1
        for i in range(self.inner[-1] + 1, len(self.format.levels)):
            level = self.format.levels[i]
            entries *= level.g if level.kind == "nm" else self.format.exprs[i].mod or 1
            if level.kind == "nm" and level.has_coordinates:
                rows = math.lcm(rows, 8 // math.gcd(8, entries * self.format.coord_bits(i)))
        return rows

    @property
    def shares_widely(self) -> bool:
        """True when more rows than a tile of 16 registers holds have the same coordinates."""
        return bool(self.inner) and not self.rows_differ and max(self.format.exprs[i].mod for i in self.inner) > 4

    @property
    def blocks(self) -> bool:
        """True when the innermost level counts contracted coordinates: values of one row lie side by side."""
        return self.format.exprs[-1].dim == self.red_dim

    @property
    def gathers(self) -> bool:
        """True when a row is groups ``G:H`` all along: of one column, vectors of elements can be taken at once."""
        levels = self.format.levels
        static = self.direct and not self.inner and all(level.is_static for level in levels)
        return static and not self.is_dense and len(levels) > 2 and levels[1].is_dense and levels[-1].kind == "nm"

    @property
    def shares_groups(self) -> bool:
        """True when rows side by side choose from the same groups ``G:H``: of one column, from one window of it."""
        levels, last = self.format.levels, len(self.format.levels) - 1
        return (
            self.direct
            and self.inner == (last - 1,)
            and self.format.exprs[last - 1].div == 1
            and levels[last].kind == "nm"
        )

    @property
    def is_dense(self) -> bool:
        """True when no coordinate depends on the data: all rows read the same panel rows."""
        return self.format.is_dense

    @property
    def has_strips(self) -> bool:
        """True when contracted coordinates can be cut into strips: the second level is dense over them."""
        return self.direct and len(self.format.levels) > 1 and 1 not in self.inner and self.format.levels[1].is_dense

    @property
    def has_cursors(self) -> bool:
        """True when the second level is compressed over contracted coordinates in order: a row can be resumed.

        Rows of a block are visited in several windows, which would all start where the first one stopped.
        """
        if not self.direct or len(self.format.levels) < 2 or self.inner:
            return False
        level = self.format.levels[1]
        return level.kind == "compressed" and level.ordered and level.unique

    def windows(self, rows: int) -> dict[int, int]:
        """Per inner row level, outermost first, how many of its coordinates are in the register tile at once."""
        out: dict[int, int] = {}
        for i in reversed(self.inner):
            size = self.format.exprs[i].mod
            out[i] = next(w for w in range(min(size, rows), 0, -1) if size % w == 0)
            rows //= out[i]
        return dict(sorted(out.items()))

    def turns(self, rows: int) -> int:
        """How many tiles of ``rows`` rows with coordinates of their own are visited by code that knows which they are.

        Where a row is known, so are the bits of its coordinates in the words that it shares with its neighbours.
        """
        if not self.direct or not self.rows_differ or len(self.inner) != 1:
            return 1
        window = math.prod(self.windows(_KNOWN_ROWS).values())
        return window // rows if window % math.lcm(rows, self.whole_bytes) == 0 else 1

    def group(self, rows: int) -> int:
        """How many units of the first level are in the register tile at once: 1 unless loops over them are alike."""
        return max(1, rows // self.unit) if self.is_dense or self.gathers else 1


def default_variant(
    roles: Roles, columns: int | None, element_bytes: int, isa: Isa, density: float | None = None
) -> Variant:
    """The register tile that suits a format, for a number of columns (None: unknown, taken as many).

    ``density`` of a compressed level says whether strips pay (None: unknown, one pass).

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
    return Variant(lanes, rows, _strip(roles, density, lanes * element_bytes))


#: Rows that share the windows of one column that groups choose from. On a Zen 3 core, 4096x4096 of 1:4: one row
#: takes 1.5 ms, two 1.4, four 1.0 (2026-11).
_GATHERING_ROWS = 4


def _column_rows(roles: Roles, vector: int, rows: int) -> int:
    """Rows of the tile of one column."""
    if roles.gathers:  # windows that depend on the data are nobody else's
        return _GATHERING_ROWS if sum(level.has_coordinates for level in roles.format.levels) == 1 else 1
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
    """
    filled = SHARING_VECTORS if columns is None else min(SHARING_VECTORS, max(2, columns // vector))
    return isa.vector_registers // 2 // (1 << filled.bit_length() - 1)


#: Entries of a row per strip that pay for its results coming from and going to memory, and the longest strip
#: worth cutting: from there on the panel may as well come from L2. Zen 3, 64 columns, 2026-11: CSR at 50, 70,
#: 80 % gains 1.45x, 1.3x, 1.1x from strips of 96, 96 and 256; at 95 % every strip loses. Narrower panels have room for
#: more: with 32 columns, 50 and 70 % gain 1.0x and 0.8x from strips of 96, 1.2x and 1.15x from strips of 256.
_ENTRIES_PER_STRIP, _LONGEST_STRIP = 48, 512


def _strip(roles: Roles, density: float | None, width: int) -> int:
    """Contracted coordinates per strip of a compressed second level, for a panel of ``width`` bytes."""
    if not density or not roles.has_cursors:
        return 0
    strip, wider = int(_ENTRIES_PER_STRIP / density), max(1, PANEL_BYTES // width)
    return strip * wider if strip <= _LONGEST_STRIP else 0


def dense_variant(columns: int | None, element_bytes: int, isa: Isa) -> Variant:
    """The register tile of a product of dense matrices (``columns`` None: unknown, taken as many).

    Two vectors by as many rows as leave registers for operands, or four. On a Zen 3 core in GF/s, for 2048x512x256 and
    1024x1024x1024 (MKL 82, 90): 6x16 91, 84; 4x16 88, 77; vectors of 24 elements are no power of two, and LLVM
    spills them: 4x24 30, 30. Strips of 16 to 32 KiB, groups of 64 to 512 columns and chunks of 66 to 192 rows
    differ by less than repeated runs do (2026-11).

    Of 32 registers, six rows of four vectors take 48 cycles for 48, 12 of two 52 to 63: they load more, and addresses
    of as many rows are not in registers (llvm-mca, Skylake's AVX-512, 2026-11).

    >>> from pith.lowering.isa import ISAS
    >>> [str(dense_variant(n, 4, ISAS["avx2"])) for n in (3, 8, 200)]
    ['lanes=4,rows=8', 'lanes=8,rows=8', 'lanes=16,rows=6']
    >>> [str(dense_variant(n, 4, ISAS["avx512"])) for n in (16, 96, 128)]
    ['lanes=16,rows=8', 'lanes=32,rows=12', 'lanes=64,rows=6']
    """
    vector = max(1, isa.vector_bytes // element_bytes)
    if columns is not None and columns <= vector:
        return Variant(fitting_lanes(columns, vector, vector), 8)
    if isa.vector_registers > 16 and (columns is None or columns % (4 * vector) == 0 or columns > 16 * vector):
        return Variant(4 * vector, 6)
    return Variant(2 * vector, 6 if isa.vector_registers <= 16 else 12)


#: Rows of a window that are visited in turns: as many unrolled blocks.
_KNOWN_ROWS = 4


def _tile_rows(roles: Roles, columns: int | None, vector: int, isa: Isa) -> int:
    if not roles.direct:
        return 1
    if roles.turns(1) > 1:  # rows share nothing: each loads panel rows of its own, and the longer those, the better
        widest = PANEL_BYTES // isa.vector_bytes
        vectors = widest if columns is None else min(widest, -(-columns // vector))
        window = math.prod(roles.windows(_KNOWN_ROWS).values())
        return max(r for r in range(1, window + 1) if window % r == 0 and (r == 1 or r * vectors <= 8))
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


#: Groups of the second level in one unrolled block, at most.
MOST_GROUPS = 16


def size_class(roles: Roles, size: int) -> int:
    """A divisor of the contracted size that the generated code makes use of: one of few, so kernels serve many sizes.

    >>> [size_class(Roles.of(Format.csr(), 0), k) for k in (64, 100)]
    [1, 1]
    """
    fmt = roles.format
    if not roles.direct or len(fmt.levels) < 2 or not fmt.levels[1].is_dense or 1 in roles.inner:
        return 1
    if fmt.padded:
        size = -(-size // fmt.divisors()[roles.red_dim]) * fmt.divisors()[roles.red_dim]
    return math.gcd(size, MOST_GROUPS * fmt.exprs[1].div)
