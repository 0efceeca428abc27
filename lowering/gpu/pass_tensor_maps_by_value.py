"""``pith-pass-tensor-maps-by-value``: descriptors that the copy engine reads are parameters, not pointers to memory."""

import dataclasses
from typing import ClassVar

from pith._mlir import ir
from pith.dialect.structure import entries_of
from pith.passes.core import Pass
from pith.programs.tensor_map import MAP_BYTES

#: Op -> which operand is the descriptor.
_READERS = {"nvvm.cp.async.bulk.tensor.shared.cluster.global": 1}
#: What the hardware wants the address of a descriptor to be a multiple of.
_ALIGNMENT = 64


@dataclasses.dataclass(frozen=True)
class PassTensorMapsByValuePass(Pass):
    """Make kernel parameters that are read as tensor maps values of the parameter space.

    Before::

        llvm.func @k(%map: !llvm.ptr, ...) attributes {nvvm.kernel} {
          nvvm.cp.async.bulk.tensor.shared.cluster.global %to, %map, %barrier, box[%x, %y] : !llvm.ptr<7>, !llvm.ptr

    After::

        llvm.func @k(%map: !llvm.ptr {llvm.align = 64, llvm.byval = !llvm.array<128 x i8>, nvvm.grid_constant}, ...)

    In PTX that is ``.param .align 64 .b8 map[128]``, and the copy engine reads it where it is.

    Requires: kernels in the ``llvm`` dialect; upstream's conversion drops these attributes, so they come after it.
    Does not: look through casts or memory. Preserves: everything else. Cost: linear.
    """

    name: ClassVar[str] = "pith-pass-tensor-maps-by-value"

    def run(self, module: ir.Module) -> None:
        def visit(op: ir.Operation) -> ir.WalkResult:
            if op.name in _READERS:
                _by_value(op.operands[_READERS[op.name]])
            return ir.WalkResult.ADVANCE

        module.operation.walk(visit)


def _by_value(parameter: ir.Value) -> None:
    block = parameter.owner
    if not isinstance(block, ir.Block) or "nvvm.kernel" not in block.owner.operation.attributes:
        return
    function = block.owner.operation
    count = len(list(block.arguments))
    held = function.attributes["arg_attrs"] if "arg_attrs" in function.attributes else None
    attrs = [ir.DictAttr(a) for a in held] if held else [ir.DictAttr.get({})] * count
    number = ir.BlockArgument(parameter).arg_number
    attrs[number] = ir.DictAttr.get(
        {
            **entries_of(attrs[number]),
            "llvm.byval": ir.TypeAttr.get(ir.Type.parse(f"!llvm.array<{MAP_BYTES} x i8>")),
            "llvm.align": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), _ALIGNMENT),
            "nvvm.grid_constant": ir.UnitAttr.get(),
        }
    )
    function.attributes["arg_attrs"] = ir.ArrayAttr.get(attrs)
