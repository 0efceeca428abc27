"""Say what each op of an MLIR file becomes, and why.

On the CPU that is about ops on sparse data; for a GPU, about every kernel: what it reads, its grid, shared memory and
tile, and with ptxas its registers.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

from .compile import PATHS


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``pith explain``."""
    parser.add_argument("file", metavar="FILE.mlir", help="the program, at the pith level")
    parser.add_argument("--path", choices=PATHS, default="auto", help="the path to explain (default: auto)")
    parser.add_argument("--target", default="cpu", help="cpu, or a GPU architecture such as sm_90 (default: cpu)")


def run(args: argparse.Namespace) -> int:
    """Print the plan."""
    source = pathlib.Path(args.file).read_text()
    if args.target == "cpu":
        from ..compiler.explain import explain_source

        sys.stdout.write(explain_source(source, args.path, file=args.file) + "\n")
        return 0
    from ..compiler.compile import compile

    sys.stdout.write(compile(source, target=args.target, path=args.path).explain() + "\n")
    return 0
