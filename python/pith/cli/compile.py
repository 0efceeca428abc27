"""Compile an MLIR file at the pith level.

  pith compile f.mlir -o f.pith                     a kernel file for this machine (pith run, pith.load)
  pith compile f.mlir --target sm_90 -o f.ptx       PTX
  pith compile f.mlir --emit vector                 the IR of a level, on stdout without -o

Levels on the CPU: pith, linalg, vector, llvm, asm; for GPUs: pith, gpu, nvvm, llvm, ptx.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from typing import Any

from pith.errors import ArgumentError, UnsupportedError

PATHS = ("auto", "sparsifier", "loops")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``pith compile``."""
    parser.add_argument("file", metavar="FILE.mlir", help="the program")
    parser.add_argument("-o", "--output", metavar="OUT", help="the file to write")
    parser.add_argument("--target", default="cpu", help="cpu, or a GPU architecture such as sm_90 (default: cpu)")
    parser.add_argument("--emit", metavar="LEVEL", help="write the IR of this level instead of a kernel")
    add_kernel_options(parser)


def add_kernel_options(parser: argparse.ArgumentParser) -> None:
    """Options that say which function of a file is meant and how it is lowered."""
    parser.add_argument("--entry", metavar="NAME", help="the function, where the file has several public ones")
    parser.add_argument(
        "--path", choices=PATHS, default="auto", help="how sparse ops are lowered on the CPU (default: auto)"
    )


def load_program(path: str, args: argparse.Namespace, target: str = "cpu") -> Any:
    """The compiled program of a ``.mlir`` file."""
    from ..compiler.compile import compile

    return compile(pathlib.Path(path), target=target, entry=args.entry, path=args.path)


def run(args: argparse.Namespace) -> int:
    """Compile and write what was asked for."""
    if args.emit is None and args.output is None:
        raise ArgumentError("nothing to write", where="pith compile", hint="give -o OUT, or --emit LEVEL")
    _require_gpu_options(args)
    kernel = load_program(args.file, args, args.target)
    if args.target == "cpu" and args.emit is None:
        kernel.save(args.output)
        return 0
    text = kernel.ir(args.emit or "ptx")
    if args.output is None:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    else:
        pathlib.Path(args.output).write_text(text)
    return 0


def _require_gpu_options(args: argparse.Namespace) -> None:
    """GPU modules hold kernels of all functions and have one way down."""
    if args.target != "cpu" and (args.entry is not None or args.path != "auto"):
        raise UnsupportedError(f"--entry and --path do not apply to {args.target}", hint="leave them out")
