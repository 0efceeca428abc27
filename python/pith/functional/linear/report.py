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
from ...tuning.report import candidates_of, explain_quantized, stored_text, verdict
from ...tuning.select import Candidate, choose, rank
from ..matmul.plan import rounded_columns
from .choice import choice_for, dense_tile, is_few, rivals, whole_weight
from .ir import require_activation
from .linear import require_floats, require_variant, result_shape_of, weight_of


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
        return explain_quantized(a, math.prod(result_shape_of(x, a)[:-1]), x.dtype)
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
    return "\n".join(
        [heading, *_candidates(a, rounded_columns(rows), variant), *([f"in the same kernel: {fused}"] if fused else [])]
    )


def _candidates(a: SparseTensor, rows: int, variant: str) -> list[str]:
    """The table, and what runs."""
    problem = Problem.of(a, rows)
    if not rows or not a.shape[0] * a.shape[1]:
        return ["runs nothing: there is nothing to multiply"]
    if problem.is_plain:
        return _dense(a, problem)
    ranked, (own, dense) = rank(problem, "sparse"), rivals(problem)
    if variant == "sparse":
        return [
            *candidates_of(problem, ranked, own),
            "",
            f"runs {own.name}: what is stored is multiplied, as asked for",
        ]
    chosen = dense if choice_for(a, rows).dense else own
    table = sorted([*ranked, dense], key=lambda c: (not c.eligible, c.seconds))
    unless = " where x is finite" if chosen is dense else ""
    return [*candidates_of(problem, table, chosen), "", verdict(table, chosen) + unless]


def _dense(a: SparseTensor, problem: Problem) -> list[str]:
    """Of a weight that stores every element, pith's kernel beside the library's product."""
    tile = dense_tile(a.values.dtype, problem.columns)
    own = choose(problem, "sparse")
    if is_few(a.values.dtype, problem.columns):
        own = dataclasses.replace(whole_weight(problem), name="few")
    own = dataclasses.replace(own, name=tile or own.name)
    others: list[Candidate] = rank(problem, "dense")
    table = sorted([own, *others], key=lambda c: c.seconds)
    reason = "every element is stored; bias, activation and residual would take a library passes of their own"
    return [*candidates_of(problem, table, own), "", f"runs {own.name}: {reason}"]
