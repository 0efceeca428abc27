"""pith: a Python-first MLIR compiler for sparse tensors.

``import pith`` is cheap: MLIR and torch are loaded by the first call that needs them.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from .untraced import leave_untraced

__version__ = "0.1.0"

#: Public name -> the module that defines it. Resolved on first use.
_EXPORTS = {
    "Format": "formats",
    "GpuKernel": "compiler.gpu",
    "Kernel": "compiler.kernel",
    "attention": "functional.attention.attention",
    "compile": "compiler.compile",
    "dynamic": "functional.dynamic.dynamic",
    "explain": "tuning.report",
    "infer_format": "infer",
    **dict.fromkeys(("load", "save"), "compiler.bundle"),
    "linear": "functional.linear.linear",
    "matmul": "functional.matmul.matmul",
    "sddmm": "functional.sddmm.sddmm",
    "conv2d": "functional.conv2d.conv2d",
    "einsum": "functional.einsum.einsum",
    **dict.fromkeys(("HIGHLIGHT", "HSS", "Level", "Rank", "highlight"), "formats"),
    **dict.fromkeys(("BAND", "BSR", "COO", "CSC", "CSR", "DIA", "NM", "SparseTensor", "compress"), "sparse"),
    **dict.fromkeys(("PruneReport", "prune", "prune_mask", "prune_report"), "pruning"),
    **dict.fromkeys(("Quantized", "QuantizedTensor", "quantize"), "quantization"),
    **dict.fromkeys(("Pattern", "detect"), "patterns"),
    "Ragged": "workloads.ragged",
    "layer_norm": "workloads.rows",
    **dict.fromkeys(("grouped_matmul", "moe"), "workloads.moe"),
    "relu_ffn": "workloads.relu_ffn",
    "route": "workloads.routing",
    "repack": "repacking",
    "tune": "tuning.tune",
    "validate": "validation",
    **dict.fromkeys(("read", "write"), "io"),
    **dict.fromkeys(
        (
            "ArgumentError",
            "CacheError",
            "CheckError",
            "DTypeError",
            "DeviceError",
            "Error",
            "FileAccessError",
            "FileFormatError",
            "FormatError",
            "GpuArchitectureError",
            "GpuError",
            "GpuLaunchError",
            "GpuMemoryError",
            "IRError",
            "ImportProgramError",
            "KernelFault",
            "MissingFileError",
            "MissingNameError",
            "NoGpuError",
            "PassError",
            "PerformanceWarning",
            "PipelineError",
            "RuntimeLibraryError",
            "ShapeError",
            "ToolError",
            "UnsupportedError",
        ),
        "errors",
    ),
}

#: Names of SciPy and torch -> what to write instead.
_INSTEAD = {
    **dict.fromkeys(("solve", "spsolve", "inv"), "scipy.sparse.linalg.spsolve(A.to(pith.CSR).to_scipy(), b); cg(A, b)"),
    **dict.fromkeys(("csr_matrix", "csr_array", "to_sparse"), 'pith.compress(array, "csr")'),
    **dict.fromkeys(("mm", "spmm", "dot"), "pith.matmul(A, x), A @ x"),
    **dict.fromkeys(
        ("vstack", "hstack", "kron", "eye", "random", "diags"),
        "pith.SparseTensor.from_scipy(scipy.sparse....) takes SciPy's over",
    ),
}

__all__ = [*_EXPORTS, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(importlib.import_module(f".{_EXPORTS[name]}", __name__), name)
    elif name in ("torch", "runtime", "formats", "errors", "dialect", "passes", "lowering", "patterns"):
        value = importlib.import_module(f".{name}", __name__)
    elif name in _INSTEAD:
        from .errors import MissingNameError

        raise MissingNameError(f"pith has no {name!r}", hint=_INSTEAD[name])
    else:
        raise AttributeError(f"module 'pith' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_EXPORTS))


leave_untraced()
