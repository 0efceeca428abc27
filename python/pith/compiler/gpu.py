"""GPU kernels as far as this version goes: PTX and launch descriptions, on machines without a GPU."""

from __future__ import annotations

from typing import Any, NoReturn

from ..errors import UnsupportedError
from .build import parse


class GpuKernel:
    """Compiled GPU kernels: PTX and how to launch them.

    Attributes:
        target: the architecture, e.g. ``sm_90``.
        program: a :class:`pith.programs.Program`: operands, buffers, launches.
        launches: its launches, one per kernel call, in order: grid, block, shared
            memory and arguments, as expressions of run-time sizes.
    """

    def __init__(self, artifact: Any, target: str):
        self.target = target
        self.program, self.launches = artifact.program, artifact.program.launches
        self._levels = artifact.levels

    def __repr__(self) -> str:
        return f"<pith GPU kernel for {self.target}: {', '.join(launch.kernel for launch in self.launches)}>"

    def ir(self, level: str) -> str:
        """The IR at ``pith``, ``gpu``, ``nvvm``, ``llvm`` (LLVM IR) or ``ptx``.

        Errors: :class:`pith.UnsupportedError` for an unknown level.
        """
        if level not in self._levels:
            raise UnsupportedError(f"no level {level!r} on the GPU path", hint="one of " + ", ".join(self._levels))
        return self._levels[level]

    def __call__(self, *args: Any) -> NoReturn:
        raise UnsupportedError(
            f"this version cannot launch {self.target} kernels",
            hint="k.ir('ptx') and k.launches hold what a CUDA launcher needs; target='cpu' runs here",
        )


def compile_gpu(source: str, target: str) -> GpuKernel:
    """Compile pith-level IR for a GPU architecture.

    Errors: :class:`pith.UnsupportedError` for an unknown target or ops without a GPU lowering.
    """
    from pith.lowering.gpu import compile_ptx
    from pith.lowering.targets import parse_target

    parsed = parse_target(target)
    return GpuKernel(compile_ptx(parse(source), parsed), target)
