"""What products of a few rows have in common: positions of rows and columns, and nothing packed."""

import dataclasses

from pith._mlir import ir

from ...builder import Index
from ...isa import Isa
from ...transpose import Transform
from ..walk import Walk
from ..write import write_tile


@dataclasses.dataclass(frozen=True)
class Few:
    """A product of a few rows, whose right operand is read where it lies.

    Attributes:
        lhs: ``(rows, reds)``; ``rhs``: as subclasses read it; ``out``: ``(rows, cols)``, or ``(cols, rows)``.
        rows, cols: positions, and what they are in operands.
        lhs_reds, reds: what contracted positions are in ``lhs`` and in ``rhs``.
        transform: what is stored for a finished sum.
        element: of the sums.
    """

    lhs: ir.Value
    rhs: ir.Value
    out: ir.Value
    out_transposed: bool
    rows: Walk
    cols: Walk
    lhs_reds: Walk
    reds: Walk
    transform: Transform
    element: ir.Type
    isa: Isa

    def _write(self, sums: ir.Value, start: Index, width: Index, lanes: int) -> None:
        """Store what becomes of the sums of all rows and ``width`` columns of positions from ``start`` on."""
        corner, extent = (0, start), (self.rows.count, width)
        write_tile(sums, self.out, self.out_transposed, corner, extent, self.transform, lanes, self.rows, self.cols)
