"""The tile instructions of one element type: bf16 into f32, or int8 into int32."""

import dataclasses
from collections.abc import Sequence

from pith._mlir import ir, x86

from ..isa import Isa
from ..x86.tiles import tile_type

#: Rows of a tile, and dwords in one of its rows.
ROWS = COLUMNS = 16


@dataclasses.dataclass(frozen=True)
class TileUnit:
    """What a kernel on tiles of one element type is made of.

    A product takes ``A``, 16 rows of ``depth`` contracted coordinates, and ``B``, where row ``p`` holds
    the ``group`` coordinates from ``p * group`` on of 16 columns, column by column; it adds to ``C``,
    16 x 16.

    Attributes:
        element: type of the operands' elements.
        acc: type of the sums.
        group: contracted coordinates in a dword: 2 of bf16, 4 of int8.
    """

    element: ir.Type
    acc: ir.Type
    group: int

    @property
    def depth(self) -> int:
        """Contracted coordinates of one product: what fills a row of 64 bytes."""
        return COLUMNS * self.group

    @property
    def row_type(self) -> ir.VectorType:
        """One row of an operand as a vector."""
        return ir.VectorType.get([self.depth], self.element)

    def zero(self) -> ir.Value:
        """An accumulator of zeros."""
        return x86.amx_tile_zero(tile_type(ROWS, COLUMNS, self.acc))

    def load(self, buffer: ir.Value, at: Sequence[ir.Value], stride: ir.Value | None = None) -> ir.Value:
        """An operand from memory; its rows lie ``stride`` elements, by default one row of ``buffer``, apart."""
        return x86.amx_tile_load(tile_type(ROWS, self.depth, self.element), buffer, list(at), stride=stride)

    def store(self, tile: ir.Value, buffer: ir.Value, at: Sequence[ir.Value]) -> None:
        """Write an accumulator to ``buffer``."""
        x86.amx_tile_store(buffer, list(at), tile)

    def multiply(self, a: ir.Value, b: ir.Value, acc: ir.Value) -> ir.Value:
        """``acc + a * b``."""
        product = x86.amx_tile_mulf if isinstance(self.acc, ir.F32Type) else x86.amx_tile_muli
        return product(a, b, acc, results=[acc.type])


def unit_for(element: ir.Type, acc: ir.Type, isa: Isa) -> TileUnit | None:
    """The unit for an element type and its sums, when the instruction set has one."""
    if isa.amx_bf16 and isinstance(element, ir.BF16Type) and isinstance(acc, ir.F32Type):
        return TileUnit(element, acc, group=2)
    if isa.amx_int8 and str(element) == "i8" and str(acc) == "i32":
        return TileUnit(element, acc, group=4)
    return None
