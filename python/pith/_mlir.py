"""The one door to the host MLIR bindings (the ``torch-mlir`` wheel).

Everything else in pith says ``from pith._mlir import ir``; a change of host is a change here.
Dialect modules are imported when they are first named: all of them take 0.4 s (``linalg`` alone
0.15 s; measured 2026-11 on 2 cores), ``ir`` and ``ext`` half of that.
"""

from __future__ import annotations

import importlib
import pathlib
from typing import TYPE_CHECKING, Any

from .errors import ToolError

try:
    from torch_mlir import ir, passmanager, rewrite
    from torch_mlir.passmanager import PassManager
except ImportError as e:
    raise ToolError(
        f"compiling needs MLIR, which does not import: {e}",
        hint="pip install pith-mlir brings it (torch-mlir); kernel files (pith.load) run without",
    ) from e

if TYPE_CHECKING:
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
        x86,
    )

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
    "ir",
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
    "x86",
]


def __getattr__(name: str) -> Any:
    """Import the dialect module ``name`` on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"torch_mlir.dialects.{name}")
    globals()[name] = module
    return module


def add_dialect_prefix(package: str) -> None:
    """Make the bindings look for the modules of dialects in ``package`` too."""
    from torch_mlir._mlir_libs import _mlir

    _mlir.globals.append_dialect_search_prefix(package)


def execution_engine() -> type:
    """The host's ``ExecutionEngine`` class (imported on first use: it costs 10 ms)."""
    from torch_mlir.execution_engine import ExecutionEngine

    return ExecutionEngine


def fx_importer():
    """The host's ``torch_mlir.fx`` module (needs torch)."""
    from torch_mlir import fx

    return fx


def library_dir() -> pathlib.Path:
    """The folder of the host's shared libraries and of its ``torch-mlir-opt``."""
    from torch_mlir import _mlir_libs

    return pathlib.Path(_mlir_libs.__file__).parent
