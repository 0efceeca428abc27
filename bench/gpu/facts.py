"""What numbers were taken on: the GPU, its driver and clocks, the software, the package."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from typing import Any

_PACKAGES = ("torch", "triton", "cuda-bindings", "numpy")

#: What the driver's tool is asked for, and how it is called here.
_QUERY = {
    "name": "device",
    "driver_version": "driver",
    "clocks.max.sm": "SM clock (max)",
    "clocks.max.memory": "memory clock (max)",
    "clocks.sm": "SM clock (before)",
    "power.limit": "power limit",
}


def machine(device: str) -> dict[str, Any]:
    """The device and the software; of a machine without a GPU the processor."""
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    found = {"date": now, **(_gpu() if device == "cuda" else {"device": f"none ({platform.machine()})"})}
    found |= {"python": platform.python_version()}
    return found | {name: version for name in _PACKAGES if (version := _version(name))}


def afterwards(device: str) -> dict[str, Any]:
    """What the run did to the clocks."""
    return {"SM clock (after)": _gpu().get("SM clock (before)", "unknown")} if device == "cuda" else {}


def package(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What the kernels were made by."""
    return {key: manifest[key] for key in ("pith", "commit", "packed", "target", "small")}


def _gpu() -> dict[str, Any]:
    command = ["nvidia-smi", f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader"]
    try:
        line = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        return {"device": f"unknown: nvidia-smi: {type(error).__name__}"}
    return dict(zip(_QUERY.values(), map(str.strip, line.split(","))))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
