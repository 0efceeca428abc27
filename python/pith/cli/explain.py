"""Say what each op of a program becomes, and why.

pith explain f.mlir                     on the CPU: the ops on sparse data
pith explain f.mlir --target sm_90      on a GPU: every kernel, with its tile, grid, shared memory and registers
pith explain model.py:build             a PyTorch module that a Python file builds
pith explain f.pith                     of a kernel file: its targets, then the best one for this machine
"""

from __future__ import annotations

import argparse
import sys

from ..errors import ArgumentError
from .compile import add_kernel_options, is_program, load_program
from .inspect import MATRICES, MODELS


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``pith explain``."""
    parser.add_argument(
        "file", metavar="FILE", help="a .mlir file at the pith level, FILE.py:FUNCTION, or a kernel file"
    )
    parser.add_argument(
        "--target",
        help="cpu, cpu:ISA, emulate:ISA, or a GPU architecture such as sm_90 (default: cpu; of a kernel file the best)",
    )
    add_kernel_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print the plan."""
    if args.file.lower().endswith((*MATRICES, *MODELS, ".npy")):
        raise ArgumentError(
            f"explains programs, got {args.file}", where="pith explain", hint=f"pith inspect {args.file}"
        )
    if not is_program(args.file):
        from ..compiler.bundle import load, targets

        sys.stdout.write(f"kernels for {', '.join(targets(args.file))}\n")
        text = load(args.file, args.target).explain()
    elif args.target in (None, "cpu") and args.file.endswith(".mlir"):
        text = _explain_file(args)
    else:
        text = load_program(args.file, args, args.target or "cpu").explain()
    sys.stdout.write(text + "\n")
    return 0


def _explain_file(args: argparse.Namespace) -> str:
    """On the CPU: nothing is compiled, and a file may hold several functions."""
    from ..compiler.compile import read_source
    from ..compiler.explain import explain_source

    source = read_source(args.file)
    if args.entry is None:
        return explain_source(source, args.path, file=args.file)
    from ..compiler.entries import selected

    return explain_source(selected(source, args.entry, args.file), args.path)
