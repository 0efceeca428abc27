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
from .sizes import SizeRules


def compile_gpu(source: str, target: str, check_sizes: bool = False) -> GpuKernel:
    """Compile pith-level IR for a GPU architecture, or take its PTX from the cache.

    ``check_sizes``: let calls check the dynamic sizes that the program's ops need equal.

    Errors: :class:`pith.UnsupportedError` for an unknown target or ops without a GPU lowering.
    """
    parsed = parse_target(target)
    if isinstance(parsed, GpuTarget) and parsed.emulated:
        from .emulated import compile_emulated

        module, params, rules = _parsed(source)
        lowered, run = compile_emulated(module, parsed)
        sizes = rules if check_sizes else None
        return GpuKernel(source, target, lowered.program, params, "", sizes=sizes, levels=lowered.levels, run=run)
    key = {"gpu": source, "target": parsed.to_json()}
    artifact = kernel_cache().get_or_build(key, lambda: _build(source, parsed))
    program = Program.from_json(json.dumps(artifact.meta["program"]))
    params = [Param.from_json(p) for p in artifact.meta["params"]]
    sizes = SizeRules.from_json(artifact.meta["sizes"]) if check_sizes else None
    return GpuKernel(source, target, program, params, artifact.object.decode(), sizes=sizes)


def levels_of(source: str, chip: str) -> dict[str, str]:
    """The IR of every level from ``pith`` down to ``ptx``.

    Errors: as :func:`compile_gpu`.
    """
    from pith.lowering.gpu import compile_ptx

    return compile_ptx(_parsed(source)[0], parse_target(chip)).levels


def _build(source: str, target: Target) -> Artifact:
    """The PTX as an entry of the cache, with the program and its parameters."""
    from pith.lowering.gpu import compile_ptx

    module, params, rules = _parsed(source)
    made = compile_ptx(module, target)
    meta = {"program": json.loads(made.program.to_json()), "params": [p.to_json() for p in params]}
    return Artifact(made.ptx.encode(), (), {**meta, "sizes": rules.to_json()})


def _parsed(source: str) -> tuple[Any, list[Param], SizeRules]:
    """The module, in a context of its own, and of its one public function the parameters and the rules for sizes."""
    from .build import function_of, only_entry, parameters_of, parse, size_rules_of

    module = parse(source)
    with module.context:
        function = function_of(module, only_entry(module))
        return module, parameters_of(function, source), size_rules_of(function)
