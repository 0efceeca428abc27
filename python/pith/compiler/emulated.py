"""Compile GPU programs for the emulator, through the kernel cache."""

from __future__ import annotations

import os
from typing import Any

from ..errors import ArgumentError
from ..lowering.targets import GpuTarget
from ..runtime.artifact import Artifact
from ..runtime.cache import kernel_cache
from ..runtime.emulator import EmulatedProgram
from ..runtime.jit import EMULATED_OPT_LEVEL, compile_object

#: Environment variable: ``0`` leaves memory accesses of emulated kernels unguarded, which is several times faster.
CHECKS = "PITH_EMULATOR_CHECKS"


def compile_emulated(module: Any, target: GpuTarget) -> tuple[Any, EmulatedProgram]:
    """The gpu level of a pith-level module, and its kernels as the emulator runs them.

    Args:
        module: parsed; a module at the gpu level is taken as it is, and errors name its lines.

    Errors: :class:`pith.PassError` for ops without a lowering or an emulation; :class:`pith.ArgumentError` for another
        value of the variable.
    """
    from pith.lowering.gpu.emulate.compile import lower_to_gpu

    checks = _checks()
    lowered = lower_to_gpu(module, target)
    key = {"emulated": lowered.text, "checks": checks, "level": EMULATED_OPT_LEVEL}
    artifact = kernel_cache().get_or_build(key, lambda: _build(lowered.text, checks))
    return lowered, EmulatedProgram(artifact, lowered.origins)


def _checks() -> bool:
    """What the environment says about guards."""
    text = os.environ.get(CHECKS) or "1"
    if text not in ("0", "1"):
        raise ArgumentError(f"expects 0 or 1, got {text!r}", where=CHECKS, hint="0 leaves memory accesses unguarded")
    return text == "1"


def _build(text: str, checks: bool) -> Artifact:
    from pith.lowering.gpu.emulate.compile import lower_emulated

    from .contexts import borrowed_context

    with borrowed_context() as context, context:
        made = lower_emulated(text, checks)
        return Artifact(compile_object(made.module, made.kernels, opt_level=EMULATED_OPT_LEVEL), (), made.meta)
