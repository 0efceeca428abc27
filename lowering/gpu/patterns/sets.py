"""``pith.union``, ``pith.intersection`` and ``pith.complement`` on a GPU: bits of cells, combined and listed."""

from __future__ import annotations

from pith._mlir import arith, ir
from pith.dialect.pattern import PatternType
from pith.formats import DYNAMIC

from ... import builder as b
from ..host import Host
from .bitmaps import list_bitmaps, mark_list
from .lists import DeviceList, unravel, word


def convert_set(host: Host, op: ir.OpView) -> None:
    """The micro-tiles in row-major order; costs a bit per cell of the grid and operand."""
    name, operands = op.operation.name, list(op.operation.operands)
    shape = PatternType(op.operation.results[0].type).to_shape()
    given = iter(operands[1 if name == "pith.complement" else 2 :])
    sizes = [host.size(op, next(given)) if s == DYNAMIC else s for s in shape.sizes]
    grid = [b.ceildiv(s, g) for s, g in zip(sizes, shape.granularity)]
    lists = [DeviceList(host.buffers_of(op, v)[0], shape.rank) for v in operands if isinstance(v.type, PatternType)]
    bitmaps = [mark_list(host, op, listing, grid) for listing in lists]
    cells = b.product(grid)
    result = DeviceList.allocate(host, shape.rank, cells)
    combine = _COMBINE[name]
    list_bitmaps(host, op, bitmaps, cells, lambda words, _: combine(words), unravel, grid, result)
    host.bind(op.results[0], [result.memory])


_COMBINE = {
    "pith.complement": lambda words: arith.xori(words[0], word(-1)),
    "pith.intersection": lambda words: arith.andi(*words),
    "pith.union": lambda words: arith.ori(*words),
}
