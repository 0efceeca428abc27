"""What ``pith.explain`` says of products of dynamic operands."""

from __future__ import annotations

import functools
import time
from typing import Any

from ...runtime import dtype_name
from ...tuning.candidates import candidates_table, granularity_text, rival_text
from .bound import bind, run
from .choice import Choice, choose, named
from .dynamic import Dynamic, prepare
from .memory import key_of, last_of
from .run import Product
from .trial import Trials

#: Candidates that are timed when asked for, rounds of each.
_TIMED, _ROUNDS = 4, 7


def explain_dynamic(a: Any, b: Any, variant: str = "auto", measure: bool = False) -> str:
    """The candidates of ``pith.matmul(a, b)`` where one is marked with :func:`pith.dynamic`, and the choice.

    Columns: the share of micro-tiles the sample found empty, the share of the work that falls on zeros, the predicted
    time and its ratio to the chosen one's; with ``measure`` the time of the best few, run now. Then what products of
    these operands have measured.
    """
    product, _, granularity = prepare(a, b)
    choice = choose(product, granularity) if variant == "auto" else named(product, variant)
    times = _measured(product, choice) if measure else {}
    rows, columns, free = product.extents
    sparse, dense = f"{rows}x{columns} {dtype_name(product.x.dtype)}, dynamic ({granularity_text(granularity)})", free
    heading = f"{sparse}, times {columns}x{dense}" if product.side == "left" else f"{dense}x{rows} times {sparse}"
    source = f"times from: {choice.table.describe()}" if choice.table is not None else "times from: nothing measured"
    trials = _trials(a, b) if variant == "auto" else Trials()
    lines = [heading, source, "", *candidates_table(choice.decision, times), "", *_tried(trials, choice)]
    if choice.reason:
        return "\n".join([*lines, f"runs dense ({choice.dense_way}): {choice.reason}"])
    chosen = choice.decision.chosen
    if not trials.allow(choice):
        return "\n".join([*lines, f"runs dense ({choice.dense_way}): {chosen.name} was measured to be slower"])
    ran = run(product, choice, product.result(), bind(product, choice))
    way = f" ({chosen.way})" if chosen.way else ""
    if ran != chosen.name:
        return "\n".join(
            [*lines, f"runs {ran} ({choice.dense_way}): there are more micro-tiles of {chosen.name} than in the sample"]
        )
    return "\n".join([*lines, f"runs {chosen.name}{way}{rival_text(choice.decision)}"])


def _trials(a: Any, b: Any) -> Trials:
    """What products of these operands, or of others like the marked one, have measured."""
    left = isinstance(a, Dynamic)
    x, y = (a.value, b) if left else (a, b.value)
    last = last_of(key_of(a if left else b, x, y, left))
    return Trials() if last is None else last.trials


def _tried(trials: Trials, choice: Choice) -> list[str]:
    """A line per candidate that calls compared with dense."""
    costs = {c.name: c.cost for c in choice.decision.candidates}
    gains = {name: (costs["dense"] / costs[name], found) for name, found in trials.corrections.items() if name in costs}
    return [
        f"calls on these operands: {name} predicted {gain:.2f}x as fast as dense, measured {gain * found:.2f}x"
        for name, (gain, found) in gains.items()
    ]


def _measured(product: Product, choice: Choice) -> dict[str, float]:
    """Median seconds of the best candidates and dense, detection included, taking turns."""
    from ...tuning.calibrate import time_calls

    out = product.result()
    best = [c for c in choice.decision.candidates if c.name != "dense"][:_TIMED]
    forced = {c.name: named(product, f"{c.name} {c.way}" if c.way == "in place" else c.name) for c in best}
    forced["dense"] = named(product, "dense")
    calls = {name: functools.partial(run, product, way, out, bind(product, way)) for name, way in forced.items()}
    return time_calls(calls, _ROUNDS, time.perf_counter)
