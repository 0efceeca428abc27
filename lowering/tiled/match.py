"""Analysis: which products run on tiles, and how their sparse operand gets into them."""

import dataclasses
import math

from pith._mlir import ir
from pith.formats.pack_digits import may_repeat
from pith.passes.analysis.multiply_add import SIGNED_CASTS, multiplies_inputs

from ..isa import Isa
from ..panel.stored.register_tile import VARIANT_ATTRIBUTE
from ..sparse.contraction import Matmul, SparseGeneric, match_product
from .choice import Source, TileShape, dot_rows, dot_shape, dots_pay, named_rows, source_of
from .dots import DotUnit, dot_unit
from .groups import GroupLayout
from .named_unit import NamedUnit
from .unit import TileUnit, amx_unit

#: Most rows that one task expands: the smallest number of whole tiles that rows stored together divide.
MOST_ROWS = 128

#: Rows of a task of dot instructions, where they may be as many: rows pass over two panels, which stay in L2.
DOT_TASK_ROWS = (64, 32, 16, 8, 4, 2)


@dataclasses.dataclass(frozen=True)
class TileProduct:
    """A matrix product on tiles.

    Attributes:
        matmul: which operand is what.
        unit: element types and instructions.
        source: how the sparse operand gets into tiles.
        row_tiles, column_tiles: tiles of the output in registers. With AMX, all eight tile registers are in use:
            four sums, and operands for the next products.
        narrow_row_tiles: row tiles in registers where one tile of columns is left.
        task_rows: rows of one task: a multiple of those of the tiles in registers, so that rows stored together
            stay together.
        groups: how groups fill tiles, when vectors can expand them.
    """

    matmul: Matmul
    unit: TileUnit
    source: Source
    row_tiles: int
    column_tiles: int
    task_rows: int
    groups: GroupLayout | None
    narrow_row_tiles: int = 1

    def height(self, width: int) -> int:
        """Row tiles in registers beside ``width`` tiles of columns."""
        return self.narrow_row_tiles if width == 1 else self.row_tiles

    @property
    def pitch(self) -> int:
        """Contracted coordinates in a tile: all of its depth, or as many whole groups as fit."""
        return self.groups.pitch if self.groups else self.unit.panel_rows * self.unit.together


def match_tiles(g: SparseGeneric, isa: Isa) -> TileProduct | None:
    """The product on tiles that ``g`` is, or None.

    Semantics: elements that are not stored are zeros of a tile, except where whole tiles are skipped.
    """
    matmul = match_product(g)
    if matmul is None or not multiplies_inputs(g.op.regions[0].blocks[0], *SIGNED_CASTS):
        return None
    first, top = g.format.exprs[0], g.format.levels[0]
    if may_repeat(g.format) or g.format.diagonal is not None or first.dim != matmul.row_dim or not top.is_dense:
        return None
    element, other, acc = (v.type.element_type for v in g.op.operands)
    if element != other or element == acc:
        return None
    unit = amx_unit(element, acc, isa)
    return _on_amx(matmul, unit) if unit else _by_dots(matmul, dot_unit(element, acc, isa), isa)


def _on_amx(m: Matmul, unit: TileUnit) -> TileProduct | None:
    fmt, first = m.generic.format, m.generic.format.exprs[0]
    source = source_of(fmt, m.row_dim, TileShape(unit.rows, unit.depth))
    row_tiles = 2 if _in_pairs(source, first.div, unit) else 1
    task_rows = unit.rows * row_tiles if source is Source.BLOCKS else math.lcm(unit.rows * row_tiles, first.div)
    if task_rows > MOST_ROWS:
        return None
    groups = GroupLayout.of(fmt, m.row_dim, unit.depth, unit.group) if source is Source.ALL_TILES else None
    return TileProduct(m, unit, source, row_tiles, 4 // row_tiles, task_rows, groups, row_tiles)


def _by_dots(m: Matmul, unit: DotUnit | None, isa: Isa) -> TileProduct | None:
    fmt, attributes = m.generic.format, m.generic.op.operation.attributes
    if unit is None or VARIANT_ATTRIBUTE in attributes:
        return None
    if not dots_pay(fmt, m.row_dim, _columns(m), str(unit.stored), isa):
        return None
    if rows := named_rows(fmt, m.row_dim, _columns(m), str(unit.stored), isa):
        fields = {f.name: getattr(unit, f.name) for f in dataclasses.fields(unit)}
        unit, source = NamedUnit(**{**fields, "rows": rows, "positions": 1, "columns": unit.lanes}), Source.NAMED
    else:
        tile = dot_shape(fmt, m.row_dim, dot_rows(isa), unit.group)
        unit = dataclasses.replace(unit, rows=tile.rows, positions=tile.depth // unit.group)
        source = source_of(fmt, m.row_dim, tile)
    sizes = (math.lcm(rows, unit.rows, fmt.exprs[0].div) for rows in DOT_TASK_ROWS)
    task_rows = next((size for size in sizes if size <= MOST_ROWS), None)
    if task_rows is None:
        return None
    groups = GroupLayout.of(fmt, m.row_dim, unit.depth, unit.group) if source is Source.ALL_TILES else None
    # Eight sums wait for each other: a dot takes five cycles, and two begin in one. 4096x4096x16 of bytes in 2:4 over
    # oneDNN 0.81 and 0.99 (one core of Emerald Rapids, 2026-11-23).
    pairs = unit.column_tiles > 1 and _in_pairs(source, fmt.exprs[0].div, unit) and task_rows % (2 * unit.rows) == 0
    return TileProduct(m, unit, source, 1, unit.column_tiles, task_rows, groups, 1 + pairs)


def _in_pairs(source: Source, rows: int, unit: TileUnit) -> bool:
    """True when two row tiles, one below the other, cross the same tiles of the contracted dimension."""
    return source in (Source.DENSE, Source.ALL_TILES) or (source is not Source.NAMED and rows % (2 * unit.rows) == 0)


def _columns(m: Matmul) -> int | None:
    """Columns of the dense operand, when its type tells."""
    type_, dim = m.generic.inputs[m.dense].type, 0 if m.dense_transposed else 1
    return None if type_.is_dynamic_dim(dim) else type_.get_dim_size(dim)


def describe(p: TileProduct) -> str:
    """One line about what multiplies, and how the sparse operand gets into tiles."""
    source = {
        Source.DENSE: "all of it is stored, and loaded as it is",
        Source.BLOCKS: "stored blocks are loaded as they are, absent ones skipped",
        Source.ALL_TILES: "rows are expanded, and multiplied densely",
        Source.NAMED: "rows of blocks list their coordinates, and panel rows are interleaved by the list",
        Source.PRESENT_TILES: "rows are expanded, tiles without elements skipped, the others multiplied densely",
    }[p.source]
    return f"a matrix product on {p.unit.title}: {source}"


def acc_is_float(unit: TileUnit) -> bool:
    """True when sums are floats."""
    return isinstance(unit.acc, ir.F32Type)
