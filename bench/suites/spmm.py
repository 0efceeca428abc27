"""CSR times dense, f32: pith's two code generators, upstream's, and the libraries people use."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from bench.harness import Contest
from bench.kernels import bare_sparsifier, path_a
from bench.operands import (
    SHAPES,
    Product,
    at_sparsity,
    own_copy,
    pith_matmul,
    poisoned,
    torch_csr,
    torch_dense,
    weights,
)
from bench.records import Options, Progress, Report, Requirement, Table
from bench.sweep import Sweep, plural

SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
PATH_A, BARE, MATMUL, CSR, DENSE = "path (a)", "bare sparsifier", "pith.matmul", "torch CSR", "torch dense"

#: What the summary compares.
COMPARED = ((PATH_A, BARE), (MATMUL, BARE), (MATMUL, CSR), (MATMUL, DENSE))

#: Path (a) may be this much slower than the bare pipeline before the promise counts as broken: timing noise.
LIMIT = 0.97

NOTES = (
    "Times in ms, medians over the rounds; `x` is the speed-up over dense torch (f32).",
    "`path (a)` is `pith.compile` of a static-shape product with `path='sparsifier'`; `bare sparsifier` is "
    "upstream's pipeline with parallelization-strategy=none and vl=16, compiled, loaded and called the same way.",
    "Upstream's pipeline makes no parallel code: with more than one thread it still runs on one.",
    "scipy has one thread and allocates its result; the others write to preallocated, aligned memory.",
)


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("spmm", "CSR x dense, f32", notes=list(NOTES))
    sweep = Sweep(options)
    sparsities = SPARSITIES[::3] if options.quick else SPARSITIES
    sweep.run(_contests(SHAPES[:2] if options.quick else SHAPES, sparsities), report, progress)
    report.tables[:0] = [_summary(sweep, threads, sparsities) for threads in options.threads]
    report.requirements.append(_requirement(sweep))
    return report


def _contests(shapes: Any, sparsities: tuple[float, ...]) -> Iterator[tuple[Contest, dict[str, Any]]]:
    for shape in shapes:
        natives = {PATH_A: path_a(*shape), BARE: bare_sparsifier(*shape)}
        for sparsity in sparsities:
            product = Product.of(at_sparsity(weights(*shape[:2]), sparsity), shape[2], "csr")
            name = f"{'x'.join(map(str, shape))} {sparsity:.0%}"
            yield _contest(name, product, natives), {"shape": shape, "sparsity": sparsity}


def _contest(name: str, product: Product, natives: dict[str, Any]) -> Contest:
    csr = product.csr()
    scipy = csr.to_scipy()
    contestants = {
        **{name: _native(native, csr, product) for name, native in natives.items()},
        MATMUL: pith_matmul(csr, product),
        CSR: torch_csr(product, csr),
        "scipy": lambda: scipy @ product.x,
        DENSE: torch_dense(product),
    }
    return Contest(name, contestants, DENSE, product.reference, flops=product.flops)


def _native(native: Any, csr: Any, product: Product) -> Any:
    own, out = own_copy(csr), poisoned(product.shape)

    def call() -> Any:
        native(*own.buffers, product.x, out)
        return out

    return call


def _summary(sweep: Sweep, threads: int, sparsities: tuple[float, ...]) -> Table:
    """Geometric means over the shapes, per sparsity."""
    rows = []
    for sparsity in sparsities:
        means = sweep.means(threads, COMPARED, sparsity=sparsity)
        rows.append((f"{sparsity:.0%}", *(f"{m:.2f}" for m in means)))
    columns = ("sparsity", *(f"{name} / {over}" for name, over in COMPARED))
    return Table(f"Speed-ups, geometric mean over shapes, {plural(threads)}", columns, tuple(rows))


def _requirement(sweep: Sweep) -> Requirement:
    """On one thread, where both run the same number."""
    text = "CSR SpMM through path (a) over the bare sparsifier, 1 thread, median over cases"
    ratios = [o.speedup(PATH_A, BARE) for o in sweep.select(1)]
    return Requirement(text, statistics.median(ratios) if ratios else None, LIMIT, "x", at_least=True)
