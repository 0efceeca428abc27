"""``pith.prune`` node by node, for groups of any size in formats of any levels.

Every element is copied and its magnitude becomes the key of its leaf. A node without a limit adds up
its children. A node that keeps G of them puts their keys and sums into scratch buffers, finds the
G-th largest key, zeroes what is below the others, and adds up what is left. So when a rank is
pruned, the ranks below it are already, which is the order of HighLight.
"""

import dataclasses

from pith._mlir import arith, ir, memref

from .. import builder as b
from ..numbers import constant
from .scores import Score, added, float_of, is_nan, magnitude_bits, masked, to_f64
from .tree import Node, Tree, raise_flag

#: Bytes of scratch a thread may take from its stack; with more, one thread prunes, from the heap.
_STACK = 1 << 15

#: Groups up to this size find their G-th largest score among the scores (H*H comparisons), larger ones bit by bit
#: (64*H).
_PAIRWISE = 63


def scratch_widths(tree: Tree, limits: dict[int, int]) -> dict[int, int] | None:
    """Entries of scratch per limited level; None when they are not known now or too many for the stack."""
    widths = {level: tree.level_sizes[level] for level in limits}
    small = all(isinstance(w, int) for w in widths.values()) and 24 * sum(widths.values()) <= _STACK
    return widths if small else None


@dataclasses.dataclass(frozen=True)
class Walk:
    """Emits the code below one node after the other.

    Attributes:
        limits: levels that keep a limited number of coordinates -> that number.
        saliency: memref of what is ranked by; may be the source.
        floor: below this, an element is dropped in any case; None for no such bound.
        out: memref of the result.
        flag: memref of a byte that becomes 1 when the saliency holds a NaN.
        scratch: per limited level, a buffer for the keys of one group, and those for its sums.
    """

    tree: Tree
    limits: dict[int, int]
    score: Score
    saliency: ir.Value
    floor: ir.Value | None
    out: ir.Value
    flag: ir.Value
    scratch: dict[int, tuple[ir.Value, ...]] = dataclasses.field(default_factory=dict)

    def with_scratch(self, on_stack: bool) -> "Walk":
        """This walk with scratch buffers of its own, made at the present insertion point."""
        kinds = [_i64(), *(s.type for s in self._no_sums())]
        widths = {level: self.tree.level_sizes[level] for level in self.limits}
        scratch = {level: tuple(_scratch(w, on_stack, kind) for kind in kinds) for level, w in widths.items()}
        return dataclasses.replace(self, scratch=scratch)

    def visit(self, node: Node) -> list[ir.Value]:
        """Write the pruned block below ``node``; returns the sums of what is left in it."""
        if self.tree.is_leaf(node):
            return self._leaf(node)
        if node.level not in self.limits:
            return self.tree.for_children(
                node, lambda c, child, carried: added(carried, self.visit(child)), self._no_sums()
            )
        return self._limited(node)

    def _no_sums(self) -> list[ir.Value]:
        return self.score.no_sums(ir.F64Type.get())

    def _leaf(self, node: Node) -> list[ir.Value]:
        x, ranked = self.tree.load(node), self._ranked(node)
        magnitude = magnitude_bits(ranked)
        raise_flag(self.flag, is_nan(magnitude, ranked.type))
        above = self._above(node)
        self._store(x if above is None else arith.select(above, x, b.zero_of(x.type)), node)
        sums = self.score.element_sums(ranked)
        return sums if above is None else masked(above, sums)

    def _ranked(self, leaf: Node) -> ir.Value:
        return float_of(memref.load(self.saliency, [b.value(d) for d in leaf.origin]))

    def _above(self, leaf: Node) -> ir.Value | None:
        """Whether an element reaches the floor; None where there is none."""
        return None if self.floor is None else self.score.at_least(self._ranked(leaf), self.floor)

    def _limited(self, node: Node) -> list[ir.Value]:
        (keys, *sums), limit = self.scratch[node.level], self.limits[node.level]

        def fill(c: b.Index, child: Node, carried: list[ir.Value]) -> list[ir.Value]:
            below = self.visit(child)
            leaf = self.tree.is_leaf(child)
            key = self.score.element_key(to_f64(self._ranked(child))) if leaf else self.score.block_key(below)
            for buffer, x in zip((keys, *sums), (_unsigned(key), *below)):
                memref.store(x, buffer, [b.value(c)])
            return []

        self.tree.for_children(node, fill)
        size = self.tree.level_sizes[node.level]
        bound = _nth_largest(keys, size, limit)
        larger = _count(keys, size, arith.CmpIPredicate.ugt, bound)
        ties = arith.subi(b.value(limit), larger)

        def select(c: b.Index, child: Node, carried: list[ir.Value]) -> list[ir.Value]:
            ties, *total = carried
            kept, ties = _keep(_load(keys, c), bound, ties)
            self._zero_unless(kept, child)
            return [ties, *added(total, masked(kept, [_load(s, c) for s in sums]))]

        return self.tree.for_children(node, select, [ties, *self._no_sums()])[1:]

    def _zero_unless(self, kept: ir.Value, node: Node) -> None:
        zero = b.zero_of(self.tree.element_type)
        if self.tree.is_leaf(node):
            above = self._above(node)
            kept = kept if above is None else arith.andi(kept, above)
            self._store(arith.select(kept, self.tree.load(node), zero), node)
            return

        def erase(leaf: Node, carried: list[ir.Value]) -> list[ir.Value]:
            self._store(zero, leaf)
            return []

        b.if_else(kept, lambda: None, lambda: self.tree.for_leaves(node, erase))

    def _store(self, x: ir.Value, leaf: Node) -> None:
        memref.store(x, self.out, [b.value(d) for d in leaf.origin])


