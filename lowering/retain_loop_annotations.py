"""``pith-retain-loop-annotations``: what loops ask of LLVM reaches it."""

import dataclasses
from typing import ClassVar

from pith._mlir import ir
from pith.passes.analysis.traversal import defining_op
from pith.passes.core import Pass

from .builder import LOOP_ANNOTATION

_BRANCHES = ("llvm.br", "llvm.cond_br")


@dataclasses.dataclass(frozen=True)
class RetainLoopAnnotationsPass(Pass):
    """Make the annotations of loops properties of branches, which is where translation to LLVM IR looks.

    Before::

        llvm.br ^bb1(%i : i64) {llvm.loop_annotation = #unroll_disable}

    After::

        llvm.br ^bb1(%i : i64) {loop_annotation = #unroll_disable}

    Requires: branches of the LLVM dialect; other ops keep the attribute. Cost: linear.
    """

    name: ClassVar[str] = "pith-retain-loop-annotations"

    def run(self, module: ir.Module) -> None:
        def visit(op: ir.Operation) -> ir.WalkResult:
            if op.name in _BRANCHES and LOOP_ANNOTATION in op.attributes:
                op.attributes["loop_annotation"] = op.attributes[LOOP_ANNOTATION]
                del op.attributes[LOOP_ANNOTATION]
            return ir.WalkResult.ADVANCE

        module.operation.walk(visit)


def keep_rolled(results: list[ir.Value]) -> list[ir.Value]:
    """Ask LLVM not to unroll the ``scf.for`` that ``results`` are of; returns them.

    Register tiles are unrolled as far as registers go: another iteration spills all of a tile's accumulators.
    """
    loop = defining_op(results[0], "scf.for")
    if loop is not None:
        loop.attributes[LOOP_ANNOTATION] = ir.Attribute.parse("#llvm.loop_annotation<unroll = <disable = true>>")
    return results
