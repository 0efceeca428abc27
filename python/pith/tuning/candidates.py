"""Decisions between kinds of micro-tiles and dense, as text: the candidates, and how far ahead the chosen one is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pith.passes.analysis.tile_cost import Decision

from .report import seconds_text


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


def granularity_text(granularity: Any) -> str:
    """
    >>> granularity_text((1, 0)), granularity_text("auto")
    ('1x*', 'auto')
    """
    return granularity if isinstance(granularity, str) else "x".join(str(g) if g else "*" for g in granularity)
