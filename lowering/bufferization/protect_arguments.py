"""``pith-protect-arguments``: kernels do not write to the tensors they are given."""

import dataclasses
from typing import ClassVar

from pith._mlir import func, ir
from pith.dialect.structure import entries_of
from pith.passes.core import Pass

_WRITABLE = "bufferization.writable"


@dataclasses.dataclass(frozen=True)
class ProtectArgumentsPass(Pass):
    """Tell bufferization that tensor arguments of entry functions are the caller's.

    Before::

        func.func @f(%x: tensor<8xf32>) -> tensor<8xf32>

    After::

        func.func @f(%x: tensor<8xf32> {bufferization.writable = false}) -> tensor<8xf32>

    Without it an op that updates ``%x`` bufferizes in place and changes the caller's array. To be
    written to, an argument is a memref, or says ``bufferization.writable = true`` itself.

    Requires: tensors (run it before bufferization). Preserves: private functions, whose callers
    bufferization sees, and memrefs. Cost: linear in the number of arguments.
    """

    name: ClassVar[str] = "pith-protect-arguments"

    def run(self, module: ir.Module) -> None:
        for op in module.body.operations:
            if isinstance(op, func.FuncOp) and not op.is_external and is_entry(op):
                _protect(op)


def is_entry(op: func.FuncOp) -> bool:
    """True for functions that are called from outside of the module."""
    return "sym_visibility" not in op.attributes or op.visibility.value == "public"


def _protect(op: func.FuncOp) -> None:
    types = op.type.inputs
    given = op.arg_attrs if "arg_attrs" in op.attributes else [ir.DictAttr.get({})] * len(types)
    attrs = [entries_of(a) for a in given]
    for type_, known in zip(types, attrs):
        if isinstance(type_, ir.RankedTensorType):
            known.setdefault(_WRITABLE, ir.BoolAttr.get(False))
    op.arg_attrs = [ir.DictAttr.get(known) for known in attrs]
