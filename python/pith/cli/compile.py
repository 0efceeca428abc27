"""Compile a program: an MLIR file at the pith level, or a PyTorch module that a Python file builds.

  pith compile f.mlir -o f.pith                       a kernel file for this machine (pith run, pith.load)
  pith compile model.py:build --target cpu --target sm_80 --target sm_90 -o model.pith
                                                      one file for several targets; the best one runs
  pith compile f.mlir --target sm_90 -o f.ptx         PTX; -o f.cubin for machine code
  pith compile f.mlir --emit vector                   the IR of a level, on stdout without -o

In model.py, build() returns (module, args) or (module, args, sparsity), as pith.compile takes them.
Levels on the CPU: pith, linalg, vector, llvm, asm; for GPUs: pith, gpu, nvvm, llvm, ptx, sass.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from pith.errors import ArgumentError, UnsupportedError

PATHS = ("auto", "sparse", "sparsifier", "loops")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``pith compile``."""
    parser.add_argument("file", metavar="FILE", help="the program: a .mlir file, or FILE.py:FUNCTION")
    parser.add_argument(
        "-o", "--output", metavar="OUT", help="the file to write; .ptx and .cubin get GPU code, all else a kernel file"
    )
    parser.add_argument(
        "--target",
        action="append",
        metavar="TARGET",
        help="cpu, cpu:ISA, emulate:ISA, or a GPU architecture such as sm_90; several for one file (default: cpu)",
    )
    parser.add_argument(
        "--cubin", action="store_true", help="store machine code of GPUs too, made by ptxas: loads without the driver's"
    )
    parser.add_argument("--emit", metavar="LEVEL", help="write the IR of this level instead of a kernel")
    add_kernel_options(parser)


def add_kernel_options(parser: argparse.ArgumentParser) -> None:
    """Options that say which function of a file is meant and how it is lowered."""
    parser.add_argument("--entry", metavar="NAME", help="the function, where the file has several public ones")
    parser.add_argument(
        "--path",
        choices=PATHS,
        default="auto",
        help="how sparse ops are lowered on the CPU (default: auto; sparse: no weight of a model is kept dense)",
    )


def is_program(file: str) -> bool:
    """Whether ``file`` is to be compiled: a ``.mlir`` file, or a function of a Python file.

    >>> is_program("f.mlir"), is_program("model.py:build"), is_program("f.pith")
    (True, True, False)
    """
    return file.endswith((".mlir", ".py")) or file.rpartition(":")[0].endswith(".py")


def load_program(path: str, args: argparse.Namespace, target: str = "cpu") -> Any:
    """The compiled program of a ``.mlir`` file or a function of a Python file."""
    return _compilers(path, args)(target)


def run(args: argparse.Namespace) -> int:
    """Compile and write what was asked for."""
    if args.emit is None and args.output is None:
        raise ArgumentError("nothing to write", where="pith compile", hint="give -o OUT, or --emit LEVEL")
    targets = list(dict.fromkeys(args.target or ["cpu"]))
    suffix = pathlib.Path(args.output or "").suffix
    one = args.emit is not None or suffix in (".ptx", ".cubin")
    if one and len(targets) > 1:
        what = "--emit" if args.emit is not None else suffix
        raise ArgumentError(f"{what} is of one target, got {', '.join(targets)}", where="pith compile")
    _require_gpu_options(args, targets)
    if args.emit is None and suffix in (".ptx", ".cubin"):
        _require_gpu(targets[0], suffix)
    if not one:
        _require_storable(targets)
    compile_for = _compilers(args.file, args)
    kernels = [compile_for(target) for target in targets]
    if not one:
        return _write_bundle([_finished(k, args.cubin) for k in kernels], args.output)
    if args.emit is None and suffix == ".cubin":
        pathlib.Path(args.output).write_bytes(_finished(kernels[0], True).cubin)
        return 0
    _write_text(kernels[0].ir(args.emit or "ptx"), args.output)
    return 0


def _write_bundle(kernels: Sequence[Any], output: str) -> int:
    from ..compiler.bundle import save

    save(kernels, output)
    return 0


def _finished(kernel: Any, machine_code: bool) -> Any:
    """The kernel as it is stored: a module's own, GPU code assembled where that was asked for."""
    plain = kernel.saved() if hasattr(kernel, "saved") else kernel
    return plain.with_machine_code() if machine_code and hasattr(plain, "with_machine_code") else plain


def _write_text(text: str, output: str | None) -> None:
    if output is None:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    else:
        pathlib.Path(output).write_text(text)


def _compilers(file: str, args: argparse.Namespace) -> Any:
    """A function of the target that compiles ``file`` for it; a Python file is run once."""
    from ..compiler.compile import compile

    if file.endswith(".mlir"):
        return lambda target: compile(pathlib.Path(file), target=target, entry=args.entry, path=args.path)
    from .build_function import built

    if args.entry is not None:
        raise UnsupportedError("--entry is for .mlir files", hint="name the function: FILE.py:FUNCTION")
    module, example, sparsity = built(file)
    return lambda target: compile(module, example, target=target, sparsity=sparsity, path=args.path)


def _require_gpu_options(args: argparse.Namespace, targets: Sequence[str]) -> None:
    """Known targets; for GPUs there is one way down."""
    from ..lowering.targets import GpuTarget, parse_target

    for target in targets:
        if isinstance(parse_target(target), GpuTarget) and args.path not in ("auto", "sparse"):
            raise UnsupportedError(f"--path does not apply to {target}", hint="leave it out")


def _require_gpu(target: str, suffix: str) -> None:
    """Refuse code of a GPU that is asked of a CPU."""
    from ..lowering.targets import GpuTarget, parse_target

    if not isinstance(parse_target(target), GpuTarget):
        raise ArgumentError(
            f"{suffix} is code of a GPU, the target is {target}", where="pith compile", hint="e.g. --target sm_90"
        )


def _require_storable(targets: Sequence[str]) -> None:
    """Refuse, before anything is compiled, targets that a kernel file cannot hold."""
    from ..lowering.targets import GpuTarget, parse_target

    for target in targets:
        parsed = parse_target(target)
        if isinstance(parsed, GpuTarget) and parsed.emulated:
            raise UnsupportedError(
                f"kernels for {target} cannot be saved",
                hint=f"compile for {parsed.options}, or for the CPU; pith run --target {target} runs a program",
            )
