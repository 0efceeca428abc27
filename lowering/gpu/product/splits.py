"""Split k: blocks that share a tile of a small output, each with a part of k, and the kernel that adds their sums.

Parts are added in order, so results repeat bit for bit. What the product adds to and what is computed behind it happen
where the parts are added.
"""

from collections.abc import Callable, Sequence
from typing import Any

from pith._mlir import gpu, ir, memref, vector
from pith.dialect import shape_of

from ... import builder as b
from ...builder import Index
from ...numbers import plus
from ..host import Host
from ..linalg.fill import BLOCK_THREADS
from ..linalg.loops import split_index
from .tiles import is_below
from .write import Output, store_value

#: Elements a thread adds up side by side, where rows are made of whole runs.
_LANES = 4


def parts_type(splits: int, out: ir.MemRefType, sums: ir.Type) -> ir.MemRefType:
    """The memory of the parts: the output's shape, once per part, unrounded."""
    dynamic = ir.ShapedType.get_dynamic_size()
    return ir.MemRefType.get([splits, *(s if s >= 0 else dynamic for s in shape_of(out))], sums)


def parts_output(parts: ir.Value, output: Output) -> Output:
    """Where a block of a split product puts its sums: the same place of its own part."""
    return Output(parts, ("split", *output.roles), parts.type.element_type)


def grid_of(sizes: Sequence[Index], parts: ir.MemRefType) -> Index:
    """Blocks of the kernel that :func:`emit_sum` emits for an output of ``sizes``."""
    return b.ceildiv(b.product(sizes), BLOCK_THREADS * _lanes(parts))


def _lanes(parts: ir.MemRefType) -> int:
    last = shape_of(parts)[-1]
    return _LANES if last > 0 and last % _LANES == 0 else 1


def emit_sum(parts: ir.Value, output: Output) -> None:
    """Emit the body of the kernel that adds up ``parts`` and stores what becomes of the sums."""
    lanes = _lanes(parts.type)
    sizes = [b.dim_size(parts, d) for d in range(1, parts.type.rank)]
    thread = b.add(b.mul(gpu.block_id(gpu.Dimension.x), BLOCK_THREADS), gpu.thread_id(gpu.Dimension.x))
    first = b.mul(thread, lanes)

    def add() -> None:
        where = split_index(first, sizes)
        loaded = [_load(parts, [s, *where], lanes) for s in range(shape_of(parts.type)[0])]
        total, *rest = loaded
        for part in rest:
            total = plus(total, part)
        store_value(output, total, where)

    b.if_else(is_below(first, b.product(sizes)), add)


def _load(parts: ir.Value, where: Sequence[Index], lanes: int) -> ir.Value:
    at = [b.value(i) for i in where]
    if lanes == 1:
        return memref.load(parts, at)
    element = parts.type.element_type
    return vector.load(ir.VectorType.get([lanes], element), parts, at, alignment=lanes * element.width // 8)


def launch_sum(host: Host, op: ir.OpView, parts: ir.Value, call: Any, output_of: Callable[[Any], Output]) -> None:
    """Emit and launch that kernel; ``output_of`` makes the output of a ``call``, a ``product.Call``, inside of it."""
    given = [parts, *call.values]
    with host.kernel("sum", [v.type for v in given], BLOCK_THREADS) as (name, block):
        emit_sum(block.arguments[0], output_of(call.inside(list(block.arguments)[1:])))
    sizes = [b.dim_size(parts, d) for d in range(1, parts.type.rank)]
    host.launch(op, name, [grid_of(sizes, parts.type)], BLOCK_THREADS, 0, given)
