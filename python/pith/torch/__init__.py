"""The PyTorch door: import ``nn.Module`` programs, train sparse layers (needs ``pip install 'pith-mlir[torch]'``).

Inside this package ``import torch`` is PyTorch: imports are absolute.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ..errors import ToolError

if TYPE_CHECKING:
    from .autograd.attention import sparse_attention
    from .autograd.einsum import einsum
    from .autograd.linear import sparse_linear
    from .dynamo import backend
    from .importer import import_program
    from .interval_attention import attention, intervals_of
    from .layers.masked_linear import MaskedLinear
    from .layers.moe import MoE
    from .layers.quantized_linear import QuantizedLinear
    from .layers.sparse_linear import SparseLinear
    from .layers.sparsify import sparsify_
    from .program import ImportedProgram, Input, Parameter
    from .ragged import Unpadded, unpad

__all__ = [
    "ImportedProgram",
    "Input",
    "MaskedLinear",
    "MoE",
    "Parameter",
    "QuantizedLinear",
    "SparseLinear",
    "Unpadded",
    "attention",
    "backend",
    "einsum",
    "import_program",
    "intervals_of",
    "sparse_attention",
    "sparse_linear",
    "sparsify_",
    "unpad",
]

_HOME = {
    "ImportedProgram": "program",
    "Input": "program",
    "MaskedLinear": "layers.masked_linear",
    "MoE": "layers.moe",
    "Parameter": "program",
    "QuantizedLinear": "layers.quantized_linear",
    "SparseLinear": "layers.sparse_linear",
    "einsum": "autograd.einsum",
    "Unpadded": "ragged",
    "attention": "interval_attention",
    "backend": "dynamo",
    "import_program": "importer",
    "intervals_of": "interval_attention",
    "sparse_attention": "autograd.attention",
    "sparse_linear": "autograd.linear",
    "sparsify_": "layers.sparsify",
    "unpad": "ragged",
}


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
