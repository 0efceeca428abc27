"""Matrices moved into place: transposed through shared memory or as they are, converted and added on the way.

A block of 256 threads transposes a tile of 32 x 32 elements, so that reads and writes are both in whole lines. Rows
of the tile in shared memory are 33 elements apart: neither its rows nor its columns meet in a bank.
"""

from pith._mlir import arith, gpu, ir, memref

from ... import builder as b
from ...builder import Index
from ...numbers import converted, plus
from ..host import Host
from ..product.epilogue import Fused
from ..product.tiles import shared_space
from .fill import BLOCK_THREADS, linear_grid
from .loops import split_index

THREADS = 256
TILE, PITCH = 32, 33

#: Rows of a tile that a block moves at once.
ROWS = THREADS // TILE


def transposed(host: Host, op: ir.OpView, source: ir.Value) -> ir.Value:
    """A new buffer that holds a matrix with its dimensions swapped."""
    sizes = [b.dim_size(source, 1), b.dim_size(source, 0)]
    dynamic = ir.ShapedType.get_dynamic_size()
    shape = [s if isinstance(s, int) else dynamic for s in sizes]
    element = source.type.element_type
    out = host.allocate(ir.MemRefType.get(shape, element), sizes)
    with host.kernel("transpose", [source.type, out.type], THREADS) as (name, block):
        read, write = block.arguments
        _emit_transposed(read, write, lambda at, value: value)
    _launch_transposed(host, op, name, source, [source, out])
    return out


def add_into(
    host: Host,
    op: ir.OpView,
    source: ir.Value,
    out: ir.Value,
    start: ir.Attribute | None,
    transpose: bool,
    fused: Fused | None = None,
) -> None:
    """``out = start + source``, rounded once, the source transposed if asked to; start None: what ``out`` holds.

    With ``fused``, its consumers of that are stored in ``out`` instead, and ``start`` is a constant.
    """
    arguments = [source, out, *(fused.values if fused else [])]
    with host.kernel("add", [v.type for v in arguments], THREADS) as (name, block):
        read, write, *beside = block.arguments
        after = fused.inside(beside) if fused else None
        write = after.as_matrix(write) if after else write
        element = op.results[0].type.element_type

        def total(at: list[ir.Value], value: ir.Value) -> ir.Value:
            if start is None:
                before = memref.load(write, at)
            else:
                before = arith.ConstantOp(element, start).result
            made = converted(plus(converted(before, value.type), value), element)
            return after.finish(made, at) if after else made

        emit = _emit_transposed if transpose else _emit_straight
        emit(read, write, total)
    if transpose:
        _launch_transposed(host, op, name, source, arguments)
    else:
        sizes = [b.dim_size(source, d) for d in range(source.type.rank)]
        host.launch(op, name, [linear_grid(sizes)], BLOCK_THREADS, 0, arguments)


def _launch_transposed(host: Host, op: ir.OpView, name: str, source: ir.Value, arguments: list[ir.Value]) -> None:
    tiles = [b.ceildiv(b.dim_size(source, d), TILE) for d in (0, 1)]
    grid = b.mul(tiles[0], tiles[1])
    host.launch(op, name, [grid], THREADS, TILE * PITCH * source.type.element_type.width // 8, arguments)


def _emit_transposed(source: ir.Value, out: ir.Value, total) -> None:
    """Element (j, i) of ``out`` is ``total(its indices, source[i, j])``."""
    rows, columns = b.dim_size(source, 0), b.dim_size(source, 1)
    across = b.ceildiv(columns, TILE)
    block, thread = gpu.block_id(gpu.Dimension.x), gpu.thread_id(gpu.Dimension.x)
    row0, column0 = b.mul(b.div(block, across), TILE), b.mul(b.mod(block, across), TILE)
    slow, fast = b.div(thread, TILE), b.mod(thread, TILE)
    tile = _tile(source.type.element_type)
    for i in range(0, TILE, ROWS):
        r, c = b.add(row0, b.add(slow, i)), b.add(column0, fast)
        inside = arith.andi(b.less(r, rows), b.less(c, columns))
        b.if_else(inside, lambda r=r, c=c, i=i: _store(_load(source, r, c), tile, b.add(slow, i), fast))
    gpu.barrier()
    for i in range(0, TILE, ROWS):
        r, c = b.add(row0, fast), b.add(column0, b.add(slow, i))
        inside = arith.andi(b.less(r, rows), b.less(c, columns))

        def move(r: Index = r, c: Index = c, i: int = i) -> None:
            at = [b.value(c), b.value(r)]
            memref.store(total(at, _load(tile, fast, b.add(slow, i))), out, at)

        b.if_else(inside, move)


def _emit_straight(source: ir.Value, out: ir.Value, total) -> None:
    """Every element of ``out`` is ``total(its indices, that of source)``."""
    shape = [b.dim_size(out, d) for d in range(out.type.rank)]
    i = b.add(b.mul(gpu.block_id(gpu.Dimension.x), BLOCK_THREADS), gpu.thread_id(gpu.Dimension.x))

    def move() -> None:
        at = [b.value(x) for x in split_index(i, shape)]
        memref.store(total(at, memref.load(source, at)), out, at)

    b.if_else(b.less(i, b.product(shape)), move)


def _tile(element: ir.Type) -> ir.Value:
    space = shared_space()
    i8 = ir.IntegerType.get_signless(8)
    whole = gpu.dynamic_shared_memory(ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], i8, memory_space=space))
    return memref.view(ir.MemRefType.get([TILE, PITCH], element, memory_space=space), whole, b.value(0), [])


def _load(buffer: ir.Value, row: Index, column: Index) -> ir.Value:
    return memref.load(buffer, [b.value(row), b.value(column)])


def _store(value: ir.Value, buffer: ir.Value, row: Index, column: Index) -> None:
    memref.store(value, buffer, [b.value(row), b.value(column)])
