"""``pith-gpu-module-to-binary``: GPU modules at the ``llvm`` level become binaries that hold PTX."""

import dataclasses
import re
from typing import ClassVar

from pith._mlir import gpu, ir
from pith.errors import Error, UnsupportedError
from pith.passes.core import Pass, pass_error

from .. import ptx
from ..targets import GpuTarget

#: ``CompilationTarget`` of upstream's gpu.object: the text of an assembler, not machine code.
_ASSEMBLY = 2


@dataclasses.dataclass(frozen=True)
class GpuModuleToBinaryPass(Pass):
    """Generate PTX, as upstream's ``gpu-module-to-binary{format=isa}`` does where LLVM has an NVPTX target.

    Before::

        gpu.module @k [#nvvm.target<chip = "sm_90">] { llvm.func @kernel(...) attributes {nvvm.kernel} ... }

    After::

        gpu.binary @k [#gpu.object<#nvvm.target<chip = "sm_90">, assembly = "...PTX...">]

    ``chip`` overrides the target of the modules; without it each module must carry one.

    Requires: content in the ``llvm`` and ``nvvm`` dialects (pipeline ``gpu-to-nvvm``).
    Preserves: everything outside of GPU modules. Does not: assemble (the driver or ptxas does).
    Errors: a diagnostic at the module for an unknown or missing chip, or content that is not lowered.
    Cost: LLVM's code generation, some 10 ms a kernel.
    """

    name: ClassVar[str] = "pith-gpu-module-to-binary"
    chip: str = ""

    def run(self, module: ir.Module) -> None:
        for op in list(module.body.operations):
            if op.operation.name == "gpu.module":
                self._convert(op)

    def _convert(self, op: ir.OpView) -> None:
        try:
            target = GpuTarget(self.chip) if self.chip else module_target(op)
            text = ptx.compile_ptx_text(ptx.llvm_ir(op), target)
        except Error as e:
            pass_error(op, e.message, e.hint)
        attr = ir.Attribute.parse(f'#nvvm.target<chip = "{target.chip}">')
        binary = gpu.ObjectAttr.get(attr, _ASSEMBLY, text.encode())
        handler = ir.Attribute.parse("#gpu.select_object")  # the parser's default; printing crashes without one
        with ir.InsertionPoint(op.operation), op.operation.location:
            gpu.BinaryOp(op.operation.attributes["sym_name"], ir.ArrayAttr.get([binary]), offloadingHandler=handler)
        op.operation.erase()


def module_target(op: ir.OpView) -> GpuTarget:
    """The target a ``gpu.module`` or ``gpu.binary`` carries.

    Errors: :class:`pith.UnsupportedError` when it has none or names an unknown chip.
    """
    attrs = op.operation.attributes
    held = attrs["targets"] if "targets" in attrs else attrs["objects"] if "objects" in attrs else None
    match = re.search(r'#nvvm\.target<[^>]*chip = "(\w+)"', str(held))
    if match is None:
        raise UnsupportedError(
            "carries no #nvvm.target", hint="give it one with nvvm-attach-target, or pass chip=sm_90"
        )
    return GpuTarget(match[1])


def ptx_of(binary: ir.OpView) -> str:
    """The PTX text a ``gpu.binary`` of this pass holds."""
    first = next(iter(ir.ArrayAttr(binary.operation.attributes["objects"])))
    return gpu.ObjectAttr(first).object.rstrip(b"\0").decode()
