"""Dense products of the windows of an image: panels are packed from the image, and no matrix of windows is made."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from pith._mlir import ir

from .. import builder as b
from ..builder import Index
from ..linalg.contraction import DenseContraction
from .ahead import Ahead
from .batch import Operand
from .listed import ListedEmitter
from .listed_task import Span
from .loops import Point
from .walk import Walk
from .windows import Windows, match_windows


@dataclasses.dataclass(frozen=True)
class _Unmade(Operand):
    """A matrix of windows that is not there, by the buffer of its image: all that is asked of it are its sizes."""

    sizes: dict[int, int]

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
        sizes = {c.red: math.prod(windows.within), c.col: math.prod(windows.places)}
        self.windows, self.rhs = windows, _Unmade(buffers[c.rhs], c.dims[c.rhs], sizes)
        self.packs_along = False

    @property
    def may_be_few(self) -> bool:
        """Never: there is no matrix that could be read in its place."""
        return False

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
