"""What ``pith.explain`` says of products of dynamic operands, and of marked ops in a program."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import Any

from pith._mlir import ir
from pith.passes.analysis.dynamic import dynamic_of
from pith.passes.analysis.pit_axes import pit_axes
from pith.passes.analysis.structured import Structured
from pith.passes.analysis.tile_cost import Decision
from pith.passes.select_tiles import ATTRIBUTE as DECISION
from pith.passes.select_tiles import BREAK_EVEN, decision_of

from ..runtime import dtype_name
from ..tuning.report import seconds_text
from .dynamic import prepare
from .dynamic_bound import bind, run
from .dynamic_choice import Choice, choose, named
from .dynamic_run import Product
from .marked import decide_marked, marked_ops

#: Candidates that are timed when asked for, rounds of each.
_TIMED, _ROUNDS = 4, 7


def explain_dynamic(a: Any, b: Any, variant: str = "auto", measure: bool = False) -> str:
    """The candidates of ``pith.matmul(a, b)`` where one is :class:`pith.compiler.dynamic.Dynamic`, and the choice.

    Columns: the share of micro-tiles the sample found empty, the share of the work that falls on zeros, the predicted
    time and its ratio to the chosen one's; with ``measure`` the time of the best few, run now.
    """
    product, _, granularity = prepare(a, b)
    choice = choose(product, granularity) if variant == "auto" else named(product, variant)
    times = _measured(product, choice) if measure else {}
    rows, columns, free = product.extents
    sparse, dense = f"{rows}x{columns} {dtype_name(product.x.dtype)}, dynamic ({_text(granularity)})", free
    heading = f"{sparse}, times {columns}x{dense}" if product.side == "left" else f"{dense}x{rows} times {sparse}"
    source = f"times from: {choice.table.describe()}" if choice.table is not None else "times from: nothing measured"
    lines = [heading, source, "", *candidates_table(choice.decision, times), ""]
    if choice.reason:
        return "\n".join([*lines, f"runs dense ({choice.dense_way}): {choice.reason}"])
    ran = run(product, choice, product.result(), bind(product, choice))
    chosen = choice.decision.chosen
    way = f" ({chosen.way})" if chosen.way else ""
    if ran != chosen.name:
        return "\n".join(
            [*lines, f"runs {ran} ({choice.dense_way}): there are more micro-tiles of {chosen.name} than in the sample"]
        )
    return "\n".join([*lines, f"runs {chosen.name}{way}{rival_text(choice.decision)}"])


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
    where = "; ".join(f"operand {m.operand} in {_text(m.granularity)} above {m.threshold:g}" for m in marks)
    fields = ir.DictAttr(op.attributes[DECISION])
    rule = _rule(decision.chosen.name, ir.FloatAttr(fields[BREAK_EVEN]).value if BREAK_EVEN in fields else 1.0)
    table = "\n".join(f"    {line}" for line in candidates_table(decision, {}))
    return f"'{op.name}' at {op.location}: {where}\n    may be permuted: {axes}{refused}\n{table}\n    {rule}"


def _rule(chosen: str, limit: float) -> str:
    """What is run; a break-even share of 1 leaves no dense rival."""
    if chosen == "dense":
        return "runs dense"
    if limit >= 1.0:
        return f"always packs {chosen}: no dense rival"
    return f"counts {chosen}; packs up to {limit:.1%} of the micro-tiles, else dense"


def _measured(product: Product, choice: Choice) -> dict[str, float]:
    """Median seconds of the best candidates and dense, detection included, taking turns."""
    from ..tuning.calibrate import time_calls

    out = product.result()
    best = [c for c in choice.decision.candidates if c.name != "dense"][:_TIMED]
    forced = {c.name: named(product, f"{c.name} {c.way}" if c.way == "in place" else c.name) for c in best}
    forced["dense"] = named(product, "dense")
    calls = {name: functools.partial(run, product, way, out, bind(product, way)) for name, way in forced.items()}
    return time_calls(calls, _ROUNDS, time.perf_counter)


def candidates_table(decision: Decision, times: Mapping[str, float]) -> list[str]:
    """A line per candidate; ``times``: what was measured, by name."""
    rows = [["", "candidate", "covered", "wasted", "predicted", "x", *(["measured"] if times else [])]]
    best = decision.chosen.cost
    for number, c in enumerate(decision.candidates):
        row = ["*" if number == 0 else "", c.name, f"{c.covered:.1%}", "-" if c.wasted is None else f"{c.wasted:.1%}"]
        row += [seconds_text(c.cost), f"{c.cost / best:.2f}" if best else "-"]
        rows.append([*row, seconds_text(times[c.name]) if c.name in times else "-"] if times else row)
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return ["  ".join(f"{v:<{w}}" if i < 2 else f"{v:>{w}}" for i, (v, w) in enumerate(zip(r, widths))) for r in rows]


def rival_text(decision: Decision) -> str:
    """What was chosen against the best of the other kind, dense or not."""
    chosen = decision.chosen
    rivals = [c for c in decision.candidates if (c.name == "dense") != (chosen.name == "dense")]
    if not rivals or not chosen.cost:
        return ""
    ratio = rivals[0].cost / chosen.cost
    if ratio < 1:
        return f": {rivals[0].name} is predicted to gain {1 / ratio - 1:.1%}, less than predictions are off by"
    return f": predicted {ratio:.2f}x as fast as {rivals[0].name}"


def _text(granularity: Any) -> str:
    return granularity if isinstance(granularity, str) else "x".join(str(g) if g else "*" for g in granularity)
