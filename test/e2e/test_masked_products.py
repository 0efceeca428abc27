"""Products of groups of rows that list their columns together, each with a mask, against float64."""

import itertools

import numpy as np
import pith
import pytest
from pith.compiler.kernel import compile_source
from pith.formats.masks import masked
from pith.formats.parse import parse_format
from pith.functional.matmul.ir import matmul_source

TOLERANCE = {"f4": 2e-6, "f8": 1e-14, "f2": 1e-3, "i1": 1e-5}
STRIPS = "d0 floordiv 4 : dense, d1 floordiv 16 : dense, d1 mod 16 : compressed(nonordered), d0 mod 4 : bitmask pad"


def operand(m: int, k: int, dtype: str, seed: int = 0) -> np.ndarray:
    """Rows of every density: of some groups no column is stored, of others all."""
    rng = np.random.default_rng(seed)
    w = (4 * rng.standard_normal((m, k))).astype(dtype)
    return np.where(rng.random((m, k)) < np.linspace(-0.3, 1.2, m)[:, None], w, 0).astype(dtype)


def check(fmt: str, m: int, k: int, n: int, dtype: str, right: bool = False) -> None:
    w, rng = operand(m, k, dtype), np.random.default_rng(1)
    x = (4 * rng.standard_normal((n, k) if right else (k, n))).astype(dtype)
    a = pith.compress(w, fmt).validate()
    out = pith.matmul(x, a.T, variant="sparse") if right else pith.matmul(a, x, variant="sparse")
    wide, other = w.astype(np.float64), x.astype(np.float64)
    reference = other @ wide.T if right else wide @ other
    error = np.linalg.norm(out.astype(np.float64) - reference)
    assert error <= TOLERANCE[dtype] * np.linalg.norm(reference), f"{fmt} {m}x{k}x{n} {dtype}: {error:.1e}"


@pytest.mark.parametrize("rows", [2, 3, 4])
@pytest.mark.parametrize("n", [1, 5, 33, 64, 130])
def test_groups_of_rows(rows, n):
    check(f"masked({rows})", 12 * rows, 203, n, "f4", right=n % 2 == 0)
    check(f"masked({rows}) pad", 7 * rows - 1, 70, n, "f4", right=n % 2 == 1)


@pytest.mark.parametrize("dtype", ["f8", "f2", "i1"])
def test_other_element_types(dtype):
    check("masked(4)", 132, 301, 40, dtype)


@pytest.mark.parametrize("shape", [(0, 8), (4, 0), (4, 1), (8, 64), (68, 65)])
def test_sizes_at_the_edge(shape):
    check("masked(4)", *shape, 20, "f4")


@pytest.mark.parametrize("dtype", ["f4", "f2", "i1"])
def test_columns_in_strips(dtype):
    """The list of a group is cut where a dense level above it says so."""
    check(STRIPS, 67, 99, 64, dtype)


def test_any_order_of_entries():
    """Packers put entries with the same mask side by side; kernels do not rely on it, nor on masks that hold a row."""
    rng = np.random.default_rng(0)
    a = pith.compress(operand(24, 90, "f4"), "masked(4)")
    positions, columns, first, bits, values = a.buffers
    order = np.concatenate([lo + rng.permutation(hi - lo) for lo, hi in itertools.pairwise(positions)])
    counts = np.diff(first)[order]
    parts = [values[first[q] : first[q + 1]] for q in order]
    shuffled = (positions, columns[order], np.append(0, np.cumsum(counts)).astype(np.int32), bits[order])
    b = pith.SparseTensor(a.shape, a.format, (*shuffled, np.concatenate(parts))).validate()
    x = rng.standard_normal((90, 64)).astype(np.float32)
    np.testing.assert_allclose(pith.matmul(b, x, variant="sparse"), a.to_dense() @ x, rtol=1e-4, atol=1e-4)
    nothing = (np.array([0, 2], np.int32), np.array([1, 0], np.int32), np.array([0, 0, 1], np.int32))
    c = pith.SparseTensor((4, 2), masked(4), (*nothing, np.array([0, 8], np.uint8), np.ones(1, np.float32))).validate()
    np.testing.assert_array_equal(pith.matmul(c, np.eye(2, dtype=np.float32), variant="sparse"), c.to_dense())


def test_rows_without_a_column_do_not_read_it():
    w = operand(8, 40, "f4")
    w[:, 7] = 0
    x = np.random.default_rng(2).standard_normal((40, 64)).astype(np.float32)
    reference = w.astype(np.float64) @ x
    x[7] = np.nan
    out = np.full((8, 64), np.nan, np.float32)
    pith.matmul(pith.compress(w, "masked(4)"), x, out=out, variant="sparse")
    np.testing.assert_allclose(out, reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("isa", ["generic", "emulate:avx2", "emulate:avx512"])
def test_registers_of_other_machines(isa):
    w, x = operand(36, 150, "f4"), np.random.default_rng(3).standard_normal((150, 50)).astype(np.float32)
    fmt = parse_format("masked(4)")
    kernel = compile_source(matmul_source(fmt, "f32", False, None), "matmul", isa=isa)
    a, out = pith.compress(w, fmt), np.full((36, 50), np.nan, np.float32)
    kernel.native(*a.buffers, *a.shape, x, out)
    np.testing.assert_allclose(out, w.astype(np.float64) @ x, rtol=1e-5, atol=1e-4)


def test_a_bias_and_an_activation_are_computed_along():
    w, rng = operand(64, 96, "f4"), np.random.default_rng(4)
    x, bias = rng.standard_normal((33, 96)).astype(np.float32), rng.standard_normal(64).astype(np.float32)
    out = pith.linear(x, pith.compress(w, "masked(4)"), bias, activation="relu")
    np.testing.assert_allclose(out, np.maximum(x.astype(np.float64) @ w.T + bias, 0), rtol=1e-4, atol=1e-4)
