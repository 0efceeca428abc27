"""What ``pith.explain`` says of linear layers."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from ...formats.parse import format_name
from ...patterns import Pattern
from ...quantization import QuantizedTensor
from ...runtime.arrays import array_or_tensor
from ...sparse import SparseTensor
from ...tuning.problem import Problem
from ...tuning.report import candidates_of, explain_quantized, seconds_text, stored_text, verdict
from ...tuning.select import Candidate, choose, rank
from ..matmul.plan import rounded_columns
from .choice import dense_tile, is_few, rivals, whole_weight
from .ir import require_activation
from .linear import require_variant, result_shape_of, weight_of
from .ways import LIBRARY, OWN, STORED, Ways, require_floats, ways_for


def explain_linear(
    x: Any,
    a: Any,
    bias: Any = None,
    activation: str | None = None,
    residual: Any = None,
    *,
    where: Pattern | None = None,
    out: Any = None,
    variant: str = "auto",
) -> str:
    """What ``pith.linear`` with these arguments runs, and why; of ``x`` only the shape is looked at."""
    require_activation(activation, "pith.linear")
    require_variant(variant)
    x = array_or_tensor(x, "pith.explain: x")
    if isinstance(a, QuantizedTensor):
        return explain_quantized(a, math.prod(result_shape_of(x, a)[:-1]), x.dtype, variant=variant)
    a = weight_of(a)
    require_floats(a.values.dtype)
    rows = math.prod(result_shape_of(x, a)[:-1])
    name = str(a.hss or format_name(a.format))
    heading = f"{rows}x{a.shape[1]} through {stored_text(Problem.of(a, rows), name)}"
    if where is not None:
        read = f"{len(where.indices()[0])} of {rows} rows are read, multiplied and written where they lie"
        return f"{heading}\nruns the dense kernel on a list of rows: {read}"
    added = {"bias": bias, activation: activation, "residual": residual}
    fused = ", ".join(str(what) for what, given in added.items() if given is not None)
    epilogue = bias is not None, activation, residual is not None
    lines = [heading, *_candidates(a, rows, epilogue, variant)]
    return "\n".join([*lines, *([f"in the same kernel: {fused}"] if fused else [])])


def _candidates(a: SparseTensor, rows: int, epilogue: tuple[bool, str | None, bool], variant: str) -> list[str]:
    """The table, and what runs."""
    problem = Problem.of(a, rounded_columns(rows))
    if not rows or not a.shape[0] * a.shape[1]:
        return ["runs nothing: there is nothing to multiply"]
    if variant == "sparse" and not problem.is_plain:
        ranked, own = rank(problem, "sparse"), choose(problem, "sparse")
        said = f"runs {own.name}: what is stored is multiplied, as asked for"
        return [*candidates_of(problem, ranked, own), "", said]
    ways = ways_for(a, rows, *epilogue)
    found = _by_way(a, problem, ways.order)
    way = ways.turns.fastest if ways.turns and ways.turns.is_measured else ways.order[0]
    if variant == "sparse":
        way = STORED
    elif ways.turns and ways.turns.is_measured:
        found |= {way: _measured(found[way], seconds) for way, seconds in ways.turns.least.items()}
    others = rank(problem, "dense" if problem.is_plain else "sparse")
    known = {c.name for c in found.values()} | {choose(problem, "sparse").name}
    table = sorted([*found.values(), *(c for c in others if c.name not in known)], key=_order)
    return [*candidates_of(problem, table, found[way]), "", *_said(a, table, found, way, ways)]


def _order(candidate: Candidate) -> tuple[bool, float]:
    return not candidate.eligible, candidate.seconds


def _by_way(a: SparseTensor, problem: Problem, order: tuple[str, ...]) -> dict[str, Candidate]:
    """What is predicted of the ways that there are."""
    if not problem.is_plain:
        own, dense = rivals(problem)
        found = {STORED: own, OWN: dense}
    else:
        tile, own = dense_tile(a.values.dtype, problem.columns), choose(problem, "sparse")
        if is_few(a.values.dtype, problem.columns):
            own = dataclasses.replace(whole_weight(problem), name="few")
        found = {STORED: dataclasses.replace(own, name=tile or own.name)}
    if LIBRARY in order:
        found[LIBRARY] = choose(problem, LIBRARY)
    return found


def _measured(candidate: Candidate, seconds: float) -> Candidate:
    reason = f"measured by calls; predicted {seconds_text(candidate.seconds)}"
    return dataclasses.replace(candidate, seconds=seconds, measured=True, reason=reason)


def _said(a: SparseTensor, table: list[Candidate], found: dict[str, Candidate], way: str, ways: Ways) -> list[str]:
    """What runs, what else calls try, and what it keeps."""
    chosen, whole = found[way], a.format.is_dense
    unless = " where x is finite" if way is not STORED and not whole else ""
    if whole and way is STORED:
        reason = "every element is stored; activation and residual would take a library passes of their own"
        lines = [f"runs {chosen.name}: {reason}"]
    else:
        lines = [verdict(table, chosen) + unless]
    if ways.turns and not ways.turns.is_measured:
        names = ", ".join(found[w].name for w in ways.order)
        lines.append(f"the first {ways.turns.timed} calls time {names}; from then on the fastest runs")
    if way is not STORED and not whole:
        size = a.shape[0] * a.shape[1] * a.values.itemsize
        lines.append(f"keeps an unpacked copy: {size} bytes beside {a.nbytes} that are stored")
    return lines
