"""Patterns from what a program knows already, on a GPU: lengths of sequences, experts of tokens, coordinates."""

from __future__ import annotations

from pith._mlir import arith, gpu, ir, memref
from pith.dialect.pattern import PatternType
from pith.formats import DYNAMIC
from pith.passes.core import pass_error

from ... import builder as b
from ...builder import Index
from ..host import Host
from ..linalg.fill import BLOCK_THREADS, linear_grid
from .bitmaps import places
from .lists import THREADS, DeviceList, as_i32, as_index, i32


def convert_from_lengths(host: Host, op: ir.OpView) -> None:
    """The blocks of positions in use, in row-major order: counts, their prefix sum, then a block per sequence."""
    shape = PatternType(op.operation.results[0].type).to_shape()
    (lengths,) = host.buffers_of(op, op.lengths)
    batch, size = b.dim_size(lengths, 0), shape.sizes[1] if shape.sizes[1] != DYNAMIC else host.size(op, op.size)
    extent = shape.granularity[1]
    listing = DeviceList.allocate(host, 2, b.mul(batch, b.ceildiv(size, extent)))
    starts = host.allocate(ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], i32()), [batch])
    index = ir.IndexType.get()
    with host.kernel("lengths", [lengths.type, index, starts.type], BLOCK_THREADS) as (name, entry):
        source, most, counts = entry.arguments
        _at_thread(
            b.dim_size(source, 0),
            lambda s: memref.store(as_i32(_blocks(source, s, most, extent)), counts, [s]),
        )
    host.launch(op, name, [linear_grid([batch])], BLOCK_THREADS, 0, [lengths, b.value(size), starts])
    places(host, op, starts, listing)
    types = [lengths.type, index, starts.type, listing.memory.type]
    with host.kernel("positions", types, THREADS) as (name, entry):
        source, most, counts, memory = entry.arguments
        sequence, out = gpu.block_id(gpu.Dimension.x), DeviceList(memory, 2)
        first = as_index(memref.load(counts, [sequence]))

        def position(p: Index) -> None:
            out.store(b.value(b.add(first, p)), [sequence, p])

        b.for_loop(gpu.thread_id(gpu.Dimension.x), _blocks(source, sequence, most, extent), position, step=THREADS)
    host.launch(op, name, [batch], THREADS, 0, [lengths, b.value(size), starts, listing.memory])
    host.bind(op.results[0], [listing.memory])


def _blocks(lengths: ir.Value, sequence: ir.Value, size: Index, extent: int) -> Index:
    """Blocks of a sequence in use: lengths below zero are zero, those past the size end there."""
    length = arith.index_cast(ir.IndexType.get(), memref.load(lengths, [sequence]))
    used = arith.minsi(arith.maxsi(length, b.value(0)), b.value(size))
    return b.ceildiv(used, extent)


def convert_from_routing(host: Host, op: ir.OpView) -> None:
    """The (token, expert) pairs, token after token. What is no expert is past every grid."""
    (experts,) = host.buffers_of(op, op.experts)
    sizes = [b.dim_size(experts, d) for d in range(experts.type.rank)]
    total = b.product(sizes)
    listing = DeviceList.allocate(host, 2, total)
    with host.kernel("routing", [experts.type, listing.memory.type], BLOCK_THREADS) as (name, entry):
        source, memory = entry.arguments
        out, extents = DeviceList(memory, 2), [b.dim_size(source, d) for d in range(source.type.rank)]
        each, entries = (extents[1] if len(extents) == 2 else 1), b.product(extents)

        def choice(i: ir.Value) -> None:
            token = b.div(i, each)
            place = [b.value(token)] if len(extents) == 1 else [b.value(token), b.value(b.mod(i, each))]
            expert = memref.load(source, place)
            if expert.type.width > 32:
                nowhere = arith.constant(expert.type, 0xFFFFFFFF)
                expert = arith.trunci(i32(), arith.minui(expert, nowhere))
            out.store(i, [token, as_index(expert)])

        _at_thread(entries, choice)
        _once(lambda: out.set_count(as_i32(entries)))
    host.launch(op, name, [_at_least_one(linear_grid(sizes))], BLOCK_THREADS, 0, [experts, listing.memory])
    host.bind(op.results[0], [listing.memory])


def convert_coordinates(host: Host, op: ir.OpView) -> None:
    """``pith.coordinates``: asked for its size only (:mod:`choice`), since no launch depends on a count."""
    if any(use.owner.name != "tensor.dim" for use in op.results[0].uses):
        hint = "return the pattern: its list has the count, then the coordinates"
        pass_error(op, "has no GPU lowering: only the device knows how many coordinates there are", hint)


def convert_from_coordinates(host: Host, op: ir.OpView) -> None:
    """The coordinates behind their number."""
    rank = PatternType(op.operation.results[0].type).to_shape().rank
    (coordinates,) = host.buffers_of(op, op.coordinates)
    count = b.dim_size(coordinates, 0)
    listing = DeviceList.allocate(host, rank, count)
    with host.kernel("listed", [coordinates.type, listing.memory.type], BLOCK_THREADS) as (name, entry):
        source, memory = entry.arguments
        out, entries = DeviceList(memory, rank), b.dim_size(source, 0)

        def copy(i: ir.Value) -> None:
            places_ = [[i]] if rank == 1 else [[i, b.value(axis)] for axis in range(rank)]
            out.store(i, [as_index(memref.load(source, place)) for place in places_])

        _at_thread(entries, copy)
        _once(lambda: out.set_count(as_i32(entries)))
    host.launch(op, name, [_at_least_one(linear_grid([count]))], BLOCK_THREADS, 0, [coordinates, listing.memory])
    host.bind(op.results[0], [listing.memory])


def _at_thread(count: Index, body) -> None:
    """``body`` of this thread's number in the grid, where that is below ``count``."""
    block, thread = gpu.block_id(gpu.Dimension.x), gpu.thread_id(gpu.Dimension.x)
    i = b.value(b.add(b.mul(block, BLOCK_THREADS), thread))
    b.only_if(b.less(i, count), lambda: body(i))


def _once(body) -> None:
    """``body`` in the first thread of the grid."""
    number = b.add(gpu.block_id(gpu.Dimension.x), gpu.thread_id(gpu.Dimension.x))
    b.only_if(arith.cmpi(arith.CmpIPredicate.eq, b.value(number), b.value(0)), body)


def _at_least_one(blocks: Index) -> Index:
    return b.maximum(blocks, 1)
