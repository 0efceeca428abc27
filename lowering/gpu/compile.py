"""From a pith-level module to PTX and launch descriptions, keeping the IR of every level."""

import dataclasses

from pith._mlir import ir
from pith.errors import UnsupportedError
from pith.passes.pipeline import run_pipeline

from .. import ptx
from ..gpu_module_to_binary import ptx_of
from ..targets import GpuTarget, Target
from .launch import LaunchDescription, describe_launches


@dataclasses.dataclass(frozen=True)
class GpuArtifact:
    """A compiled GPU program.

    Attributes:
        ptx: the kernels of all functions, one PTX module.
        launches: how to start them, in program order.
        levels: IR text per level: ``pith``, ``gpu``, ``nvvm``, ``llvm``, ``ptx``.
    """

    ptx: str
    launches: tuple[LaunchDescription, ...]
    levels: dict[str, str]


def compile_ptx(module: ir.Module, target: Target) -> GpuArtifact:
    """Compile the functions of a pith-level ``module``, which is left as it is.

    Errors: :class:`pith.UnsupportedError` for a target that is no GPU or a module with more than one
    function of kernels; :class:`pith.PassError` for ops without a GPU lowering.
    """
    if not isinstance(target, GpuTarget):
        raise UnsupportedError(f"target {target.name!r} has no PTX", hint="use a GPU target, e.g. sm_90")
    levels = {"pith": str(module)}
    with module.context, ir.Location.unknown():
        work = ir.Module.parse(levels["pith"])
        _run(work, f"pith-assemble-arguments,convert-pith-to-gpu{{target={target.chip}}},canonicalize,cse")
        levels["gpu"] = str(work)
        launches = describe_launches(work)
        _run(work, "gpu-to-nvvm")
        levels["nvvm"] = str(work)
        kernels = [op for op in work.body.operations if op.operation.name == "gpu.module"]
        if len(kernels) != 1:
            raise UnsupportedError(
                f"expects one function with GPU kernels in the module, got {len(kernels)}",
                hint="compile one function at a time",
            )
        levels["llvm"] = ptx.llvm_ir(kernels[0])
        _run(work, "pith-gpu-module-to-binary")
        binary = next(op for op in work.body.operations if op.operation.name == "gpu.binary")
        levels["ptx"] = ptx_of(binary)
    return GpuArtifact(levels["ptx"], launches, levels)


def _run(module: ir.Module, pipeline: str) -> None:
    run_pipeline(module, f"builtin.module({pipeline})")
