"""What panels are packed from: the dense operand, a matrix, or the image whose windows it is made of."""

import dataclasses
import math
from typing import TYPE_CHECKING

from pith._mlir import arith, ir, memref

from ... import builder as b
from ...builder import Index
from ...isa import Isa
from ...sparse.contraction import Matmul
from ...subview import part_of
from ..address import address_of
from ..arithmetic import CACHE_LINE
from ..batch import Operand
from ..loops import Point
from ..pack import clear_rows, pack_walked
from ..walk import Walk
from ..windows import Windows, match_windows

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

    def panels(self, e: "Emitter", point: Point) -> ir.Value:
        """All panels, packed; or the operand itself, where it is one panel as it lies.

        One core of Emerald Rapids, 1:4, packed and as it lies: 1024x4096x64 1.64 and 1.48 ms, 3072x768x128 1.49 and
        1.45, 4096x4096x32 3.61 and 3.57 (2026-11-22).
        """
        x = self.operand.columns(point, self.m.red, self.m.col)
        lies = self._lies(e, x)
        if lies is None:
            panels = b.alloc([e.panels, e.depth, e.lanes], e.tile.panel_element)
            self._pack(e, x, panels)
            return panels
        made = b.alloc([arith.select(lies, b.value(0), b.value(e.panels)), e.reds, e.lanes], e.tile.panel_element)
        b.if_else(lies, lambda: None, lambda: self._pack(e, x, made))
        dynamic, reds = ir.ShapedType.get_dynamic_size(), [] if isinstance(e.reds, int) else [e.reds]
        stride = [] if isinstance(e.reds, int) else [b.value(b.mul(e.reds, e.lanes))]
        shape = made.type.shape, [e.reds * e.lanes if isinstance(e.reds, int) else dynamic, e.lanes, 1]
        panel = memref.reinterpret_cast(made.type, x, [], [b.value(1), *reds], stride, [0], *shape)
        return arith.select(lies, panel, made)

    def _lies(self, e: "Emitter", x: ir.Value) -> ir.Value | None:
        """Whether ``x`` is one panel, on a cache line; None where it is not, whatever its size."""
        plain = ir.MemRefType.get(x.type.shape, e.tile.panel_element)
        if self.m.dense_transposed or x.type != plain or e.lanes == 1 or e.tile.pad or e.stored is not e.reds:
            return None
        if isinstance(e.cols, int) and e.cols != e.lanes:
            return None
        begins = arith.andi(address_of(x), b.value(CACHE_LINE - 1))
        aligned = arith.cmpi(arith.CmpIPredicate.eq, begins, b.value(0))
        if isinstance(e.cols, int):
            return aligned
        return arith.andi(aligned, arith.cmpi(arith.CmpIPredicate.eq, b.value(e.cols), b.value(e.lanes)))

    def _pack(self, e: "Emitter", x: ir.Value, panels: ir.Value) -> None:
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
            unsigned = e.tile.arithmetic.dense_unsigned
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
    isa: Isa

    @property
    def reds(self) -> Index:
        """How many elements a window has."""
        return math.prod(self.windows.within)

    def pack(self, e: "Emitter", point: Point, panels: ir.Value, slot: Index, panel: Index) -> None:
        """Pack one panel into ``panels[slot]``, apart from what multiplies with it.

        In one function with it, LLVM has no register left for the address of values: it is read anew for each of them.
        Two basic blocks of ResNet-18, 2:4, 5.66 and 5.2 ms (Emerald Rapids, 2026-11-22).
        """
        batch, column = [point[d] for d in self.loops[:-2]], b.mul(panel, e.lanes)
        self.windows.pack(self.memref, batch, panels, slot, column, e.width(panel), self.isa, apart=True)


def source_of(m: Matmul, isa: Isa) -> Matrix | Image:
    """Where the panels of a product come from."""
    dense, loops = m.generic.inputs[m.dense], m.generic.loops(m.dense)
    windows = None if m.dense_transposed else match_windows(dense)
    if windows is None:
        return Matrix(m, Operand(b.buffer_of(dense), loops))
    return Image(windows, b.buffer_of(windows.image), loops, isa)
