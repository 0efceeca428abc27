"""``pith.detect`` and ``pith.detect_by`` on a GPU: the data is read once, and the list never leaves the device.

Cells are found by one of two kernels. *Strips*: threads hold neighbouring 16-byte vectors of a row, or-ed over the
rows of a cell, so cells of few columns are bits of a thread's word, or-ed with its neighbours' through shared memory.
*Warps*: a warp takes one cell whose rows are longer than a block's strip.

What a block finds goes straight into the list, at the place one atomic addition gives it. Lists in order
(``pith.deterministic``), and cells of so many rows that several blocks share them, go through a bitmap.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pith._mlir import arith, gpu, ir, memref
from pith.dialect import shape_of
from pith.dialect.fields import read_i64s
from pith.dialect.ops_detect import BUFFER
from pith.dialect.pattern import PatternType
from pith.passes.analysis.traversal import constant_attribute

from ... import builder as b
from ...builder import Index
from ...patterns.presence import integer, limit_of, require_testable
from ..host import Host
from ..linalg.fill import BLOCK_THREADS, linear_grid
from .bitmaps import Bitmap, list_bitmaps
from .cut import Cells, Cut, Rows
from .finding import Detection
from .lists import Block, DeviceList, Found, append, reset


def convert_detect(host: Host, op: ir.OpView) -> None:
    """List the micro-tiles of a tensor that hold anything; the list has room for the grid, or for ``pith.buffer``."""
    element = op.source.type.element_type
    require_testable(op, element)
    shape = PatternType(op.operation.results[0].type).to_shape()
    (source,) = host.buffers_of(op, op.source)
    sizes = [host.dim(op, op.source, d) for d in range(source.type.rank)]
    threshold, channel = threshold_of(host, op, element)
    cut = Cut.of(shape_of(op.source.type), read_i64s(op, "axes"), shape.granularity, channel)
    detection = Detection(host, op, cut, source, tuple(sizes), threshold, channel)
    cells = cut.over(sizes).count
    capacity = b.minimum(_declared(op), cells) if BUFFER in op.operation.attributes else cells
    listing = DeviceList.allocate(host, shape.rank, capacity)
    if detection.through_bitmap:
        bitmap = Bitmap.allocate(host, op, cells)
        detection.launch(bitmap.words, lambda memory, block: _Mark(Bitmap(memory)))
        extents = range(len(sizes))
        list_bitmaps(
            host,
            op,
            [bitmap],
            cells,
            lambda words, at: words[0],
            lambda number, given: cut.over([given[d] for d in extents]).unravel(number),
            sizes,
            listing,
        )
    else:
        reset(host, op, listing)
        detection.launch(listing.memory, lambda memory, block: _Append(DeviceList(memory, shape.rank), block))
    host.bind(op.results[0], [listing.memory])


def _declared(op: ir.OpView) -> int:
    """Entries a list may have: all of the grid where it may grow, since a buffer on the device cannot."""
    buffer = op.operation.attributes[BUFFER].to_buffer()
    return buffer.capacity if buffer.overflow == "error" else 1 << 62


def threshold_of(host: Host, op: ir.OpView, element: ir.Type) -> tuple[float | ir.Value, int | None]:
    """What magnitudes must exceed (a number, an ``f64`` argument, a buffer of limits), and the dimension it follows."""
    if op.operation.name == "pith.detect":
        return op.threshold.value, None
    if isinstance(op.threshold.type, ir.F64Type):
        number = constant_attribute(op.threshold)
        if number is not None:
            return ir.FloatAttr(number).value, None
        return host.buffers_of(op, op.threshold)[0], None
    return _limits(host, op, element), read_i64s(op, "channel")[0]


def _limits(host: Host, op: ir.OpView, element: ir.Type) -> ir.Value:
    """A buffer of the integers that magnitudes of every channel must exceed."""
    (thresholds,) = host.buffers_of(op, op.threshold)
    type_ = ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], integer(max(element.width, 8)))
    size = b.dim_size(thresholds, 0)
    limits = host.allocate(type_, [size])
    with host.kernel("limits", [thresholds.type, type_], BLOCK_THREADS) as (name, block):
        source, out = block.arguments
        at = b.value(b.add(b.mul(gpu.block_id(gpu.Dimension.x), BLOCK_THREADS), gpu.thread_id(gpu.Dimension.x)))

        def convert() -> None:
            loaded, wide = memref.load(source, [at]), ir.F64Type.get()
            number = loaded if loaded.type == wide else arith.extf(wide, loaded)
            memref.store(limit_of(number, element), out, [at])

        b.only_if(b.less(at, b.dim_size(source, 0)), convert)
    host.launch(op, name, [linear_grid([size])], BLOCK_THREADS, 0, [thresholds, limits])
    return limits


@dataclasses.dataclass(frozen=True)
class _Append:
    """Cells that are found go into the list."""

    listing: DeviceList
    block: Block

    def take(self, cells: Cells, rows: Rows, number: Index, found: Sequence[tuple[ir.Value, Index]]) -> None:
        append(
            self.block,
            self.listing,
            [Found(bits, lambda first=first: cells.coordinates(rows, first)) for bits, first in found],
        )


@dataclasses.dataclass(frozen=True)
class _Mark:
    """Cells that are found become bits of a bitmap."""

    bitmap: Bitmap

    def take(self, cells: Cells, rows: Rows, number: Index, found: Sequence[tuple[ir.Value, Index]]) -> None:
        base = b.mul(number, cells.columns)
        for bits, first in found:
            self.bitmap.mark(bits, b.add(base, first))
