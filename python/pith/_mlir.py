"""The one door to the host MLIR bindings (the ``torch-mlir`` wheel).

Everything else in pith says ``from pith._mlir import ir``; a change of host is a change here.
"""

from __future__ import annotations

from torch_mlir import ir, passmanager, rewrite
from torch_mlir.dialects import (
    affine,
    arith,
    bufferization,
    builtin,
    cf,
    ext,
    func,
    gpu,
    irdl,
    linalg,
    llvm,
    math,
    memref,
    nvgpu,
    nvvm,
    scf,
    sparse_tensor,
    tensor,
    vector,
)
from torch_mlir.passmanager import PassManager

__all__ = [
    "PassManager",
    "affine",
    "arith",
    "bufferization",
    "builtin",
    "cf",
    "ext",
    "func",
    "gpu",
    "irdl",
    "linalg",
    "llvm",
    "math",
    "memref",
    "nvgpu",
    "nvvm",
    "passmanager",
    "rewrite",
    "scf",
    "sparse_tensor",
    "tensor",
    "vector",
    "ir",
]


def execution_engine() -> type:
    """The host's ``ExecutionEngine`` class (imported on first use: it costs 10 ms)."""
    from torch_mlir.execution_engine import ExecutionEngine

    return ExecutionEngine


def fx_importer():
    """The host's ``torch_mlir.fx`` module (needs torch)."""
    from torch_mlir import fx

    return fx
