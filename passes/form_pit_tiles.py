"""``pith-form-pit-tiles``: ordinary ``linalg`` and where its sparsity may occur -> detection, tiles, dense rival."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import ClassVar

from pith._mlir import arith, ir, scf, tensor
from pith.dialect import CoordinatesOp, DetectOp, PitTileOp, shape_of
from pith.dialect.tiling import PARALLEL, dims_of

from .analysis.dynamic import ATTRIBUTE as DYNAMIC
from .analysis.dynamic import Dynamic, dynamic_of
from .analysis.pit_axes import pit_axes
from .analysis.structured import Structured
from .analysis.tile_cost import Candidate, Decision
from .analysis.traversal import ops_where
from .analysis.vanishing import KEEPS, ZEROES, effect_of_zero, is_zero_filled
from .core import Pass, pass_error
from .generic import elementwise, empty_like
from .infer_pit_axes import ATTRIBUTE as AXES
from .infer_pit_axes import GROUPS, axes_attribute
from .select_tiles import ATTRIBUTE as DECISION
from .select_tiles import BREAK_EVEN, SPARSITY, SelectTilesPass, decision_of

#: Elements packed along the axis of an operand that the decision says nothing of (the second of two).
PACKED = 32

#: Break-even shares become integer arithmetic on counts, in steps of 1/_STEPS.
_STEPS = 10000


@dataclasses.dataclass(frozen=True)
class FormPitTilesPass(Pass):
    """Make a ``pith.pit_tile`` of every op marked ``pith.dynamic`` whose decision is to pack, beside the dense op.

    Before: ``linalg.matmul {pith.dynamic = [{operand = 0, granularity = array<i64: 32, 1>, threshold = 0.0}],
    pith.tile_decision = {choice = "d2:32x1", break_even = 0.6, ...}} ins(%a, %b) outs(%c)``.
    After: ``%p = "pith.detect"(%a)`` with the decision's micro-tile as granularity, the number of micro-tiles it
    lists, and an ``scf.if`` on it: up to the break-even share of the grid a ``pith.pit_tile`` whose body is the op
    on tiles, above it the op as it was. ``always=true`` leaves the rival out, for tests and timings.

    Magnitudes up to a threshold above zero count as zero whatever is run: they are cleared first, by an
    elementwise ``linalg.generic`` whose result the detection, the tiles and the dense op all read. NaN stays.
    ``target`` is whose times decide where no decision was made before: ``cpu``, or a chip such as sm_90.

    Two marked operands give a tile over two patterns, which visits what both name; the second is packed along
    its one axis, in micro-tiles of its granularity. Where the decision is dense, the op stays and its marks go.

    Requires: an op on tensors with one result; without a decision it is made here, with the options' defaults.
    Preserves: all other ops. Does not do: choose (``pith-select-tiles`` does) or generate loops (the conversions
    of ``pit_tile`` do).
    Errors: an axis that is not permutation-invariant; zeros that count (``exp(0) = 1``, a maximum with 0).
    Cost: about 0.5 ms an op.
    """

    name: ClassVar[str] = "pith-form-pit-tiles"
    always: bool = False
    target: str = "cpu"

    def run(self, module: ir.Module) -> None:
        with module.context, ir.Location.unknown():
            for op in ops_where(module.operation, lambda op: DYNAMIC in op.attributes):
                self._form(op)

    def _form(self, op: ir.Operation) -> None:
        structured = Structured.of(op)
        if structured is None or len(op.results) != 1:
            pass_error(op, f"expects {DYNAMIC} on a structured linalg op on tensors with one result")
        marked = dynamic_of(op, structured)
        decision = decision_of(op) or _decide(op, self.target)
        for entry in marked:
            _require_skippable(structured, entry)
        limit = _limit_of(op)
        _strip(op)
        with ir.InsertionPoint(op), op.location:
            for entry in marked:
                if entry.threshold:
                    op.operands[entry.operand] = _cleared(op, entry)
            if decision.chosen.axis is None:
                return
            result = self._rivals(_Former(op, structured, marked, decision.chosen), limit)
        op.results[0].replace_all_uses_with(result)
        op.erase()

    def _rivals(self, former: _Former, limit: float) -> ir.Value:
        """The packed op, or the choice between it and the dense one by the number of listed micro-tiles."""
        patterns = former.detect()
        if self.always or limit >= 1.0:
            return former.tile(patterns)
        few = _at_most(patterns[0], former.op.operands[former.marked[0].operand], former.cut(0), limit)
        return _choose(few, former.op.results[0].type, lambda: former.tile(patterns), former.dense)


@dataclasses.dataclass(frozen=True)
class _Former:
    """One op, what is marked on it, and what was decided for the first mark."""

    op: ir.Operation
    structured: Structured
    marked: tuple[Dynamic, ...]
    chosen: Candidate

    def cut(self, number: int) -> dict[int, int]:
        """Dimension -> extent of the micro-tile, for what pattern ``number`` cuts."""
        entry = self.marked[number]
        extents = self.chosen.micro_tile if number == 0 else entry.granularity
        return {dim: extents[dim] for dim in entry.axes}

    def detect(self) -> list[ir.Value]:
        """One pattern per marked operand."""
        found = []
        for number, entry in enumerate(self.marked):
            cut = self.cut(number)
            op = DetectOp.build(self.op.operands[entry.operand], list(cut), list(cut.values()))
            found.append(op.operation.results[0])
        return found

    def tile(self, patterns: Sequence[ir.Value]) -> ir.Value:
        """The ``pit_tile`` with this op as its body."""
        axes = [axis for entry in self.marked for axis in entry.axes.values()]
        micro = [extent for number in range(len(self.marked)) for extent in self.cut(number).values()]
        op = PitTileOp.build(
            patterns,
            list(self.op.operands)[:-1],
            self.op.operands[len(self.op.operands) - 1],
            self.structured.maps,
            self.structured.iterators,
            axes,
            self._extents(dict(zip(axes, micro))),
            micro,
            self._body,
            self._accumulates(),
        )
        return op.operation.results[0]

    def dense(self) -> ir.Value:
        """The op as it was."""
        return self.op.clone().operation.results[0]

    def _extents(self, micro: dict[int, int]) -> list[int]:
        """The dense tile: a micro-tile along the axes patterns lie on, except for the one each pattern packs."""
        extents = list(self.chosen.tile)
        for axis, extent in micro.items():
            extents[axis] = extent
        extents[self.chosen.axis or 0] = self.chosen.tile[self.chosen.axis or 0]
        for entry in self.marked[1:]:
            (axis,) = entry.axes.values()
            extents[axis] = max(PACKED // micro[axis], 1) * micro[axis]
        compound = {d for m in self.structured.maps for e in m.results if not isinstance(e, ir.AffineDimExpr)
                    for d in dims_of(e)}  # fmt: skip
        return [0 if axis in compound else extent for axis, extent in enumerate(extents)]

    def _accumulates(self) -> bool:
        """Whether tiles of one pattern meet in the result: some of its axes index it and another one does not."""
        written = {d for e in self.structured.maps[-1].results for d in dims_of(e)}
        inside = [[axis in written for axis in entry.axes.values()] for entry in self.marked]
        return any(any(axes) and not all(axes) for axes in inside)

    def _body(self, *tiles: ir.Value) -> ir.Value:
        clone = self.op.clone().operation
        for number, tile in enumerate(tiles):
            clone.operands[number] = tile
        clone.results[0].set_type(tiles[-1].type)
        return clone.results[0]


def _require_skippable(op: Structured, entry: Dynamic) -> None:
    """Skipping a zero must leave what computing with it would have."""
    effect = effect_of_zero(op, entry.operand)
    reduces = any(kind != PARALLEL for kind in op.iterators)
    if effect == KEEPS or (effect == ZEROES and not reduces and is_zero_filled(op.inits[0])):
        return
    if effect == ZEROES:
        why = "the result becomes zero there, not what the init holds"
        pass_error(op.op, f"cannot skip zeros of operand #{entry.operand}: {why}", "fill the init with zeros")
    pass_error(op.op, f"cannot skip zeros of operand #{entry.operand}: {effect} makes something else of them")


def _decide(op: ir.Operation, target: str) -> Decision:
    """The decision of the passes before this one with their defaults, for an op they have not seen."""
    verdict = pit_axes(op)
    if verdict is not None and AXES not in op.attributes:
        op.attributes[AXES] = axes_attribute(verdict)
    SelectTilesPass(target=target).select(op)
    decision = decision_of(op)
    if decision is None:
        pass_error(op, f"expects {DYNAMIC} on an op without encoded operands whose extents its operands tell")
    return decision


def _cleared(op: ir.Operation, entry: Dynamic) -> ir.Value:
    """The marked operand with zeros where the magnitude is not above the threshold; NaN stays."""
    source = op.operands[entry.operand]
    element = source.type.element_type
    if not isinstance(element, (ir.FloatType, ir.IntegerType)):
        pass_error(op, f"cannot compare operand #{entry.operand} of {element} with a threshold", "leave it at 0")

    def cleared(x: ir.Value, _: ir.Value) -> ir.Value:
        above, below = _beyond(x, entry.threshold)
        zero = arith.constant(element, 0.0 if isinstance(element, ir.FloatType) else 0)
        return arith.select(arith.ori(above, below), x, zero)

    return elementwise([source], empty_like(source), cleared)


def _beyond(x: ir.Value, threshold: float) -> tuple[ir.Value, ir.Value]:
    """``i1``: a number is above the threshold or NaN; below its negative."""
    if isinstance(x.type, ir.FloatType):
        wide = ir.F64Type.get()
        x = x if x.type == wide else arith.extf(wide, x)
        above = arith.cmpf(arith.CmpFPredicate.UGT, x, arith.constant(wide, threshold))
        return above, arith.cmpf(arith.CmpFPredicate.OLT, x, arith.constant(wide, -threshold))
    most = (1 << ir.IntegerType(x.type).width - 1) - 1
    limit = math.floor(min(threshold, most + 1))
    above = arith.cmpi(arith.CmpIPredicate.sgt, x, arith.constant(x.type, min(limit, most)))
    return above, arith.cmpi(arith.CmpIPredicate.slt, x, arith.constant(x.type, -limit))


def _limit_of(op: ir.Operation) -> float:
    decision = ir.DictAttr(op.attributes[DECISION])
    return ir.FloatAttr(decision[BREAK_EVEN]).value if BREAK_EVEN in decision else 1.0


def _strip(op: ir.Operation) -> None:
    """Take the attributes of the analyses away: they have been acted upon."""
    for name in (DYNAMIC, DECISION, AXES, GROUPS, SPARSITY):
        if name in op.attributes:
            del op.attributes[name]


def _at_most(pattern: ir.Value, operand: ir.Value, cut: dict[int, int], limit: float) -> ir.Value:
    """``i1``: the pattern lists no more than a share ``limit`` of its grid."""
    index = ir.IndexType.get()

    def constant(n: int) -> ir.Value:
        return arith.constant(index, n)

    count = tensor.dim(CoordinatesOp.build(pattern).operation.results[0], constant(0))
    sizes = {dim: shape_of(operand.type)[dim] for dim in cut}
    known = math.prod(-(-sizes[dim] // extent) for dim, extent in cut.items() if sizes[dim] >= 0)
    unknown = [(dim, extent) for dim, extent in cut.items() if sizes[dim] < 0]
    if not unknown:
        return arith.cmpi(arith.CmpIPredicate.ule, count, constant(int(known * limit)))
    total = constant(known)
    for dim, extent in unknown:
        total = arith.muli(total, arith.ceildivui(tensor.dim(operand, constant(dim)), constant(extent)))
    share = arith.muli(total, constant(int(limit * _STEPS)))
    return arith.cmpi(arith.CmpIPredicate.ule, arith.muli(count, constant(_STEPS)), share)


def _choose(
    condition: ir.Value, type_: ir.Type, then: Callable[[], ir.Value], otherwise: Callable[[], ir.Value]
) -> ir.Value:
    branch = scf.IfOp(condition, [type_], has_else=True)
    for block, emit in ((branch.then_block, then), (branch.else_block, otherwise)):
        with ir.InsertionPoint(block):
            scf.YieldOp([emit()])
    return branch.operation.results[0]
