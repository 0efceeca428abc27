"""Ops marked ``pith.dynamic`` in programs that are compiled here: decided by this machine's tile database."""

from __future__ import annotations

from pith._mlir import ir
from pith.dialect import shape_of
from pith.formats import DYNAMIC
from pith.passes.analysis.dynamic import ATTRIBUTE, Dynamic, dynamic_of
from pith.passes.analysis.pit_axes import pit_axes
from pith.passes.analysis.structured import Structured
from pith.passes.analysis.tile_cost import LatencyTable
from pith.passes.analysis.traversal import ops_where
from pith.passes.infer_pit_axes import ATTRIBUTE as AXES
from pith.passes.infer_pit_axes import axes_attribute
from pith.passes.select_tiles import ATTRIBUTE as DECISION
from pith.passes.select_tiles import BREAK_EVEN, EXPECTED, SPARSITY, SelectTilesPass, decision_of

from ..runtime import num_threads
from ..tuning.candidates import candidates_table, granularity_text
from ..tuning.tiles import table_for

#: A dynamic size counts as so much, as for ``pith-select-tiles``.
_ASSUMED = SelectTilesPass.dynamic_size


def marked_ops(module: ir.Module) -> list[ir.Operation]:
    """The ops of a module that are marked, in program order."""
    return ops_where(module.operation, lambda op: ATTRIBUTE in op.attributes)


def decide_marked(module: ir.Module) -> None:
    """Note axes and decision on every marked op that has none; products of f32 and f64 by measured times.

    What is written is what ``pith-infer-pit-axes`` and ``pith-select-tiles`` write; a program that comes with
    decisions keeps them.
    Errors: :class:`pith.PassError` for marks that cannot be followed.
    """
    with module.context, ir.Location.unknown():
        for op in marked_ops(module):
            verdict, structured = pit_axes(op), Structured.of(op)
            if verdict is None or structured is None or DECISION in op.attributes:
                continue
            op.attributes[AXES] = axes_attribute(verdict)
            first, *_ = dynamic_of(op, structured)
            SelectTilesPass().select(op, _measured(op, first))


def _measured(op: ir.Operation, mark: Dynamic) -> LatencyTable | None:
    """Measured times of the nearest product, for a plain product of matrices."""
    if op.name != "linalg.matmul":
        return None
    a, b = (shape_of(v.type) for v in list(op.operands)[:2])
    side, x, free = ("left", a, b[1]) if mark.operand == 0 else ("right", b, a[0])
    found = table_for(str(op.operands[0].type.element_type), side, num_threads())
    sizes = [_ASSUMED if n == DYNAMIC else n for n in (*x, free)]
    return None if found is None else found.nearest(sizes).table


def explain_marked(module: ir.Module) -> list[str]:
    """Per op marked ``pith.dynamic``: what may be permuted, the candidates, and up to what count tiles are run.

    The module's ops get the attributes of ``pith-infer-pit-axes`` and ``pith-select-tiles``.
    """
    decide_marked(module)
    with module.context, ir.Location.unknown():
        return [_marked(op) for op in marked_ops(module)]


def _marked(op: ir.Operation) -> str:
    verdict, structured = pit_axes(op), Structured.of(op)
    if verdict is None or structured is None:
        return f"'{op.name}' is no structured op: its mark is not followed"
    marks = dynamic_of(op, structured)
    decision = decision_of(op)
    if decision is None:
        return f"'{op.name}': nothing can be told of its extents, it runs dense"
    axes = ", ".join(f"d{a.axis} ({a.kind})" for a in verdict.axes)
    refused = "".join(f"\n    d{r.axis} may not be permuted: {r.reason}" for r in verdict.refusals)
    where = "; ".join(f"operand {m.operand} in {granularity_text(m.granularity)} above {m.threshold:g}" for m in marks)
    fields = ir.DictAttr(op.attributes[DECISION])
    rule = _rule(decision.chosen.name, ir.FloatAttr(fields[BREAK_EVEN]).value if BREAK_EVEN in fields else 1.0)
    table = "\n".join(f"    {line}" for line in candidates_table(decision, {}))
    known = (
        ""
        if SPARSITY in op.attributes
        else f"\n    assumed, until a call counts: {EXPECTED:.0%} of the micro-tiles are empty"
    )
    return f"'{op.name}' at {op.location}: {where}\n    may be permuted: {axes}{refused}{known}\n{table}\n    {rule}"


def _rule(chosen: str, limit: float) -> str:
    """What is run; a break-even share of 1 leaves no dense rival."""
    if chosen == "dense":
        return "runs dense"
    if limit >= 1.0:
        return f"always packs {chosen}: no dense rival"
    return f"counts {chosen}; packs up to {limit:.1%} of the micro-tiles, else dense"
