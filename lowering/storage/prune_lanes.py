"""``pith.prune`` on many groups at once: neighbouring groups in the lanes of vectors, and no branches.

An element stays when fewer than G of its group beat it. That takes one comparison per pair of the
group, which is an instruction for all lanes. Groups of up to :data:`_STRAIGHT` elements are loaded,
pruned and stored in straight-line code. Of larger ones the dense levels become loops, and what an
outer rank drops is zeroed in a second visit, while it is in cache.
"""

import dataclasses
import functools
import itertools
import math as pymath
from collections.abc import Callable

from pith._mlir import arith, ir, memref, vector
from pith.formats import Format

from .. import builder as b
from ..builder import Index
from ..numbers import constant, element_of, shaped
from .lanes import Lanes
from .scores import (
    Score,
    added,
    among_largest,
    float_of,
    magnitude_bits,
    masked,
)
from .tree import Node, Tree

#: Elements of a group that are held in registers and on the stack all at once.
_STRAIGHT = 32

#: Pairs to compare up to which a format is pruned like this: beyond, the code is larger than it is worth.
_PAIRS = 512

#: What a visit returns: bits that tell whether a NaN was met, then the sums of what is left.
State = list[ir.Value]


@dataclasses.dataclass(frozen=True)
class Groups:
    """The part of a format that its outermost limited level chooses from.

    Attributes:
        level: that level.
        extents: sizes of a group along the dimensions.
    """

    level: int
    extents: tuple[int, ...]

    @classmethod
    def of(cls, fmt: Format, limits: dict[int, int]) -> "Groups | None":
        """The groups of ``fmt``; None when they are no blocks of the tensor, or too large for straight-line code."""
        level = min(limits)
        above, below = fmt.exprs[:level], fmt.exprs[level:]
        if any(not e.mod for e in below):
            return None
        extents = tuple(pymath.prod(e.mod for e in below if e.dim == d) for d in range(fmt.rank))
        if any(e.div < extents[e.dim] for e in above):
            return None
        return cls(level, extents) if _pairs(fmt, limits, level) <= _PAIRS else None


def _pairs(fmt: Format, limits: dict[int, int], level: int) -> int:
    """Pairs that the code compares from a level on down."""
    sizes = [e.mod for e in fmt.exprs[level:]]
    if not sizes:
        return 0
    copies = sizes[0] if pymath.prod(sizes) <= _STRAIGHT else 1
    own = sizes[0] * (sizes[0] - 1) // 2 if level in limits else 0
    return own + copies * _pairs(fmt, limits, level + 1)


