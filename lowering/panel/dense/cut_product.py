"""How products that are cut into blocks of contracted coordinates (``cut.py``) multiply a block."""

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, ir

from ... import builder as b
from ...builder import Index
from ...subview import part_of
from ..pack import Panel
from ..walk import Walk
from .cut import Cut
from .next_block import NextBlock
from .product import DenseProduct
from .unpacked import InSource

#: The first, and one past the last.
Span = tuple[Index, Index]

#: ``run(product, sums, panel, first column, chunk)`` multiplies a chunk of the rows with a panel that is packed.
PackedRunner = Callable[[DenseProduct, ir.Value | None, Panel, Index, Index], None]


@dataclasses.dataclass(frozen=True)
class CutProduct:
    """A product that is cut where ``cut`` says so, else one block; sums of every panel have a place of their own.

    Attributes:
        product: as a whole.
        cut: which products are.
        source: ``(reds, cols)``: what panels are packed from, or read in.
        reds: contracted positions.
        members: the panels that are multiplied together, and those of which the last comes before the next matrix.
        chunk: rows that pass over the panels together.
        packed: multiplies with a panel that is packed.
    """

    product: DenseProduct
    cut: Cut
    source: ir.Value
    reds: Walk
    members: tuple[Span, Span]
    chunk: int
    packed: PackedRunner

    def runner(self) -> Callable[[Span], Callable[[Panel, Index, Index], None]]:
        """What makes of a block what multiplies a chunk of the rows with a panel: ``run(panel, first column, chunk)``;
        called once per task."""
        rows, (first, last), lanes = self.product.rows, self.members[0], self.product.lanes
        product = dataclasses.replace(self.product, block=(0, self.reds.count))  # sums are put down half-way
        high = b.add(b.minimum(rows.count, self.chunk), product.spare_rows)
        apart = self.cut.choose(rows.count, high, 0)
        sums = product.room(b.add(b.mul(b.sub(last, b.add(first, 1)), apart), self.chunk), False)
        reads = self.cut.reads(rows.count)

        def of_block(block: Span) -> Callable[[Panel, Index, Index], None]:
            ahead = NextBlock.of(self.source, self.reds, product.cols, block, self.members, lanes)
            now = dataclasses.replace(product, block=block, ahead=ahead)

            def run(panel: Panel, first_col: Index, chunk: Index) -> None:
                own = sums
                if sums is not None:
                    begin = b.mul(b.sub(b.div(first_col, lanes), first), apart)
                    own = part_of(sums, [begin, 0], [high, lanes], (0, 1))

                def packed() -> None:
                    self.packed(now, own, panel, first_col, chunk)

                if reads is None:
                    packed()
                    return
                fits = b.less(b.add(first_col, lanes - 1), product.cols.count)
                b.if_else(arith.andi(reads, fits), lambda: self._read(now, ahead, first_col, own), packed)

            return run

        return of_block

    def _read(self, now: DenseProduct, ahead: NextBlock, first_col: Index, sums: ir.Value | None) -> None:
        """Multiply all rows with a whole panel that is read where it lies."""
        now = dataclasses.replace(now, ahead=dataclasses.replace(ahead, packs=False))
        panel = InSource(self.source, self.reds, b.add(now.cols.first, first_col), now.element)
        now.run_whole(panel, (0, first_col), now.rows.count, sums, 0)
