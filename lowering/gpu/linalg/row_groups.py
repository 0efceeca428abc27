"""Analysis: ops that need only each other's row, as softmax and normalisations do (IR -> :class:`RowGroup`).

Loops of one trip do not count. What is left of an op's loops are *rows*, and last the *column*; a group is reductions
over the column, and maps over rows and columns or over rows, of equal sizes, which read each other's results.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from pith._mlir import ir
from pith.dialect import encoding_of, shape_of
from pith.dialect.tiling import PARALLEL
from pith.passes.analysis.traversal import defining_op

from ..outputs import RESHAPES, constant_of
from ..product.match import is_matrix_product
from .combiners import combiners_of
from .loops import Nest

#: Columns of the longest row that the threads of a block keep in registers: 32 per thread, beside what is made of them.
MOST_COLUMNS = 8192

#: How an operand is addressed: by row and column, by row, by column, not at all, or otherwise.
CELL, ROW, COLUMN, SINGLE, OTHER = "cell", "row", "column", "single", "other"


@dataclasses.dataclass(frozen=True)
class RowOp:
    """One op of a group.

    Attributes:
        nest: the op.
        loops: its loops of more than one trip.
        reduces: whether it reduces rows; else its results are of the kind of its loops.
        results: ``cell`` or ``row``.
    """

    nest: Nest
    loops: tuple[int, ...]
    reduces: bool
    results: str

    def access(self, operand: int) -> str:
        """How an operand is addressed."""
        exprs = list(self.nest.maps[operand].results)
        if not all(isinstance(e, ir.AffineDimExpr | ir.AffineConstantExpr) for e in exprs):
            return OTHER
        seen = tuple(e.position for e in exprs if isinstance(e, ir.AffineDimExpr) and e.position in self.loops)
        by_cell = self.reduces or self.results == CELL
        rows = self.loops[:-1] if by_cell else self.loops
        if seen == self.loops and by_cell:
            return CELL
        if seen == rows:
            return ROW
        if by_cell and seen == self.loops[-1:]:
            return COLUMN
        return OTHER if seen else SINGLE


@dataclasses.dataclass(frozen=True)
class RowGroup:
    """Ops that are computed row by row.

    Attributes:
        ops: in the order in which they stand.
        rows: sizes of the rows' dimensions, negative: dynamic.
        columns: how many.
        kinds: ``cell`` or ``row`` of every result.
    """

    ops: tuple[RowOp, ...]
    rows: tuple[int, ...]
    columns: int
    kinds: dict[ir.Value, str]

    def inner(self, value: ir.Value) -> ir.Value | None:
        """The result of the group that an operand is, seen through reshapes; None for what comes from outside."""
        source = reshaped_from(value)
        return source if source in self.kinds else None

    def escapes(self, value: ir.Value) -> bool:
        """Whether ops outside of the group read a result."""
        own = [op.nest.op.operation for op in self.ops]
        return any(user not in own for user in _readers(value))


def row_group(op: ir.OpView, is_at_hand: Callable[[ir.Value], bool]) -> RowGroup | None:
    """The group that begins with ``op``; None where there is none, or no reduction in it.

    Args:
        is_at_hand: whether a value from outside has been computed already.
    """
    first = _first(op)
    if first is None:
        return None
    seed, rows, columns = first
    group = RowGroup((seed,), rows, columns, dict.fromkeys(op.results, seed.results))
    if not _fits(seed, group, is_at_hand):
        return None
    while (grown := _grown(group, is_at_hand)) is not None:
        group = grown
    return group if len(group.ops) > 1 and any(o.reduces for o in group.ops) else None


def reshaped_from(value: ir.Value) -> ir.Value:
    """The value that reshapes which only add or drop dimensions of size 1 were applied to."""
    while (reshape := defining_op(value, *RESHAPES)) is not None:
        source = reshape.operands[0]
        if _extents(source) != _extents(value):
            break
        value = source
    return value


def _extents(value: ir.Value) -> list[int]:
    return [s for s in shape_of(value.type) if s != 1]


def _readers(value: ir.Value) -> list[ir.Operation]:
    """Ops that read a value's elements, through reshapes too."""
    found: list[ir.Operation] = []
    for use in value.uses:
        user = use.owner.operation
        if user.name in RESHAPES and _extents(user.results[0]) == _extents(value):
            found += _readers(user.results[0])
        elif user.name != "tensor.dim":
            found.append(user)
    return found


def _first(op: ir.OpView) -> tuple[RowOp, tuple[int, ...], int] | None:
    """An op that a group can begin with: its loops are rows and a column."""
    nest = _nest(op)
    if nest is None:
        return None
    loops, sizes = _loops(nest)
    if not loops or not 1 < sizes[-1] <= MOST_COLUMNS:
        return None
    made = _row_op(nest, loops, by_cell=True)
    return None if made is None else (made, sizes[:-1], sizes[-1])


