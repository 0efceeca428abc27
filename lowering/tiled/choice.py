"""How a sparse operand gets into tiles, and when dot instructions are worth it. No MLIR is needed."""

from __future__ import annotations

import dataclasses
import enum
import itertools

from pith.formats import Format

from ..isa import Isa
from ..panel.paired import COLUMNS, in_pairs
from ..panel.roles import Roles
from .groups import GroupLayout

#: Rows that may share coordinates: as many whole dwords fill a vector.
_SHARED = (2, 4, 8, 16)

#: Dots on dense tiles that take the time of one on a pair of stored elements (2:4, Zen 4, 2026-11).
_PAIR_COST = 1.4

#: Positions that tiles may have: where blocks are no whole tiles, their tiles are smaller.
_POSITIONS = (16, 8, 4, 2, 1)


class Source(enum.Enum):
    """How tiles of the sparse operand are made."""

    #: The values are one row-major matrix: tiles are loaded from it, wherever they do not pass its edge.
    DENSE = "dense"
    #: The values are blocks of whole tiles: tiles are loaded from them, absent blocks are skipped.
    BLOCKS = "blocks"
    #: Rows are expanded into all tiles that they cross.
    ALL_TILES = "all tiles"
    #: Rows are expanded into the tiles that hold one of their elements; the others are skipped.
    PRESENT_TILES = "present tiles"
    #: Rows that share coordinates list them; dots multiply neighbours in the list. Only dot instructions do.
    NAMED = "named"


@dataclasses.dataclass(frozen=True)
class TileShape:
    """Rows and contracted coordinates of a tile."""

    rows: int
    depth: int


def source_of(fmt: Format, row_dim: int, tile: TileShape) -> Source:
    """How an operand whose first level are dense rows gets into tiles.

    >>> [source_of(Format.bsr(16, n), 0, TileShape(16, 32)).value for n in (32, 16)]
    ['blocks', 'present tiles']
    """
    if _is_row_major(fmt, row_dim):
        return Source.DENSE
    if _holds_tiles(fmt, row_dim, tile):
        return Source.BLOCKS
    return Source.PRESENT_TILES if _leaves_tiles_out(fmt, row_dim, tile) else Source.ALL_TILES


