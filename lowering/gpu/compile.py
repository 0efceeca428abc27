"""From a pith-level module to PTX and the program that launches it, keeping the IR of every level."""

import dataclasses

from pith._mlir import ir
from pith.errors import UnsupportedError
from pith.programs import Program

from .. import ptx
from ..cpu import Stage, run_stage
from ..targets import GpuTarget, Target
from .describe import describe_program
from .gpu_module_to_binary import ptx_of


@dataclasses.dataclass(frozen=True)
class GpuArtifact:
    """A compiled GPU program.

    Attributes:
        ptx: its kernels, one PTX module.
        program: operands, buffers and launches.
        levels: IR text per level: ``pith``, ``gpu``, ``nvvm``, ``llvm``, ``ptx``.
    """

    ptx: str
    program: Program
    levels: dict[str, str]


def compile_ptx(module: ir.Module, target: Target) -> GpuArtifact:
    """Compile the one function of a pith-level ``module``, which is left as it is.

    Errors: :class:`pith.UnsupportedError` for a target that is no GPU or a module with more than one
    function of kernels; :class:`pith.PassError` for ops without a GPU lowering.
    """
    if not isinstance(target, GpuTarget):
        raise UnsupportedError(f"target {target.name!r} has no PTX", hint="use a GPU target, e.g. sm_90")
    with module.context, ir.Location.unknown():
        levels = {"pith": str(module)}
        work = ir.Module.parse(levels["pith"])
        run_stage(work, Stage("gpu", to_gpu(target)))
        levels["gpu"] = str(work)
        program = describe_program(work)
        run_stage(work, Stage("nvvm", "gpu-to-nvvm"))
        levels["nvvm"] = str(work)
        kernels = next(op for op in work.body.operations if op.operation.name == "gpu.module")
        levels["llvm"] = ptx.llvm_ir(kernels)
        run_stage(work, Stage("ptx", "pith-gpu-module-to-binary"))
        binary = next(op for op in work.body.operations if op.operation.name == "gpu.binary")
        levels["ptx"] = ptx_of(binary)
    return GpuArtifact(levels["ptx"], program, levels)


def to_gpu(target: GpuTarget) -> str:
    """The passes from the pith level to the gpu level; marked ops are decided by the chip's times.

    Example:
        >>> to_gpu(GpuTarget("sm_90")).split(",")[:3]
        ['pith-inline-calls', 'pith-form-pit-tiles{target=sm_90}', 'pith-to-tensors']
    """
    convert = f"convert-pith-to-gpu{{target={target.options}}}"
    choose = f"pith-inline-calls,pith-form-pit-tiles{{target={target.chip}}}"
    return f"{choose},pith-to-tensors,{convert},canonicalize,cse"
