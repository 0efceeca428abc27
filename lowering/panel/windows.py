"""Windows of images: the dense operand of a convolution's product, packed from the image without a copy in between.

Of a tensor that only lists what windows of an image hold, :func:`match_windows` finds the image and where it is read;
:meth:`Windows.pack` fills a panel from there. Columns of the product are places of the result, a line of the image
after the other: what of a line falls into a panel is copied in vectors, for every element of the window.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

from pith._mlir import ir, memref, vector
from pith.dialect.tiling import dims_of
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
    """

    image: ir.Value
    read: tuple[ir.AffineExpr, ...]
    lead: int
    within: tuple[int, ...]
    places: tuple[int, ...]
    stride: int

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
        short = b.less(self.count, _SHORT)

        def narrow() -> None:
            b.if_else(short, lambda: self._every(1), lambda: self._every(_SHORT))

        if wide == _SHORT:
            narrow()
        else:
            b.if_else(b.less(self.count, wide), narrow, lambda: self._every(wide))

    def _every(self, lanes: int) -> None:
        """Loops over the elements of the window, the pieces of the run innermost."""

        def piece(window: list[Index], row: Index) -> None:
            def one(i: Index) -> None:
                at = b.minimum(i, b.sub(self.count, lanes)) if lanes > 1 else i
                self._piece(window, row, at, lanes)

            b.for_loop(0, self.count, one, step=lanes, rolled=True)

        self._nest(self.windows.within, [], 0, piece)

    def _nest(self, sizes: Sequence[int], window: list[Index], row: Index, body: Callable) -> None:
        if not sizes:
            body(window, row)
            return
        first, *rest = sizes
        b.for_loop(0, first, lambda i: self._nest(rest, [*window, i], b.add(b.mul(row, first), i), body), rolled=True)

    def _piece(self, window: list[Index], row: Index, at: Index, lanes: int) -> None:
        """Copy ``lanes`` elements from the run's place ``at`` on."""
        w = self.windows
        point = [*self.around[: w.lead], *window, *self.around[w.lead :], b.add(self.x, at)]
        *outer, last = (b.apply(e, point) for e in w.read)
        there = [b.value(self.slot), b.value(row), b.value(b.add(self.column, at))]
        here = [b.value(i) for i in outer]
        element = self.panels.type.element_type
        if lanes == 1:
            memref.store(convert(memref.load(self.image, [*here, b.value(last)]), element), self.panels, there)
            return
        type_ = ir.VectorType.get([lanes], self.image.type.element_type)
        values = vector.load(type_, self.image, [*here, b.value(last)])
        if w.stride == 2:  # the second half from where its last element is the last one that is read
            more = vector.load(type_, self.image, [*here, b.value(b.add(last, lanes - 1))])
            values = vector.shuffle(values, more, [*range(0, lanes, 2), *range(lanes + 1, 2 * lanes, 2)])
        vector.store(convert(values, element), self.panels, there)


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
    return Windows(
        image,
        tuple(read.results),
        lead,
        tuple(sizes[d] for d in groups[-2]),
        tuple(sizes[d] for d in groups[-1]),
        stride,
    )


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
