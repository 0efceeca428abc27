"""Analysis: products of two dense matrices that patterns restrict (``pith.pit_tile`` -> dataclass)."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

from pith._mlir import ir
from pith.dialect.tiling import REDUCTION, Tiling, bare_dim, tiling_of

from ..contraction import indexing_maps, is_generic, iterator_types
from ..linalg.contraction import DenseContraction, is_dense, multiplies_and_adds


@dataclasses.dataclass(frozen=True)
class Listing:
    """How one pattern restricts a product.

    Attributes:
        pattern: its number among the op's.
        loops: the loop of each of its axes.
        stream: the axis along which there are lists: one per combination of the coordinates along the others.
        rows: the axis over rows whose blocks have lists of their own along a contracted ``stream``, or None.
    """

    pattern: int
    loops: tuple[int, ...]
    stream: int
    rows: int | None = None

    @property
    def loop(self) -> int:
        """The loop that is listed."""
        return self.loops[self.stream]


@dataclasses.dataclass(frozen=True)
class ListedProduct:
    """``out[outer, row, col] += lhs[outer, row, red] * rhs[outer, red, col]`` at what patterns list.

    Attributes:
        product: the loops; outer ones that do not index ``out`` are summed over.
        tiling: the op's fields.
        listings: one per pattern.
    """

    product: DenseContraction
    tiling: Tiling
    listings: tuple[Listing, ...]

    @property
    def summed(self) -> tuple[int, ...]:
        """Outer loops that do not index the output."""
        return tuple(d for d in self.product.outer if d not in self.product.dims[2])

    def listing(self, loop: int) -> Listing | None:
        """What lists ``loop`` for all rows alike, if anything does."""
        return next((x for x in self.listings if x.loop == loop and x.rows is None), None)

    @property
    def blocks(self) -> Listing | None:
        """The pattern whose blocks of rows have contracted coordinates of their own."""
        return next((x for x in self.listings if x.rows is not None), None)


def match_listed_product(op: ir.OpView) -> ListedProduct | None:
    """Recognise a ``pith.pit_tile`` whose body is a product of two dense float matrices; the cheapest orientation."""
    tiling = tiling_of(op)
    if len(op.inputs) != 2 or not _is_product_body(op, tiling):
        return None
    operands = [*op.inputs, op.init]
    types = {v.type.element_type for v in operands}
    if len(types) != 1 or not isinstance(next(iter(types)), (ir.F32Type, ir.F64Type)):
        return None
    if any(not is_dense(v.type) for v in operands):
        return None
    dims = [tuple(bare_dim(e) for e in m.results) for m in tiling.maps]
    bare = tuple(tuple(d for d in ds if d is not None) for ds in dims)
    if any(len(a) != len(b) or len(set(b)) != len(b) for a, b in zip(dims, bare)):
        return None
    found = [p for lhs in (0, 1) for p in _orientations(op, tiling, (bare[0], bare[1], bare[2]), lhs)]
    return min(found, key=lambda p: p.product.cost, default=None)


def _orientations(op: ir.OpView, tiling: Tiling, dims, lhs: int) -> Iterator[ListedProduct]:
    """Every way to see the op as products of ``lhs``, read a row at a time, with the other operand."""
    mine, other, out = set(dims[lhs]), set(dims[1 - lhs]), set(dims[2])
    if not out <= mine | other or any(d in mine and d not in other | out for d in range(len(tiling.iterators))):
        return
    for row, col, red in itertools.product((mine & out) - other, (other & out) - mine, (mine & other) - out):
        inner = ({row, red}, {col, red}, {row, col})
        if any(dims[i][-1] not in loops for i, loops in zip((lhs, 1 - lhs, 2), inner)):
            continue
        outer = tuple(d for d in range(len(tiling.iterators)) if d not in (row, col, red))
        product = DenseContraction(op, dims, lhs, row, col, red, outer)
        listings = [_listing(product, i, tiling) for i in range(len(tiling.patterns))]
        known = tuple(x for x in listings if x is not None)
        if len(known) == len(listings) and sum(x.rows is not None for x in known) <= 1:
            yield ListedProduct(product, tiling, known)


def _listing(c: DenseContraction, pattern: int, tiling: Tiling) -> Listing | None:
    """How a pattern restricts ``c``, if a kernel can follow it."""
    loops = tuple(tiling.axes[i] for i in tiling.pattern_axes[pattern])
    inner = [a for a, d in enumerate(loops) if d not in c.outer]
    if not inner:
        return Listing(pattern, loops, 0) if len(loops) == 1 else None
    if len(inner) == 1:
        # Groups of columns are tasks, which may not store the same places: lists of columns do not vary while they sum.
        varies = any(d in c.outer and d not in c.dims[2] for d in loops)
        return None if varies and loops[inner[0]] == c.col else Listing(pattern, loops, inner[0])
    if {loops[a] for a in inner} == {c.row, c.red}:
        return Listing(pattern, loops, loops.index(c.red), loops.index(c.row))
    return None


def _is_product_body(op: ir.OpView, tiling: Tiling) -> bool:
    """The body is one product of its tiles, over the loops of the op."""
    block = op.operation.regions[0].blocks[0]
    operations = list(block.operations)
    if len(operations) != 2 or not is_generic(operations[0]) or not multiplies_and_adds(operations[0]):
        return False
    product, end = operations
    arguments = list(block.arguments)
    operands = list(product.operands)
    if list(end.operands) != list(product.results) or len(operands) != 3 or operands[2] != arguments[2]:
        return False
    if {*operands[:2]} != {*arguments[:2]}:
        return False
    order = [arguments.index(v) for v in operands]
    return _same_loops(product, tiling, order)


def _same_loops(product: ir.OpView, tiling: Tiling, order: Sequence[int]) -> bool:
    """The loops of ``product`` are those of the op under other numbers; operand i of it is operand ``order[i]``."""
    kinds = iterator_types(product)
    loops: dict[int, int] = {}
    for exprs, i in zip(indexing_maps(product), order):
        for e, outside in zip(exprs, tiling.maps[i].results):
            inside, dim = bare_dim(e), bare_dim(outside)
            if inside is None or dim is None or loops.setdefault(inside, dim) != dim:
                return False
    alike = all((kinds[i] == REDUCTION) == (tiling.iterators[d] == REDUCTION) for i, d in loops.items())
    return alike and len(loops) == len(kinds) == len(tiling.iterators) == len(set(loops.values()))
