"""The one door to the host MLIR bindings (the ``torch-mlir`` wheel).

Everything else in pith says ``from pith._mlir import ir``; a change of host is a change here.
Dialect modules are imported when they are first named: all of them take 0.4 s, ``ir`` and ``ext`` half of that
(measured 2026-11 on 2 cores). Of the slowest, parts are (:data:`_PARTS`).
"""

from __future__ import annotations

import importlib
import inspect
import pathlib
import sys
import types
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
    module = _Parted(name) if name in _PARTS else importlib.import_module(f"torch_mlir.dialects.{name}")
    globals()[name] = module
    return module


#: What is imported of dialects whose modules are slow to import; names that are not in it import the module.
#: Of the 100 ms of ``linalg``, classes of ops are 12 (Emerald Rapids, 2026-11-23); the rest defines the named ops
#: once more in Python, with YAML and four contexts. Classes of ops of ``llvm`` are 24 ms, and few kernels need one.
_PARTS = {
    "linalg": ("dialects._linalg_ops_gen", "_mlir_libs._mlirDialectsLinalg"),
    "llvm": ("_mlir_libs._mlirDialectsLLVM",),
}


class _Parted(types.ModuleType):
    """A dialect's module of which classes are there at once, and the rest when it is asked for."""

    def __init__(self, dialect: str):
        super().__init__(f"{__name__}.{dialect}")
        for part in _PARTS[dialect]:
            names = vars(importlib.import_module(f"torch_mlir.{part}"))
            # Generated functions are left out: the whole module has others of the same names.
            vars(self).update({n: v for n, v in names.items() if n[0] != "_" and not inspect.isfunction(v)})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked of every module there is, by `inspect` for one
            raise AttributeError(name)
        return getattr(importlib.import_module(f"torch_mlir.dialects.{self.__name__.rpartition('.')[2]}"), name)


def add_dialect_prefix(package: str) -> None:
    """Make the bindings look for the modules of dialects in ``package`` too."""
    from torch_mlir._mlir_libs import _mlir

    _mlir.globals.append_dialect_search_prefix(package)


def _prefer_parts() -> None:
    """Make the bindings, which import a dialect's module when they meet its ops and types, take those of here first."""
    from torch_mlir._mlir_libs import _mlir

    for name in _PARTS:
        sys.modules[f"{__name__}.{name}"] = __getattr__(name)
    _mlir.globals.dialect_search_modules = [__name__, *_mlir.globals.dialect_search_modules]


_prefer_parts()


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
