"""Analysis: products of two dense matrices that patterns restrict (``pith.pit_tile`` -> dataclass)."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

from pith._mlir import ir
from pith.dialect.tiling import Tiling, bare_dim, tiling_of

from ..linalg.contraction import DenseContraction, is_dense
from .body import Body, match_body

#: Unit attribute of a ``pit_tile`` whose patterns name every place of the init exactly once.
PARTITION = "pith.partition"


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
        body: what becomes of the sums.
    """

    product: DenseContraction
    tiling: Tiling
    listings: tuple[Listing, ...]
    body: Body

    @property
    def is_partition(self) -> bool:
        """The patterns name every place of the init exactly once."""
        return PARTITION in self.product.op.operation.attributes

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
    """Recognise a ``pith.pit_tile`` whose body is a product of two dense matrices; the cheapest orientation."""
    tiling = tiling_of(op)
    body = match_body(op, tiling)
    if body is None:
        return None
    operands = [*(op.inputs[i] for i in body.factors), op.init]
    if not _is_known([v.type.element_type for v in operands], body):
        return None
    if any(not is_dense(v.type) for v in operands):
        return None
    dims = [tuple(bare_dim(e) for e in tiling.maps[i].results) for i in (*body.factors, -1)]
    bare = tuple(tuple(d for d in ds if d is not None) for ds in dims)
    if any(len(a) != len(b) or len(set(b)) != len(b) for a, b in zip(dims, bare)):
        return None
    found = [p for lhs in (0, 1) for p in _orientations(op, tiling, body, (bare[0], bare[1], bare[2]), lhs)]
    return min(found, key=lambda p: (p.product.cost(), p.blocks is None), default=None)


def _is_known(types: list[ir.Type], body: Body) -> bool:
    """The kernels know the element types of factors and init: sums of their own type, or of a wider one."""
    lhs, rhs, out = types
    if lhs != rhs or (out != body.sums and body.finish is None):
        return False
    narrow = {ir.F32Type: (ir.F16Type, ir.BF16Type)}.get(type(body.sums), ())
    if isinstance(body.sums, ir.IntegerType):
        return body.sums.width == 32 and isinstance(lhs, ir.IntegerType) and lhs.width in (8, 16, 32)
    return isinstance(lhs, narrow) or (lhs == body.sums and isinstance(lhs, (ir.F32Type, ir.F64Type)))


def _orientations(op: ir.OpView, tiling: Tiling, body: Body, dims, lhs: int) -> Iterator[ListedProduct]:
    """Every way to see the op as products of ``lhs``, read a row at a time, with the other operand."""
    mine, other, out = set(dims[lhs]), set(dims[1 - lhs]), set(dims[2])
    if not out <= mine | other or any(d in mine and d not in other | out for d in range(len(tiling.iterators))):
        return
    values = (*(op.inputs[i] for i in body.factors), op.init)
    roles = ((mine & out) - other, (other & out) - mine, (mine & other) - out)
    for row, col, red in itertools.product(*(sorted(r, reverse=True) for r in roles)):
        inner = ({row, red}, {col, red}, {row, col})
        if any(dims[i][-1] not in loops for i, loops in zip((lhs, 1 - lhs, 2), inner)):
            continue
        outer = tuple(d for d in range(len(tiling.iterators)) if d not in (row, col, red))
        if body.is_whole and (tiling.tile[red] or any(d not in out and not tiling.tile[d] for d in outer)):
            continue  # the body finishes sums that a kernel would have parts of
        product = DenseContraction(op, dims, lhs, row, col, red, outer, values)
        listings = [_listing(product, i, tiling) for i in range(len(tiling.patterns))]
        known = tuple(x for x in listings if x is not None)
        if len(known) == len(listings) and sum(x.rows is not None for x in known) <= 1:
            yield ListedProduct(product, tiling, known, body)


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
