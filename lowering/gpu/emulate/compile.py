"""From a pith-level module to kernels in the llvm dialect that the emulator runs."""

import dataclasses
import re

from pith._mlir import ir
from pith.programs import Program

from ...cpu import Stage, run_stage
from ...targets import GpuTarget
from ..compile import to_gpu
from ..describe import describe_program
from ..emulate_gpu import SITES, STATIC
from .context import place_of


@dataclasses.dataclass(frozen=True)
class GpuLevel:
    """A program at the gpu level.

    Attributes:
        program: operands, buffers and launches.
        text: its module; lines of errors count in it.
        levels: IR text of the levels so far.
        origins: the op of the pith level that each kernel stands for, by its place.
    """

    program: Program
    text: str
    levels: dict[str, str]
    origins: dict[str, str]


@dataclasses.dataclass(frozen=True)
class EmulatedKernels:
    """Kernels in the llvm dialect.

    Attributes:
        module: the functions, one per kernel.
        kernels: their names.
        meta: what the emulator must know: ``sites``, ``static_bytes``, ``checks``.
    """

    module: ir.Module
    kernels: list[str]
    meta: dict[str, object]


def lower_to_gpu(module: ir.Module, target: GpuTarget) -> GpuLevel:
    """Lower a pith-level ``module``, which is left as it is; one that holds kernels already is taken as it is.

    Errors: as :func:`pith.lowering.gpu.compile_ptx`.
    """
    with module.context, ir.Location.unknown():
        levels = {"pith": str(module)}
        work, origins = module, {}
        if not any(op.operation.name == "gpu.module" for op in module.body.operations):
            work = ir.Module.parse(module.operation.get_asm(enable_debug_info=True))
            run_stage(work, Stage("gpu", to_gpu(target)))
            origins = _origins(work)
        program = describe_program(work)
        text = readable(str(work) if work is not module else work.operation.get_asm(enable_debug_info=True))
    levels["gpu"] = text
    return GpuLevel(program, text, levels, origins)


def _origins(module: ir.Module) -> dict[str, str]:
    kernels = [
        op.operation
        for holder in module.body.operations
        if holder.operation.name == "gpu.module"
        for op in holder.regions[0].blocks[0].operations
        if op.operation.name == "gpu.func"
    ]
    return {ir.StringAttr(k.attributes["sym_name"]).value: place_of(k.location, "pith") for k in kernels}


def readable(text: str) -> str:
    """Text that parses: a group without copies is printed so that the parser takes the next line for its operands.

    Example:
        >>> readable("%0 = nvgpu.device_async_create_group \\n%1 = arith.addi %a, %b : index")
        '%0 = nvgpu.device_async_create_group {}\\n%1 = arith.addi %a, %b : index'
    """
    return re.sub(r"(nvgpu\.device_async_create_group) *$", r"\1 {}", text, flags=re.MULTILINE)


def lower_emulated(text: str, checks: bool) -> EmulatedKernels:
    """Lower gpu-level text to functions of one thread; made in the current context.

    Errors: :class:`pith.PassError` at ops without an emulation.
    """
    with ir.Location.unknown():
        module = ir.Module.parse(text)
        emulate = f"pith-emulate-gpu{{checks={str(checks).lower()}}},canonicalize,cse"
        run_stage(module, Stage("llvm", f"{emulate},vector-to-llvm"))
    attributes = module.operation.attributes
    sites = [ir.StringAttr(s).value for s in ir.ArrayAttr(attributes[SITES])]
    static = {named.name: ir.IntegerAttr(named.attr).value for named in ir.DictAttr(attributes[STATIC])}
    meta = {"sites": sites, "static_bytes": static, "checks": checks}
    return EmulatedKernels(module, list(static), meta)
