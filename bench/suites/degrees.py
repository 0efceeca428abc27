"""HighLight's twelve sparsity degrees: does time fall with density, and does 0 % cost nothing over dense?"""

from __future__ import annotations

import itertools

import pith
from pith.formats import HIGHLIGHT

from bench.harness import Contest, Outcome, geomean
from bench.operands import Product, pith_matmul, torch_dense, weights
from bench.records import Options, Progress, Report, Requirement, Table
from bench.sweep import Sweep, plural

#: All twelve groups (16, 20, 24 and 28 columns) divide 1680.
SHAPES = ((2048, 1680, 256), (1024, 1680, 64), (3072, 1680, 128))
SPARSE, DENSE = "pith", "torch dense"

#: A step that is this much slower than the denser one before it is no noise.
NOISE = 1.05

NOTES = (
    "Times in ms, medians over the rounds; `x` is the speed-up over dense torch (f32).",
    "pith: what `pith.matmul` runs; packing of the dense operand is part of its time. Where that is a dense product "
    "(`pith.explain` says so), the weight was unpacked once, before.",
)


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("degrees", "HighLight's twelve degrees, f32", notes=list(NOTES))
    sweep = Sweep(options)
    formats = tuple(map(str, HIGHLIGHT[:: 5 if options.quick else 1]))
    shapes = SHAPES[1:2] if options.quick else SHAPES
    sweep.run((_contest(shape, fmt) for shape in shapes for fmt in formats), report, progress)
    for threads in options.threads:
        report.tables.insert(0, _summary(sweep, threads, formats))
        report.requirements += _requirements(sweep, threads, formats)
    return report


def _contest(shape: tuple[int, int, int], fmt: str) -> tuple[Contest, dict]:
    product = Product.of(pith.prune(weights(*shape[:2]), fmt), shape[2], fmt)
    contestants = {SPARSE: pith_matmul(product.sparse, product), DENSE: torch_dense(product)}
    name = f"{'x'.join(map(str, shape))} {fmt}"
    return Contest(name, contestants, DENSE, product.reference, flops=product.flops), {"shape": shape, "format": fmt}


def _relative(outcomes: list[Outcome]) -> float:
    """Time as a share of dense torch's."""
    return 1 / geomean([o.speedup(SPARSE, DENSE) for o in outcomes])


def _requirements(sweep: Sweep, threads: int, formats: tuple[str, ...]) -> list[Requirement]:
    times = [_relative(sweep.select(threads, format=fmt)) for fmt in formats]
    steps = [later / earlier for earlier, later in itertools.pairwise(times)]
    return [
        Requirement(f"0 % sparse, time over dense, {plural(threads)}", times[0], 1.03, "x"),
        Requirement(f"time from one degree to the next, largest ratio, {plural(threads)}", max(steps), NOISE, "x"),
    ]


def _summary(sweep: Sweep, threads: int, formats: tuple[str, ...]) -> Table:
    rows = []
    for fmt in formats:
        parsed, relative = pith.HSS.parse(fmt), _relative(sweep.select(threads, format=fmt))
        rows.append((fmt, f"{100 * parsed.degree:.1f}", f"{relative:.2f}", f"{1 / relative:.2f}"))
    columns = ("format", "sparse, %", "time / dense", "speed-up")
    return Table(f"Geometric mean over shapes, {plural(threads)}", columns, tuple(rows))
