"""Emit the ``gpu.func`` of one product: index streams x dense tile body x shared-memory tiles.

The kernel of every product has this shape (``axis`` is where a pattern or nothing acts)::

    block (x, y) owns output tile (x, y): m on x (up to 2**31 blocks), n on y (up to 65535)
    if the tile holds anything:             a pattern on m or n over-launches; its count is read here
      for k0 in range(0, length of k, tile k):
        [clear tiles of encoded operands; barrier]
        fill both shared tiles              SRead for axes that follow a pattern
        barrier
        acc = body(lhs, rhs, acc)
        barrier
      out[m, n] = out[m, n] + acc           SWrite, plain or atomic

The host never reads a count: the grid follows from sizes alone.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from pith._mlir import arith, gpu, ir, memref
from pith.dialect import encoding_of, shape_of
from pith.formats import buffer_specs

from .. import builder as b
from .. import levels
from ..builder import Index
from .match import Product, View
from .plan import Plan
from .staging import DenseSource, EncodedSource, Threads
from .tiles import Axis, allocate, is_below, pattern_axis

_BLOCK = {"m": gpu.Dimension.x, "n": gpu.Dimension.y}


@dataclasses.dataclass(frozen=True)
class KernelArguments:
    """Buffers of a product's operands inside the kernel: lists hold metadata first, values last."""

    lhs: list[ir.Value]
    rhs: list[ir.Value]
    out: ir.Value
    entries: ir.Value | None


def emit_product(product: Product, plan: Plan, buffers: Mapping[str, Sequence[ir.Value]], block: ir.Block) -> None:
    """Emit the kernel of ``product`` at the end of its entry ``block``.

    The arguments of the block are those of ``buffers``, in order: the pattern's list (if any), then the buffers of
    lhs, rhs and out.
    """
    values = iter(block.arguments)
    entries, lhs, rhs, out = ([next(values) for _ in buffers[role]] for role in ("entries", "lhs", "rhs", "out"))
    _emit_body(product, plan, KernelArguments(lhs, rhs, out[0], entries[0] if entries else None))


def role_sizes(product: Product, buffers: Mapping[str, Sequence[ir.Value]]) -> dict[str, Index]:
    """Extent of every role: static where any type knows it, else read from a dense operand's buffer."""
    sizes: dict[str, Index] = {}
    for name, view in zip(("out", "lhs", "rhs"), (product.out, product.lhs, product.rhs)):
        for d, (role, size) in enumerate(zip(view.roles, shape_of(view.value.type))):
            if size >= 0:
                sizes[role] = size
            elif encoding_of(view.value.type) is None and not isinstance(sizes.get(role), int):
                sizes.setdefault(role, b.dim_size(buffers[name][-1], d))
    return sizes


def _emit_body(product: Product, plan: Plan, args: KernelArguments) -> None:
    sizes = role_sizes(product, {"lhs": args.lhs, "rhs": args.rhs, "out": [args.out]})
    threads = Threads(plan.body.threads, gpu.thread_id(gpu.Dimension.x))
    axes = {role: _axis(product, plan, args, role, sizes[role]) for role in "mnk"}
    outer = product.axis if product.axis in _BLOCK else None

    def tile() -> None:
        acc = _reduce(product, plan, args, axes, sizes, threads)
        _write_back(product, plan, args.out, axes, acc, threads)

    if outer:
        b.if_else(is_below(axes[outer].base, axes[outer].length), tile)
    else:
        tile()


def _axis(product: Product, plan: Plan, args: KernelArguments, role: str, size: Index) -> Axis:
    extent = plan.tile[role]
    base = b.mul(gpu.block_id(_BLOCK[role]), extent) if role in _BLOCK else 0
    if role != product.axis or args.entries is None:
        return Axis(base, extent, size)
    return pattern_axis(args.entries, product.granularity, base, extent, size)


def _reduce(
    product: Product,
    plan: Plan,
    args: KernelArguments,
    axes: dict[str, Axis],
    sizes: dict[str, Index],
    threads: Threads,
) -> list[ir.Value]:
    """The loop over k; returns this thread's accumulators."""
    shapes = plan.body.layout(product.lhs.value.type.element_type)
    tiles = allocate(list(shapes))
    sources = [_source(product.lhs, args.lhs, sizes), _source(product.rhs, args.rhs, sizes)]
    zeros = plan.body.zeros()

    def step(k0: Index, *acc: ir.Value) -> list[ir.Value]:
        here = {**axes, "k": axes["k"].moved(k0)}
        cleared = [(s, t) for s, t in zip(sources, tiles) if isinstance(s, EncodedSource)]
        for source, tile in cleared:
            source.clear(tile, threads)
        if cleared:
            gpu.barrier()
        for source, tile in zip(sources, tiles):
            source.fill(tile, here, threads)
        gpu.barrier()
        result = plan.body.step(tiles[0], tiles[1], list(acc), threads.number)
        gpu.barrier()
        return result

    return b.for_loop(0, axes["k"].length, step, zeros, step=plan.tile["k"])


def _source(view: View, buffers: list[ir.Value], sizes: dict[str, Index]) -> DenseSource | EncodedSource:
    fmt = encoding_of(view.value.type)
    if fmt is None:
        return DenseSource(buffers[0], view.roles)
    extents = [sizes[role] for role in view.roles]
    level_sizes = tuple(e.mod or b.ceildiv(extents[e.dim], e.div) for e in fmt.exprs)
    metadata = dict(zip(((s.level, s.role) for s in buffer_specs(fmt)), buffers))
    return EncodedSource(levels.Storage(fmt, level_sizes, metadata, buffers[-1]), view.roles)


def _write_back(
    product: Product, plan: Plan, out: ir.Value, axes: dict[str, Axis], acc: list[ir.Value], threads: Threads
) -> None:
    rows, columns = plan.body.places(threads.number)
    at_row = [axes["m"].at(r) for r in rows]
    at_column = [axes["n"].at(c) for c in columns]
    for i, (m, m_exists) in enumerate(at_row):
        for j, (n, n_exists) in enumerate(at_column):
            place = {"m": b.value(m), "n": b.value(n)}
            where = [place[role] for role in product.out.roles]
            value = plan.body.value(acc, i, j)
            b.if_else(arith.andi(m_exists, n_exists), lambda v=value, w=where: _add_to(out, w, v, product.accumulate))


def _add_to(out: ir.Value, where: list[ir.Value], value: ir.Value, atomic: bool) -> None:
    """``out[where] += value``; a narrower output is widened, added to in f32, and rounded once."""
    if atomic:
        memref.atomic_rmw(arith.AtomicRMWKind.addf, value, out, where)
        return
    old = memref.load(out, where)
    narrow = old.type != value.type
    total = arith.addf(arith.extf(value.type, old) if narrow else old, value)
    memref.store(arith.truncf(old.type, total) if narrow else total, out, where)
