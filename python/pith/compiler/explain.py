"""``Kernel.explain()``: what each op on sparse data became, and why."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pith._mlir import ir
from pith.lowering.cpu import run_stage, stages
from pith.lowering.isa import HOST, parse_isa
from pith.lowering.plan import OpPlan, plan_module
from pith.passes.analysis.traversal import ops_named

from ..formats import DYNAMIC, buffer_specs
from ..named_formats import short_name
from ..sparse import SparseTensor
from .build import function_of, only_entry, parameters_of, parse
from .marked import explain_marked
from .params import Param
from .widening import widening_text

Said = TypeVar("Said")

#: Numbers of columns that predictions are shown for where a program takes any.
SAMPLE_COLUMNS = (1, 32, 512)

#: Where an op stands in a program that is no file.
_TEXT_LINE = re.compile(r'loc\("-":(\d+):\d+\)')

#: A line of a model's source in a location; the innermost call comes first.
_MODEL_LINE = re.compile(r'"([^"]+\.py)":(\d+)')


def explain_source(
    source: str,
    path: str,
    isa: str = HOST,
    *,
    file: str | None = None,
    entry: str | None = None,
    names: Mapping[int, str] | None = None,
    bound: Mapping[int, Sequence[Any]] | None = None,
) -> str:
    """The ops of a program that read encoded tensors, those whose operands are marked ``pith.dynamic``, and how many
    compute what patterns name.

    Args:
        file: what holds the source, where it is a file.
        entry: the function, where there are several public ones.
        names: of its arguments by position, where they have better ones than the text's.
        bound: native arguments of those parameters whose values are known, by position.
    """
    module = parse(source, isa, file)
    params = _parameters(module, source, entry)
    named = _by_first_buffer(params, names or dict(enumerate(p.name for p in params)))
    stored = _by_first_buffer(params, _stored(params, bound or {}))
    marked = [*explain_marked(module), *_listed(module)]
    linalg = stages("auto")[0]
    with module.context, ir.Location.unknown():
        run_stage(module, linalg)
        plans = plan_module(module, path)
    if not plans and not marked:
        return "no op reads a sparse tensor: everything runs dense"
    texts = (widening_text(element, parse_isa(isa)) for element in sorted({plan.dtype for plan in plans}))
    described = (_describe(number, plan, named, stored) for number, plan in enumerate(plans))
    return "\n".join([*marked, *described, *filter(None, texts)])


def _listed(module: ir.Module) -> list[str]:
    """How much of a program computes only what patterns name: no dense rival is predicted of that."""
    ops, found = (len(ops_named(module.operation, f"pith.{name}")) for name in ("pit_tile", "detect"))
    text = (
        f"computed only where patterns say (pith.pit_tile): {ops}; patterns found in every call (pith.detect): {found}"
    )
    return [text] if ops else []


def _parameters(module: ir.Module, source: str, entry: str | None) -> list[Param]:
    with module.context:
        return parameters_of(function_of(module, entry or only_entry(module)), source)


def _stored(params: Sequence[Param], bound: Mapping[int, Sequence[Any]]) -> dict[int, SparseTensor]:
    """Sparse parameters whose values are known, by position."""
    out = {}
    for i, native in bound.items():
        if (fmt := params[i].format) is not None:
            buffers = tuple(native[: len(buffer_specs(fmt)) + 1])
            out[i] = SparseTensor(params[i].shape_of(native), fmt, buffers)
    return out


def _by_first_buffer(params: Sequence[Param], said: Mapping[int, Said]) -> dict[int, Said]:
    """What is said of arguments by the number of their first buffer, which :attr:`OpPlan.argument` is."""
    ends = itertools.accumulate(p.native_count for p in params)
    return {end - p.native_count: said[i] for i, (p, end) in enumerate(zip(params, ends)) if i in said}


def _describe(number: int, plan: OpPlan, named: Mapping[int, str], stored: Mapping[int, SparseTensor]) -> str:
    tensor = None if plan.argument is None else stored.get(plan.argument)
    shape = "x".join("?" if s == DYNAMIC else str(s) for s in plan.shape)
    bound = f"at most {plan.format.density:.1%} of the elements" if plan.format.density < 1 else "set at run time"
    if tensor is not None and not plan.format.is_static:
        bound = f"{tensor.nse / max(1, math.prod(tensor.shape)):.1%} of the elements are stored"
    bound = "100%: all elements are stored" if plan.format.is_dense else bound
    fused = f"    fused: {', '.join(plan.fused)}\n" if plan.fused else ""
    known = named.get(plan.argument) if plan.argument is not None else None
    name = f" {known}:" if known else ""
    return (
        f"[{number}] {plan.choice}: {plan.reason}\n{fused}"
        f"    operand{name} {shape}x{plan.integers or plan.dtype} stored as {short_name(plan.format)}\n"
        f"    density {bound}; from {_line(plan.location)}{_predicted(plan, tensor)}"
    )


def _line(location: str) -> str:
    """Where an op comes from: a line of the model's source, where that is known.

    >>> _line('loc(callsite("model.py":7:0 at "run.py":3:0))'), _line('loc("-":5:10)')
    ('model.py:7', "line 5 of ir('pith')")
    """
    found = _MODEL_LINE.search(location)
    return f"{found[1]}:{found[2]}" if found else _TEXT_LINE.sub(r"line \1 of ir('pith')", location)


def _predicted(plan: OpPlan, tensor: SparseTensor | None) -> str:
    """Predicted (of tuned ones measured) times of a product beside the dense one's, where what they depend on is known
    now; none are fitted for integers that stand for real values."""
    if plan.integers or plan.columns is None or DYNAMIC in plan.shape:
        return ""
    tensor = tensor if tensor is not None and tensor.shape == plan.shape else None
    if tensor is None and not plan.format.is_static:
        return ""
    counts = SAMPLE_COLUMNS if plan.columns == DYNAMIC else (plan.columns,)
    return "".join(f"\n    {_compared(plan, tensor, columns)}" for columns in counts)


def _compared(plan: OpPlan, tensor: SparseTensor | None, columns: int) -> str:
    from ..tuning.problem import Problem
    from ..tuning.report import seconds_text
    from ..tuning.select import DENSE_GAIN, rank
    from ..tuning.variants import OWN

    side = "left" if plan.row_dim == 0 else "right"
    if tensor is not None:
        problem = Problem.of(tensor, columns, side=side)
    else:
        rows, inner = plan.shape
        problem = Problem.of_format(plan.format, (rows, inner), columns, plan.dtype, side=side)
    problem = dataclasses.replace(problem, windows=plan.windows)
    best, rival = rank(problem, "sparse")[0], rank(problem, OWN)[0]
    own, dense = best.seconds, rival.seconds
    how = "measured" if best.measured and rival.measured else "predicted"
    line = f"{how} at N = {columns}: {seconds_text(own)}, dense {seconds_text(dense)}: "
    if own > dense * DENSE_GAIN:
        return f"{line}stored dense this op would be {own / dense:.2f}x as fast"
    return f"{line}{dense / own:.2f}x as fast as dense"
