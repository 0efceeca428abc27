"""``pith-infer-pit-axes``: derive which axes of every structured op may be permuted."""

from __future__ import annotations

import dataclasses
import sys
from typing import ClassVar

from pith._mlir import ir

from .analysis.pit_axes import PitAxes, PitAxis, pit_axes
from .analysis.pit_groups import PitGroup, pit_groups
from .core import Pass

#: Where the verdict is kept on an op: an array of dictionaries, one per permutation-invariant axis.
ATTRIBUTE = "pith.pit_axes"
#: The number of the group of every axis of an op, -1 where the composite it belongs to forbids it.
GROUPS = "pith.pit_groups"


@dataclasses.dataclass(frozen=True)
class InferPitAxesPass(Pass):
    """Annotate every ``linalg`` op with its permutation-invariant axes.

    Before: ``linalg.matmul ins(%a, %b) outs(%c)``. After: the same op with
    ``pith.pit_axes = [{axis = 0, kind = "parallel", operands = [[0, 0], [2, 0]]}, ...]``: per axis its
    position, its iterator kind and the (operand, dimension) pairs that must share one index list.

    With ``explain=true`` every other axis is reported on stderr as a remark that names the
    indexing map, the ``linalg.index`` or the combiner that forbids it.

    With ``composites=true`` every op of a function also gets ``pith.pit_groups = array<i64: 0, 1>``: per axis
    the number of the group it belongs to. Axes of several ops are in one group when they index the same
    dimension of a tensor, so they must share one index list; -1 where one member may not be permuted
    (which ``explain=true`` names).

    Requires: nothing. Preserves: everything but the attribute; running it again changes nothing.
    Does not do: choose an axis (``pith-select-tiles`` does). Cost: about 0.1 ms an op.
    """

    name: ClassVar[str] = "pith-infer-pit-axes"
    explain: bool = False
    composites: bool = False

    def run(self, module: ir.Module) -> None:
        found: dict[ir.Operation | ir.OpView, list[ir.Operation]] = {}

        def visit(op: ir.Operation) -> ir.WalkResult:
            verdict = pit_axes(op)
            if verdict is not None:
                found.setdefault(op.block.owner, []).append(op)
                op.attributes[ATTRIBUTE] = axes_attribute(verdict)
                if self.explain:
                    report(op, verdict)
            return ir.WalkResult.ADVANCE

        with module.context, ir.Location.unknown():
            module.operation.walk(visit, ir.WalkOrder.PRE_ORDER)
            for ops in found.values() if self.composites else ():
                self._group(pit_groups(ops))

    def _group(self, groups: tuple[PitGroup, ...]) -> None:
        """Note on every op which groups its axes belong to."""
        numbers: dict[ir.Operation, dict[int, int]] = {}
        legal = 0
        for group in groups:
            culprit = group.culprit
            for member in group.members:
                numbers.setdefault(member.op, {})[member.axis] = -1 if culprit else legal
                if self.explain and culprit and member.refusal is None:
                    _remark(
                        member.op,
                        f"axis {member.axis} is permutation-invariant alone, not with '{culprit.op.name}' at "
                        f"{_position(culprit.op.location)}: {culprit.refusal}",
                    )
            legal += culprit is None
        for op, by_axis in numbers.items():
            op.attributes[GROUPS] = ir.DenseI64ArrayAttr.get([by_axis[axis] for axis in sorted(by_axis)])


def axes_attribute(verdict: PitAxes) -> ir.ArrayAttr:
    """The verdict as an attribute of the current context."""
    return ir.ArrayAttr.get([_axis_attribute(axis) for axis in verdict.axes])


def axes_of(op: ir.Operation) -> tuple[PitAxis, ...]:
    """The permutation-invariant axes noted on ``op``; empty when the pass has not run on it."""
    if ATTRIBUTE not in op.attributes:
        return ()
    return tuple(_axis_from(ir.DictAttr(entry)) for entry in ir.ArrayAttr(op.attributes[ATTRIBUTE]))


def report(op: ir.Operation, verdict: PitAxes) -> None:
    """Print one remark per axis that may not be permuted, in the form of an MLIR diagnostic."""
    for refusal in verdict.refusals:
        _remark(op, f"axis {refusal.axis} ({refusal.kind}) is not permutation-invariant: {refusal.reason}")


def _remark(op: ir.Operation, text: str) -> None:
    print(f"{_position(op.location)}: remark: '{op.name}' {text}", file=sys.stderr)


def _position(location: ir.Location) -> str:
    if isinstance(location, ir.FileLineColLoc):
        return f"{location.filename}:{location.start_line}:{location.start_col}"
    return str(location)


def _axis_attribute(axis: PitAxis) -> ir.DictAttr:
    i64 = ir.IntegerType.get_signless(64)
    pairs = [ir.ArrayAttr.get([ir.IntegerAttr.get(i64, n) for n in pair]) for pair in axis.operands]
    entry: dict[str, ir.Attribute] = {
        "axis": ir.IntegerAttr.get(i64, axis.axis),
        "kind": ir.StringAttr.get(axis.kind),
        "operands": ir.ArrayAttr.get(pairs),
    }
    if axis.combiners:
        entry["combiners"] = ir.ArrayAttr.get([ir.StringAttr.get(name) for name in axis.combiners])
    return ir.DictAttr.get(entry)


def _axis_from(entry: ir.DictAttr) -> PitAxis:
    pairs = [[ir.IntegerAttr(n).value for n in ir.ArrayAttr(pair)] for pair in ir.ArrayAttr(entry["operands"])]
    combiners = ir.ArrayAttr(entry["combiners"]) if "combiners" in entry else ()
    return PitAxis(
        axis=ir.IntegerAttr(entry["axis"]).value,
        kind=ir.StringAttr(entry["kind"]).value,
        operands=tuple((operand, dim) for operand, dim in pairs),
        combiners=tuple(ir.StringAttr(name).value for name in combiners),
    )
