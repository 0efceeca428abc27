"""What a cached kernel depends on besides its key: the processor and the compiler that made it."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import os
import platform

from .native import lib

#: The packages whose code decides what a kernel looks like.
_COMPILER = tuple(
    f"pith.{part}" for part in ("dialect", "passes", "lowering", "compiler", "functional", "formats", "programs")
)


@functools.cache
def host_cpu() -> str:
    """Identifies the processor's model and usable instructions.

    Example:
        >>> host_cpu().startswith(platform.machine())
        True
    """
    text = ctypes.create_string_buffer(512)
    lib().pith_cpu_identity(text, len(text))
    return f"{platform.machine()}-{text.value.decode()}"


def _sources(directory: str) -> list[tuple[str, os.stat_result]]:
    """Python files and tile databases below a directory by path; scandir takes a third of the time of rglob."""
    found: list[tuple[str, os.stat_result]] = []
    for entry in os.scandir(directory):
        if entry.is_dir() and entry.name != "__pycache__":
            found += [(f"{entry.name}/{name}", status) for name, status in _sources(entry.path)]
        elif entry.name.endswith((".py", ".tiles.json")):
            found.append((entry.name, entry.stat()))
    return sorted(found, key=lambda file: file[0])


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
            for name, status in _sources(directory):
                digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return f"pith-{__version__}-{digest.hexdigest()[:16]}"