def _scratch(width: b.Index, on_stack: bool, element: ir.Type) -> ir.Value:
    if on_stack:
        return memref.alloca(ir.MemRefType.get([width], element), [], [])
    return memref.alloc(ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], element), [b.value(width)], [])


def _nth_largest(keys: ir.Value, size: b.Index, n: int) -> ir.Value:
    """The ``n``-th largest of the first ``size`` keys (0 when there are fewer)."""
    among = isinstance(size, int) and size <= _PAIRWISE

    def step(i: b.Index, best: ir.Value) -> list[ir.Value]:
        if among:
            candidate = _load(keys, i)
        else:
            bit = arith.index_cast(_i64(), b.value(b.sub(63, i)))
            candidate = arith.ori(best, arith.shli(arith.constant(_i64(), 1), bit))
        count = _count(keys, size, arith.CmpIPredicate.uge, candidate)
        reached = arith.cmpi(arith.CmpIPredicate.uge, count, b.value(n))
        return [arith.select(reached, arith.maxui(best, candidate), best)]

    return b.for_loop(0, size if among else 64, step, [arith.constant(_i64(), 0)])[0]


def _count(keys: ir.Value, size: b.Index, predicate: arith.CmpIPredicate, key: ir.Value) -> ir.Value:
    """How many keys compare with ``key`` like that."""

    def step(c: b.Index, so_far: ir.Value) -> list[ir.Value]:
        holds = arith.cmpi(predicate, _load(keys, c), key)
        return [arith.addi(so_far, arith.index_castui(ir.IndexType.get(), holds))]

    return b.for_loop(0, size, step, [b.value(0)])[0]


def _keep(key: ir.Value, bound: ir.Value, ties: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Whether a coordinate stays, and how many more that equal ``bound`` may: the lower ones go first."""
    larger = arith.cmpi(arith.CmpIPredicate.ugt, key, bound)
    equal = arith.cmpi(arith.CmpIPredicate.eq, key, bound)
    tie = arith.andi(equal, arith.cmpi(arith.CmpIPredicate.sgt, ties, b.value(0)))
    return arith.ori(larger, tie), arith.subi(ties, arith.index_castui(ir.IndexType.get(), tie))


def _unsigned(key: ir.Value) -> ir.Value:
    """A signed key as an unsigned one in the same order."""
    return arith.xori(key, constant(key.type, -(2**63)))


def _load(buffer: ir.Value, at: b.Index) -> ir.Value:
    return memref.load(buffer, [b.value(at)])


def _i64() -> ir.Type:
    return ir.IntegerType.get_signless(64)
