"""Show where compiled kernels are kept and how much space they take; with --clear, remove them.

PITH_CACHE_DIR puts them elsewhere, PITH_CACHE=0 keeps none.
"""

from __future__ import annotations

import argparse
import pathlib
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``pith cache``."""
    parser.add_argument("--clear", action="store_true", help="remove all kernels; other files stay")


def run(args: argparse.Namespace) -> int:
    """Print the state of the cache."""
    from ..runtime.cache import kernel_cache

    cache = kernel_cache()
    entries = kernel_files(cache.directory)
    size = sum(path.stat().st_size for path in entries)
    if args.clear:
        for path in entries:
            path.unlink(missing_ok=True)
        sys.stdout.write(f"removed {len(entries)} kernels, {size / 1e6:.2f} MB, from {cache.directory}\n")
        return 0
    state = "" if cache.enabled else " (switched off: PITH_CACHE=0)"
    sys.stdout.write(f"{cache.directory}{state}\n{len(entries)} kernels, {size / 1e6:.2f} MB\n")
    return 0


def kernel_files(directory: pathlib.Path) -> list[pathlib.Path]:
    """The cache's own files: whole kernels, and what a writer that was killed left behind."""
    return sorted([*directory.glob("??/*.kernel"), *directory.glob("??/.new-*")])
