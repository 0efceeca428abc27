"""Analysis: which products run on tiles, and how their sparse operand gets into them."""

import dataclasses
import enum
import itertools
import math

from pith._mlir import ir
from pith.formats import Format
from pith.formats.pack_digits import may_repeat

from ..contraction import Matmul, SparseGeneric, match_product
from ..isa import Isa
from .groups import GroupLayout
from .unit import ROWS, TileUnit, unit_for

#: What widens an operand the way the instructions do.
_WIDENING = ("arith.extf", "arith.extsi")

#: Most rows that one task expands: the smallest number of whole tiles that rows stored together divide.
MOST_ROWS = 128


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


@dataclasses.dataclass(frozen=True)
class TileProduct:
    """A matrix product on tiles.

    Attributes:
        matmul: which operand is what.
        unit: element types and instructions.
        source: how the sparse operand gets into tiles.
        row_tiles, column_tiles: tiles of the output in registers. All eight tile registers are in use:
            four sums, and operands for the next products.
        task_rows: rows of one task: ``row_tiles`` or a multiple, so that rows stored together stay together.
        groups: how groups fill tiles, when vectors can expand them.
    """

    matmul: Matmul
    unit: TileUnit
    source: Source
    row_tiles: int
    column_tiles: int
    task_rows: int
    groups: GroupLayout | None

    @property
    def pitch(self) -> int:
        """Contracted coordinates in a tile: all of its depth, or as many whole groups as fit."""
        return self.groups.pitch if self.groups else self.unit.depth


def match_tiles(g: SparseGeneric, isa: Isa) -> TileProduct | None:
    """The product on tiles that ``g`` is, or None.

    Semantics: elements that are not stored are zeros of a tile, except where whole tiles are skipped.
    """
    matmul = match_product(g)
    widened = [o.operation.name for o in g.op.regions[0].blocks[0].operations][:-3]
    if matmul is None or len(widened) != 2 or not set(widened) <= set(_WIDENING):
        return None
    types = [v.type.element_type for v in g.op.operands]
    unit = unit_for(types[0], types[2], isa) if types[0] == types[1] else None
    if unit is None or may_repeat(g.format) or g.format.diagonal is not None:
        return None
    first, top = g.format.exprs[0], g.format.levels[0]
    if first.dim != matmul.row_dim or not top.is_dense:
        return None
    source = source_of(g.format, matmul, unit)
    pair = source in (Source.DENSE, Source.ALL_TILES) or first.div % (2 * ROWS) == 0
    row_tiles = 2 if pair else 1
    task_rows = ROWS * row_tiles if source is Source.BLOCKS else math.lcm(ROWS * row_tiles, first.div)
    if task_rows > MOST_ROWS:
        return None
    groups = GroupLayout.of(g.format, matmul.row_dim, unit) if source is Source.ALL_TILES else None
    return TileProduct(matmul, unit, source, row_tiles, 4 // row_tiles, task_rows, groups)


def source_of(fmt: Format, m: Matmul, unit: TileUnit) -> Source:
    """How an operand whose first level are dense rows gets into tiles."""
    if _is_row_major(fmt, m.row_dim):
        return Source.DENSE
    if _holds_tiles(fmt, m, unit):
        return Source.BLOCKS
    return Source.PRESENT_TILES if _leaves_tiles_out(fmt, m, unit) else Source.ALL_TILES


def describe(p: TileProduct) -> str:
    """One line about how the sparse operand gets into tiles."""
    return {
        Source.DENSE: "all of it is stored, and loaded as it is",
        Source.BLOCKS: "stored blocks are loaded as they are, absent ones skipped",
        Source.ALL_TILES: "rows are expanded, and multiplied densely",
        Source.PRESENT_TILES: "rows are expanded, tiles without elements skipped, the others multiplied densely",
    }[p.source]


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


def _holds_tiles(fmt: Format, m: Matmul, unit: TileUnit) -> bool:
    """True for rows of blocks, each dense, row-major and made of whole tiles."""
    if len(fmt.levels) < 4 or not all(level.is_dense for level in fmt.levels[-2:]):
        return False
    *outer, rows, reds = fmt.exprs
    return (
        (rows.dim, rows.div, reds.dim, reds.div) == (m.row_dim, 1, m.red_dim, 1)
        and rows.mod == fmt.exprs[0].div
        and rows.mod % ROWS == 0
        and reds.mod > 0
        and reds.mod % unit.depth == 0
        and all(e.dim == m.red_dim for e in outer[1:])
    )


def _leaves_tiles_out(fmt: Format, m: Matmul, unit: TileUnit) -> bool:
    """True when a row can cross a tile without an element in it."""
    for expr, level in zip(fmt.exprs, fmt.levels):
        if expr.dim == m.red_dim and not level.is_dense and (level.kind != "nm" or level.h * expr.div > unit.depth):
            return True
    return False


def blocks_shape(fmt: Format) -> tuple[int, int]:
    """Rows and contracted coordinates of a block of :attr:`Source.BLOCKS`."""
    return fmt.exprs[-2].mod, fmt.exprs[-1].mod


def acc_is_float(unit: TileUnit) -> bool:
    """True when sums are floats."""
    return isinstance(unit.acc, ir.F32Type)
