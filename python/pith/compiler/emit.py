"""What ``pith-opt --emit`` prints: LLVM IR, PTX or assembly of a lowered module."""

from __future__ import annotations

from typing import Any

from ..errors import PassError, UnsupportedError
from ..runtime.jit import OPT_LEVEL

#: What can be asked for.
KINDS = ("llvm", "ptx", "asm")


def emit(module: Any, kind: str) -> str:
    """The text of ``kind`` for a lowered ``module`` (an ``ir.Module``).

    Args:
        module: GPU modules at the ``llvm`` level or ``gpu.binary`` ops (then those are emitted), or
            host code in the ``llvm`` dialect.
        kind: ``llvm``: LLVM IR text; ``ptx``: PTX; ``asm``: assembly for the host, or for a processor with
            the instruction set that the module's ``pith.isa`` names; for GPU modules their PTX.

    Errors: :class:`pith.UnsupportedError` for an unknown kind or a kind the module has nothing for;
        :class:`pith.PassError` when the module is not lowered far enough.
    """
    if kind not in KINDS:
        raise UnsupportedError(f"cannot emit {kind!r}", hint="one of " + ", ".join(KINDS))
    kernels = [op for op in module.body.operations if op.operation.name in ("gpu.module", "gpu.binary")]
    if kernels:
        return "\n".join(_emit_kernels(op, kind) for op in kernels)
    if kind == "ptx":
        raise UnsupportedError("the module has no GPU code to emit as PTX", hint="lower it with pith-to-nvvm")
    from pith.lowering import ptx

    text = ptx.llvm_ir(_without_pith_attributes(module.operation))
    return text if kind == "llvm" else ptx.cpu_assembly(text, OPT_LEVEL, _cpu_of(module))


def _cpu_of(module: Any) -> str | None:
    """LLVM's name of the processor a module says it is for; None for the host."""
    from pith.lowering.module_isa import ISA_ATTRIBUTE, isa_of

    isa = isa_of(module) if ISA_ATTRIBUTE in module.operation.attributes else None
    return None if isa is None or isa.emulated else isa.llvm_cpu


def _without_pith_attributes(module: Any) -> Any:
    """A copy whose arguments carry no ``pith.*`` attributes: LLVM IR has no place for them, and MLIR would warn."""
    from pith._mlir import ir
    from pith.dialect.structure import entries_of

    copy = module.clone()
    for op in copy.regions[0].blocks[0].operations:
        if op.operation.name != "llvm.func" or "arg_attrs" not in op.attributes:
            continue
        kept = [
            ir.DictAttr.get({n: a for n, a in entries_of(attrs).items() if not n.startswith("pith.")}, op.context)
            for attrs in ir.ArrayAttr(op.attributes["arg_attrs"])
        ]
        op.attributes["arg_attrs"] = ir.ArrayAttr.get(kept, op.context)
    return copy


def _emit_kernels(op: Any, kind: str) -> str:
    from pith.lowering import ptx
    from pith.lowering.gpu import gpu_module_to_binary

    binary = op.operation.name == "gpu.binary"
    if kind == "llvm":
        if binary:
            raise PassError("holds PTX, its LLVM IR is gone", where="gpu.binary", hint="emit llvm after gpu-to-nvvm")
        return ptx.llvm_ir(op)
    if binary:
        return gpu_module_to_binary.ptx_of(op)
    return ptx.compile_ptx_text(ptx.llvm_ir(op), gpu_module_to_binary.module_target(op))
