"""Unpacking: the dense tensor that an encoded one stores."""

import math

from pith._mlir import ir, memref, vector
from pith.formats.pack_digits import may_repeat
from pith.passes.generic import filled

from .. import builder as b
from ..builder import Index
from ..numbers import plus
from .decompress_groups import spread_groups
from .groups import spread_lanes
from .levels import Cursor, Storage, descend, inside, load_value, start, walk


def emit_decompress(storage: Storage, type_: ir.RankedTensorType, vector_bytes: int) -> ir.Value:
    """Emit zeros and the stored values over them; returns the memref.

    Groups that lie side by side are written a register at a time (:mod:`.decompress_groups`).
    Where each coordinate of the first level has rows of its own, threads share these, and rows are cleared when their
    values follow: 1024x1024 of f32, half of it stored as CSR, takes 0.55 ms on one thread and on two in two passes, the
    second on one thread, and 0.42 so (Emerald Rapids, 2026-11-23). Elements that may be stored twice are added up.
    """
    bits = b.bits_of(type_.element_type)
    lanes = 8 * vector_bytes // bits if bits >= 8 else 1  # a Boolean is a byte, in vectors a bit
    sizes = [b.value(size) for d, size in enumerate(storage.sizes) if type_.is_dynamic_dim(d)]
    out = memref.alloc(ir.MemRefType.get(type_.shape, type_.element_type), sizes, [], alignment=64)
    fmt = storage.format
    first = fmt.exprs[0]
    if not fmt.levels[0].is_dense or first.dim or first.mod or fmt.diagonal is not None:
        filled(out, b.zero_of(type_.element_type))
        _scatter(storage, out, start(fmt))
        return out
    width = b.product(storage.sizes[1:])
    flat, spread = _flat(out), 0 if storage.quantized else spread_lanes(fmt, bits, vector_bytes)

    def part(c: ir.Value) -> None:
        row = b.mul(c, first.div)
        end = b.minimum(b.add(row, first.div), storage.sizes[0])
        at = descend(storage, start(fmt), c, c)
        if not spread:
            _clear(flat, b.mul(row, width), b.mul(end, width), lanes)
            _scatter(storage, out, at)
            return
        done = spread_groups(storage, flat, at, b.mul(row, width), spread)
        _clear(flat, b.add(b.mul(row, width), b.mul(done, fmt.levels[2].h)), b.mul(end, width), lanes)
        _scatter_rest(storage, out, at, done)

    work = b.add(b.dim_size(storage.values, 0), b.div(b.product(storage.sizes), lanes))
    b.parallel_loop([storage.level_sizes[0]], part, work=b.mul(work, 2))
    return out


def _scatter_rest(storage: Storage, out: ir.Value, row: Cursor, done: Index) -> None:
    """Write what a row stores in groups from ``done`` on."""
    size = storage.level_sizes[1]
    base = b.mul(row.position, size)
    b.for_loop(done, size, lambda c: _scatter(storage, out, descend(storage, row, b.add(base, c), c)), rolled=True)


def _scatter(storage: Storage, out: ir.Value, at: Cursor) -> None:
    """Write what is stored below a cursor."""
    repeats = may_repeat(storage.format)

    def leaf(at: Cursor, carried: list[ir.Value]) -> list[ir.Value]:
        where = [b.value(c) for c in at.coords]

        def write() -> None:
            x = load_value(storage, at.position)
            memref.store(plus(memref.load(out, where), x) if repeats else x, out, where)

        b.only_if(inside(storage, at.coords), write)
        return carried

    walk(storage, at, leaf)


def _flat(out: ir.Value) -> ir.Value:
    """The elements of a memref in a row."""
    rank = out.type.rank
    if rank == 1:
        return out
    static = out.type.has_static_shape
    size = math.prod(out.type.shape) if static else ir.ShapedType.get_dynamic_size()
    type_ = ir.MemRefType.get([size], out.type.element_type)
    return memref.collapse_shape(type_, out, [list(range(rank))])


def _clear(flat: ir.Value, lo: Index, hi: Index, lanes: int) -> None:
    """Zero elements ``[lo, hi)``."""
    element = flat.type.element_type
    zero = b.zero_of(element)
    wide = vector.broadcast(ir.VectorType.get([lanes], element), zero)

    def some(i: Index, width: int) -> None:
        at = [b.value(b.add(lo, i))]
        vector.store(wide, flat, at) if width > 1 else memref.store(zero, flat, at)

    b.by_vectors(b.sub(hi, lo), lanes, some)
