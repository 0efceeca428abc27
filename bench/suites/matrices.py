"""Matrices from files (``--data DIR``): reading them, and their product with 64 dense columns, f32."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pith
import scipy.io

from bench.harness import Contest
from bench.operands import Product, pith_matmul, torch_csr
from bench.records import Options, Progress, Report, Table
from bench.sweep import Sweep

COLUMNS = 64
SCIPY = "scipy"

NOTES = (
    "Products in ms, medians over the rounds; `x` is the speed-up over scipy. Complex matrices are left out.",
    "Read times are the best of three, the file in the page cache; scipy returns COO, pith its default format.",
)


def run(options: Options, progress: Progress) -> Report:
    """Run the suite.

    Errors: ``FileNotFoundError`` when ``--data`` is missing or has no ``.mtx`` files.
    """
    files = sorted(options.data.glob("*.mtx")) if options.data else []
    if not files:
        raise FileNotFoundError("the suite 'matrices' needs --data DIR with .mtx files")
    report = Report("matrices", f"Matrices from files x {COLUMNS} dense columns, f32", notes=list(NOTES))
    files = files[:3] if options.quick else files
    Sweep(options).run(_contests(files, progress), report, progress)
    report.tables.insert(0, _read_table(files, report, progress))
    return report


def _contests(files: list[pathlib.Path], progress: Progress) -> Iterator[tuple[Contest, dict[str, Any]]]:
    for path in files:
        progress(f"matrices: reading {path.name}")
        matrix = pith.read(path)
        if len(matrix.shape) != 2 or matrix.values.dtype.kind == "c":
            continue
        product = Product.of_csr(matrix.astype(np.float32).to("csr"), COLUMNS)
        csr = product.csr()
        yield _contest(path.name, product, csr), {"file": path.name, "shape": csr.shape, "nonzeros": csr.nse}


def _contest(name: str, product: Product, csr: pith.SparseTensor) -> Contest:
    scipy_csr = csr.to_scipy()
    contestants = {
        "pith.matmul": pith_matmul(csr, product),
        "torch CSR": torch_csr(product, csr),
        SCIPY: lambda: scipy_csr @ product.x,
    }
    return Contest(name, contestants, SCIPY, product.reference, flops=product.flops)


def _read_table(files: list[pathlib.Path], report: Report, progress: Progress) -> Table:
    rows = []
    for path in files:
        progress(f"matrices: reading {path.name}")
        ours, theirs = (_milliseconds(read, path) for read in (pith.read, scipy.io.mmread))
        report.cases.append({"case": f"read {path.name}", "pith_ms": ours, "scipy_ms": theirs})
        rows.append((path.name, f"{ours:.2f}", f"{theirs:.2f}", f"{theirs / ours:.2f}"))
    return Table("Reading, ms", ("file", "pith.read", "scipy.io.mmread", "x"), tuple(rows))


def _milliseconds(read: Callable[[pathlib.Path], Any], path: pathlib.Path) -> float:
    def once() -> float:
        start = time.perf_counter()
        read(path)
        return (time.perf_counter() - start) * 1e3

    return min(once() for _ in range(3))
