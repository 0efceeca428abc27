"""Emit the kernel of one product: index streams x dense tile body x shared-memory tiles.

The kernel of every product has this shape::

    which tile is this block's?              grid.py: a pattern on m or n over-launches; its count is read here
    if there is one:
      acc = sum over k of body(lhs, rhs)     pipeline.py; sources fill the tiles: SRead for axes that follow a pattern
      out[m, n] = finish(addend[m, n] + acc) write.py: SWrite, plain or atomic

The host never reads a count: the grid follows from sizes alone.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from pith._mlir import gpu, ir
from pith.dialect import encoding_of, shape_of

from ... import builder as b
from ...builder import Index
from ..structured.sources import source_of, streamed
from .boxes import BoxSource
from .grid import Grid, Lists
from .match import Listing, Product
from .pipeline import Operand, contract
from .plan import Plan
from .staging import DenseSource, Source, Threads
from .tiles import SharedMemory
from .write import Output, write_back


@dataclasses.dataclass(frozen=True)
class Operands:
    """Memory of a product's operands: metadata first, values last; ``out`` is None where it has another shape.

    ``maps`` are the tensor maps of those that :attr:`Plan.boxes` says.
    """

    lhs: Sequence[ir.Value]
    rhs: Sequence[ir.Value]
    out: ir.Value | None
    maps: Sequence[ir.Value] = ()


def role_sizes(product: Product, operands: Operands) -> dict[str, Index]:
    """Extent of every role: static where any type knows it, else read from a dense operand's buffer."""
    sizes: dict[str, Index] = {}
    buffers = (operands.out, operands.lhs[-1], operands.rhs[-1])
    for view, buffer in zip((product.out, product.lhs, product.rhs), buffers):
        for d, (role, size) in enumerate(zip(view.roles, shape_of(view.value.type))):
            if size >= 0:
                sizes[role] = size
            elif buffer is not None and encoding_of(view.value.type) is None and not isinstance(sizes.get(role), int):
                sizes.setdefault(role, b.dim_size(buffer, d))
    return sizes


def emit_product(
    product: Product, plan: Plan, operands: Operands, lists: Mapping[Listing, Lists], output: Output
) -> None:
    """Emit the kernel of ``product`` at the insertion point; all values are those of the kernel."""
    sizes = role_sizes(product, operands)
    axes, exists = Grid(product, plan.extents, plan.steps, sizes, plan.splits).enter(lists)
    threads = Threads(plan.body.threads, gpu.thread_id(gpu.Dimension.x))

    def tile() -> None:
        shapes = plan.shapes(product)
        sources = sources_of(product, plan, operands, sizes)
        memory = SharedMemory.open()
        both = [Operand(source, group) for source, group in zip(sources, shapes)]
        acc = contract(plan.body, both, streamed(axes, sources), plan.stages, threads, memory)
        write_back(plan.body, acc, axes, output, threads, memory)

    b.only_if(exists, tile)


def sources_of(product: Product, plan: Plan, operands: Operands, sizes: Mapping[str, Index]) -> list[Source]:
    """Where each operand's tiles come from."""
    out: list[Source] = []
    maps = iter(operands.maps)
    for view, feed, box, buffers in zip(
        (product.lhs, product.rhs), plan.feeds, plan.boxes, (operands.lhs, operands.rhs)
    ):
        if box is not None:
            out.append(BoxSource(next(maps), view.roles))
        else:
            out.append(DenseSource(buffers[0], view.roles) if feed is None else source_of(feed, buffers, sizes))
    return out
