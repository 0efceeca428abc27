"""What a cached kernel depends on besides its key: the processor and the compiler that made it."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import pathlib
import platform

#: The packages whose code decides what a kernel looks like.
_COMPILER = ("pith.dialect", "pith.passes", "pith.lowering")


@functools.cache
def host_cpu() -> str:
    """Identifies the processor's instruction set: machine, vendor, model and a hash of its features.

    Example:
        >>> host_cpu().startswith(platform.machine())
        True
    """
    fields = _cpuinfo()
    features = " ".join(sorted(fields.get("flags", platform.processor()).split()))
    model = "-".join(fields.get(name, "") for name in ("vendor_id", "cpu family", "model"))
    return f"{platform.machine()}-{model}-{hashlib.sha256(features.encode()).hexdigest()[:16]}"


def _cpuinfo() -> dict[str, str]:
    """The first processor of ``/proc/cpuinfo``; empty where there is none."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.split("\n\n", 1)[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


@functools.cache
def compiler() -> str:
    """Identifies the installed compiler: its version and a hash over names, sizes and times of its files.

    The files matter in a checkout, where the code changes and the version does not.
    """
    from .. import __version__

    digest = hashlib.sha256()
    for package in _COMPILER:
        spec = importlib.util.find_spec(package)
        for directory in (spec.submodule_search_locations or ()) if spec else ():
            for path in sorted(pathlib.Path(directory).rglob("*.py")):
                status = path.stat()
                digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return f"pith-{__version__}-{digest.hexdigest()[:16]}"
