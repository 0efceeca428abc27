"""Running compiled kernels: load objects, call them with arrays, cache them.

Importing this package loads neither MLIR nor torch; only :func:`compile_object` needs MLIR.
"""

from __future__ import annotations

import importlib
from typing import Any

from .artifact import Artifact
from .cache import CacheStats, KernelCache, kernel_cache
from .call import NativeFunction
from .jit import compile_object
from .library import Library
from .native import library_path, live_bytes, num_threads, openmp_path, set_num_threads, take_failure, trim
from .signature import MemRefSpec, ScalarSpec, Signature, accepted_dtypes, dtype_name, numpy_dtype

__all__ = [
    "Artifact",
    "CacheStats",
    "KernelCache",
    "Library",
    "MemRefSpec",
    "NativeFunction",
    "ScalarSpec",
    "Signature",
    "accepted_dtypes",
    "compile_object",
    "dtype_name",
    "kernel_cache",
    "library_path",
    "live_bytes",
    "num_threads",
    "numpy_dtype",
    "openmp_path",
    "set_num_threads",
    "take_failure",
    "trim",
]


def __getattr__(name: str) -> Any:
    """``pith.runtime.cuda`` is loaded when it is first named."""
    if name != "cuda":
        raise AttributeError(f"module 'pith.runtime' has no attribute {name!r}")
    return importlib.import_module(".cuda", __name__)
