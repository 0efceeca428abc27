"""Compile programs for GPUs, real and emulated, through the kernel cache."""

from __future__ import annotations

import json
from typing import Any

from ..lowering.targets import GpuTarget, Target, parse_target
from ..programs import Program
from ..runtime.artifact import Artifact
from ..runtime.cache import kernel_cache
from .gpu import GpuKernel
from .params import Param


def compile_gpu(source: str, target: str) -> GpuKernel:
    """Compile pith-level IR for a GPU architecture, or take its PTX from the cache.

    Errors: :class:`pith.UnsupportedError` for an unknown target or ops without a GPU lowering.
    """
    parsed = parse_target(target)
    if isinstance(parsed, GpuTarget) and parsed.emulated:
        from .emulated import compile_emulated

        module, params = _parsed(source)
        lowered, run = compile_emulated(module, parsed)
        return GpuKernel(source, target, lowered.program, params, "", levels=lowered.levels, run=run)
    key = {"gpu": source, "target": parsed.to_json()}
    artifact = kernel_cache().get_or_build(key, lambda: _build(source, parsed))
    program = Program.from_json(json.dumps(artifact.meta["program"]))
    params = [Param.from_json(p) for p in artifact.meta["params"]]
    return GpuKernel(source, target, program, params, artifact.object.decode())


def levels_of(source: str, chip: str) -> dict[str, str]:
    """The IR of every level from ``pith`` down to ``ptx``.

    Errors: as :func:`compile_gpu`.
    """
    from pith.lowering.gpu import compile_ptx

    return compile_ptx(_parsed(source)[0], parse_target(chip)).levels


def _build(source: str, target: Target) -> Artifact:
    """The PTX as an entry of the cache, with the program and its parameters."""
    from pith.lowering.gpu import compile_ptx

    module, params = _parsed(source)
    made = compile_ptx(module, target)
    meta = {"program": json.loads(made.program.to_json()), "params": [p.to_json() for p in params]}
    return Artifact(made.ptx.encode(), (), meta)


def _parsed(source: str) -> tuple[Any, list[Param]]:
    """The module, in a context of its own, and the parameters of its one public function."""
    from .build import entry_name, function_of, parameters_of, parse

    module = parse(source)
    with module.context:
        return module, parameters_of(function_of(module, entry_name(source)))
