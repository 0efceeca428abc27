"""The hardware's approximate functions, computed as well as the host can."""

from pith._mlir import ir, math

from .context import Emulation


def exp2(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvvm.ex2``: off by less than 2 ulp on hardware."""
    return [math.exp2(op.operands[0])]


def log2(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvvm.log2``: off by less than 2**-22 on hardware."""
    return [math.log2(op.operands[0])]
