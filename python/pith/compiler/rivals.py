"""Weights of a program that are predicted to be faster dense: honest selection for whole modules."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from pith._mlir import ir
from pith.dialect.structure import entries_of
from pith.lowering.cpu import run_stage, stages
from pith.lowering.isa import parse_isa
from pith.lowering.panel.strips import in_strips
from pith.lowering.panel.variant import Roles, default_variant
from pith.lowering.plan import OpPlan, plan_module
from pith.lowering.sparse.levels import DENSITY_ATTRIBUTE

from ..formats import DYNAMIC
from ..sparse import SparseTensor
from ..tuning.measured import measured_times
from ..tuning.problem import Problem
from ..tuning.report import seconds_text
from ..tuning.select import DENSE_GAIN, rank
from ..tuning.tune import tune_problem
from ..tuning.variants import OWN, PANEL_ELEMENTS
from .build import parameters_of, parse_for_cpu
from .weights import packed, stored_values

#: Numbers of columns at all of which dense has to win where a program takes any.
TYPICAL_COLUMNS = (32, 512)


@dataclasses.dataclass(frozen=True)
class Settled:
    """A program whose weights are stored as its kernel reads them.

    Attributes:
        program: the :class:`pith.torch.ImportedProgram`.
        values: its parameters as stored, by position.
        notes: what was decided against the declared formats, for ``explain()``.
    """

    program: Any
    values: dict[int, Any]
    notes: tuple[str, ...] = ()


def settle(program: Any, isa: str, competing: bool, tuned: bool = False) -> Settled:
    """Pack the parameters of a program, and keep those dense that are predicted to be faster so.

    Args:
        competing: False packs all of them as declared.
        tuned: their products are timed (:func:`pith.tune`) before that is told.

    Semantics: the types of the program's module change with the decisions.
    Errors: :class:`pith.FormatError` for a parameter that does not obey its format.
    """
    values = stored_values(program.parameters)
    stored = {at: value for at, value in values.items() if isinstance(value, SparseTensor)}
    compared = dense_rivals(program.module, stored, isa, tuned) if competing and stored else []
    rivals = {r.position: r for r in compared}
    declare_densities(program.module, {at: t for at, t in stored.items() if at not in rivals})
    if not rivals:
        return Settled(program, values)
    keep_dense(program.module, list(rivals))
    parameters, notes = [], []
    for p in program.parameters:
        if p.position in rivals:
            notes.append(f"{p.name}: kept dense, predicted to take {rivals[p.position].reason}")
            p = dataclasses.replace(p, format=None)
            values[p.position] = packed(p.tensor, None, p.name)
        parameters.append(p)
    return Settled(dataclasses.replace(program, parameters=tuple(parameters)), values, tuple(notes))


@dataclasses.dataclass(frozen=True)
class Rival:
    """A parameter whose products are predicted to be faster dense.

    Attributes:
        position: of the function's argument.
        reason: the predictions, as ``explain()`` shows them.
    """

    position: int
    reason: str


def dense_rivals(module: ir.Module, stored: dict[int, SparseTensor], isa: str, tuned: bool = False) -> list[Rival]:
    """The arguments of a program's function that are better kept dense, in order.

    Args:
        module: at the pith level; it is not changed.
        stored: position of an encoded argument -> its value. Arguments that are not in it stay encoded.
        tuned: time the products before they are compared.

    Semantics: an argument is named when every op that reads it is a product of the panel template, and the
        dense product is predicted to be faster by :data:`DENSE_GAIN`, for any number of columns if it is dynamic.
    """
    copy = parse_for_cpu(str(module), isa)
    params = parameters_of(_function(copy))
    with copy.context, ir.Location.unknown():
        run_stage(copy, stages("auto")[0])
        plans = plan_module(copy, "auto")
    first, found = 0, []
    for position, param in enumerate(params):
        own = range(first, first + param.native_count)
        first += param.native_count
        readers = [plan for plan in plans if plan.argument in own]
        if position in stored and readers and all(p.choice == "panel" for p in readers):
            if tuned:
                for plan in readers:
                    _tune(plan, stored[position])
            reasons = [_comparison(plan, stored[position]) for plan in readers]
            if None not in reasons:
                found.append(Rival(position, "; ".join(r for r in reasons if r)))
    return found


def declare_densities(module: ir.Module, stored: dict[int, SparseTensor]) -> None:
    """Say of arguments of the function what share of their elements is stored, where their formats do not.

    Kernels choose strips by it: of CSR with half of its elements stored, 256 rows through 768x3072 and 3072x768 take
    19.7 ms instead of 31.9 (one thread of Emerald Rapids, 2026-11-23). Shares are rounded down to sixteenths: weights
    that differ little share a kernel.
    """
    shares = {
        at: math.floor(16 * t.nse / max(1, math.prod(t.shape))) / 16
        for at, t in stored.items()
        if not t.format.is_static
    }
    function = _function(module)
    with module.context, ir.Location.unknown():
        nothing = [ir.DictAttr.get({})] * len(function.regions[0].blocks[0].arguments)
        said = function.attributes["arg_attrs"] if "arg_attrs" in function.attributes else nothing
        attributes = [entries_of(d) for d in said]
        for at, share in shares.items():
            if share:
                attributes[at][DENSITY_ATTRIBUTE] = ir.FloatAttr.get(ir.F32Type.get(), share)
        function.attributes["arg_attrs"] = ir.ArrayAttr.get([ir.DictAttr.get(a) for a in attributes])


def keep_dense(module: ir.Module, positions: list[int]) -> None:
    """Make arguments of the function dense, in place: their types lose the encoding, their ``pith.decompress`` goes."""
    function = _function(module)
    entry = function.regions[0].blocks[0]
    with module.context, ir.Location.unknown():
        for position in positions:
            argument = entry.arguments[position]
            argument.set_type(ir.RankedTensorType.get(argument.type.shape, argument.type.element_type))
            for use in list(argument.uses):
                unpack = use.owner.operation
                if unpack.name == "pith.decompress":
                    unpack.results[0].replace_all_uses_with(argument)
                    unpack.erase()
        inputs = [a.type for a in entry.arguments]
        type_ = ir.FunctionType.get(inputs, function.type.results)
        function.attributes["function_type"] = ir.TypeAttr.get(type_)


@dataclasses.dataclass(frozen=True)
class _Reading:
    """One op's reading of a stored parameter.

    Attributes:
        tensor: what its product reads: convolutions read filters as a matrix.
        problems: by number of columns.
    """

    tensor: SparseTensor
    problems: dict[int, Problem]

    @classmethod
    def of(cls, plan: OpPlan, tensor: SparseTensor) -> _Reading:
        if tensor.format != plan.format:
            tensor = SparseTensor(plan.shape, plan.format, tensor.buffers)
        known = () if plan.columns is None else (plan.columns,)
        side = "left" if plan.row_dim == 0 else "right"
        columns = TYPICAL_COLUMNS if plan.columns == DYNAMIC else known
        problems = {n: Problem.of(tensor, n, side=side) for n in columns}
        return cls(tensor, {n: dataclasses.replace(p, windows=plan.windows) for n, p in problems.items()})


def _tune(plan: OpPlan, tensor: SparseTensor) -> None:
    """Time the products of an op that nobody has timed."""
    reading = _Reading.of(plan, tensor)
    for problem in reading.problems.values():
        if not measured_times(problem):
            tune_problem(problem, reading.tensor)


def _comparison(plan: OpPlan, tensor: SparseTensor) -> str | None:
    """Predicted times where dense wins for every number of columns, else None."""
    if plan.columns is None:
        return None
    reading, lines = _Reading.of(plan, tensor), []
    for columns, problem in reading.problems.items():
        own, dense = _inside(problem, _variant(problem)), _inside(problem, OWN)
        if own <= dense * DENSE_GAIN:
            return None
        lines.append(f"{seconds_text(dense)} for {seconds_text(own)} at N = {columns}")
    return ", ".join(lines)


def _inside(problem: Problem, among: str) -> float:
    """Predicted seconds of the best of some candidates as a part of a kernel."""
    best = rank(problem, among)[0]
    return best.seconds - best.call


def _variant(problem: Problem) -> str:
    """The register tile of a program's kernel, which is told the density; few columns have a narrow one."""
    roles, size = Roles.of(problem.format, problem.kept_dim), PANEL_ELEMENTS[problem.element]
    isa = parse_isa(problem.isa)
    return str(in_strips(default_variant(roles, problem.columns, size, isa), roles, problem.density, size, isa))


def _function(module: ir.Module) -> Any:
    return next(op for op in module.body.operations if op.operation.name == "func.func" and not op.is_external)
