"""``pith-select-tiles``: choose axis, micro-tile and dense tile of every op, or keep it dense."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from pith._mlir import ir
from pith.dialect import shape_of
from pith.errors import Error

from .analysis.cost_model import CostModel, break_even, cost_model
from .analysis.dynamic import Dynamic, dynamic_of
from .analysis.structured import Structured, dim_positions
from .analysis.tile_cost import Candidate, Decision, LatencyTable, decide
from .analysis.tile_tables import Times, decide_by_table, rows_for
from .analysis.traversal import ops_where
from .analysis.workload import Workload
from .core import Pass, pass_error
from .infer_pit_axes import axes_of

#: The decision on an op: a dictionary (see :class:`SelectTilesPass`).
ATTRIBUTE = "pith.tile_decision"
#: In a decision: the share of listed micro-tiles above which dense is faster.
BREAK_EVEN = "break_even"
#: On an op, instead of the pass's option: the share of its first input's elements that are zero.
SPARSITY = "pith.sparsity"
#: What is expected of an operand marked ``pith.dynamic`` when nothing else is said: the decision at run time is
#: by count, this one only picks which micro-tile to count.
EXPECTED = 0.9


@dataclasses.dataclass(frozen=True)
class SelectTilesPass(Pass):
    """Choose by predicted cost which axis of an op to pack, with which tiles, or to stay dense.

    Before: an op with ``pith.pit_axes``. After: the same op with ``pith.tile_decision = {choice = "d2:4x1",
    sparsity = 0.99, candidates = [{name = "d2:4x1", axis = 2, micro_tile = array<i64: 4, 1>,
    tile = array<i64: 4, 64, 32>, cost_ns = 214898, covered = 0.96}, ..., {name = "dense", ...}]}``: all that
    competed, cheapest (the choice) first, each with its predicted nanoseconds and the share of
    micro-tiles it expects to skip. Dense is always among them.

    Options: ``target`` (cpu, or a chip such as sm_90); ``sparsity``, the expected share of zeros in the first
    input, in blocks of ``block`` elements (single ones where the input has another rank). A
    ``pith.sparsity`` attribute on an op overrides it; without either nothing is known and dense wins.
    ``pith.dynamic`` on an op names the operand and its granularity, along which alone it is packed then; the
    decision gets ``break_even``, the share of listed micro-tiles up to which it is predicted to beat dense.
    ``table`` is a file of measurements that, scaled to the op's size, replace the model: as of
    :meth:`LatencyTable.load`, or a tile database. Of GPUs that were measured the database that comes with pith is
    used by itself; of others the model counts bytes, flops and the blocks that a multiprocessor holds, and
    candidates get a ``note`` that says so.

    Requires: ``pith-infer-pit-axes``. Preserves: everything but the attribute. Does not do: rewrite
    the op, nor touch ops with encoded operands: their format decides.
    Dynamic sizes are costed as ``dynamic-size`` elements. Cost: about 0.5 ms an op.
    """

    name: ClassVar[str] = "pith-select-tiles"
    target: str = "cpu"
    sparsity: float = -1.0
    block: tuple[int, ...] = ()
    table: str = ""
    dynamic_size: int = 512

    def run(self, module: ir.Module) -> None:
        model, times = self._costs(module.operation)

        with module.context, ir.Location.unknown():
            for op in ops_where(module.operation, lambda op: True):  # no walk: what it calls cannot raise a PassError
                self._select(op, model, times)

    def select(self, op: ir.Operation, table: LatencyTable | None = None) -> None:
        """Note the decision for one op, by measured times where ``table`` is given."""
        model, times = self._costs(op)
        self._select(op, model, Times(table) if table else times)

    @property
    def _modelled(self) -> str:
        """The target whose costs count: an emulated GPU's are those of the GPU."""
        return self.target.removeprefix("emulate:")

    def _costs(self, at: ir.OpView | ir.Operation) -> tuple[CostModel, Times]:
        try:
            return cost_model(self._modelled), Times.load(self.table) if self.table else Times.shipped(self._modelled)
        except Error as error:
            pass_error(at, f"cannot select tiles: {error.message}", error.hint)

    def _select(self, op: ir.Operation, model: CostModel, times: Times) -> None:
        axes = axes_of(op)
        if not axes or _encoded(op):
            return
        structured = Structured.of(op)
        marked = dynamic_of(op, structured) if structured is not None else ()
        sparsity = self._sparsity_of(op)
        sparsity = EXPECTED if marked and sparsity < 0 else sparsity
        work = workload_of(op, max(sparsity, 0.0), self.block, self.dynamic_size, marked[0] if marked else None)
        if work is None:
            return
        along = marked[0].axes.values() if marked else work.operands[work.sparse_operand]
        packable = [a.axis for a in axes if a.axis in along] if sparsity > 0 else []
        table = times.table(work, self._modelled)
        if table is not None and rows_for(table, work):
            decision = decide_by_table(table, work, packable)
        else:
            table = None
            packed = [model.packed(work, a, t) for a in packable for t in model.tiles(work, a)]
            decision = decide([model.dense(work), *(c for c in packed if math.isfinite(c.cost))])
        limit = _break_even(decision.chosen, work, model, table) if marked else None
        op.attributes[ATTRIBUTE] = decision_attribute(decision, sparsity, limit)

    def _sparsity_of(self, op: ir.Operation) -> float:
        value = self.sparsity
        if SPARSITY in op.attributes:
            attr = op.attributes[SPARSITY]
            if not isinstance(attr, ir.FloatAttr):
                pass_error(op, f"expects {SPARSITY} to be a float, got {attr}")
            value = attr.value
            if not 0.0 <= value <= 1.0:
                pass_error(op, f"expects {SPARSITY} between 0 and 1, got {value}")
        elif value > 1.0:
            pass_error(op, f"expects the option sparsity between 0 and 1, got {value}")
        return value


