"""The PyTorch door: import ``nn.Module`` programs into pith (needs ``pip install 'pith-mlir[torch]'``).

Inside this package ``import torch`` is PyTorch: imports are absolute.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ..errors import ToolError

if TYPE_CHECKING:
    from .importer import import_program
    from .program import ImportedProgram, Input, Parameter

__all__ = ["ImportedProgram", "Input", "Parameter", "import_program"]

_HOME = {"import_program": "importer", "ImportedProgram": "program", "Input": "program", "Parameter": "program"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pith.torch' has no attribute {name!r}")
    _require_torch()
    value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def _require_torch() -> None:
    try:
        importlib.import_module("torch")
    except ImportError as e:
        raise ToolError(
            f"pith.torch needs PyTorch, which does not import: {e}", hint="pip install 'pith-mlir[torch]'"
        ) from e
