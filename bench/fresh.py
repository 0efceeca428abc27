"""What only a fresh process can measure: imports, first compiles, peaks of memory.

``python -m bench.fresh <probe> [argument]`` prints one JSON object. This file and the package's
``__init__`` import nothing heavy, so that a probe decides what is loaded when.
"""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

_ROOT = pathlib.Path(__file__).resolve().parent.parent

#: Storage of the weights in the model probes; the demo's.
FORMAT = "C1(3:4)->C0(2:4)"

#: Of a second kernel in the same process.
NEXT_FORMAT = "B(4x4)C0(1:4)"

#: Modules that run a product, and those that compile it beside the passes: each is imported on first use.
RUNTIME = ("numpy", "pith.functional.matmul.matmul", "pith.runtime.jit", "pith.runtime.fast")
COMPILER = ("pith.compiler.build", "pith.functional.matmul.ir", "pith.passes.pipeline.run", "pith.tuning.select")


class ProbeFailed(Exception):
    """A probe's process did not end well; the message is the end of what it said."""


def run_probe(probe: str, argument: str = "", cache: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Run a probe in a process of its own, from the repository's root.

    Args:
        cache: ``PITH_CACHE_DIR`` of that process.

    Errors: :class:`ProbeFailed`.
    """
    env = {**os.environ, **({"PITH_CACHE_DIR": str(cache)} if cache else {})}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installation has its bytecode
    command = [sys.executable, "-W", "ignore", "-m", "bench.fresh", probe, *([argument] if argument else [])]
    done = subprocess.run(command, cwd=_ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        raise ProbeFailed(f"{probe}: " + "; ".join(done.stderr.strip().splitlines()[-2:]))
    return json.loads(done.stdout.splitlines()[-1])


def import_pith() -> dict[str, Any]:
    """``import pith``, and the heavy modules it pulled in (none, one hopes)."""
    start = time.perf_counter()
    importlib.import_module("pith")
    return {"imports_ms": _ms_since(start), "loaded": _loaded("torch", "torch_mlir", "numpy")}


def matmul() -> dict[str, Any]:
    """The first ``pith.matmul`` with everything imported before: a compile when the cache is empty."""
    start = time.perf_counter()
    _import_compiler()
    imports = _ms_since(start)
    return {"imports_ms": imports, **_first_matmul(), "next_ms": _first_matmul(NEXT_FORMAT)["first_ms"]}


def matmul_runtime() -> dict[str, Any]:
    """The first ``pith.matmul`` with the runtime imported before, the compiler not: for the disk cache."""
    start = time.perf_counter()
    for name in RUNTIME:
        importlib.import_module(name)
    imports = _ms_since(start)
    return {"imports_ms": imports, **_first_matmul()}


def matmul_lazy() -> dict[str, Any]:
    """The first ``pith.matmul`` after ``import pith, numpy``: imports what it needs, as users see it."""
    start = time.perf_counter()
    importlib.import_module("numpy")
    importlib.import_module("pith")
    imports = _ms_since(start)
    return {"imports_ms": imports, **_first_matmul()}


def _first_matmul(fmt: str = FORMAT) -> dict[str, Any]:
    import numpy as np
    import pith

    a = pith.compress(np.eye(16, dtype=np.float32), fmt)
    x = np.ones((16, 4), np.float32)
    start, cpu = time.perf_counter(), time.process_time()
    y = pith.matmul(a, x)
    first, cpu = _ms_since(start), (time.process_time() - cpu) * 1e3
    if not np.array_equal(y, x):
        raise ProbeFailed("the kernel's result is wrong")
    return {"first_ms": first, "cpu_ms": cpu, "loaded": _loaded("torch", "torch_mlir")}


def _import_compiler() -> None:
    """Import the compiler and every module it would import on first use."""
    from pith import _mlir, lowering, passes

    for table in (passes.PASSES, lowering.PASSES):
        for path in table.values():
            importlib.import_module(path.partition(":")[0])
    for name in (*RUNTIME, *COMPILER):
        importlib.import_module(name)
    for name in _mlir.__all__:
        getattr(_mlir, name)
    _mlir.execution_engine()


def feed_forward() -> dict[str, Any]:
    """Import and compile the feed-forward block of MiniLM's first layer, its weights hierarchical."""
    imports, layer = _pruned_layer()
    from pith.demo.model import block_of

    return {"imports_ms": imports, **_compile(block_of(layer))}


def encoder_layer(preload: str = "") -> dict[str, Any]:
    """Import and compile MiniLM's whole first layer, its feed-forward weights hierarchical.

    With ``preload``, what ``pith.compile`` imports on first use is imported before.
    """
    imports, layer = _pruned_layer(*(_EXPORTER if preload else ()))
    import torch

    if preload:
        _import_compiler()

    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out = self.layer(x)
            return out[0] if isinstance(out, tuple) else out

    return {"imports_ms": imports, **_compile(Layer().eval(), "layer.")}


#: What ``torch.export`` and torch-mlir's importer load on first use.
_EXPORTER = (
    "torch._dynamo",
    "torch.export._trace",
    "torch._export.non_strict_utils",
    "torch_mlir.fx",
    "pith.torch.importer",
)


def _pruned_layer(*preload: str) -> tuple[float, Any]:
    """Milliseconds to import torch, transformers and ``preload``, and the first layer with pruned weights."""
    start = time.perf_counter()
    for name in ("torch", "transformers", "pith.demo.model", *preload):
        importlib.import_module(name)
    imports = _ms_since(start)
    from pith.demo.model import load_encoder, prune_blocks

    return imports, prune_blocks(load_encoder(["a sentence"]), 1, FORMAT).layers[0]


def _compile(module: Any, prefix: str = "") -> dict[str, Any]:
    """``pith.compile`` of a module on (batch, tokens, 384), its own imports included; checked against torch."""
    import pith
    import torch

    x = torch.randn(8, 64, 384)
    sparsity = {f"{prefix}{part}.dense.weight": FORMAT for part in ("intermediate", "output")}
    start, cpu = time.perf_counter(), time.process_time()
    kernel = pith.compile(module, (x,), sparsity=sparsity, dynamic_shapes={"x": {0: "batch", 1: "tokens"}})
    first, cpu = _ms_since(start), (time.process_time() - cpu) * 1e3
    with torch.inference_mode():
        expected, got = module(x), kernel(x)
    error = float((got - expected).norm() / expected.norm())
    if not error < 1e-4:
        raise ProbeFailed(f"the kernel is off by {error:.3g}")
    return {"first_ms": first, "cpu_ms": cpu, "error": error}


def memory(megabytes: str) -> dict[str, Any]:
    """Peak memory of ``pith.compile`` on a stack of linear layers that holds ``megabytes`` of weights.

    Everything is imported and one small kernel compiled before; then ``before`` is what the process
    holds with the model in place, and ``peak`` the most it held while compiling.
    """
    depth, width = int(megabytes) // 16, 2048  # 16 MiB a layer
    import pith
    import torch

    from bench.machine import forget_peak, resident

    def stack(width: int, depth: int) -> Any:
        layers = [m for _ in range(depth) for m in (torch.nn.Linear(width, width, bias=False), torch.nn.ReLU())]
        return torch.nn.Sequential(*layers).eval()

    _import_compiler()
    pith.compile(stack(16, 1), (torch.ones(4, 16),))
    empty = resident()["VmRSS"]
    model = stack(width, depth)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(pith.prune(parameter.detach(), FORMAT))
    weights = sum(p.nbytes for p in model.parameters())
    _return_free_memory()
    before = resident()["VmRSS"]
    forget_peak()
    kernel = pith.compile(model, (torch.ones(4, width),), sparsity={"*.weight": FORMAT})
    after = resident()
    return {
        "weights": weights,
        "stored": kernel.weight_bytes,
        "model_resident": before - empty,
        "peak_growth": after["VmHWM"] - before,
        "left_growth": after["VmRSS"] - before,
        "peak_total": after["VmHWM"] - empty,
    }


def _return_free_memory() -> None:
    """Hand what pruning freed back to the system: compiling must not reuse it unseen."""
    import ctypes
    import gc

    from pith.runtime import trim

    gc.collect()
    trim()
    ctypes.CDLL(None).malloc_trim(0)


def _ms_since(start: float) -> float:
    return (time.perf_counter() - start) * 1e3


def _loaded(*names: str) -> list[str]:
    return [name for name in names if name in sys.modules]


PROBES: dict[str, Callable[..., dict[str, Any]]] = {
    f.__name__: f for f in (import_pith, matmul, matmul_runtime, matmul_lazy, feed_forward, encoder_layer, memory)
}

if __name__ == "__main__":
    print(json.dumps(PROBES[sys.argv[1]](*sys.argv[2:])))
