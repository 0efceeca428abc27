"""``pith.prune`` and ``pith.prune_by``: one pass over the tensor.

Groups that are small blocks go many at a time through vectors
(:mod:`pith.lowering.storage.prune_lanes`). What is left of them at the end of a row, and every other
format, goes one node at a time through :mod:`pith.lowering.storage.prune_walk`.
"""

import dataclasses

from pith._mlir import arith, ir, memref, vector
from pith.formats.pack_digits import slot_limits

from .. import builder as b
from ..builder import Index
from ..numbers import element_of
from .lanes import Lanes
from .prune_lanes import Groups, LanePruning
from .prune_walk import Walk, scratch_widths
from .scores import Score, is_nan
from .tree import Node, Tree, cut, is_raised, make_flag, raise_flag

#: Vectors of groups that a thread takes at a time.
_CHUNK = 256


@dataclasses.dataclass(frozen=True)
class Ranking:
    """What elements are ranked by.

    Attributes:
        score: how they and blocks of them are scored.
        saliency: memref of the tensor that is scored; the source itself for magnitudes.
        floor: below this, an element is dropped in any case; None for no such bound.
    """

    score: Score
    saliency: ir.Value
    floor: ir.Value | None = None


def emit_prune(tree: Tree, ranking: Ranking) -> tuple[ir.Value, ir.Value]:
    """Emit the pruning; returns the memref of the result, and whether the saliency holds a NaN (``i1``)."""
    limits = slot_limits(tree.format)
    type_ = tree.source.type
    sizes = [b.dim_size(tree.source, d) for d in range(type_.rank)]
    out = memref.alloc(type_, [s for s in sizes if not isinstance(s, int)], [], alignment=64)
    flag = make_flag()
    groups = Groups.of(tree.format, limits) if limits else None
    lanes = Lanes.holding(type_.element_type, ranking.saliency.type.element_type)
    walk = Walk(tree, limits, ranking.score, ranking.saliency, ranking.floor, out, flag)
    if groups and lanes:
        pruning = LanePruning(tree, groups, limits, lanes, ranking.score, ranking.saliency, ranking.floor, out)
        _by_lanes(pruning, walk, flag, sizes)
    else:
        _by_nodes(walk)
    return out, is_raised(flag)


def _by_nodes(walk: Walk) -> None:
    parts = cut(walk.tree)
    on_stack = scratch_widths(walk.tree, walk.limits) is not None
    if not on_stack:
        parts = dataclasses.replace(parts, step=None)

    def body(part: Index) -> None:
        parts.visit(part, _visiting(walk.with_scratch(on_stack)))

    parts.run(body, work=8)


def _visiting(walk: Walk):
    def visit(node: Node, carried: list[ir.Value]) -> list[ir.Value]:
        walk.visit(node)
        return carried

    return visit


def _by_lanes(pruning: LanePruning, walk: Walk, flag: ir.Value, sizes: list[Index]) -> None:
    """Chunks of vectors of groups, and after the last chunk of a row the groups that fill no vector."""
    groups, lanes = pruning.groups, pruning.lanes.count
    *outer, count = [b.div(size, extent) for size, extent in zip(sizes, groups.extents)]
    vectors = b.div(count, lanes)
    chunks = b.add(b.div(vectors, _CHUNK), 1)

    def body(*at: Index) -> None:
        *coords, chunk = at

        def node(group: Index) -> Node:
            origin = (b.mul(c, e) for c, e in zip((*coords, group), groups.extents))
            return Node(groups.level, 0, tuple(origin))

        own = pruning.with_scratch()
        lo = b.mul(chunk, _CHUNK)
        hi = b.minimum(b.add(lo, _CHUNK), vectors)

        def block(v: Index, nan: ir.Value) -> list[ir.Value]:
            return [arith.maxsi(nan, own.visit(node(b.mul(v, lanes)))[0])]

        nan = b.for_loop(lo, hi, block, [pruning.nothing()[0]])[0]
        raise_flag(flag, _any_nan(nan, walk.saliency.type.element_type))
        last = arith.cmpi(arith.CmpIPredicate.eq, b.value(chunk), b.value(b.sub(chunks, 1)))
        rest = arith.select(last, b.value(b.mul(vectors, lanes)), b.value(count))
        walker = walk.with_scratch(True)

        def single(group: Index) -> None:
            walker.visit(node(group))

        b.for_loop(rest, count, single)

    b.parallel_loop([*outer, chunks], body, work=b.mul(b.product(sizes), 4))


def _any_nan(magnitudes: ir.Value, element: ir.Type) -> ir.Value:
    largest = vector.reduction(element_of(magnitudes.type), vector.CombiningKind.MAXSI, magnitudes)
    wide = ir.F64Type.get() if largest.type.width == 64 else ir.F32Type.get()
    return is_nan(largest, wide)