@dataclasses.dataclass(frozen=True)
class LanePruning:
    """Emits the pruning of ``lanes.count`` groups side by side.

    Attributes:
        limits: levels that keep a limited number of coordinates -> that number.
        saliency: memref of what is ranked by; may be the source.
        floor: below this, an element is dropped in any case; None for no such bound.
        out: memref of the result.
        scratch: per limited level whose groups are not straight-line code, buffers with an entry per block.
    """

    tree: Tree
    groups: Groups
    limits: dict[int, int]
    lanes: Lanes
    score: Score
    saliency: ir.Value
    floor: ir.Value | None
    out: ir.Value
    scratch: dict[int, list[ir.Value]] = dataclasses.field(default_factory=dict)

    def visit(self, node: Node) -> State:
        """Prune what is below ``node`` of every lane; ``node`` is that of the first."""
        if self._size(node.level) <= _STRAIGHT:
            return self._straight(node)
        if node.level in self.limits:
            return self._limited(node)
        return self.tree.for_children(
            node, lambda c, child, so_far: _combine(so_far, self.visit(child)), self.nothing()
        )

    def nothing(self) -> State:
        """The state before anything is visited."""
        return [constant(self._key_type, 0), *self.score.no_sums(self.lanes.type)]

    @functools.cached_property
    def _key_type(self) -> ir.Type:
        wide = self.saliency.type.element_type == ir.F64Type.get()
        return shaped(self.lanes.type, ir.IntegerType.get_signless(64 if wide else 32))

    def _size(self, level: int) -> int:
        return pymath.prod(e.mod for e in self.tree.format.exprs[level:])

    def with_scratch(self) -> "LanePruning":
        """This pruning with buffers of its own for the sums and the fate of blocks, made at the insertion point."""
        loops = [level for level in self.limits if self._size(level) > _STRAIGHT]
        kinds = [*(s.type for s in self.score.no_sums(self.lanes.type)), self.lanes.type]

        def buffers(level: int) -> list[ir.Value]:
            size = self.tree.level_sizes[level]
            return [memref.alloca(ir.MemRefType.get([size], kind), [], []) for kind in kinds]

        return dataclasses.replace(self, scratch={level: buffers(level) for level in loops})

    def _limited(self, node: Node) -> State:
        """Prune blocks one after the other, choose among them, then zero those that lose."""
        *sums, fate = self.scratch[node.level]
        size = range(self.tree.level_sizes[node.level])
        for buffer, c in itertools.product(sums, size):
            memref.store(constant(buffer.type.element_type, 0.0), buffer, [b.value(c)])

        def visit(c: Index, block: Node, carried: list[ir.Value]) -> list[ir.Value]:
            nan, *added = self.visit(block)
            for buffer, s in zip(sums, added):
                memref.store(arith.addf(_at(buffer, c), s), buffer, [b.value(c)])
            return [arith.maxsi(carried[0], nan)]

        nan = self._blocks(node, visit, self.nothing()[:1])[0]
        held = [[_at(buffer, c) for buffer in sums] for c in size]
        kept = among_largest([self.score.block_key(s) for s in held], self.limits[node.level])
        for c, keep in enumerate(kept):
            memref.store(arith.extsi(self.lanes.type, keep), fate, [b.value(c)])

        def drop(c: Index, block: Node, carried: list[ir.Value]) -> list[ir.Value]:
            keep = arith.cmpi(arith.CmpIPredicate.ne, _at(fate, c), constant(self.lanes.type, 0))
            self._drop_unless(keep, block)
            return carried

        self._blocks(node, drop, [])
        return [nan, *functools.reduce(added, map(masked, kept, held))]

    def _blocks(self, node: Node, visit: Callable[..., list[ir.Value]], carried: list[ir.Value]) -> list[ir.Value]:
        """Loop over the blocks below ``node``: row by row, where each of them would be a loop over rows.

        Rows of large tensors are so far apart that the cache would lose them from one block to the next.
        """
        level = node.level + 1
        if level in self.limits or self._size(level) <= _STRAIGHT:
            return self.tree.for_children(node, visit, carried)

        def row(r: Index, *outer: ir.Value) -> list[ir.Value]:
            def inside(c: Index, child: Node, inner: list[ir.Value]) -> list[ir.Value]:
                return visit(c, self.tree.child(child, 0, r), inner)

            return self.tree.for_children(node, inside, list(outer))

        return b.for_loop(0, self.tree.level_sizes[level], row, carried)

    def _drop_unless(self, keep: ir.Value, node: Node) -> None:
        if self._size(node.level) > _STRAIGHT:

            def drop(c: Index, child: Node, so_far: list[ir.Value]) -> list[ir.Value]:
                self._drop_unless(keep, child)
                return so_far

            self.tree.for_children(node, drop)
            return
        for row, columns in self._rows(node).items():
            held = self._load(self.out, node, row, columns)
            self._store([_or_zero(keep, bits) for bits in held], node, row, columns)

    def _straight(self, node: Node) -> State:
        rows = self._rows(node)
        source, ranked = self.tree.source, self.saliency
        bits = {row: self._load(source, node, row, columns) for row, columns in rows.items()}
        other = bits if ranked == source else {r: self._load(ranked, node, r, c) for r, c in rows.items()}
        element = ranked.type.element_type
        floats = {(*r, c): _number(x, element) for r, columns in rows.items() for c, x in zip(columns, other[r])}
        choice = _Choice(self.tree.format, self.limits, self.score, floats, self._floor())
        _, sums = choice.visit(node.level, (0,) * self.tree.format.rank)
        for row, columns in rows.items():
            kept = [_or_zero(choice.kept.get((*row, c)), x) for c, x in zip(columns, bits[row])]
            self._store(kept, node, row, columns)
        nan = functools.reduce(arith.maxsi, map(magnitude_bits, floats.values()))
        return [nan, *sums]

    def _floor(self) -> ir.Value | None:
        return None if self.floor is None else vector.broadcast(shaped(self.lanes.type, ir.F64Type.get()), self.floor)

    def _rows(self, node: Node) -> dict[tuple[int, ...], list[int]]:
        """What is below ``node``: offsets in all but the last dimension -> offsets along the last."""
        rest = self.tree.format.exprs[node.level :]
        rows: dict[tuple[int, ...], list[int]] = {}
        for coords in itertools.product(*(range(e.mod) for e in rest)):
            offset = [0] * self.tree.format.rank
            for e, c in zip(rest, coords):
                offset[e.dim] += e.div * c
            rows.setdefault(tuple(offset[:-1]), []).append(offset[-1])
        return {row: sorted(columns) for row, columns in sorted(rows.items())}

    def _load(self, source: ir.Value, node: Node, row: tuple[int, ...], columns: list[int]) -> list[ir.Value]:
        return self.lanes.load(source, _row(node, row), columns, self.groups.extents[-1])

    def _store(self, bits: list[ir.Value], node: Node, row: tuple[int, ...], columns: list[int]) -> None:
        self.lanes.store(bits, self.out, _row(node, row), columns, self.groups.extents[-1])


