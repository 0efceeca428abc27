"""What numbers were taken on: processor, caches, software, load."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import time
from collections.abc import Callable
from typing import Any

#: Instruction sets that decide how fast sparse kernels can be.
FEATURES = (
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_bf16",
    "asimd",
    "sve",
)

#: What promises are made for, in words.
NAMED = {
    "amx_bf16": "AMX",
    "avx512f": "AVX-512",
    "avx512_vnni": "VNNI",
    "avx512_bf16": "AVX512-BF16",
    "avx512_fp16": "AVX512-FP16",
}

PACKAGES = ("pith-mlir", "torch", "torch-mlir", "numpy", "scipy")

_ROOT = pathlib.Path(__file__).resolve().parent.parent


def machine_facts() -> dict[str, Any]:
    """JSON data about this machine, now."""
    info = _cpuinfo()
    flags = info.get("flags", info.get("Features", "")).split()
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "cpu": info.get("model name", platform.processor() or platform.machine()),
        "features": [f for f in FEATURES if f in flags],
        "cores": len(os.sched_getaffinity(0)),
        "caches": _caches(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "commit": _commit(),
    }


def lacking(feature: str) -> str:
    """What processors with ``feature``, one of :data:`NAMED`, have and this one has not; empty where it has it."""
    info = _cpuinfo()
    return "" if feature in info.get("flags", info.get("Features", "")).split() else NAMED[feature]


def resident() -> dict[str, int]:
    """Bytes this process holds now (``VmRSS``) and held at most (``VmHWM``)."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    fields = (line.split() for line in lines if line.startswith(("VmRSS", "VmHWM")))
    return {name.rstrip(":"): int(kib) * 1024 for name, kib, _ in fields}


def forget_peak() -> None:
    """Let ``VmHWM`` count from now on."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")


def peak_growth(call: Callable[[], object]) -> int:
    """Bytes that this process held during a call beyond what it held before."""
    before = resident()["VmRSS"]
    forget_peak()
    call()
    return resident()["VmHWM"] - before


class OtherLoad:
    """How many cores other processes kept busy since this was made: what disturbs timings."""

    def __init__(self) -> None:
        self._start = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Seconds: of the clock, of all processors' work (stolen time too), of this process and its children."""
        try:
            ticks = [int(t) for t in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        except (OSError, ValueError):
            return None
        user, nice, system, _idle, _iowait, irq, softirq, steal = ticks
        busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), busy, sum(os.times()[:4])

    def cores(self) -> float | None:
        """Mean over the time since; None where the system does not say."""
        now = self._now()
        if self._start is None or now is None:
            return None
        elapsed, busy, own = (b - a for a, b in zip(self._start, now))
        return round(max(0.0, busy - own) / max(elapsed, 1e-9), 2)


def one_line(facts: dict[str, Any]) -> str:
    """The facts that matter most, for the head of a report."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items() if version)
    features = " ".join(facts["features"])
    caches = ", ".join(f"{name} {size}" for name, size in facts["caches"].items())
    load = " ".join(map(str, facts["load_average"]))
    took = f", took {facts['seconds']} s" if "seconds" in facts else ""
    ceiling = ", ".join(f"{rate} on {count}" for count, rate in facts.get("multiply_adds", {}).items())
    ceiling = f"; in registers, between cases, GFLOP/s of f32 by cores: {ceiling}" if ceiling else ""
    return (
        f"{facts['date'][:16]}, {facts['cpu']} ({features}; {caches}), {facts['cores']} cores, "
        f"load before {load}{took}{ceiling}; commit {facts['commit'] or 'unknown'}, "
        f"Python {facts['python']}, {versions}"
    )


def _cpuinfo() -> dict[str, str]:
    """The first processor's entry of /proc/cpuinfo."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    lines = (line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in lines}


def _caches() -> dict[str, str]:
    found = {}
    for index in sorted(pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found[f"L{level}"] = size
    return found


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The checkout's commit, with ``+`` when the product's files differ from it."""
    try:
        commit = _git("rev-parse", "--short=10", "HEAD")
        changed = _git("status", "--porcelain", "--", "python", "dialect", "passes", "lowering", "runtime")
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def _git(*args: str) -> str:
    done = subprocess.run(["git", *args], cwd=_ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
