"""Which axes of a structured op may be permuted: the rule behind permutation-invariant tiling.

Axis d of a ``linalg`` op is permutation-invariant when

1. in every indexing map d occurs only as a bare result, at most once per operand;
2. the body asks for no ``linalg.index`` of d;
3. d is parallel, or a reduction whose combiner is associative and commutative
   (for floating point the reordering is licensed);
4. nothing is carried along d.

The answer also names the (operand, dimension) pairs that must share one index list. A tensor that depends on
the position (a mask, a bias by place) is such an operand: gathered with the list it keeps its meaning, whereas
positions the body computes itself (clause 2) would be those in the packed tile.

Source: Zheng et al., PIT, SOSP 2023 (theorem 1), stated on indexing maps.
"""

from __future__ import annotations

import dataclasses

from pith._mlir import ir
from pith.dialect.tiling import PARALLEL, REDUCTION, dims_of

from .structured import Structured

#: Associative and commutative scalar ops: the combiners that let a reduction axis be permuted.
COMBINERS = frozenset(
    f"arith.{name}"
    for name in (
        *("addf", "addi", "mulf", "muli", "andi", "ori", "xori"),
        *("maximumf", "minimumf", "maxnumf", "minnumf", "maxsi", "maxui", "minsi", "minui"),
    )
) | frozenset(("complex.add", "complex.mul"))


@dataclasses.dataclass(frozen=True)
class PitAxis:
    """A permutation-invariant axis.

    Attributes:
        axis: its position in the iteration space.
        kind: ``"parallel"`` or ``"reduction"``.
        operands: the (operand, dimension) pairs that must share one index list.
        combiners: for a reduction, the combiner of each init.
    """

    axis: int
    kind: str
    operands: tuple[tuple[int, int], ...]
    combiners: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Refusal:
    """An axis that may not be permuted, and the clause of the rule it breaks (with the culprit)."""

    axis: int
    kind: str
    reason: str


@dataclasses.dataclass(frozen=True)
class PitAxes:
    """The verdict on every axis of one op."""

    axes: tuple[PitAxis, ...]
    refusals: tuple[Refusal, ...]


class _Broken(Exception):
    """A clause of the rule does not hold; the message names the culprit."""


def pit_axes(op: ir.OpView | ir.Operation) -> PitAxes | None:
    """The permutation-invariant axes of ``op``, and why the others are not; None if it is no structured op.

    Example: of ``linalg.matmul`` all three axes (m, n, k) qualify; k couples (0, 1) with (1, 0).
    """
    if op.operation.name == "linalg.softmax":
        return _softmax_axes(op.operation)
    structured = Structured.of(op)
    if structured is None:
        return None
    axes: list[PitAxis] = []
    refusals: list[Refusal] = []
    for axis, kind in enumerate(structured.iterators):
        try:
            axes.append(_judge(structured, axis, kind))
        except _Broken as broken:
            refusals.append(Refusal(axis, kind, str(broken)))
    return PitAxes(tuple(axes), tuple(refusals))


def _softmax_axes(op: ir.Operation) -> PitAxes:
    """All axes of ``linalg.softmax``, which has no body: rows are independent, and the axis it normalises is a
    maximum and a sum whose result goes back to every place."""
    along = ir.IntegerAttr(op.attributes["dimension"]).value
    pairs = [((0, d), (1, d)) for d in range(op.operands[0].type.rank)]
    axes = (
        PitAxis(d, REDUCTION, pair, ("arith.maxnumf", "arith.addf")) if d == along else PitAxis(d, PARALLEL, pair)
        for d, pair in enumerate(pairs)
    )
    return PitAxes(tuple(axes), ())


def coupled_operands(maps: tuple[ir.AffineMap, ...], axis: int) -> tuple[tuple[int, int], ...]:
    """The (operand, dimension) pairs indexed by ``axis`` alone.

    Errors: ``ValueError`` naming the operand where the axis occurs in a compound expression or twice.
    """
    pairs = []
    for operand, map_ in enumerate(maps):
        uses = [(dim, expr) for dim, expr in enumerate(map_.results) if axis in dims_of(expr)]
        for _, expr in uses:
            if not isinstance(expr, ir.AffineDimExpr):
                raise ValueError(f"operand #{operand} uses d{axis} in the expression {expr} of its map {map_}")
        if len(uses) > 1:
            raise ValueError(f"operand #{operand} uses d{axis} {len(uses)} times in its map {map_}")
        pairs += [(operand, dim) for dim, _ in uses]
    return tuple(pairs)


def _judge(structured: Structured, axis: int, kind: str) -> PitAxis:
    try:
        operands = coupled_operands(structured.maps, axis)
    except ValueError as error:
        raise _Broken(f"(1) {error}") from None
    if _asks_index(structured.body, axis):
        raise _Broken(f"(2) the body reads linalg.index {axis}; what depends on it could be an operand instead")
    inits = range(len(structured.inputs), len(structured.maps))
    indexed = {operand for operand, _ in operands}
    if kind == PARALLEL:
        for init in inits:
            if init not in indexed:
                raise _Broken(
                    f"(4) init operand #{init} is overwritten along it: its map {structured.maps[init]} lacks d{axis}"
                )
        return PitAxis(axis, kind, operands)
    if kind != REDUCTION:
        raise _Broken(f"(3) its iterator type is {kind}")
    for init in inits:
        if init in indexed:
            raise _Broken(f"(4) init operand #{init} is indexed by it although it is a reduction")
    return PitAxis(axis, kind, operands, tuple(_combiner(structured, init) for init in inits))


def _combiner(structured: Structured, init: int) -> str:
    """The scalar op that folds values into block argument ``init``, followed from the argument to the yield."""
    value: ir.Value = structured.body.arguments[init]
    name: str | None = None
    while True:
        uses = list(value.uses)
        if len(uses) != 1:
            raise _Broken(f"(3) the body uses the accumulator of operand #{init} {len(uses)} times, not once")
        user = uses[0].owner.operation
        if user.name == "linalg.yield":
            if uses[0].operand_number != init - len(structured.inputs):
                raise _Broken(f"(3) the accumulator of operand #{init} is yielded as another result")
            if name is None:
                raise _Broken(f"(3) nothing is combined into operand #{init}")
            return name
        if user.name not in COMBINERS:
            raise _Broken(f"(3) the combiner {user.name} is not associative and commutative")
        if name not in (None, user.name):
            raise _Broken(f"(3) the combiners {name} and {user.name} are mixed")
        name, value = user.name, user.results[0]


def _asks_index(body: ir.Block, axis: int) -> bool:
    found = False

    def visit(op: ir.Operation) -> ir.WalkResult:
        nonlocal found
        if op.name == "linalg.index" and ir.IntegerAttr(op.attributes["dim"]).value == axis:
            found = True
            return ir.WalkResult.INTERRUPT
        return ir.WalkResult.ADVANCE

    for op in body.operations:
        op.operation.walk(visit, ir.WalkOrder.PRE_ORDER)
    return found