@dataclasses.dataclass
class _Choice:
    """Chooses among elements held in registers; ``kept`` is the result, where anything is dropped."""

    format: Format
    limits: dict[int, int]
    score: Score
    numbers: dict[tuple[int, ...], ir.Value]
    floor: ir.Value | None
    kept: dict[tuple[int, ...], ir.Value] = dataclasses.field(default_factory=dict)

    def visit(self, level: int, offset: tuple[int, ...]) -> tuple[ir.Value | None, State]:
        """The key of a block that starts at ``offset``, and its sums."""
        if level == len(self.format.levels):
            return self._element(offset)
        e = self.format.exprs[level]
        starts = [(*offset[: e.dim], offset[e.dim] + e.div * c, *offset[e.dim + 1 :]) for c in range(e.mod)]
        children = [self.visit(level + 1, at) for at in starts]
        sums = [s for _, s in children]
        if level in self.limits:
            kept = among_largest([key for key, _ in children], self.limits[level])
            for keep, at in zip(kept, starts):
                self._keep_only(keep, level + 1, at)
            sums = [masked(keep, s) for keep, s in zip(kept, sums)]
        total = functools.reduce(added, sums)
        return self.score.block_key(total), total

    def _element(self, offset: tuple[int, ...]) -> tuple[ir.Value, State]:
        x = self.numbers[offset]
        sums = self.score.element_sums(x)
        if self.floor is not None:
            self.kept[offset] = self.score.at_least(x, self.floor)
            sums = masked(self.kept[offset], sums)
        return self.score.element_key(x), sums

    def _keep_only(self, keep: ir.Value, level: int, offset: tuple[int, ...]) -> None:
        rest = self.format.exprs[level:]
        for coords in itertools.product(*(range(e.mod) for e in rest)):
            at = list(offset)
            for e, c in zip(rest, coords):
                at[e.dim] += e.div * c
            before = self.kept.get(tuple(at))
            self.kept[tuple(at)] = keep if before is None else arith.andi(before, keep)


def _number(bits: ir.Value, element: ir.Type) -> ir.Value:
    """Zero-extended bits as the f32 or f64 that holds the number."""
    width = element.width
    if element_of(bits.type).width != width:
        bits = arith.trunci(shaped(bits.type, ir.IntegerType.get_signless(width)), bits)
    return float_of(arith.bitcast(shaped(bits.type, element), bits))


def _or_zero(keep: ir.Value | None, bits: ir.Value) -> ir.Value:
    return bits if keep is None else arith.select(keep, bits, constant(bits.type, 0))


def _combine(a: State, c: State) -> State:
    return [arith.maxsi(a[0], c[0]), *added(a[1:], c[1:])]


def _row(node: Node, row: tuple[int, ...]) -> list[Index]:
    return [*(b.add(i, o) for i, o in zip(node.origin, row)), node.origin[-1]]


def _at(buffer: ir.Value, entry: Index) -> ir.Value:
    return memref.load(buffer, [b.value(entry)])