def dot_shape(fmt: Format, row_dim: int, rows: int, group: int) -> TileShape:
    """The tile that suits a format where tiles are memory: that of its blocks, when they have whole dwords.

    Args:
        rows: rows whose sums fit the registers.
        group: contracted coordinates in a dword.

    >>> dot_shape(Format.bsr(4, 8), 0, 8, 2), dot_shape(Format.csr(), 0, 8, 2)
    (TileShape(rows=4, depth=8), TileShape(rows=8, depth=32))
    """
    for height, positions in itertools.product((rows, rows // 2, rows // 4), _POSITIONS):
        tile = TileShape(height, positions * group)
        if height and _holds_tiles(fmt, row_dim, tile):
            return tile
    return TileShape(rows, _POSITIONS[0] * group)


def dots_pay(fmt: Format, row_dim: int, columns: int | None, element: str, isa: Isa) -> bool:
    """True when dot instructions on dense tiles beat multiply-adds in f32 on the stored elements.

    They do when of what they multiply a share is stored that they are faster by; twice that share where rows are not
    expanded by vectors. With one column, lanes of vectors are rows or elements of a row, and nothing is left to gain:
    bf16 is widened and multiplied at 20 bytes a cycle (llvm-mca, AVX-512, B(16x32)), and memory gives six.

    Stored elements in pairs may be faster still (``panel/paired.py``).

    Blocks one coordinate wide, as 4x1, are no tile in memory: see :func:`named_rows`.

    >>> from pith.lowering.isa import ISAS
    >>> zen4 = ISAS["avx512-bf16"]
    >>> [dots_pay(f, 0, 64, "bf16", zen4) for f in (Format.dense(), Format.bsr(16, 16), Format.csr())]
    [True, True, False]
    """
    gain = isa.dot_gain(element)
    if not gain or columns == 1:
        return False
    if named_rows(fmt, row_dim, columns, element, isa):
        return True
    group = dot_group(element, isa)
    tile = dot_shape(fmt, row_dim, dot_rows(isa), group)
    source = source_of(fmt, row_dim, tile)
    if source is Source.BLOCKS:
        return element != "i8" or group == 4  # as they are stored, bytes are no pairs of 16 bits
    if source is not Source.ALL_TILES or _pairs_pay(fmt, row_dim, columns, element, isa):
        return source is Source.DENSE
    return fmt.density * gain >= (1 if GroupLayout.of(fmt, row_dim, tile.depth, group) else 2)


def _pairs_pay(fmt: Format, row_dim: int, columns: int | None, element: str, isa: Isa) -> bool:
    """True where dot instructions take less time for stored elements in pairs (``panel/paired.py``) than for all."""
    paired = in_pairs(Roles.of(fmt, row_dim), (element, element, "f32"), COLUMNS, 1, isa)
    return paired and (columns is None or columns > COLUMNS // 2) and fmt.density * _PAIR_COST < 1


def named_rows(fmt: Format, row_dim: int, columns: int | None, element: str, isa: Isa) -> int:
    """Rows of a tile where dots are made of what rows with shared coordinates list; 0 where that is not the fastest.

    The rows of a panel that a dword's coordinates name are interleaved for every block row, one shuffle per vector of
    columns and doubling, so the rows of a tile share the cost. For four rows of bytes that is half of the dots again,
    and a stored element takes 1.5 times what one of a dense tile does: V(4)C0(2:4) is faster so than expanded.

    >>> from pith.lowering.isa import ISAS
    >>> formats = [Format.bsr(4, 1), Format.bsr(16, 1), Format.bsr(4, 4), Format.csr()]
    >>> [named_rows(f, 0, 64, "i8", ISAS["avx512-vnni"]) for f in formats]
    [4, 4, 0, 0]
    """
    gain, height = isa.dot_gain(element), _sharing_rows(fmt, row_dim)
    if not gain or not height or columns == 1:
        return 0
    group = dot_group(element, isa)
    rows = min(height, isa.vector_registers // 2 // group)
    cost = 1 + group.bit_length() / rows - 1 / rows
    share = fmt.density if fmt.is_static else 0.0  # else dense tiles are no rival
    return rows if rows > 1 and cost < gain and cost * share < 1 else 0


def _sharing_rows(fmt: Format, row_dim: int) -> int:
    """Rows that store the same coordinates, one wide, side by side, when they are a few; else 0."""
    first, *below, last = fmt.exprs
    rows = last.mod if last.dim == row_dim and last.div == 1 else 0
    contracted = [e for e in below if e.dim != row_dim]
    if not fmt.levels[-1].is_dense or len(contracted) != len(below) or not below or contracted[-1].div != 1:
        return 0
    if fmt.levels[-2].is_dense or any(level.kind == "loose_compressed" for level in fmt.levels):
        return 0
    return rows if first.div == rows and rows in _SHARED else 0


def dot_group(element: str, isa: Isa) -> int:
    """Contracted coordinates in a dword of the instruction set's dot products: bytes may be widened to 16 bits."""
    return 4 if element == "i8" and isa.vnni else 2


def dot_rows(isa: Isa) -> int:
    """Rows whose sums of 16 columns or more fit the registers."""
    return 8 if isa.vector_registers > 16 else 4


def _is_row_major(fmt: Format, row_dim: int) -> bool:
    """True when values lie as those of a dense matrix, one row after the other."""
    below = fmt.exprs[1:]
    falling = all(x.div > y.div for x, y in itertools.pairwise(below))
    return (
        all(level.is_dense for level in fmt.levels)
        and fmt.exprs[0].div == 1
        and bool(below)
        and falling
        and all(e.dim != row_dim for e in below)
    )


def _holds_tiles(fmt: Format, row_dim: int, tile: TileShape) -> bool:
    """True for rows of blocks, each dense, row-major and made of whole tiles."""
    if len(fmt.levels) < 4 or not all(level.is_dense for level in fmt.levels[-2:]):
        return False
    *outer, rows, reds = fmt.exprs
    return (
        (rows.dim, rows.div, reds.dim, reds.div) == (row_dim, 1, 1 - row_dim, 1)
        and rows.mod == fmt.exprs[0].div
        and rows.mod % tile.rows == 0
        and reds.mod > 0
        and reds.mod % tile.depth == 0
        and all(e.dim == 1 - row_dim for e in outer[1:])
    )


def _leaves_tiles_out(fmt: Format, row_dim: int, tile: TileShape) -> bool:
    """True when a row can cross a tile without an element in it."""
    for expr, level in zip(fmt.exprs, fmt.levels):
        if expr.dim != row_dim and not level.is_dense and (level.kind != "nm" or level.h * expr.div > tile.depth):
            return True
    return False


def blocks_shape(fmt: Format) -> tuple[int, int]:
    """Rows and contracted coordinates of a block of :attr:`Source.BLOCKS`."""
    return fmt.exprs[-2].mod, fmt.exprs[-1].mod
