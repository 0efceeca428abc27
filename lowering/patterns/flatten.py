"""Batches whose products share the right operand, as one product: rows of all of them are one loop.

``out[b, m, n] += lhs[b, m, k] * rhs[k, n]`` is ``out[(b m), n] += lhs[(b m), k] * rhs[k, n]``, and a pattern over
(b, m) lists rows of that. Then ``rhs`` is packed once, not once per batch, and tasks have the rows of all batches.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pith._mlir import arith, ir, memref
from pith.dialect.tiling import bare_dim

from .. import builder as b
from ..builder import Index
from .products import ListedProduct, Listing
from .sort import Coordinates
from .walks import read_listing


def flat_loops(p: ListedProduct) -> tuple[int, ...]:
    """The outer loops that can join the rows: batches without a ``rhs`` of their own, listed with the rows or not."""
    c = p.product
    lhs, out = c.dims[c.lhs], c.dims[2]
    at = out.index(c.row)
    batches = tuple(d for d in out[:at] if d in lhs and d not in c.dims[c.rhs])
    joint = (*batches, c.row)
    if not batches or joint != out[: at + 1] or joint != lhs[: len(joint)]:
        return ()
    for x, shape in ((x, p.tiling.patterns[x.pattern]) for x in p.listings):
        if not {*x.loops} & {*joint}:
            continue
        if {*x.loops} != {*joint} or x.rows is not None or max(shape.granularity) > 1:
            return ()
    return batches if _is_free_of(p, {*joint}) else ()


def _is_free_of(p: ListedProduct, loops: set[int]) -> bool:
    """What the body makes of the sums depends on nothing that ``loops`` index."""
    if p.body.finish is None:
        return True
    block = p.body.finish.op.regions[0].blocks[0]
    read = [
        number
        for argument, number in zip(block.arguments, p.body.finish.operands)
        if number is not None and any(True for _ in argument.uses)
    ]
    return not any(bare_dim(e) in loops for number in read for e in p.tiling.maps[number].results)


def flatten(
    p: ListedProduct, batches: tuple[int, ...], buffers: list[ir.Value], sizes: Mapping[int, Index]
) -> tuple[ListedProduct, list[ir.Value], dict[int, Coordinates]]:
    """The product over the joint rows: its operands as memrefs, and what patterns list that changed.

    Args:
        buffers: the operands as memrefs.
        sizes: extents of the loops.
    """
    c = p.product
    joint = (*batches, c.row)
    coordinates = {
        x.pattern: _joined(read_listing(p, x, sizes), x, joint) for x in p.listings if {*x.loops} == {*joint}
    }
    listings = tuple(Listing(x.pattern, (c.row,), 0) if x.pattern in coordinates else x for x in p.listings)
    made = [v if i == c.rhs else _collapse(v, len(batches)) for i, v in enumerate(buffers)]
    dims = tuple(ds if i == c.rhs else ds[len(batches) :] for i, ds in enumerate(c.dims))
    outer = tuple(d for d in c.outer if d not in batches)
    product = dataclasses.replace(c, dims=dims, outer=outer, values=tuple(made))
    return dataclasses.replace(p, product=product, listings=listings), made, coordinates


def _joined(c: Coordinates, x: Listing, joint: tuple[int, ...]) -> Coordinates:
    """Numbers of rows; of coordinates past the grid one past the last."""
    axes = [x.loops.index(d) for d in joint]
    rows = b.product([c.sizes[a] for a in axes])
    i32 = ir.IntegerType.get_signless(32)
    numbers = b.alloc([c.count], i32)

    def join(entry: Index) -> None:
        number: Index = 0
        legal: ir.Value | None = None
        for a in axes:
            at = c.at(entry, a)
            inside = b.less(at, c.sizes[a])
            legal = inside if legal is None else arith.andi(legal, inside)
            number = b.add(b.mul(number, c.sizes[a]), at)
        kept = arith.select(legal, b.value(number), b.value(rows))
        memref.store(arith.index_castui(i32, kept), numbers, [b.value(entry)])

    b.for_loop(0, c.count, join)
    return Coordinates(numbers, (rows,), (1,))


def _collapse(buffer: ir.Value, count: int) -> ir.Value:
    """The first ``count + 1`` dimensions as one."""
    shape, dynamic = buffer.type.shape, ir.ShapedType.get_dynamic_size()
    joint = dynamic if dynamic in shape[: count + 1] else int(b.product(shape[: count + 1]))
    type_ = ir.MemRefType.get([joint, *shape[count + 1 :]], buffer.type.element_type)
    groups = [[*range(count + 1)], *([d] for d in range(count + 1, len(shape)))]
    return memref.collapse_shape(type_, buffer, groups)
