"""Neighbouring places of a line of an image, copied to a panel with masks: whole registers, whatever their number.

A mask of a load says which lanes are on the image, zeros come where none is; one of a store which are the run's. Both
are the same for every channel, so they are made once for :data:`TOGETHER` of them. On Emerald Rapids, against
``window_runs``: two basic blocks of ResNet-18, dense 6.97 to 6.65 ms, 2:4 5.20 to 5.08, on two threads 5.14 to 4.81
and 3.07 to 2.99 (2026-11-22).
"""

import dataclasses
import functools
import math
from typing import ClassVar

from pith._mlir import arith, ir, vector
from pith.dialect.tiling import dims_of

from .. import builder as b
from ..builder import Index
from .arithmetic import bytes_of, convert
from .window_runs import Run

#: Channels that are copied after each other. Their lines lie a channel apart, in one set of L1 for images of a power
#: of two, and are read again for the next element of the window: more of them than ways would be gone by then.
TOGETHER = 8


@dataclasses.dataclass(frozen=True)
class MaskedRun(Run):
    """A run, copied with masks."""

    #: Elements between those of a line that are copied: of two registers every other lane.
    most_stride: ClassVar[int] = 2

    def copy(self, vector_bytes: int) -> None:
        """Copy the run for every element of the window."""
        lanes = vector_bytes // bytes_of(self.panels.type.element_type)
        within, channels = self.windows.within, self._channels
        around = [d for d in range(len(within)) if d != channels]
        size = 1 if channels is None else within[channels]

        def some(first: Index, count: int) -> None:
            self._nest(around, {channels: first}, count, lanes)

        b.for_loop(0, size // TOGETHER * TOGETHER, lambda c: some(c, TOGETHER), step=TOGETHER, rolled=True)
        if size % TOGETHER:
            some(size // TOGETHER * TOGETHER, size % TOGETHER)

    @property
    def _channels(self) -> int | None:
        """The longest loop over the window that does not say what is on the image."""
        w = self.windows
        telling = {d - w.lead for g in w.guarded for d in dims_of(w.read[g])}
        free = [d for d in range(len(w.within)) if d not in telling]
        return max(free, key=w.within.__getitem__, default=None)

    def _nest(self, around: list[int], at: dict[int | None, Index], count: int, lanes: int) -> None:
        """The loops over the window but that over channels, of which there are ``count`` from ``at`` on."""
        if around:
            first, *rest = around
            size = self.windows.within[first]
            b.for_loop(0, size, lambda i: self._nest(rest, {**at, first: i}, count, lanes), rolled=True)
            return
        channels = self._channels
        points = [at if channels is None else {**at, channels: b.add(at[channels], k)} for k in range(count)]
        windows = [[point[d] for d in range(len(self.windows.within))] for point in points]
        span = self._span(windows[0])
        b.for_loop(0, self.count, lambda i: self._piece(windows, span, i, lanes), step=lanes, rolled=True)

    def _span(self, window: list[Index]) -> tuple[Index, Index]:
        """The places of the run that are on the image; none where the line is not."""
        w, last = self.windows, len(self.windows.read) - 1
        lo, hi = self.on_image(window) if last in w.guarded else (0, self.count)
        inside = [self.is_inside(d, window) for d in w.guarded if d != last]
        if inside:
            hi = arith.select(functools.reduce(arith.andi, inside), b.value(hi), b.value(0))
        return lo, hi

    def _piece(self, windows: list[list[Index]], span: tuple[Index, Index], at: Index, lanes: int) -> None:
        """``lanes`` places of the run from ``at`` on, of all ``windows``."""
        (lo, hi), stride = span, self.windows.stride
        live = []
        for first in range(0, stride * lanes, lanes):  # places of the image behind those of ``at``
            here = b.add(b.mul(at, stride), first)
            most = b.sub(b.sub(b.mul(hi, stride), stride - 1), here)
            live.append(_between(b.sub(b.mul(lo, stride), here), most, lanes))
        put = _between(0, b.sub(self.count, at), lanes)
        for window in windows:
            there = [b.value(i) for i in (self.slot, self._row(window), b.add(self.column, at))]
            vector.maskedstore(self.panels, there, put, self._read(window, at, live))

    def _row(self, window: list[Index]) -> Index:
        """The row of the panel that an element of the window has."""
        sizes = self.windows.within
        terms = (b.mul(i, math.prod(sizes[d + 1 :])) for d, i in enumerate(window))
        return functools.reduce(b.add, terms)

    def _read(self, window: list[Index], at: Index, live: list[ir.Value]) -> ir.Value:
        """The image from the run's place ``at`` on, where it is ``live``, as what panels hold."""
        w = self.windows
        *outer, last = (self.place(d, window, at) for d in range(len(w.read)))
        lanes, element = live[0].type.shape[0], self.image.type.element_type
        type_ = ir.VectorType.get([lanes], element)
        zeros = vector.broadcast(type_, b.zero_of(element))
        parts = []
        for number, mask in enumerate(live):
            here = [b.value(i) for i in (*outer, b.add(last, number * lanes))]
            parts.append(vector.maskedload(type_, self.image, here, mask, zeros))
        values = parts[0] if len(parts) == 1 else vector.shuffle(*parts, [*range(0, 2 * lanes, 2)])
        return convert(values, self.panels.type.element_type)


def _between(lo: Index, hi: Index, lanes: int) -> ir.Value:
    """The lanes from ``lo`` up to ``hi``; both may be negative, or more than there are."""
    type_ = ir.VectorType.get([lanes], ir.IntegerType.get_signless(1))
    below = vector.create_mask(type_, [b.value(hi)])
    if isinstance(lo, int) and lo <= 0:
        return below
    ones = arith.constant(type_, ir.DenseElementsAttr.get_splat(type_, ir.BoolAttr.get(True)))
    return arith.andi(below, arith.xori(vector.create_mask(type_, [b.value(lo)]), ones))
