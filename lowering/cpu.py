"""Stages from level to level, and those of the CPU: what ``Kernel.ir`` shows and ``pith-opt`` can start and stop at."""

import dataclasses

from pith._mlir import ir
from pith.errors import PassError, UnsupportedError
from pith.passes.pipeline import run_pipeline


@dataclasses.dataclass(frozen=True)
class Stage:
    """One step down: running ``pipeline`` on the level above gives ``level``."""

    level: str
    pipeline: str


_AUTO = (
    Stage("linalg", "pith-to-linalg"),
    Stage("vector", "linalg-to-vector"),
    Stage("llvm", "vector-to-llvm"),
)

#: How each path goes from pith to the llvm dialect. ``sparse`` differs from ``auto`` for PyTorch programs only:
#: the weights of these may be kept dense.
PATHS: dict[str, tuple[Stage, ...]] = {
    "auto": _AUTO,
    "sparse": _AUTO,
    "sparsifier": (
        Stage(
            "linalg",
            "pith-to-linalg,convert-pith-storage-to-loops,convert-pith-to-loops{templates=sampled},"
            "convert-pith-to-sparse-tensor",
        ),
        Stage("vector", "linalg-to-vector"),
        Stage("llvm", "vector-to-llvm"),
    ),
    "loops": (
        Stage("linalg", "pith-to-linalg"),
        Stage("vector", "convert-pith-storage-to-loops,convert-pith-to-loops,linalg-to-vector"),
        Stage("llvm", "vector-to-llvm"),
    ),
}


def stages(path: str) -> tuple[Stage, ...]:
    """Stages of a path: ``auto``, ``sparse``, ``sparsifier`` (upstream where it can) or ``loops`` (never)."""
    if path not in PATHS:
        raise UnsupportedError(f"unknown path {path!r}", hint="one of " + ", ".join(PATHS))
    return PATHS[path]


def stages_of(module: ir.Module, path: str) -> tuple[Stage, ...]:
    """Stages that ``module`` still has before it.

    All of the path; the last alone for a module at the vector level. That is told by
    ``memref.dealloc``: above it, inserting those is bufferization's part, and it refuses others'.
    """
    all_ = stages(path)
    frees = False

    def visit(op: ir.Operation) -> ir.WalkResult:
        nonlocal frees
        frees = frees or op.name == "memref.dealloc"
        return ir.WalkResult.INTERRUPT if frees else ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return all_[-1:] if frees else all_


def run_stage(module: ir.Module, stage: Stage) -> None:
    """Lower ``module`` in place by one stage; verified once, at its end (half the time of a stage is verifying).

    Errors: :class:`pith.PassError` with the diagnostics.
    """
    run_pipeline(module, f"builtin.module({stage.pipeline})", verify=False)
    try:
        module.operation.verify()
    except ir.MLIRError as e:
        raise PassError(f"lowering to {stage.level} made IR that does not verify: {e}") from e