def _break_even(chosen: Candidate, work: Workload, model: CostModel, table: LatencyTable | None) -> float | None:
    if chosen.axis is None:
        return None
    return break_even(work, model, chosen) if table is None else table.break_even(chosen.micro_tile)


def workload_of(
    op: ir.Operation, sparsity: float, block: tuple[int, ...], dynamic_size: int, marked: Dynamic | None = None
) -> Workload | None:
    """The op as the cost model sees it; None when an operand is no tensor or an extent cannot be told."""
    sparse_operand = marked.operand if marked else 0
    structured = Structured.of(op)
    if structured is None or not structured.inputs:
        return None
    types = [v.type for v in op.operands]
    if not all(isinstance(t, ir.RankedTensorType) for t in types) or not types[0].rank:
        return None
    operands = tuple(map(dim_positions, structured.maps))
    extents: dict[int, int] = {}
    for type_, dims in zip(types, operands):
        for size, d in zip(shape_of(type_), dims):
            if d is not None and extents.get(d, -1) < 0:
                extents[d] = size
    if len(extents) != len(structured.iterators):
        return None
    rank = types[sparse_operand].rank
    return Workload(
        extents=tuple(n if n >= 0 else dynamic_size for _, n in sorted(extents.items())),
        operands=operands,
        element_bytes=tuple(_bytes(t.element_type) for t in types),
        sparse_operand=sparse_operand,
        sparsity=sparsity,
        block=marked.granularity if marked else block if len(block) == rank else (1,) * rank,
        flops=max(sum(1 for o in structured.body.operations if o.operation.name != "linalg.yield"), 1),
    )


def decision_attribute(decision: Decision, sparsity: float, limit: float | None = None) -> ir.DictAttr:
    """The decision as an attribute of the current context; costs in nanoseconds, ``limit`` the break-even share."""
    entry: dict[str, ir.Attribute] = {"choice": ir.StringAttr.get(decision.chosen.name)}
    if limit is not None:
        entry[BREAK_EVEN] = _f64(round(limit, 4))
    if sparsity >= 0:
        entry["sparsity"] = _f64(sparsity)
    entry["candidates"] = ir.ArrayAttr.get([ir.DictAttr.get(_candidate_attribute(c)) for c in decision.candidates])
    return ir.DictAttr.get(entry)


def decision_of(op: ir.Operation) -> Decision | None:
    """The decision noted on ``op`` (its ``explain()`` says why), None when there is none."""
    if ATTRIBUTE not in op.attributes:
        return None
    entries = ir.ArrayAttr(ir.DictAttr(op.attributes[ATTRIBUTE])["candidates"])
    return Decision(tuple(_candidate_from(ir.DictAttr(e)) for e in entries))


def _candidate_attribute(candidate: Candidate) -> dict[str, ir.Attribute]:
    entry: dict[str, ir.Attribute] = {
        "name": ir.StringAttr.get(candidate.name),
        "cost_ns": _i64(round(candidate.cost * 1e9)),
        "covered": _f64(round(candidate.covered, 6)),
    }
    if candidate.note:
        entry["note"] = ir.StringAttr.get(candidate.note)
    if candidate.axis is not None:
        entry["axis"] = _i64(candidate.axis)
        entry["micro_tile"] = ir.DenseI64ArrayAttr.get(list(candidate.micro_tile))
        entry["tile"] = ir.DenseI64ArrayAttr.get(list(candidate.tile))
    return entry


def _candidate_from(entry: ir.DictAttr) -> Candidate:
    packed = "axis" in entry
    return Candidate(
        name=ir.StringAttr(entry["name"]).value,
        cost=ir.IntegerAttr(entry["cost_ns"]).value * 1e-9,
        covered=ir.FloatAttr(entry["covered"]).value,
        axis=ir.IntegerAttr(entry["axis"]).value if packed else None,
        micro_tile=tuple(ir.DenseI64ArrayAttr(entry["micro_tile"])) if packed else (),
        tile=tuple(ir.DenseI64ArrayAttr(entry["tile"])) if packed else (),
        note=ir.StringAttr(entry["note"]).value if "note" in entry else "",
    )


def _encoded(op: ir.Operation) -> bool:
    return any(isinstance(v.type, ir.RankedTensorType) and v.type.encoding is not None for v in op.operands)


def _bytes(element: ir.Type) -> int:
    width = getattr(element, "width", 64)
    return max(width // 8, 1)


def _i64(value: int) -> ir.IntegerAttr:
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(64), value)


def _f64(value: float) -> ir.FloatAttr:
    return ir.FloatAttr.get(ir.F64Type.get(), value)
