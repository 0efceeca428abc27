"""Windows of images: the dense operand of a convolution's product, packed from the image without a copy in between.

Of a tensor that only lists what windows of an image hold, :func:`match_windows` finds the image and where it is read;
:meth:`Windows.pack` fills a panel from there. Columns of the product are places of the result, a line of the image
after the other: what of a line falls into a panel is copied in vectors, for every element of the window. Zeros around
an image are never written there: what of a window lies outside becomes zero in the panel.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

from pith._mlir import arith, ir, memref, vector
from pith.dialect.tiling import dims_of
from pith.passes.analysis.padding import unpadded
from pith.passes.analysis.structured import Structured
from pith.passes.analysis.traversal import defining_op

from .. import builder as b
from ..builder import Index
from .arithmetic import convert
from .pack import clear_rows

#: Elements of the shortest vector that is copied: lines of images of 7x7 are two of four that overlap.
_SHORT = 4


@dataclasses.dataclass(frozen=True)
class Windows:
    """A matrix ``(window, places)``, or a batch of them, as what an image holds.

    Attributes:
        image: a tensor.
        read: where it is read, per dimension of it, in loops over batches, parts of the window and places.
        lead: how many of the loops are batches; ``within``: the sizes of the window's; ``places``: of the places'.
        stride: elements of the image between neighbours of a line.
        low: where the image begins in what is read, per dimension: behind so many zeros.
        guarded: dimensions in which there are zeros before or behind it.
    """

    image: ir.Value
    read: tuple[ir.AffineExpr, ...]
    lead: int
    within: tuple[int, ...]
    places: tuple[int, ...]
    stride: int
    low: tuple[int, ...]
    guarded: tuple[int, ...]

    def pack(
        self, image: ir.Value, batch: Sequence[Index], panels: ir.Value, slot: Index, first: Index, width: Index
    ) -> None:
        """Fill ``panels[slot]`` with the columns from ``first`` on; those past the ``width``-th become zero.

        Args:
            image: :attr:`image` as a memref.
            batch: where in the batches.
            panels: ``(slots, rows, lanes)``, as many rows as a window has elements.
        """
        lanes, line, rows = panels.type.shape[-1], self.places[-1], math.prod(self.within)
        if not isinstance(width, int):
            partial = b.less(width, lanes)
            b.only_if(partial, lambda: clear_rows(panels, b.value(slot), 0, rows, lanes))
        end = b.add(first, width)

        def one_line(number: Index) -> None:
            start = b.mul(number, line)
            lo, hi = b.maximum(first, start), b.minimum(end, b.add(start, line))
            above = self._above(number)
            run = _Run(self, image, [*batch, *above], b.sub(lo, start), b.sub(hi, lo), panels, slot, b.sub(lo, first))
            run.copy()

        b.for_loop(b.div(first, line), b.ceildiv(end, line), one_line)

    def _above(self, number: Index) -> list[Index]:
        """The places of all loops but the last for line ``number``."""
        out: list[Index] = []
        for size in reversed(self.places[:-1]):
            out.insert(0, b.mod(number, size))
            number = b.div(number, size)
        return out

    def depth(self, dim: int) -> int:
        """How many loops over parts of the window say where dimension ``dim`` of the image is read."""
        parts = [d - self.lead for d in dims_of(self.read[dim]) if 0 <= d - self.lead < len(self.within)]
        return max(parts, default=-1) + 1


@dataclasses.dataclass(frozen=True)
class _Run:
    """Neighbouring places of a line, ``count`` from place ``x`` on, that go to column ``column`` of a panel."""

    windows: Windows
    image: ir.Value
    around: list[Index]
    x: Index
    count: Index
    panels: ir.Value
    slot: Index
    column: Index

    def copy(self) -> None:
        """Copy the run for every element of the window; what is no whole vector, by one that overlaps another."""
        element = self.panels.type.element_type
        wide = 32 // (element.width // 8)
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
        lo, _ = self._on_image([0] * len(w.within))
        _, hi = self._on_image([size - 1 for size in w.within])
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
            span = self._on_image(window)
        conditions = [self._is_inside(d, window) for d in due if d != len(w.read) - 1]

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
            self._pieces(lanes, 0, self.count, lambda at: self._store(self._zeros(lanes), row, at))
            return
        lo, hi = span
        self._pieces(1, 0, lo, lambda at: self._store(self._zeros(1), row, at))
        self._pieces(lanes, lo, hi, lambda at: self._store(self._load(window, at, lanes), row, at))
        if hi is not self.count:
            self._pieces(1, hi, self.count, lambda at: self._store(self._zeros(1), row, at))

    def _pieces(self, lanes: int, lo: Index, hi: Index, body: Callable[[Index], None]) -> None:
        """``body`` at pieces of ``lanes`` places that cover ``lo`` to ``hi``, the last one up to there."""

        def one(i: Index) -> None:
            body(b.minimum(i, b.sub(hi, lanes)) if lanes > 1 else i)

        b.for_loop(lo, hi, one, step=lanes, rolled=True)

    def _place(self, dim: int, window: Sequence[Index], at: Index) -> Index:
        """Where dimension ``dim`` of the image is read at place ``at`` of the run, negative before the image."""
        w = self.windows
        whole = [*window, *[0] * (len(w.within) - len(window))]
        point = [*self.around[: w.lead], *whole, *self.around[w.lead :], b.add(self.x, at)]
        return b.sub(b.apply(w.read[dim], point), w.low[dim])

    def _on_image(self, window: Sequence[Index]) -> tuple[Index, Index]:
        """The places of the run that are on the image along a line."""
        last, stride = len(self.windows.read) - 1, self.windows.stride
        first, size = self._place(last, window, 0), self.image.type.shape[last]
        lo, hi = (_clamped(b.sub(edge, first), stride, self.count) for edge in (0, size))
        return lo, hi

    def _is_inside(self, dim: int, window: Sequence[Index]) -> ir.Value:
        """Whether a place before it, negative, or behind it, is none: unsigned, both are large."""
        return b.less(self._place(dim, window, 0), self.image.type.shape[dim])

    def _zeros(self, lanes: int) -> ir.Value:
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
        *outer, last = (self._place(d, window, at) for d in range(len(w.read)))
        here = [b.value(i) for i in outer]
        if lanes == 1:
            return convert(memref.load(self.image, [*here, b.value(last)]), element)
        type_ = ir.VectorType.get([lanes], self.image.type.element_type)
        values = vector.load(type_, self.image, [*here, b.value(last)])
        if w.stride == 2:  # the second half from where its last element is the last one that is read
            more = vector.load(type_, self.image, [*here, b.value(b.add(last, lanes - 1))])
            values = vector.shuffle(values, more, [*range(0, lanes, 2), *range(lanes + 1, 2 * lanes, 2)])
        return convert(values, element)


def match_windows(matrix: ir.Value) -> Windows | None:
    """The windows that ``matrix`` holds, ``(batches, window, places)``; None of other tensors."""
    collapse = defining_op(matrix, "tensor.collapse_shape")
    copy = defining_op(collapse.operands[0], "linalg.generic") if collapse is not None else None
    op = Structured.of(copy.opview) if copy is not None else None
    if collapse is None or op is None or len(op.inputs) != 1 or "reduction" in op.iterators or not _forwards(op):
        return None
    image, (read, written) = op.inputs[0], op.maps
    groups = [[int(d) for d in group] for group in collapse.operation.attributes["reassociation"]]
    sizes = list(op.inits[0].type.shape)
    last, lead = len(sizes) - 1, len(groups) - 2
    plain = isinstance(image.type, ir.RankedTensorType) and written == ir.AffineMap.get_identity(len(sizes))
    if not plain or any(len(g) > 1 for g in groups[:lead]) or any(s < 0 for s in sizes[lead:]):
        return None
    *outer, along = read.results
    stride = _step(along, last)
    if stride is None or any(last in dims_of(e) for e in outer):
        return None
    within = range(lead, lead + len(groups[-2]))
    image, low, guarded = _bare(image, any((_step(along, d) or 0) < 0 for d in within))
    return Windows(
        image,
        tuple(read.results),
        lead,
        tuple(sizes[d] for d in groups[-2]),
        tuple(sizes[d] for d in groups[-1]),
        stride,
        low,
        guarded,
    )


def _clamped(distance: Index, step: int, most: Index) -> Index:
    """How many steps it takes to come so far, at least none and at most ``most``."""
    steps = b.value(distance) if step == 1 else arith.ceildivsi(b.value(distance), b.value(step))
    return arith.minsi(arith.maxsi(steps, b.value(0)), b.value(most))


def _bare(image: ir.Value, backwards: bool) -> tuple[ir.Value, tuple[int, ...], tuple[int, ...]]:
    """An image without the zeros around it, how many come before it, and the dimensions in which there are some.

    Where only run time knows the size of one of these, or a line is read ``backwards``, the image is what it is with
    the zeros.
    """
    source, low = unpadded(image)
    guarded = [d for d, sizes in enumerate(zip(source.type.shape, image.type.shape)) if sizes[0] != sizes[1] or low[d]]
    if backwards or any(source.type.is_dynamic_dim(d) for d in guarded):
        return image, (0,) * image.type.rank, ()
    return source, low, tuple(guarded)


def _forwards(op: Structured) -> bool:
    """The body yields what is read."""
    body = list(op.body.operations)
    return len(body) == 1 and body[0].operands[0] == op.body.arguments[0]


def _step(expr: ir.AffineExpr, loop: int) -> int | None:
    """How far ``expr`` goes per step of ``loop``, when it is linear in it; None when it does not move."""
    if isinstance(expr, ir.AffineDimExpr):
        return 1 if expr.position == loop else None
    if isinstance(expr, ir.AffineAddExpr):
        found = [s for side in (expr.lhs, expr.rhs) if (s := _step(side, loop)) is not None]
        return found[0] if len(found) == 1 else None
    if isinstance(expr, ir.AffineMulExpr) and isinstance(expr.rhs, ir.AffineConstantExpr):
        step = _step(expr.lhs, loop)
        return None if step is None else step * expr.rhs.value
    return None
