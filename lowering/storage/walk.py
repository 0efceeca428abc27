"""Which coordinates of a dense tensor a format stores, and where: the walk behind ``pith.compress``."""

from collections.abc import Sequence

from pith._mlir import arith, ir
from pith.formats.pack_digits import entry_end

from .. import builder as b
from ..builder import Index
from .choose import WORD, choose_by_bits, choose_by_scan
from .sinks import Sink, heads
from .tree import Node, Tree, differs_from_zero


def store_walk(tree: Tree, sink: Sink, node: Node, counters: list[ir.Value]) -> list[ir.Value]:
    """Emit the code that stores what is below ``node``; returns the counters (of :func:`heads` or a run) afterwards."""
    if not sink.wants(tree.format, node.level):
        return counters
    if (stored := sink.store(node, counters)) is not None:
        return stored
    if tree.is_leaf(node):
        sink.value(node.position, lambda: _without_sign_of_zero(tree.load(node)))
        return counters
    level = tree.format.levels[node.level]
    kind = "dense" if level.is_dense else level.kind
    return _LEVELS[kind](tree, sink, node, counters)


def _without_sign_of_zero(x: ir.Value) -> ir.Value:
    """``x``, or 0.0 for -0.0, which counts as not stored."""
    if isinstance(x.type, (ir.IntegerType, ir.IndexType)):
        return x
    return arith.select(differs_from_zero(x), x, b.zero_of(x.type))


def _dense(tree: Tree, sink: Sink, node: Node, counters: list[ir.Value]) -> list[ir.Value]:
    return tree.for_children(node, lambda c, child, inner: store_walk(tree, sink, child, inner), counters)


def _nm(tree: Tree, sink: Sink, node: Node, counters: list[ir.Value]) -> list[ir.Value]:
    """Store the G lowest non-empty coordinates, and the lowest others in places that are left."""
    level = tree.format.levels[node.level]
    base = b.mul(node.position, level.g)

    def store(coord: Index, slot: Index, inner: list[ir.Value]) -> list[ir.Value]:
        position = b.add(base, slot)
        sink.coordinate(node.level, position, coord)
        return store_walk(tree, sink, tree.child(node, position, coord), inner)

    choose = choose_by_bits if level.h <= WORD else choose_by_scan
    return choose(tree, node, level.g, lambda count: sink.held(node.level, count), store, counters)


def _compressed(tree: Tree, sink: Sink, node: Node, counters: list[ir.Value]) -> list[ir.Value]:
    """An entry per non-empty tuple of the coordinates of this level and the singletons that belong to it."""
    fmt = tree.format
    mine = heads(fmt).index(node.level)
    end = entry_end(fmt, node.level)

    def enter(at: Node, coords: tuple[Index, ...], inner: list[ir.Value]) -> list[ir.Value]:
        def visit(c: Index, child: Node, carried: list[ir.Value]) -> Sequence[ir.Value]:
            def inside() -> list[ir.Value]:
                if at.level < end:
                    return enter(child, (*coords, c), carried)
                return store(child, (*coords, c), carried)

            return b.if_else(tree.is_nonzero(child), inside, lambda: carried, [v.type for v in carried])

        return tree.for_children(at, visit, inner)

    def store(child: Node, coords: tuple[Index, ...], inner: list[ir.Value]) -> list[ir.Value]:
        position = inner[mine]
        for i, c in enumerate(coords):
            sink.coordinate(node.level + i, position, c)
        inner = [*inner[:mine], b.value(b.add(position, 1)), *inner[mine + 1 :]]
        return store_walk(tree, sink, Node(child.level, position, child.origin), inner)

    after = enter(node, (), counters)
    sink.segment(node.level, node.position, counters[mine], after[mine])
    return after


def _bitmask(tree: Tree, sink: Sink, node: Node, counters: list[ir.Value]) -> list[ir.Value]:
    mine = heads(tree.format).index(node.level)

    def visit(c: Index, child: Node, carried: list[ir.Value]) -> Sequence[ir.Value]:
        def inside() -> list[ir.Value]:
            position = carried[mine]
            sink.bit(node.position, c, node.level)
            inner = [*carried[:mine], b.value(b.add(position, 1)), *carried[mine + 1 :]]
            return store_walk(tree, sink, Node(child.level, position, child.origin), inner)

        return b.if_else(tree.is_nonzero(child), inside, lambda: carried, [v.type for v in carried])

    after = tree.for_children(node, visit, counters)
    sink.segment(node.level, node.position, counters[mine], after[mine])
    return after


def _singleton(tree: Tree, sink: Sink, node: Node, counters: list[ir.Value]) -> list[ir.Value]:
    """One entry per parent: its lowest non-empty coordinate."""
    size = b.value(tree.level_sizes[node.level])

    def lowest(c: Index, child: Node, inner: list[ir.Value]) -> list[ir.Value]:
        found = arith.select(tree.is_nonzero(child), b.value(c), size)
        return [arith.minui(inner[0], found)]

    coord = tree.for_children(node, lowest, [size])[0]
    sink.coordinate(node.level, node.position, coord)
    return store_walk(tree, sink, tree.child(node, node.position, coord), counters)


_LEVELS = {
    "dense": _dense,
    "nm": _nm,
    "compressed": _compressed,
    "loose_compressed": _compressed,
    "bitmask": _bitmask,
    "singleton": _singleton,
}
