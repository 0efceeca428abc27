"""What panels are packed from: the dense operand, a matrix, or the image whose windows it is made of."""

import dataclasses
import math
from typing import TYPE_CHECKING

from pith._mlir import ir

from .. import builder as b
from ..builder import Index
from ..contraction import Matmul
from ..subview import part_of
from .batch import Operand
from .loops import Point
from .pack import clear_rows, pack_walked
from .walk import Walk
from .windows import Windows, match_windows

if TYPE_CHECKING:
    from .emit import Emitter


@dataclasses.dataclass(frozen=True)
class Matrix:
    """The dense operand of a product, as it lies."""

    m: Matmul
    operand: Operand

    @property
    def reds(self) -> Index:
        """How many rows panels have."""
        return self.operand.size(self.m.red)

    def pack_all(self, e: "Emitter", point: Point, panels: ir.Value) -> None:
        """Pack all panels; with fewer of them than threads, some rows of a panel are a task.

        A panel of 64 columns packed by two threads instead of one: 1024x4096x64 of 2:4 takes 1.37 ms, not 1.42, of
        V(4)C1(2:4)->C0(2:4) 0.75, not 0.84, for both read it (Emerald Rapids, 2026-11-22).
        """
        parts = 1 if e.lanes == 1 else b.ceildiv(b.thread_count(), b.maximum(e.panels, 1))
        most = b.ceildiv(e.reds, parts)

        def pack(panel: ir.Value, part: ir.Value) -> None:
            first = b.minimum(b.mul(part, most), e.reds)
            reds = Walk(b.minimum(most, b.sub(e.reds, first)), first=first)
            rows = part_of(panels, [0, first, 0], [e.panels, reds.count, e.lanes], [0, 1, 2])
            x, unsigned = self.operand.columns(point, self.m.red, self.m.col), e.tile.arithmetic.dense_unsigned
            pack_walked(x, self.m.dense_transposed, rows, panel, reds, Walk(e.cols), e.lanes, panel, unsigned)
            if e.stored is not e.reds:
                b.only_if(b.less(part, 1), lambda: clear_rows(panels, panel, e.reds, e.stored, e.lanes))

        b.parallel_loop([e.panels, parts], pack, work=b.mul(e.reds, e.cols))


@dataclasses.dataclass(frozen=True)
class Image:
    """The image that the dense operand lists windows of; ``loops``: those that walk the operand."""

    windows: Windows
    memref: ir.Value
    loops: tuple[int, ...]

    @property
    def reds(self) -> Index:
        """How many elements a window has."""
        return math.prod(self.windows.within)

    def pack(self, e: "Emitter", point: Point, panels: ir.Value, slot: Index, panel: Index) -> None:
        """Pack one panel into ``panels[slot]``."""
        batch = [point[d] for d in self.loops[:-2]]
        self.windows.pack(self.memref, batch, panels, slot, b.mul(panel, e.lanes), e.width(panel))

    def pack_all(self, e: "Emitter", point: Point, panels: ir.Value) -> None:
        """Pack all panels."""
        b.parallel_loop([e.panels], lambda panel: self.pack(e, point, panels, panel, panel), work=b.mul(e.reds, e.cols))


def source_of(m: Matmul) -> Matrix | Image:
    """Where the panels of a product come from."""
    dense, loops = m.generic.inputs[m.dense], m.generic.loops(m.dense)
    windows = None if m.dense_transposed else match_windows(dense)
    if windows is None:
        return Matrix(m, Operand(b.buffer_of(dense), loops))
    return Image(windows, b.buffer_of(windows.image), loops)
