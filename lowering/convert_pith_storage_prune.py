"""``pith.prune`` as one pass over the tensor: scores flow up the tree, zeros down.

Every element is copied and its magnitude becomes the score of its leaf. A node without a limit
adds up its children. A node that keeps G of them puts their scores into a scratch buffer, finds
the G-th largest, zeroes what is below the others, and adds up what is left. So when a rank is
pruned, the ranks below it are already, which is the order of HighLight.

Scores are compared by their bits: for numbers without a sign that is their order, and NaN is the
largest, so no group ever keeps more than G.
"""

import dataclasses

from pith._mlir import arith, ir, math, memref
from pith.formats.pack_digits import slot_limits

from . import builder as b
from .convert_pith_storage_tree import Node, Tree, cut

#: Bytes of scratch a thread may take from its stack; with more, one thread prunes, from the heap.
_STACK = 1 << 15

#: Groups up to this size find their G-th largest score among the scores (H*H comparisons), larger ones bit by bit
#: (63*H).
_PAIRWISE = 63


def emit_prune(tree: Tree) -> ir.Value | None:
    """Emit the pruning; returns the memref of the result, None when the format keeps everything."""
    limits = slot_limits(tree.format)
    if not limits:
        return None
    type_ = tree.source.type
    sizes = [b.dim_size(tree.source, d) for d in range(type_.rank)]
    out = memref.alloc(type_, [s for s in sizes if not isinstance(s, int)], [], alignment=64)
    widths = {level: tree.level_sizes[level] for level in limits}
    on_stack = all(isinstance(w, int) for w in widths.values()) and 8 * sum(widths.values()) <= _STACK
    parts = cut(tree)
    if not on_stack:
        parts = dataclasses.replace(parts, step=None)

    def body(part: b.Index) -> None:
        scratch = {level: _scratch(width, on_stack) for level, width in widths.items()}
        pruning = _Pruning(tree, limits, out, scratch)
        parts.visit(part, lambda node, carried: [arith.addf(carried[0], pruning.score(node))], [_f64(0.0)])

    parts.run(body, work=8)
    return out


def _scratch(width: b.Index, on_stack: bool) -> ir.Value:
    if on_stack:
        return memref.alloca(ir.MemRefType.get([width], ir.F64Type.get()), [], [])
    return memref.alloc(ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], ir.F64Type.get()), [b.value(width)], [])


@dataclasses.dataclass(frozen=True)
class _Pruning:
    """Emits the code below one node after the other.

    Attributes:
        limits: levels that keep a limited number of coordinates -> that number.
        out: memref of the result.
        scratch: per limited level, a buffer for the scores of one group.
    """

    tree: Tree
    limits: dict[int, int]
    out: ir.Value
    scratch: dict[int, ir.Value]

    def score(self, node: Node) -> ir.Value:
        """Write the pruned block below ``node``; returns the sum of the magnitudes left in it."""
        if self.tree.is_leaf(node):
            x = self.tree.load(node)
            self._store(x, node)
            return _magnitude(x)
        if node.level not in self.limits:
            return self.tree.for_children(
                node, lambda c, child, carried: [arith.addf(carried[0], self.score(child))], [_f64(0.0)]
            )[0]
        return self._limited(node)

    def _limited(self, node: Node) -> ir.Value:
        scores, limit = self.scratch[node.level], self.limits[node.level]

        def fill(c: b.Index, child: Node, carried: list[ir.Value]) -> list[ir.Value]:
            memref.store(self.score(child), scores, [b.value(c)])
            return []

        self.tree.for_children(node, fill)
        size = self.tree.level_sizes[node.level]
        bound = _nth_largest(scores, size, limit)
        larger = _count(scores, size, arith.CmpIPredicate.ugt, bound)
        ties = arith.subi(b.value(limit), larger)

        def select(c: b.Index, child: Node, carried: list[ir.Value]) -> list[ir.Value]:
            ties, total = carried
            kept, ties = _keep(_key(scores, c), bound, ties)
            self._zero_unless(kept, child)
            left = arith.select(kept, memref.load(scores, [b.value(c)]), _f64(0.0))
            return [ties, arith.addf(total, left)]

        return self.tree.for_children(node, select, [ties, _f64(0.0)])[1]

    def _zero_unless(self, kept: ir.Value, node: Node) -> None:
        zero = b.zero_of(self.tree.element_type)
        if self.tree.is_leaf(node):
            self._store(arith.select(kept, self.tree.load(node), zero), node)
            return

        def erase(leaf: Node, carried: list[ir.Value]) -> list[ir.Value]:
            self._store(zero, leaf)
            return []

        b.if_else(kept, lambda: None, lambda: self.tree.for_leaves(node, erase))

    def _store(self, x: ir.Value, leaf: Node) -> None:
        memref.store(x, self.out, [b.value(d) for d in leaf.origin])


def _nth_largest(scores: ir.Value, size: b.Index, n: int) -> ir.Value:
    """Bits of the ``n``-th largest of the first ``size`` scores (0 when there are fewer)."""
    among = isinstance(size, int) and size <= _PAIRWISE

    def step(i: b.Index, best: ir.Value) -> list[ir.Value]:
        if among:
            candidate = _key(scores, i)
        else:
            bit = arith.index_cast(_i64(), b.value(b.sub(62, i)))
            candidate = arith.ori(best, arith.shli(arith.constant(_i64(), 1), bit))
        count = _count(scores, size, arith.CmpIPredicate.uge, candidate)
        reached = arith.cmpi(arith.CmpIPredicate.uge, count, b.value(n))
        return [arith.select(reached, arith.maxui(best, candidate), best)]

    return b.for_loop(0, size if among else 63, step, [arith.constant(_i64(), 0)])[0]


def _count(scores: ir.Value, size: b.Index, predicate: arith.CmpIPredicate, key: ir.Value) -> ir.Value:
    """How many scores compare with ``key`` like that."""

    def step(c: b.Index, so_far: ir.Value) -> list[ir.Value]:
        holds = arith.cmpi(predicate, _key(scores, c), key)
        return [arith.addi(so_far, arith.index_castui(ir.IndexType.get(), holds))]

    return b.for_loop(0, size, step, [b.value(0)])[0]


def _keep(key: ir.Value, bound: ir.Value, ties: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Whether a coordinate stays, and how many more that equal ``bound`` may: the lower ones go first."""
    larger = arith.cmpi(arith.CmpIPredicate.ugt, key, bound)
    equal = arith.cmpi(arith.CmpIPredicate.eq, key, bound)
    tie = arith.andi(equal, arith.cmpi(arith.CmpIPredicate.sgt, ties, b.value(0)))
    return arith.ori(larger, tie), arith.subi(ties, arith.index_castui(ir.IndexType.get(), tie))


def _key(scores: ir.Value, at: b.Index) -> ir.Value:
    return arith.bitcast(_i64(), memref.load(scores, [b.value(at)]))


def _magnitude(x: ir.Value) -> ir.Value:
    """``|x|`` as f64: scores are summed in f64, as NumPy's reference does."""
    f64 = ir.F64Type.get()
    if isinstance(x.type, ir.IndexType):
        x = arith.index_cast(_i64(), x)
    if isinstance(x.type, ir.IntegerType):
        x = arith.sitofp(f64, x)
    return math.absf(x if x.type == f64 else arith.extf(f64, x))


def _i64() -> ir.Type:
    return ir.IntegerType.get_signless(64)


def _f64(x: float) -> ir.Value:
    return arith.constant(ir.F64Type.get(), x)
