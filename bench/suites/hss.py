"""Hierarchical structured sparsity times dense, f32, against dense torch and torch's CSR."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pith

from bench.harness import Contest
from bench.operands import SHAPES, Product, pith_matmul, torch_csr, torch_dense, weights
from bench.records import Options, Progress, Report, Table
from bench.sweep import Sweep, plural

FORMATS = (
    "C0(2:4)",
    "C0(1:4)",
    "C1(3:4)->C0(2:4)",
    "C1(2:4)->C0(2:4)",
    "V(4)C1(2:4)->C0(2:4)",
    "V(16)C1(2:4)->C0(2:4)",
    "B(4x4)C0(1:2)",
)
MATMUL, CSR, DENSE = "pith.matmul", "torch CSR", "torch dense"

#: What the summary compares.
COMPARED = ((MATMUL, DENSE), (MATMUL, CSR), (CSR, DENSE))

NOTES = (
    "Times in ms, medians over the rounds; `x` is the speed-up over dense torch (f32).",
    "pith.matmul packs the dense operand inside its kernel: that is part of its time.",
    "Random weights, pruned to the format; torch CSR holds the same non-zeros.",
)


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("hss", "Hierarchical structured sparsity x dense, f32", notes=list(NOTES))
    sweep = Sweep(options)
    formats = FORMATS[::2] if options.quick else FORMATS
    sweep.run(_contests(SHAPES[1:2] if options.quick else SHAPES, formats), report, progress)
    report.tables[:0] = [_summary(sweep, threads, formats) for threads in options.threads]
    return report


def _contests(shapes: Any, formats: tuple[str, ...]) -> Iterator[tuple[Contest, dict[str, Any]]]:
    for shape in shapes:
        for fmt in formats:
            product = Product.of(pith.prune(weights(*shape[:2]), fmt), shape[2], fmt)
            contestants = {
                MATMUL: pith_matmul(product.sparse, product),
                CSR: torch_csr(product, product.csr()),
                DENSE: torch_dense(product),
            }
            name = f"{'x'.join(map(str, shape))} {fmt}"
            yield (
                Contest(name, contestants, DENSE, product.reference, flops=product.flops),
                {"shape": shape, "format": fmt, "density": product.sparse.density},
            )


def _summary(sweep: Sweep, threads: int, formats: tuple[str, ...]) -> Table:
    """Geometric means over the shapes, per format."""
    rows = []
    for fmt in formats:
        means = sweep.means(threads, COMPARED, format=fmt)
        rows.append((fmt, f"{pith.HSS.parse(fmt).density:.3f}", *(f"{m:.2f}" for m in means)))
    columns = ("format", "density", *(f"{name} / {over}" for name, over in COMPARED))
    return Table(f"Speed-ups, geometric mean over shapes, {plural(threads)}", columns, tuple(rows))
