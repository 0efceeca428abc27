"""Measure products on this machine.

  pith bench --format "C0(2:4)" --shape 1024x512x64     time every variant beside its prediction
  pith bench matrix.mtx --columns 64                    the same for a matrix from a file
  pith bench --calibrate                                fit the cost model to this machine (under 3 minutes)
  pith bench --tiles                                    measure products of dynamic operands (under 3 minutes)

A calibration decides what pith.matmul runs from then on, on this processor. Leave the machine alone
meanwhile: what else runs is measured too. Without one, models that come with pith are used where the
processor is known, else the roofline of its instruction set.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import sys
from typing import TYPE_CHECKING, Any

from pith.errors import ArgumentError, DTypeError

from .arguments import positive

if TYPE_CHECKING:
    from ..tuning.database import Calibration
    from ..tuning.samples import Sample

#: What is measured when nothing is said.
SHAPE, FORMAT = "1024x1024x128", "C0(2:4)"

#: Seconds of a calibration, and of a quick one.
FULL, QUICK = 150.0, 20.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``pith bench``."""
    parser.add_argument("matrix", nargs="?", metavar="MATRIX", help="a .mtx, .smtx or .npz file; default: random")
    parser.add_argument("--format", metavar="F", help=f'format of the sparse operand (default: "{FORMAT}")')
    parser.add_argument("--shape", metavar="MxKxN", help=f"of a random product (default: {SHAPE})")
    parser.add_argument("--columns", type=positive, metavar="N", help="of the dense operand, with MATRIX")
    parser.add_argument("--density", type=float, default=0.1, metavar="D", help="for csr, bsr, ... (default: 0.1)")
    parser.add_argument("--element", metavar="T", help="f16, bf16, f32, f64, i8, ... (default: f32; to calibrate: all)")
    parser.add_argument("--right", action="store_true", help="put the sparse operand on the right")
    parser.add_argument("--rounds", type=positive, default=15, metavar="N", help="timing rounds (default: 15)")
    parser.add_argument(
        "--threads", type=_threads, metavar="T,..", help="numbers of threads (default: all; to calibrate: 1 and all)"
    )
    parser.add_argument("--remember", action="store_true", help="let these times decide from now on, as pith.tune does")
    group = parser.add_argument_group("calibration")
    group.add_argument("--calibrate", action="store_true", help="fit the cost model to this machine")
    group.add_argument("--tiles", action="store_true", help="measure micro-tiles of dynamic operands on this machine")
    group.add_argument("--quick", action="store_true", help=f"in {QUICK:.0f} s instead of {FULL:.0f}: rough")
    group.add_argument("--output", type=pathlib.Path, metavar="FILE", help="write there, not where pith looks for it")
    group.add_argument("--samples", type=pathlib.Path, metavar="FILE", help="also write every measured time")


def run(args: argparse.Namespace) -> int:
    """Calibrate, measure tiles, or time one product."""
    if args.tiles:
        from .bench_tiles import measure

        return measure(args)
    return _calibrate(args) if args.calibrate else _compare(args)


def _calibrate(args: argparse.Namespace) -> int:
    from ..progress import ProgressBar
    from ..tuning import database
    from ..tuning.calibrate import SHARES, Settings, calibrate
    from ..tuning.samples import write_samples
    from ..tuning.select import forget_ranks

    path = args.output or database.own_path()
    old = _previous(path)
    threads = args.threads or tuple(sorted({1, len(os.sched_getaffinity(0))}))
    elements = (_element(args.element),) if args.element else tuple(SHARES)
    settings = Settings(QUICK if args.quick else FULL, 3 if args.quick else 5, threads, elements)
    with ProgressBar() as progress:
        found, samples = calibrate(settings, progress)
    database.write_database(path, database.merge(old, found))
    if args.samples:
        args.samples.write_text(write_samples(samples))
    database.forget()
    forget_ranks()
    sys.stdout.write(_accuracy_table(found, samples) + f"\nwritten: {path}\n")
    return 0


