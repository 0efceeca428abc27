"""Which level of lowering a module is at, for the hint of a pipeline that starts at another one."""

from __future__ import annotations

import itertools

from pith import lowering
from pith._mlir import ir
from pith.passes.analysis.traversal import ops_where

#: From the top; a pipeline's name is the level that it takes, ``-to-``, and the one that it makes.
_LEVELS = ("pith", "linalg", "vector", "llvm")


def level_of(module: ir.Module) -> str | None:
    """The level of ``module``; None where nothing tells it, as in a module of scalars.

    >>> from pith.dialect import make_context
    >>> with make_context():
    ...     level_of(ir.Module.parse("func.func private @f(memref<4xf32>)"))
    'vector'
    """
    ops = ops_where(module.operation, lambda op: True)
    names = {op.name for op in ops}
    if "pith.assemble" in names:
        return "linalg"
    if "llvm.func" in names:
        return "llvm" if "func.func" not in names else "vector"
    signatures = "".join(str(op.attributes["function_type"]) for op in ops if op.name == "func.func")
    return "pith" if "tensor<" in signatures else "vector" if "memref<" in signatures else None


def hint_for(pipeline: str, module: ir.Module) -> str | None:
    """What to run in the place of the named ``pipeline`` on ``module``; None where the pipeline takes its level."""
    level, takes = level_of(module), pipeline.partition("-to-")[0]
    if pipeline not in lowering.PIPELINES or takes not in _LEVELS or level in (None, takes):
        return None
    at, wanted = _LEVELS.index(level), _LEVELS.index(takes)
    steps = [f"{a}-to-{b}" for a, b in itertools.pairwise(_LEVELS)]
    said = f"the input is at the level {level}, --{pipeline} takes {takes}"
    if at < wanted:
        return f"{said}: run {' '.join('--' + step for step in steps[at:wanted])} first"
    return f"{said}: --{steps[at]} goes on from there" if at < len(steps) else f"{said}: nothing is left to lower"
