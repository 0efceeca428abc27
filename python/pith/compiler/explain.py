"""``Kernel.explain()``: what each op on sparse data became, and why."""

from __future__ import annotations

from pith._mlir import ir
from pith.lowering.cpu import run_stage, stages
from pith.lowering.isa import HOST
from pith.lowering.plan import OpPlan, plan_module

from ..formats import DYNAMIC
from .build import parse


def explain_source(source: str, path: str, isa: str = HOST) -> str:
    """A table of the ops of a pith-level program that read encoded tensors."""
    module = parse(source, isa)
    linalg = stages("auto")[0]
    with module.context, ir.Location.unknown():
        run_stage(module, linalg)
        plans = plan_module(module, path)
    if not plans:
        return "no op reads a sparse tensor: everything runs dense"
    return "\n".join(_describe(number, plan) for number, plan in enumerate(plans))


def _describe(number: int, plan: OpPlan) -> str:
    shape = "x".join("?" if s == DYNAMIC else str(s) for s in plan.shape)
    bound = f"at most {plan.format.density:.1%} of the elements" if plan.format.density < 1 else "set at run time"
    fused = f"    fused: {', '.join(plan.fused)}\n" if plan.fused else ""
    return (
        f"[{number}] {plan.choice}: {plan.reason}\n{fused}"
        f"    operand {shape}x{plan.dtype} stored as {plan.format}\n"
        f"    density {bound}; from {plan.location}"
    )
