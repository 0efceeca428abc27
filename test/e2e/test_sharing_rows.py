"""Rows that share outer ranks but choose inner coordinates of their own, times some columns, against float64."""

from collections.abc import Callable

import ml_dtypes
import numpy as np
import pith
import pytest
from pith.compiler.kernel import compile_source
from pith.functional.matmul.ir import matmul_source

SEED = 20261122

#: Windows of four known rows, one of them or several; of three and two; rows whose coordinates begin inside a byte.
FORMATS = (
    "V(4)C1(2:4)->C0(2:4)",
    "V(16)C1(2:4)->C0(2:4)",
    "V(6)C1(1:2)->C0(2:4)",
    "V(2)C1(2:4)->C0(2:8)",
    "V(8)C1(1:2)->C0(1:4)",
    "V(4)C1(1:3)->C0(1:2)",
    "V(8)C2(1:2)->C1(2:4)->C0(2:4)",
    "V(4)C1(*)->C0(2:4)",
)

#: Relative error ||out - ref|| / ||ref|| allowed: the rounding of sums of a few hundred terms, and of results.
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-14, ml_dtypes.bfloat16: 4e-3}

#: A register, parts of one, several, and panels that are not full.
COLUMNS = (3, 13, 32, 130)


@pytest.mark.parametrize("fmt", FORMATS)
def test_numbers_of_columns(fmt: str) -> None:
    """Rows and contracted coordinates that nothing divides: padded."""
    for m, k in ((1, 5), (67, 301), (130, 512)):
        a, w = draw(f"{fmt} pad", m, k)
        for n in COLUMNS:
            check(a, w, n, lambda a, x, out: pith.matmul(a, x, out=out, variant="sparse"))


@pytest.mark.parametrize("variant", ["lanes=8,rows=1", "lanes=16,rows=4", "lanes=32,rows=2", "lanes=24,rows=3"])
@pytest.mark.parametrize("fmt", FORMATS[:3])
def test_rows_of_the_tile(fmt: str, variant: str) -> None:
    """Any number of rows in registers, whether or not it divides those that are known."""
    a, w = draw(fmt, 96, 320)
    check(a, w, 50, lambda a, x, out: pith.matmul(a, x, out=out, variant=variant))


@pytest.mark.parametrize("dtype", [np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("fmt", FORMATS[:2])
def test_element_types(fmt: str, dtype: type) -> None:
    """Fewer lanes in a register; values that are widened a strip at a time."""
    a, w = draw(f"{fmt} pad", 67, 301, dtype)
    check(a, w, 37, lambda a, x, out: pith.matmul(a, x, out=out, variant="sparse"), dtype)


@pytest.mark.parametrize("fmt", FORMATS[:4])
def test_wide_registers(fmt: str) -> None:
    """Kernels for registers of 512 bits."""
    hss = pith.HSS.parse(f"{fmt} pad")
    kernel = compile_source(matmul_source(hss.to_format(), "f32", False), "matmul", isa="emulate:avx512")
    a, w = draw(f"{fmt} pad", 67, 301)
    check(a, w, 77, lambda a, x, out: kernel.native(*a.buffers, *a.shape, x, out))


def draw(fmt: str, m: int, k: int, dtype: type = np.float32) -> tuple[pith.SparseTensor, np.ndarray]:
    """A random matrix, stored and pruned."""
    w = np.random.default_rng(SEED).standard_normal((m, k)).astype(np.float32)
    w = pith.prune(w, fmt).astype(dtype)
    return pith.compress(w, fmt), w.astype(np.float64)


def check(a: pith.SparseTensor, w: np.ndarray, n: int, multiply: Callable, dtype: type = np.float32) -> None:
    """Compare ``multiply(a, x, out)`` with ``w @ x``, ``x`` of ``n`` columns."""
    x = np.random.default_rng(n).standard_normal((w.shape[1], n)).astype(dtype)
    out = np.full((w.shape[0], n), np.nan, dtype)
    multiply(a, x, out)
    reference = w @ x.astype(np.float64)
    assert np.linalg.norm(out.astype(np.float64) - reference) <= TOLERANCE[dtype] * np.linalg.norm(reference)
