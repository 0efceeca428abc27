"""Windows of images: the dense operand of a convolution's product, packed from the image without a copy in between.

Of a tensor that only lists what windows of an image hold, :func:`match_windows` finds the image and where it is read;
:meth:`Windows.pack` fills a panel from there. Columns of the product are places of the result, a line of the image
after the other: what of a line falls into a panel is copied in vectors, for every element of the window. Zeros around
an image are never written there: what of a window lies outside becomes zero in the panel. How lines are copied depends
on the machine: ``window_masks`` or ``window_runs``.
"""

import dataclasses
import math
from collections.abc import Sequence

from pith._mlir import ir
from pith.dialect.tiling import dims_of
from pith.passes.analysis.padding import unpadded
from pith.passes.analysis.structured import Structured
from pith.passes.analysis.traversal import defining_op

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from .pack import clear_rows
from .window_masks import MaskedRun
from .window_runs import Run


@dataclasses.dataclass(frozen=True)
class Windows:
    """A matrix ``(window, places)``, or a batch of them, as what an image holds.

    Attributes:
        image: a tensor.
        read: where it is read, per dimension of it, in loops over batches, parts of the window and places.
        lead: how many of the loops are batches; ``within``: the sizes of the window's; ``places``: of the places',
            which run time may know only.
        stride: elements of the image between neighbours of a line.
        low: where the image begins in what is read, per dimension: behind so many zeros.
        guarded: dimensions in which there are zeros before or behind it.
    """

    image: ir.Value
    read: tuple[ir.AffineExpr, ...]
    lead: int
    within: tuple[int, ...]
    places: tuple[Index, ...]
    stride: int
    low: tuple[int, ...]
    guarded: tuple[int, ...]

    def pack(
        self,
        image: ir.Value,
        batch: Sequence[Index],
        panels: ir.Value,
        slot: Index,
        first: Index,
        width: Index,
        isa: Isa,
        apart: bool = False,
    ) -> None:
        """Fill ``panels[slot]`` with the columns from ``first`` on; those past the ``width``-th become zero.

        Args:
            image: :attr:`image` as a memref.
            batch: where in the batches.
            panels: ``(slots, rows, lanes)``, as many rows as a window has elements.
            apart: in a function of its own.
        """
        lanes, line, rows = panels.type.shape[-1], self.places[-1], math.prod(self.within)
        if not isinstance(width, int):
            partial = b.less(width, lanes)
            b.only_if(partial, lambda: clear_rows(panels, b.value(slot), 0, rows, lanes))
        end = b.add(first, width)
        kind = MaskedRun if isa.has_masks and self.stride <= MaskedRun.most_stride else Run

        def one_line(number: Index) -> None:
            start = b.mul(number, line)
            lo, hi = b.maximum(first, start), b.minimum(end, b.add(start, line))
            above = self._above(number)
            run = kind(self, image, [*batch, *above], b.sub(lo, start), b.sub(hi, lo), panels, slot, b.sub(lo, first))
            run.copy(isa.vector_bytes)

        b.for_loop(b.div(first, line), b.ceildiv(end, line), one_line, apart=apart)

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
    places = _sizes(op.inits[0], groups[-1])
    within = groups[-2] if lead >= 0 else []
    if not plain or places is None or any(len(g) > 1 for g in groups[:lead]) or any(sizes[d] < 0 for d in within):
        return None
    *outer, along = read.results
    stride = _step(along, last)
    if stride is None or any(last in dims_of(e) for e in outer):
        return None
    image, low, guarded = _bare(image, any((_step(along, d) or 0) < 0 for d in within))
    return Windows(
        image,
        tuple(read.results),
        lead,
        tuple(sizes[d] for d in groups[-2]),
        places,
        stride,
        low,
        guarded,
    )


def _bare(image: ir.Value, backwards: bool) -> tuple[ir.Value, tuple[int, ...], tuple[int, ...]]:
    """An image without the zeros around it, how many come before it, and the dimensions in which there are some.

    Where a line is read ``backwards``, the image is what it is with the zeros.
    """
    source, low, high = unpadded(image)
    if backwards:
        return image, (0,) * image.type.rank, ()
    return source, low, tuple(d for d, around in enumerate(zip(low, high)) if any(around))


def _sizes(made: ir.Value, dims: Sequence[int]) -> tuple[Index, ...] | None:
    """Sizes of a ``tensor.empty``; None of another tensor where only run time knows one."""
    shape, op = made.type.shape, defining_op(made, "tensor.empty")
    if op is None:
        return None if any(shape[d] < 0 for d in dims) else tuple(shape[d] for d in dims)
    dynamic = iter(op.operands)
    sizes = [next(dynamic) if size < 0 else size for size in shape]
    return tuple(sizes[d] for d in dims)


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
