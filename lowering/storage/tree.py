"""A dense tensor seen as the tree of a format's levels: what packing, pruning and checking walk.

A node is a prefix of level coordinates; the elements below it are the block of the tensor that
those coordinates name. The root is the whole tensor, a leaf one element. Where
:mod:`pith.lowering.sparse.levels` walks what is stored, this walks what could be.
"""

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import arith, cf, ir, memref, vector
from pith.formats import Format

from .. import builder as b
from ..builder import Index, buffer_of
from .edge import rounded_up

#: ``visit(node, carried) -> carried``.
Visit = Callable[["Node", list[ir.Value]], Sequence[ir.Value]]


@dataclasses.dataclass(frozen=True)
class Node:
    """The coordinates of the levels above ``level``: its number in its own level, its first element."""

    level: int
    position: Index
    origin: tuple[Index, ...]


@dataclasses.dataclass(frozen=True)
class Tree:
    """A dense tensor seen through a format.

    Attributes:
        level_sizes: number of coordinates of every level.
        source: the tensor as a memref; rounded up with zeros where the format is padded.
        sizes: those of the tensor itself.
    """

    format: Format
    level_sizes: tuple[Index, ...]
    source: ir.Value
    sizes: tuple[Index, ...]

    @property
    def root(self) -> Node:
        """The whole tensor."""
        return Node(0, 0, (0,) * self.format.rank)

    @property
    def element_type(self) -> ir.Type:
        """Type of the tensor's elements."""
        return self.source.type.element_type

    def is_leaf(self, node: Node) -> bool:
        """True when the node is one element."""
        return node.level == len(self.format.levels)

    def child(self, node: Node, position: Index, coord: Index) -> Node:
        """The node below ``node`` at ``coord``, to be stored at ``position``."""
        e = self.format.exprs[node.level]
        origin = list(node.origin)
        origin[e.dim] = b.add(origin[e.dim], b.mul(coord, e.div))
        return Node(node.level + 1, position, tuple(origin))

    def load(self, leaf: Node) -> ir.Value:
        """The element at a leaf."""
        return memref.load(self.source, [b.value(d) for d in leaf.origin])

    def for_children(self, node: Node, visit: Callable[..., Sequence[ir.Value]], carried=()) -> list[ir.Value]:
        """Loop over all coordinates of the level below ``node``: ``visit(coord, child, carried)``.

        Children are numbered as those of a dense level are.
        """
        size = self.level_sizes[node.level]
        base = b.mul(node.position, size)

        def body(c: Index, *inner: ir.Value) -> Sequence[ir.Value]:
            return visit(c, self.child(node, b.add(base, c), c), list(inner))

        return b.for_loop(0, size, body, list(carried))

    def for_leaves(self, node: Node, visit: Visit, carried=()) -> list[ir.Value]:
        """Loop over the elements below ``node``, in any order; their positions mean nothing."""
        ranges = _block(self, node.level)
        last = len(self.format.levels)

        def nest(i: int, origin: tuple[Index, ...], inner: list[ir.Value]) -> list[ir.Value]:
            if i == len(ranges):
                return list(visit(Node(last, 0, origin), inner))
            dim, step, size = ranges[i]

            def body(c: Index, *values: ir.Value) -> list[ir.Value]:
                moved = list(origin)
                moved[dim] = b.add(origin[dim], b.mul(c, step))
                return nest(i + 1, tuple(moved), list(values))

            return b.for_loop(0, size, body, inner)

        return nest(0, node.origin, list(carried))

    def is_nonzero(self, node: Node) -> ir.Value:
        """Whether any element below ``node`` differs from zero (NaN does, -0.0 does not)."""
        if self.is_leaf(node):
            return differs_from_zero(self.load(node))
        if (bits := self.nonzero_bits(node)) is not None:
            return arith.cmpi(arith.CmpIPredicate.ne, bits, b.zero_of(bits.type))

        def accumulate(leaf: Node, carried: list[ir.Value]) -> list[ir.Value]:
            return [arith.ori(carried[0], differs_from_zero(self.load(leaf)))]

        return self.for_leaves(node, accumulate, [constant_bool(False)])[0]

    def nonzero_bits(self, node: Node) -> ir.Value | None:
        """Which elements below ``node`` differ from zero, as bits of a word in the elements' order.

        They are compared side by side. None where they are not neighbours in memory, a power of two, at most 64.
        """
        blocks = _block(self, node.level)
        dim, step, size = blocks[0]
        if len(blocks) > 1 or (dim, step) != (self.format.rank - 1, 1) or size not in _WORDS:
            return None
        if isinstance(self.element_type, ir.IndexType) or self.source.type.get_strides_and_offset()[0][-1] != 1:
            return None
        elements = vector.load(
            ir.VectorType.get([size], self.element_type), self.source, list(map(b.value, node.origin))
        )
        return as_word(differs_from_zero(elements))


#: Elements that are compared side by side.
_WORDS = (2, 4, 8, 16, 32, 64)


