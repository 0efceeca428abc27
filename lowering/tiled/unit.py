"""What multiplies tiles of one element type: bf16 into f32, or int8 into int32."""

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from pith._mlir import ir, x86

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from ..panel.arithmetic import convert
from ..x86.tiles import tile_type

#: Columns of a panel of the dense operand: dwords in one of its rows.
COLUMNS = 16


@dataclasses.dataclass(frozen=True)
class TileUnit(abc.ABC):
    """What a kernel on tiles of one element type is made of.

    A product takes ``A``, ``rows`` rows of ``depth`` contracted coordinates, and ``B``, where row ``p`` holds
    the ``group`` coordinates from ``p * group`` on of 16 columns, column by column; it adds to ``C``,
    ``rows`` x 16. What ``A`` and sums are, tile registers or vectors, only the unit knows.

    Attributes:
        element: type of the elements of tiles and panels.
        stored: type of the elements of the operands: that, or one that is widened to it.
        acc: type of the sums.
        group: contracted coordinates in a dword: 2 of 16 bits, 4 of 8 bits.
        rows: rows of ``A`` and of the sums.
        positions: rows of ``B``.
        columns: columns of ``B``, 16 where nothing else is said.
    """

    element: ir.Type
    stored: ir.Type
    acc: ir.Type
    group: int
    rows: int = 16
    positions: int = 16
    columns: int = COLUMNS

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """What multiplies, in words."""

    @property
    def depth(self) -> int:
        """Contracted coordinates of one product."""
        return self.positions * self.group

    @property
    def row_type(self) -> ir.VectorType:
        """One row of ``A`` as a vector."""
        return ir.VectorType.get([self.depth], self.element)

    @property
    def together(self) -> int:
        """Contracted coordinates beside each other in a row of a panel."""
        return self.group

    @property
    def panel_tiles(self) -> int:
        """Tiles of columns in a panel."""
        return 1

    @property
    def panel_columns(self) -> int:
        """Columns of a panel."""
        return self.columns * self.panel_tiles

    @property
    def panel_rows(self) -> int:
        """Rows of a panel that are packed together."""
        return self.positions

    @property
    def panel_row(self) -> ir.VectorType:
        """One row of ``B`` as a vector."""
        return ir.VectorType.get([self.panel_columns * self.together], self.element)

    @property
    def widens(self) -> bool:
        """True when what is stored is not what tiles hold."""
        return self.stored != self.element

    @property
    def takes_offsets(self) -> bool:
        """True when sums start from an offset per row of ``A``, which :meth:`add_offsets` adds up."""
        return False

    def widened(self, value: ir.Value) -> ir.Value:
        """Elements, one or a vector, as tiles hold them."""
        return convert(value, self.element)

    def packed(self, value: ir.Value) -> ir.Value:
        """Elements, one or a vector, as panels hold them."""
        return self.widened(value)

    def packed_row(self, values: ir.Value) -> ir.Value:
        """Elements of a row, in the order of :meth:`lane`, as panels hold them."""
        return self.packed(values)

    def lane(self, column: Index, g: int) -> Index:
        """Where in a row of a panel coordinate ``g`` of a column is."""
        return b.add(b.mul(column, self.together), g)

    @abc.abstractmethod
    def load(self, buffer: ir.Value, at: Sequence[ir.Value], stride: ir.Value | None = None) -> Any:
        """``A`` in memory; its rows lie ``stride`` elements, by default one row of ``buffer``, apart."""

    @abc.abstractmethod
    def start(self, height: int, width: int, offsets: ir.Value | None, row: Index) -> list[ir.Value]:
        """Sums of ``height`` x ``width`` tiles; ``offsets`` from ``row`` on are those of their rows."""

    def no_offsets(self) -> list[ir.Value]:
        """What :meth:`add_offsets` adds to, a sum per row; only of units that take offsets."""
        raise NotImplementedError

    def add_offsets(self, a: Any, sums: list[ir.Value]) -> list[ir.Value]:
        """``sums[r]`` with what row r of ``A`` adds to its offset; only of units that take offsets."""
        raise NotImplementedError

    def offsets(self, sums: list[ir.Value]) -> list[ir.Value]:
        """The numbers that sums of rows start from; only of units that take offsets."""
        raise NotImplementedError

    @abc.abstractmethod
    def multiply(
        self, a: list[Any], panels: ir.Value, at: Callable[[int], list[ir.Value]], sums: list[ir.Value]
    ) -> list[ir.Value]:
        """Add the products of each of ``a`` with ``B`` of as many columns as there are sums: at ``at(c)`` of panels."""

    @abc.abstractmethod
    def store(self, sums: list[ir.Value], width: int, buffer: ir.Value, corner: tuple[Index, Index]) -> None:
        """Write sums of ``width`` tiles beside each other to ``buffer``."""


@dataclasses.dataclass(frozen=True)
class AmxUnit(TileUnit):
    """The tile registers and instructions of AMX."""

    @property
    def title(self) -> str:
        """See :class:`TileUnit`."""
        return "AMX tiles"

    def load(self, buffer: ir.Value, at: Sequence[ir.Value], stride: ir.Value | None = None) -> ir.Value:
        """See :class:`TileUnit`."""
        return x86.amx_tile_load(tile_type(self.rows, self.depth, self.element), buffer, list(at), stride=stride)

    def start(self, height: int, width: int, offsets: ir.Value | None, row: Index) -> list[ir.Value]:
        """See :class:`TileUnit`."""
        type_ = tile_type(self.rows, self.columns, self.acc)
        return [x86.amx_tile_zero(type_) for _ in range(height * width)]

    def multiply(
        self, a: list[Any], panels: ir.Value, at: Callable[[int], list[ir.Value]], sums: list[ir.Value]
    ) -> list[ir.Value]:
        """See :class:`TileUnit`."""
        product = x86.amx_tile_mulf if isinstance(self.acc, ir.F32Type) else x86.amx_tile_muli
        out, width = list(sums), len(sums) // len(a)
        for c in range(width):
            dense = self.load(panels, at(c))
            for r, tile in enumerate(a):
                acc = out[r * width + c]
                out[r * width + c] = product(tile, dense, acc, results=[acc.type])
        return out

    def store(self, sums: list[ir.Value], width: int, buffer: ir.Value, corner: tuple[Index, Index]) -> None:
        """See :class:`TileUnit`."""
        for i, tile in enumerate(sums):
            place = (b.add(corner[0], i // width * self.rows), b.add(corner[1], i % width * self.columns))
            x86.amx_tile_store(buffer, [b.value(x) for x in place], tile)


def amx_unit(element: ir.Type, acc: ir.Type, isa: Isa) -> AmxUnit | None:
    """The unit of AMX for an element type and its sums, when the instruction set has one."""
    if isa.amx_bf16 and isinstance(element, ir.BF16Type) and isinstance(acc, ir.F32Type):
        return AmxUnit(element, element, acc, group=2)
    if isa.amx_int8 and str(element) == "i8" and str(acc) == "i32":
        return AmxUnit(element, element, acc, group=4)
    return None
