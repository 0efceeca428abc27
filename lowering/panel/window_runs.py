"""Neighbouring places of a line of an image, copied to columns of a panel for every element of the window."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from .arithmetic import bytes_of, convert

if TYPE_CHECKING:
    from .windows import Windows

#: Elements of the shortest vector that is copied: lines of images of 7x7 are two of four that overlap.
_SHORT = 4


@dataclasses.dataclass(frozen=True)
class Run:
    """Neighbouring places of a line, ``count`` from place ``x`` on, that go to column ``column`` of a panel."""

    windows: "Windows"
    image: ir.Value
    around: list[Index]
    x: Index
    count: Index
    panels: ir.Value
    slot: Index
    column: Index

    def copy(self, vector_bytes: int) -> None:
        """Copy the run for every element of the window; what is no whole vector, by one that overlaps another."""
        wide = min(vector_bytes, 32) // bytes_of(self.panels.type.element_type)
        if self.windows.stride > 2:
            self._every(1)
            return
        count = self._least()
        short = b.less(count, _SHORT)

        def narrow() -> None:
            b.if_else(short, lambda: self._every(1), lambda: self._every(_SHORT))

        if wide == _SHORT:
            narrow()
        else:
            b.if_else(b.less(count, wide), narrow, lambda: self._every(wide))

    def _least(self) -> Index:
        """How many places of the run are on the image for whatever element of the window."""
        w = self.windows
        if len(w.read) - 1 not in w.guarded:
            return self.count
        lo, _ = self.on_image([0] * len(w.within))
        _, hi = self.on_image([size - 1 for size in w.within])
        return b.sub(b.maximum(lo, hi), lo)

    def _every(self, lanes: int) -> None:
        """Loops over the elements of the window, the pieces of the run innermost."""
        self._nest(lanes, [], 0, (0, self.count))

    def _nest(self, lanes: int, window: list[Index], row: Index, span: tuple[Index, Index] | None) -> None:
        """The loops inside those at ``window``; ``span``: the places on the image, as far as it is known; None: no
        place is, whatever follows."""
        w = self.windows
        due = [d for d in w.guarded if w.depth(d) == len(window)] if span else []
        if len(w.read) - 1 in due:
            span = self.on_image(window)
        conditions = [self.is_inside(d, window) for d in due if d != len(w.read) - 1]

        def inner(span: tuple[Index, Index] | None) -> None:
            if len(window) == len(w.within):
                self._line(lanes, window, row, span)
                return
            size = w.within[len(window)]
            step = functools.partial(self._step, lanes, window, b.mul(row, size), span)
            b.for_loop(0, size, step, rolled=True)

        if conditions:
            inside = functools.reduce(arith.andi, conditions)
            b.if_else(inside, lambda: inner(span), lambda: inner(None))
        else:
            inner(span)

    def _step(self, lanes: int, window: list[Index], first: Index, span: tuple[Index, Index] | None, at: Index) -> None:
        self._nest(lanes, [*window, at], b.add(first, at), span)

    def _line(self, lanes: int, window: list[Index], row: Index, span: tuple[Index, Index] | None) -> None:
        """An element of the window, for all places of the run: zeros, what is on the image, zeros."""
        if span is None:
            self._pieces(lanes, 0, self.count, lambda at: self._store(self.zeros(lanes), row, at))
            return
        lo, hi = span
        self._pieces(1, 0, lo, lambda at: self._store(self.zeros(1), row, at))
        self._pieces(lanes, lo, hi, lambda at: self._store(self._load(window, at, lanes), row, at))
        if hi is not self.count:
            self._pieces(1, hi, self.count, lambda at: self._store(self.zeros(1), row, at))

    def _pieces(self, lanes: int, lo: Index, hi: Index, body: Callable[[Index], None]) -> None:
        """``body`` at pieces of ``lanes`` places that cover ``lo`` to ``hi``, the last one up to there."""

        def one(i: Index) -> None:
            body(b.minimum(i, b.sub(hi, lanes)) if lanes > 1 else i)

        b.for_loop(lo, hi, one, step=lanes, rolled=True)

    def place(self, dim: int, window: Sequence[Index], at: Index) -> Index:
        """Where dimension ``dim`` of the image is read at place ``at`` of the run, negative before the image."""
        w = self.windows
        whole = [*window, *[0] * (len(w.within) - len(window))]
        point = [*self.around[: w.lead], *whole, *self.around[w.lead :], b.add(self.x, at)]
        return b.sub(b.apply(w.read[dim], point), w.low[dim])

    def on_image(self, window: Sequence[Index]) -> tuple[Index, Index]:
        """The places of the run that are on the image along a line."""
        last, stride = len(self.windows.read) - 1, self.windows.stride
        first, size = self.place(last, window, 0), b.dim_size(self.image, last)
        lo, hi = (_clamped(b.sub(edge, first), stride, self.count) for edge in (0, size))
        return lo, hi

    def is_inside(self, dim: int, window: Sequence[Index]) -> ir.Value:
        """Whether a place before it, negative, or behind it, is none: unsigned, both are large."""
        return b.less(self.place(dim, window, 0), b.dim_size(self.image, dim))

    def zeros(self, lanes: int) -> ir.Value:
        element = self.panels.type.element_type
        zero = b.zero_of(element)
        return zero if lanes == 1 else vector.broadcast(ir.VectorType.get([lanes], element), zero)

    def _store(self, values: ir.Value, row: Index, at: Index) -> None:
        """Put elements into the panel from the run's place ``at`` on."""
        there = [b.value(self.slot), b.value(row), b.value(b.add(self.column, at))]
        if isinstance(values.type, ir.VectorType):
            vector.store(values, self.panels, there)
        else:
            memref.store(values, self.panels, there)

    def _load(self, window: list[Index], at: Index, lanes: int) -> ir.Value:
        """``lanes`` elements from the run's place ``at`` on."""
        w, element = self.windows, self.panels.type.element_type
        *outer, last = (self.place(d, window, at) for d in range(len(w.read)))
        here = [b.value(i) for i in outer]
        if lanes == 1:
            return convert(memref.load(self.image, [*here, b.value(last)]), element)
        type_ = ir.VectorType.get([lanes], self.image.type.element_type)
        values = vector.load(type_, self.image, [*here, b.value(last)])
        if w.stride == 2:  # the second half from where its last element is the last one that is read
            more = vector.load(type_, self.image, [*here, b.value(b.add(last, lanes - 1))])
            values = vector.shuffle(values, more, [*range(0, lanes, 2), *range(lanes + 1, 2 * lanes, 2)])
        return convert(values, element)


def _clamped(distance: Index, step: int, most: Index) -> Index:
    """How many steps it takes to come so far, at least none and at most ``most``."""
    steps = b.value(distance) if step == 1 else arith.ceildivsi(b.value(distance), b.value(step))
    return arith.minsi(arith.maxsi(steps, b.value(0)), b.value(most))
