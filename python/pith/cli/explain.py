"""Say what each op on sparse data of an MLIR file becomes on the CPU, and why."""

from __future__ import annotations

import argparse
import pathlib
import sys

from .compile import PATHS


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``pith explain``."""
    parser.add_argument("file", metavar="FILE.mlir", help="the program, at the pith level")
    parser.add_argument("--path", choices=PATHS, default="auto", help="the path to explain (default: auto)")


def run(args: argparse.Namespace) -> int:
    """Print the plan."""
    from ..compiler.explain import explain_source

    sys.stdout.write(explain_source(pathlib.Path(args.file).read_text(), args.path, file=args.file) + "\n")
    return 0
