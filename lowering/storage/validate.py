"""``pith.validate`` as one pass over the tensor."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from pith._mlir import arith, ir, memref
from pith.formats.pack_digits import slot_limits

from .. import builder as b
from .tree import Node, Tree, cut, differs_from_zero

#: Larger than any linear index.
_NONE = np.iinfo(np.int64).max


def emit_validate(tree: Tree) -> ir.Value:
    """Emit the check; returns the index of the first element that breaks the format, or -1."""
    search = _Search(tree, slot_limits(tree.format), _strides(tree))
    if not search.limits:
        return b.value(-1)
    parts = cut(tree)
    worst = memref.alloc(
        ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], ir.IndexType.get()), [b.value(parts.count)], []
    )

    def body(part: b.Index) -> None:
        def visit(node: Node, carried: list[ir.Value]) -> list[ir.Value]:
            return [arith.minsi(carried[0], search.below(node)[1])]

        memref.store(parts.visit(part, visit, [b.value(_NONE)])[0], worst, [b.value(part)])

    parts.run(body, work=4)

    def smaller(part: b.Index, so_far: ir.Value) -> list[ir.Value]:
        return [arith.minsi(so_far, memref.load(worst, [b.value(part)]))]

    found = b.for_loop(0, parts.count, smaller, [b.value(_NONE)])[0]
    return arith.select(_is_some(found), found, b.value(-1))


@dataclasses.dataclass(frozen=True)
class _Search:
    """Of every node: the first element below it that is not zero, and the first that has no room."""

    tree: Tree
    limits: dict[int, int]
    strides: Sequence[b.Index]

    def below(self, node: Node) -> list[ir.Value]:
        if self.tree.is_leaf(node):
            held = differs_from_zero(self.tree.load(node))
            return [arith.select(held, self._linear(node), b.value(_NONE)), b.value(_NONE)]
        limit = self.limits.get(node.level)

        def visit(c: b.Index, child: Node, carried: list[ir.Value]) -> list[ir.Value]:
            first, excess, *count = carried
            child_first, child_excess = self.below(child)
            excess = arith.minsi(excess, child_excess)
            if limit is not None:
                full = arith.cmpi(arith.CmpIPredicate.uge, count[0], b.value(limit))
                excess = arith.minsi(excess, arith.select(full, child_first, b.value(_NONE)))
                count = [arith.addi(count[0], arith.index_castui(ir.IndexType.get(), _is_some(child_first)))]
            return [arith.minsi(first, child_first), excess, *count]

        none = [b.value(_NONE), b.value(_NONE)]
        return self.tree.for_children(node, visit, none + [b.value(0)] * (limit is not None))[:2]

    def _linear(self, leaf: Node) -> ir.Value:
        at: b.Index = 0
        for coord, stride in zip(leaf.origin, self.strides):
            at = b.add(at, b.mul(coord, stride))
        return b.value(at)


def _is_some(linear: ir.Value) -> ir.Value:
    return arith.cmpi(arith.CmpIPredicate.ne, linear, b.value(_NONE))


def _strides(tree: Tree) -> list[b.Index]:
    """Row-major strides of the tensor, in elements."""
    return [b.product(tree.sizes[d + 1 :]) for d in range(len(tree.sizes))]
