"""Which rows of the output of a listed product no list names, as a list."""

from __future__ import annotations

from pith._mlir import arith, ir, memref

from .. import builder as b
from ..builder import Index
from ..panel.walk import Walk
from .sort import mark
from .walks import BoundPatterns


def unlisted_rows(bound: BoundPatterns) -> Walk | None:
    """The rows that the kernel of a product does not store, where one list of rows is all that tells them; else None.

    Cost: some operations per row, in one thread.
    """
    p, c = bound.p, bound.p.product
    dims = c.dims[2]
    named = [x for x in p.listings if x.rows is None and x.loop in dims]
    if p.summed or p.blocks is not None or dims != (c.row, c.col) or [x.loops for x in named] != [(c.row,)]:
        return None
    flags, size = mark(bound.coordinates[named[0].pattern], [0]), bound.sizes[c.row]
    i32 = ir.IntegerType.get_signless(32)
    ids = b.alloc([b.maximum(size, 1)], i32)

    def visit(row: Index, count: ir.Value) -> list[ir.Value]:
        memref.store(arith.index_castui(i32, b.value(row)), ids, [count])
        flag = memref.load(flags, [b.value(row)])
        free = arith.cmpi(arith.CmpIPredicate.eq, flag, arith.constant(flag.type, 0))
        return [arith.addi(count, arith.index_castui(ir.IndexType.get(), free))]

    (count,) = b.for_loop(0, size, visit, [b.value(0)])
    return Walk(count, ids)