def _previous(path: pathlib.Path) -> list[Calibration]:
    """What the file holds for other processors; a file that cannot be read is not overwritten."""
    from ..tuning.database import read_database

    return read_database(path.read_text(), str(path), "own") if path.exists() else []


def _accuracy_table(found: list[Calibration], samples: list[Sample]) -> str:
    lines = [f"{len({s.case for s in samples})} products measured; errors of predictions on those held out of the fit:"]
    lines.append(f"{'model':<24} {'threads':>7} {'held out':>8} {'median':>7} {'p90':>7}")
    for calibration in found:
        for name, a in sorted(calibration.accuracy.items()):
            lines.append(f"{name:<24} {calibration.threads:>7} {a.samples:>8} {a.median:>7.1%} {a.p90:>7.1%}")
        choices = calibration.facts["choices"]
        lines.append(
            f"choices on {choices['cases']:.0f} of those products: {choices['over_best'] - 1:.1%} above the fastest, "
            f"{choices['slower_than_dense']:.1%} of them more than 5 % slower than dense\n"
        )
    return "\n".join(lines)


def _compare(args: argparse.Namespace) -> int:
    """Time every variant of one product, and show the prediction beside it."""
    from ..progress import ProgressBar
    from ..runtime import num_threads
    from ..tuning.calibrate import time_variants, use_threads
    from ..tuning.measured import remember
    from ..tuning.problem import Problem
    from ..tuning.report import explain_problem
    from ..tuning.select import forget_ranks

    tensor, x, name = _operands(args)
    before = num_threads()
    try:
        for threads in args.threads or (before,):
            use_threads(threads)
            problem = Problem.of(tensor, x.shape[0 if args.right else 1], side="right" if args.right else "left")
            with ProgressBar() as progress:
                progress(0, "compiling every candidate, then timing them in turn")
                measured = time_variants(problem, tensor, x, args.rounds)
            sys.stdout.write(f"{threads} thread{'s' if threads > 1 else ''}\n")
            sys.stdout.write(explain_problem(problem, name=name, measured=measured) + "\n\n")
            if args.remember:
                remember(problem, measured)
                forget_ranks()
    finally:
        use_threads(before)
    return 0


def _operands(args: argparse.Namespace) -> tuple[Any, Any, str]:
    """The sparse operand, the dense one, and what the format is called."""
    import numpy as np

    from ..formats.parse import format_name
    from ..runtime import numpy_dtype
    from ..tuning.cases import random_dense, random_stored

    element = _element(args.element or "f32")
    if not 0 <= args.density <= 1:
        raise ArgumentError(f"expects a share between 0 and 1, got {args.density}", where="--density")
    rng = np.random.default_rng(0)
    if args.matrix is None:
        rows, columns, n = _sizes(args.shape or SHAPE)
        fmt = args.format or FORMAT
        tensor = random_stored(rng, (rows, columns), fmt, element, args.density)
    else:
        from ..io import read

        if args.shape:
            raise ArgumentError("a matrix has a shape of its own", where="--shape", hint="use --columns N")
        tensor = read(args.matrix, field_as=numpy_dtype(element))
        tensor = tensor.to(args.format) if args.format else tensor
        n = 128
    n = args.columns or n
    contracted = tensor.shape[0 if args.right else 1]
    x = random_dense(rng, (n, contracted) if args.right else (contracted, n), element)
    return tensor, x, args.format or str(tensor.hss or format_name(tensor.format))


def _element(text: str) -> str:
    from ..tuning.calibrate import SHARES

    if text not in SHARES:
        raise DTypeError(f"no element type {text!r}", where="--element", hint="one of " + ", ".join(SHARES))
    return text


def _sizes(text: str) -> tuple[int, ...]:
    match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text)
    if not match or "0" in match.groups():
        raise ArgumentError(f"expects three positive sizes, got {text!r}", where="--shape", hint=f"e.g. {SHAPE}")
    return tuple(map(int, match.groups()))


def _threads(text: str) -> tuple[int, ...]:
    """``1,2`` as numbers, each once."""
    return tuple(sorted({positive(part) for part in text.split(",")}))
