"""A pass for ``pith-opt --load``."""

import dataclasses
from typing import ClassVar

from pith._mlir import ir
from pith.passes import Pass
from pith.passes.analysis.traversal import ops_named


@dataclasses.dataclass(frozen=True)
class OwnMarkPass(Pass):
    """Mark functions."""

    name: ClassVar[str] = "own-mark"
    text: str = "seen"

    def run(self, module: ir.Module) -> None:
        for op in ops_named(module.operation, "func.func"):
            op.attributes[self.text] = ir.UnitAttr.get(module.context)


@dataclasses.dataclass(frozen=True)
class OwnFailurePass(Pass):
    """Fail as a mistake in a pass would."""

    name: ClassVar[str] = "own-failure"

    def run(self, module: ir.Module) -> None:
        raise ValueError("a mistake")


PIPELINES = {"own-pipeline": "own-mark{text=both}"}