def _grown(group: RowGroup, is_at_hand: Callable[[ir.Value], bool]) -> RowGroup | None:
    """The group with one more op, the first of those that can join it."""
    own = [op.nest.op.operation for op in group.ops]
    readers = dict.fromkeys(user for value in group.kinds for user in _readers(value) if user not in own)
    possible = [made for user in readers if (made := _joining(user, group)) is not None]
    joining = [made for made in possible if _fits(made, group, is_at_hand)] or _beside(possible, group, is_at_hand)
    if not joining:
        return None
    chosen = joining[0]
    for other in joining[1:]:
        if other.nest.op.operation.is_before_in_block(chosen.nest.op.operation):
            chosen = other
    kinds = {**group.kinds, **dict.fromkeys(chosen.nest.op.operation.results, chosen.results)}
    return dataclasses.replace(group, ops=(*group.ops, chosen), kinds=kinds)


def _beside(possible: list[RowOp], group: RowGroup, is_at_hand: Callable[[ir.Value], bool]) -> list[RowOp]:
    """Ops that make what ``possible`` ones lack, where they can join the group themselves."""
    makers = []
    for op in possible:
        for value in op.nest.inputs:
            source = reshaped_from(value)
            maker = defining_op(source)
            if maker is not None and source not in group.kinds and not is_at_hand(value):
                makers.append(maker)
    made = [_joining(maker, group) for maker in dict.fromkeys(makers)]
    return [op for op in made if op is not None and _fits(op, group, is_at_hand)]


def _joining(user: ir.Operation, group: RowGroup) -> RowOp | None:
    nest = _nest(user.opview) if user.block == group.ops[0].nest.op.operation.block else None
    if nest is None:
        return None
    loops, sizes = _loops(nest)
    if sizes == (*group.rows, group.columns):
        return _row_op(nest, loops, by_cell=True)
    return _row_op(nest, loops, by_cell=False) if sizes == group.rows else None


def _nest(op: ir.OpView) -> Nest | None:
    """The loops of an op of plain arithmetic on dense tensors."""
    operation = op.operation
    if not operation.name.startswith("linalg.") or not operation.results or is_matrix_product(op):
        return None
    if any(isinstance(v.type, ir.ShapedType) and encoding_of(v.type) is not None for v in operation.operands):
        return None
    body = operation.regions[0].blocks[0].operations
    if any(o.operation.name.partition(".")[0] not in ("arith", "math") for o in list(body)[:-1]):
        return None
    return Nest.of(op)


def _loops(nest: Nest) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Loops of more than one trip, and their sizes (negative: dynamic)."""
    sizes: dict[int, int] = {}
    for value, map_ in zip(nest.operands, nest.maps):
        if isinstance(value.type, ir.ShapedType):
            for size, expr in zip(shape_of(value.type), map_.results):
                if isinstance(expr, ir.AffineDimExpr):
                    sizes[expr.position] = max(size, sizes.get(expr.position, -1))
    loops = tuple(d for d in range(len(nest.iterators)) if sizes.get(d, -1) != 1)
    return loops, tuple(sizes.get(d, -1) for d in loops)


def _row_op(nest: Nest, loops: tuple[int, ...], by_cell: bool) -> RowOp | None:
    """The op, if it is a reduction of the last loop or a map."""
    reduced = [d for d in loops if nest.iterators[d] != PARALLEL]
    if reduced:
        known = by_cell and reduced == [loops[-1]] and combiners_of(nest) is not None
        made = RowOp(nest, loops, True, ROW)
        starts = all(constant_of(init) is not None for init in nest.inits)
        fits = known and starts and all(made.access(i) == ROW for i in _outs(nest))
        return made if fits else None
    made = RowOp(nest, loops, False, CELL if by_cell else ROW)
    reads = any(nest.reads(i) and constant_of(nest.operands[i]) is None for i in _outs(nest))
    return made if not reads and all(made.access(i) == made.results for i in _outs(nest)) else None


def _outs(nest: Nest) -> range:
    return range(len(nest.inputs), len(nest.operands))


def _fits(op: RowOp, group: RowGroup, is_at_hand: Callable[[ir.Value], bool]) -> bool:
    """Whether every input is a result of the group, of its own row, or at hand."""
    for number, value in enumerate(op.nest.inputs):
        if not isinstance(value.type, ir.ShapedType) or constant_of(value) is not None:
            continue
        kind, inner = op.access(number), group.inner(value)
        if inner is not None and group.kinds[inner] != kind:
            return False
        if inner is None and not (is_at_hand(value) and (kind != OTHER or _splits(op, number, group))):
            return False
    return True


def _splits(op: RowOp, operand: int, group: RowGroup) -> bool:
    """Whether the coordinates of a row that an operand is addressed by follow from its number: by constant sizes."""
    exprs = op.nest.maps[operand].results
    plain = all(isinstance(e, ir.AffineDimExpr | ir.AffineConstantExpr) for e in exprs)
    return plain and all(s >= 0 for s in group.rows[1:])