def as_word(flags: ir.Value) -> ir.Value:
    """A vector of booleans as the lowest bits of an ``i64``."""
    word, size = ir.IntegerType.get_signless(64), flags.type.shape[0]
    bits = vector.bitcast(ir.VectorType.get([1], ir.IntegerType.get_signless(size)), flags)
    bits = vector.extract(bits, [], [0])
    return bits if size == word.width else arith.extui(word, bits)


def _block(tree: Tree, level: int) -> list[tuple[int, int, Index]]:
    """(dimension, step, count) of the loops over a block below ``level``; adjoining digits share a loop."""
    rest = list(zip(tree.format.exprs, tree.level_sizes))[level:]
    out: list[tuple[int, int, Index]] = []
    for e, size in sorted(rest, key=lambda part: (part[0].dim, -part[0].div, part[0].mod == 1)):
        if out and out[-1][0] == e.dim and out[-1][1] == e.div * e.mod:
            out[-1] = (e.dim, e.div, b.mul(out[-1][2], size))
        else:
            out.append((e.dim, e.div, size))
    return out


def tree_of(dense: ir.Value, fmt: Format) -> Tree:
    """View a dense tensor through a format.

    Asserts that the groups of a format that is not padded divide its dynamic dimensions.
    """
    own = buffer_of(dense)
    source = rounded_up(own, fmt)
    sizes = [b.dim_size(source, d) for d in range(fmt.rank)]
    for d, (size, divisor) in enumerate(zip(sizes, fmt.divisors())):
        if not isinstance(size, int) and divisor > 1 and not fmt.padded:
            whole = arith.cmpi(arith.CmpIPredicate.eq, b.value(b.mod(size, divisor)), b.value(0))
            cf.assert_(whole, f"pith: {divisor} must divide dimension {d} of a tensor in the format {fmt}")
    level_sizes = tuple(e.mod or b.div(sizes[e.dim], e.div) for e in fmt.exprs)
    return Tree(fmt, level_sizes, source, tuple(b.dim_size(own, d) for d in range(fmt.rank)))


@dataclasses.dataclass(frozen=True)
class Parts:
    """A tree cut into parts that threads work on: ``step`` coordinates each of its first level.

    A step of None is one part, on one thread.
    """

    tree: Tree
    step: int | None

    @property
    def count(self) -> Index:
        """Number of parts."""
        return 1 if self.step is None else b.ceildiv(self.tree.level_sizes[0], self.step)

    def run(self, body: Callable[[Index], object], work: int) -> None:
        """Emit ``body(part)`` for every part; it does about ``work`` operations per element of the tensor."""
        count = self.count
        if isinstance(count, int) and count == 1:
            body(0)
            return
        b.parallel_loop([count], body, work=b.mul(b.product(self.tree.level_sizes), work))

    def visit(self, part: Index, visit: Visit, carried=()) -> list[ir.Value]:
        """Visit the nodes of ``part`` on the second level (the root, when it is the only part)."""
        tree = self.tree
        if self.step is None:
            return list(visit(tree.root, list(carried)))
        lo = b.mul(part, self.step)
        hi = b.minimum(b.add(lo, self.step), tree.level_sizes[0])

        def body(c: Index, *inner: ir.Value) -> Sequence[ir.Value]:
            return visit(tree.child(tree.root, c, c), list(inner))

        if self.step == 1:
            return list(body(part, *carried))
        return b.for_loop(lo, hi, body, list(carried))


def cut(tree: Tree, step: int = 1) -> Parts:
    """Parts of ``step`` coordinates of the first level; the whole when that level is not dense."""
    return Parts(tree, step if tree.format.levels[0].kind == "dense" else None)


def make_flag() -> ir.Value:
    """A memref of a byte that is 0, for :func:`raise_flag`."""
    flag = memref.alloc(ir.MemRefType.get([1], ir.IntegerType.get_signless(8)), [], [])
    memref.store(b.zero_of(flag.type.element_type), flag, [b.value(0)])
    return flag


def raise_flag(flag: ir.Value, condition: ir.Value) -> None:
    """Make the byte of ``flag`` 1 where ``condition`` holds; any number of threads may do so."""

    def store() -> None:
        memref.store(arith.constant(flag.type.element_type, 1), flag, [b.value(0)])

    b.if_else(condition, store)


def is_raised(flag: ir.Value) -> ir.Value:
    """Whether :func:`raise_flag` was called where its condition held."""
    found = memref.load(flag, [b.value(0)])
    return arith.cmpi(arith.CmpIPredicate.ne, found, b.zero_of(found.type))


def differs_from_zero(x: ir.Value) -> ir.Value:
    """``x != 0``, true for NaN."""
    element = x.type.element_type if isinstance(x.type, ir.VectorType) else x.type
    zero = b.zero_of(element) if element == x.type else vector.broadcast(x.type, b.zero_of(element))
    if isinstance(element, (ir.IntegerType, ir.IndexType)):
        return arith.cmpi(arith.CmpIPredicate.ne, x, zero)
    return arith.cmpf(arith.CmpFPredicate.UNE, x, zero)


def constant_bool(x: bool) -> ir.Value:
    """An ``i1`` constant."""
    return arith.constant(ir.IntegerType.get_signless(1), int(x))
