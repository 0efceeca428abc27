"""Hierarchical structured sparsity times dense, f32, against dense torch and torch's CSR."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pith

from bench.harness import Contest
from bench.operands import SHAPES, Product, pith_matmul, torch_csr, torch_dense, weights
from bench.records import Options, Progress, Report, Requirement, Table
from bench.sweep import Sweep, plural

#: Rows share nothing.
OWN = ("C0(1:4)", "C0(2:8)", "C1(2:4)->C0(2:4)")

#: Rows share every choice: a load of the panel serves all of them.
SHARING = ("V(4)C0(2:4)", "V(4)C0(1:4)", "C1(2:4)->V(4)C0(2:4)", "C1(2:4)->V(16)C0(2:4)", "V(16)C0(2:16)")

#: Rows share the choice of groups and each has its own inside (V:N:M): a load of the panel per multiply-add, as without
#: sharing, so these are held to what groups in groups are.
VNM = ("V(4)C1(2:4)->C0(2:4)", "V(16)C1(2:4)->C0(2:4)")

FORMATS = ("C0(2:4)", *OWN, *SHARING, *VNM, "B(4x4)C0(1:2)", "B(16x32)C0(1:2)")
SPARSE, AUTO, CSR, DENSE = "pith", "pith, auto", "torch CSR", "torch dense"

#: What the summary compares.
COMPARED = ((SPARSE, DENSE), (AUTO, DENSE), (SPARSE, CSR), (CSR, DENSE))

#: Speed-ups asked for on an AVX-512 machine: (format, threads, over, at least).
ASKED = (
    ("C0(2:4)", 1, DENSE, 1.35),
    ("C0(2:4)", 2, DENSE, 1.7),
    ("C0(2:4)", 1, CSR, 1.5),
    *((fmt, 1, over, ratio) for fmt in OWN + VNM for over, ratio in ((DENSE, 2.6), (CSR, 1.35))),
    # Row sharing: 0.75 / density, down to a density of 12.5 %.
    *((fmt, 1, DENSE, 0.75 / pith.HSS.parse(fmt).density) for fmt in SHARING),
)

NOTES = (
    "Times in ms, medians over the rounds; `x` is the speed-up over dense torch (f32).",
    "pith: its sparse kernel; pith, auto: what pith.matmul chooses, dense included. Both pack the dense operand "
    "inside the call: that is part of their time.",
    "Row sharing is asked for 0.75 / density where rows share every choice. Of V(4)C1(2:4)->C0(2:4), V:N:M, rows share "
    "the groups only and load a row of the panel per multiply-add: what is asked is that of C1(2:4)->C0(2:4).",
    "Random weights, pruned to the format; torch CSR (MKL) holds the same non-zeros, its arrays aligned as pith's.",
)


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("hss", "Hierarchical structured sparsity x dense, f32", notes=list(NOTES))
    sweep = Sweep(options)
    formats = FORMATS[::3] if options.quick else FORMATS
    sweep.run(contests(SHAPES[1:2] if options.quick else SHAPES, formats), report, progress)
    report.tables[:0] = [_summary(sweep, threads, formats) for threads in options.threads]
    if not options.quick:
        report.requirements += [_requirement(sweep, *asked) for asked in ASKED]
    return report


def contests(shapes: Any, formats: tuple[str, ...]) -> Iterator[tuple[Contest, dict[str, Any]]]:
    """One contest per shape and format, with the facts that name it."""
    for shape in shapes:
        for fmt in formats:
            product = Product.of(pith.prune(weights(*shape[:2]), fmt), shape[2], fmt)
            contestants = {
                SPARSE: pith_matmul(product.sparse, product, "sparse"),
                AUTO: pith_matmul(product.sparse, product),
                CSR: torch_csr(product, product.csr()),
                DENSE: torch_dense(product),
            }
            name = f"{'x'.join(map(str, shape))} {fmt}"
            yield (
                Contest(name, contestants, DENSE, product.reference, flops=product.flops),
                {"shape": shape, "format": fmt, "density": product.sparse.density},
            )


def _requirement(sweep: Sweep, fmt: str, threads: int, over: str, ratio: float) -> Requirement:
    measured = next(sweep.means(threads, [(SPARSE, over)], format=fmt)) if sweep.select(threads, format=fmt) else None
    text = f"{fmt} over {over}, {plural(threads)}, geometric mean over shapes"
    return Requirement(text, measured, ratio, "x", at_least=True)


def _summary(sweep: Sweep, threads: int, formats: tuple[str, ...]) -> Table:
    """Geometric means over the shapes, per format."""
    rows = []
    for fmt in formats:
        means = sweep.means(threads, COMPARED, format=fmt)
        rows.append((fmt, f"{pith.HSS.parse(fmt).density:.3f}", *(f"{m:.2f}" for m in means)))
    columns = ("format", "density", *(f"{name} / {over}" for name, over in COMPARED))
    return Table(f"Speed-ups, geometric mean over shapes, {plural(threads)}", columns, tuple(rows))
