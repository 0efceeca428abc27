"""Say what each op of a program becomes, and why.

pith explain f.mlir                     on the CPU: the ops on sparse data
pith explain f.mlir --target sm_90      on a GPU: every kernel, with its tile, grid, shared memory and registers
pith explain f.pith                     of a kernel file: its targets, then the best one for this machine
"""

from __future__ import annotations

import argparse
import pathlib
import sys

from .compile import PATHS


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``pith explain``."""
    parser.add_argument("file", metavar="FILE", help="the program: a .mlir file at the pith level, or a kernel file")
    parser.add_argument("--path", choices=PATHS, default="auto", help="the path to explain (default: auto)")
    parser.add_argument(
        "--target", help="cpu, or a GPU architecture such as sm_90 (default: cpu; of a kernel file the best)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the plan."""
    if not args.file.endswith(".mlir"):
        from ..compiler.bundle import load, targets

        sys.stdout.write(f"kernels for {', '.join(targets(args.file))}\n")
        text = load(args.file, args.target).explain()
    elif args.target in (None, "cpu"):
        from ..compiler.explain import explain_source

        text = explain_source(pathlib.Path(args.file).read_text(), args.path, file=args.file)
    else:
        from ..compiler.compile import compile

        text = compile(pathlib.Path(args.file), target=args.target, path=args.path).explain()
    sys.stdout.write(text + "\n")
    return 0
