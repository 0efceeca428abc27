"""``convert-math-to-intrinsics``: functions that are instructions of a GPU, kept away from libdevice."""

import dataclasses
from typing import ClassVar

from pith._mlir import ir, llvm
from pith.passes.analysis.traversal import ops_named
from pith.passes.core import Pass

#: Op -> intrinsic that NVPTX selects an instruction for, for f32 and f64 (and f16, except sqrt).
_INTRINSICS = {
    "arith.maxnumf": "llvm.maxnum",
    "arith.minnumf": "llvm.minnum",
    "math.absf": "llvm.fabs",
    "math.ceil": "llvm.ceil",
    "math.copysign": "llvm.copysign",
    "math.floor": "llvm.floor",
    "math.roundeven": "llvm.roundeven",
    "math.sqrt": "llvm.sqrt",
    "math.trunc": "llvm.trunc",
}


@dataclasses.dataclass(frozen=True)
class ConvertMathToIntrinsicsPass(Pass):
    """Call LLVM's intrinsics for the functions in GPU kernels that are single instructions.

    Before::

        %1 = math.roundeven %0 : f32

    After::

        %1 = llvm.call_intrinsic "llvm.roundeven.f32"(%0) : (f32) -> f32

    ``convert-gpu-to-nvvm`` turns these ops, and LLVM's own ops for them, into calls of libdevice, which is not
    linked; NVPTX has instructions for the intrinsics (``cvt.rni``, ``sqrt.rn``, ...).

    Requires: nothing. Preserves: every other op, code outside of GPU modules, and results: all of these are exactly
    rounded. Does not: vectors, f16 square roots. Cost: linear.
    """

    name: ClassVar[str] = "convert-math-to-intrinsics"

    def run(self, module: ir.Module) -> None:
        kernels = [op.operation for op in module.body.operations if op.operation.name == "gpu.module"]
        for op in [op for kernel in kernels for op in ops_named(kernel, *_INTRINSICS)]:
            type_ = op.results[0].type
            if not isinstance(type_, ir.FloatType):
                continue
            with ir.InsertionPoint(op), op.location:
                called = llvm.call_intrinsic(type_, f"{_INTRINSICS[op.name]}.{type_}", list(op.operands), [], [])
            op.results[0].replace_all_uses_with(called)
            op.erase()
