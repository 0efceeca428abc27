"""The register tile of a dense product: no coordinate is stored, so every row meets the same panel rows."""

import dataclasses
from collections.abc import Callable

from pith._mlir import ir, memref, vector

from .. import builder as b
from ..builder import Index
from .arithmetic import multiply_add
from .pack import Panel
from .stream import BLOCK_OPERATIONS
from .variant import Variant
from .walk import Walk

#: Contracted coordinates in one unrolled block, at most.
MOST_UNROLLED = 8


@dataclasses.dataclass(frozen=True)
class DenseTile:
    """Accumulators of some rows by some lanes.

    Attributes:
        lhs: ``(rows, reds)``, or those of the rows that are multiplied now.
        rows, reds: positions of the tile's rows and of the panel's, and what they are in ``lhs``.
        vectors: machine vectors per row of the tile.
    """

    lhs: ir.Value
    rows: Walk
    reds: Walk
    variant: Variant
    vectors: int
    element: ir.Type

    @property
    def type(self) -> ir.VectorType:
        """Of one accumulator."""
        return ir.VectorType.get([self.variant.lanes], self.element)

    @property
    def unrolled(self) -> int:
        """Contracted coordinates per trip of the loop, a power of two."""
        most = min(MOST_UNROLLED, BLOCK_OPERATIONS // (self.variant.rows * self.vectors))
        return 1 << max(0, most.bit_length() - 1)

    def zeros(self) -> list[ir.Value]:
        """Accumulators at the start."""
        return [vector.broadcast(self.type, b.zero_of(self.element))] * self.variant.rows

    def positions(self, first: Index) -> list[Index]:
        """Rows from position ``first`` on; past the last the last again, so results there are stored twice, alike."""
        rows = [b.add(first, i) for i in range(self.variant.rows)]
        if not self.rows.whole(self.variant.rows):
            last = b.sub(self.rows.count, 1)
            rows = [rows[0], *(b.minimum(row, last) for row in rows[1:])]
        return rows

    def multiply(
        self,
        rows: list[Index],
        panel: Panel,
        column: Index,
        span: tuple[Index, Index],
        accs: list[ir.Value],
        meanwhile: Callable[[Index], None] | None = None,
    ) -> list[ir.Value]:
        """``accs[i] += lhs[rows[i], reds[span]] * panel[span, column:]``.

        ``meanwhile`` is told the number of every unrolled block.
        """
        lo, hi = span

        def step(k: Index, accs: list[ir.Value]) -> list[ir.Value]:
            x = vector.load(self.type, panel.panels, [panel.number, b.value(k), b.value(column)])
            red = b.value(self.reds.at(k))
            loaded = [memref.load(self.lhs, [b.value(row), red]) for row in rows]
            return [multiply_add(vector.broadcast(self.type, a), x, acc) for a, acc in zip(loaded, accs)]

        def some(count: int):
            def body(k: Index, *accs: ir.Value) -> list[ir.Value]:
                inner = list(accs)
                if meanwhile is not None and count == self.unrolled:
                    meanwhile(b.div(k, count))
                for u in range(count):
                    inner = step(b.add(k, u), inner)
                return inner

            return body

        whole = b.add(lo, b.mul(b.div(b.sub(hi, lo), self.unrolled), self.unrolled))
        accs = b.for_loop(lo, whole, some(self.unrolled), accs, step=self.unrolled)
        return b.for_loop(whole, hi, some(1), accs) if whole is not hi else accs
