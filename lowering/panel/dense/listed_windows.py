"""Dense products of the windows of an image: panels are packed from the image, and no matrix of windows is made."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from pith._mlir import arith, ir

from ... import builder as b
from ...builder import Index
from ...linalg.contraction import DenseContraction
from ..ahead import Ahead
from ..batch import Operand
from ..loops import Point
from ..walk import Walk
from ..windows import Windows, match_windows
from .listed import ListedEmitter
from .listed_task import Span

#: Tasks per thread from which on it matters little that one has a task more. With fewer, a task packs one panel: 128
#: channels of 28x28, 3x3, are 13 panels, of which the last is narrow. Two threads take 0.97 ms with one a task, 1.19
#: with three; 64 channels of 56x56 0.89 and 0.98, with a stride of two 0.51 and 0.58. On one thread 1.4 % more, of 288
#: coordinates a panel 11 % (Emerald Rapids, 2026-11-22).
EVEN_TASKS = 8

#: Positions of the walk over rows that take as long as packing a panel from an image: the first of these cases takes
#: 1.04 ms with 4 of them (Emerald Rapids, 2026-11-22).
WINDOW_PACKING_ROWS = 12


@dataclasses.dataclass(frozen=True)
class _Unmade(Operand):
    """A matrix of windows that is not there, by the buffer of its image: all that is asked of it are its sizes."""

    sizes: dict[int, Index]

    def size(self, loop: int) -> Index:
        """Extent of the dimension that ``loop`` walks: of the window, or of places."""
        return self.sizes[loop]


class WindowsEmitter(ListedEmitter):
    """The loops around the tasks of a product whose ``rhs`` are windows; arguments as of :class:`ListedEmitter`.

    Args:
        windows: that ``rhs`` holds; its buffer is that of their image.
    """

    may_cut = False

    def __init__(self, windows: Windows, c: DenseContraction, buffers: Sequence[ir.Value], *args: Any, **kwargs: Any):
        super().__init__(c, buffers, *args, **kwargs)
        sizes = {c.red: math.prod(windows.within), c.col: b.product(windows.places)}
        self.windows, self.rhs = windows, _Unmade(buffers[c.rhs], c.dims[c.rhs], sizes)
        self.packs_along = False

    @property
    def may_be_few(self) -> bool:
        """Never: there is no matrix that could be read in its place."""
        return False

    def _packing_rows(self) -> Index:
        return WINDOW_PACKING_ROWS

    def _panels_per_task(self) -> Index:
        """As of other products; one where threads would not get as many tasks as each other."""
        packed = super()._panels_per_task()
        panels = b.maximum(b.ceildiv(self.loops.most_cols, self.lanes), 1)
        around = [self.loops.outer[d].count for d in self.shared]
        threads, tasks = b.thread_count(), b.product([*around, b.ceildiv(panels, packed)])
        few = arith.andi(b.less(1, threads), b.less(tasks, b.mul(threads, EVEN_TASKS)))
        return arith.select(few, b.value(1), b.value(packed))

    def _pack(self, point: Point, panels: ir.Value, members: Span, reds: Walk, cols: Walk) -> None:
        first, last = members
        batch = [point[d] for d in self.c.dims[self.c.rhs][:-2]]

        def one(slot: Index) -> None:
            column = b.mul(b.add(first, slot), self.lanes)
            width = self.lanes if cols.whole(self.lanes) else b.minimum(self.lanes, b.sub(cols.count, column))
            self.windows.pack(self.rhs.buffer, batch, panels, slot, column, width, self.isa)

        b.for_loop(0, b.sub(last, first), one)

    def _ahead(self, point: Point, cols: Walk, reds: Walk) -> Ahead | None:
        return None


def match_windows_of(c: DenseContraction, rhs: ir.Value) -> Windows | None:
    """The windows that ``rhs`` of a product holds, where packing them from their image is a gain.

    Lines of which less than every second element is read are as slow to pack as to copy.
    """
    windows = None if c.rhs_transposed else match_windows(rhs)
    return windows if windows is not None and windows.stride <= 2 else None
