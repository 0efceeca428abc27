"""Dense products of bf16, f16 and bytes against float64: orders of dimensions, one column, few rows, extreme bytes."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pith
import pytest
from pith.functional.dynamic.run import Product, run_dense
from pith.tuning.tiles import OWN, decide_tiles
from pith.tuning.tiles_measure import TILES, Settings, measure_tiles

#: Relative error of results that are rounded once, from sums in f32; bytes are exact.
TOLERANCE = {"bf16": 4e-3, "f16": 5e-4, "i8": 0.0}

DTYPES = {"bf16": ml_dtypes.bfloat16, "f16": np.float16, "i8": np.int8}

EQUATIONS = ("mk,kn->mn", "km,kn->mn", "mk,nk->mn", "km,nk->nm", "bmk,bkn->bmn", "mk,k->m", "k,kn->n")

SIZES = ({"b": 3, "m": 7, "k": 33, "n": 5}, {"b": 2, "m": 67, "k": 130, "n": 83}, {"b": 1, "m": 13, "k": 3, "n": 17})


def draw(rng, element, shape):
    if element == "i8":
        return rng.integers(-128, 128, shape).astype(np.int8)
    return rng.standard_normal(shape).astype(DTYPES[element])


def error(out, reference):
    scale = np.linalg.norm(reference)
    return np.linalg.norm(out.astype(np.float64) - reference) / (scale if scale else 1.0)


@pytest.mark.parametrize("element", DTYPES)
@pytest.mark.parametrize("equation", EQUATIONS)
def test_random_shapes(equation, element):
    rng = np.random.default_rng(len(equation))
    for sizes in SIZES:
        x, y = (draw(rng, element, [sizes[c] for c in term]) for term in equation.split("->")[0].split(","))
        reference = np.einsum(equation, x.astype(np.float64), y.astype(np.float64))
        out = pith.einsum(equation, x, y)
        assert out.dtype == (np.int32 if element == "i8" else x.dtype)
        assert error(out, reference) <= TOLERANCE[element]


@pytest.mark.parametrize("element", DTYPES)
@pytest.mark.parametrize("columns", [1, 8, 20])
def test_dense_storage(element, columns):
    """Matrices stored whole take the same kernels; with one column nothing is packed."""
    rng = np.random.default_rng(3)
    w, x = draw(rng, element, (70, 301)), draw(rng, element, (301, columns))
    out = pith.matmul(pith.compress(w, "dense"), x, variant="sparse")
    assert error(out, w.astype(np.float64) @ x.astype(np.float64)) <= TOLERANCE[element]


def test_extreme_bytes_of_one_column():
    w, x = np.full((9, 1000), -128, np.int8), np.full(1000, -128, np.int8)
    np.testing.assert_array_equal(pith.matmul(pith.compress(w, "dense"), x, variant="sparse"), 1000 * 128 * 128)


@pytest.mark.parametrize("element", ["bf16", "f16"])
def test_infinities_and_nan_stay(element):
    rng = np.random.default_rng(4)
    x, y = draw(rng, element, (20, 30)), draw(rng, element, (30, 40))
    x[3, 5], y[7, 11] = np.inf, np.nan
    reference = x.astype(np.float64) @ y.astype(np.float64)
    out = pith.einsum("mk,kn->mn", x, y).astype(np.float64)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(reference))
    np.testing.assert_array_equal(np.isinf(out), np.isinf(reference))


@pytest.mark.parametrize("element", DTYPES)
@pytest.mark.parametrize("variant", ["auto", "dense", "1x1", "32x1", "1x32", "rows", "columns", "8x1 in place"])
def test_dynamic(element, variant):
    rng = np.random.default_rng(5)
    x, y = draw(rng, element, (97, 130)), draw(rng, element, (130, 61))
    x = np.where(rng.random(x.shape) < 0.1, x, np.zeros_like(x))
    for y_ in (y, np.asfortranarray(y)):
        out = pith.matmul(pith.dynamic(x), y_, variant=variant)
        assert error(out, x.astype(np.float64) @ y.astype(np.float64)) <= TOLERANCE[element]


def test_own_dense_kernel_reads_transposed_operands():
    rng = np.random.default_rng(6)
    x, y = draw(rng, "bf16", (31, 40)), np.asfortranarray(draw(rng, "bf16", (40, 23)))
    product = Product(x, y, "left")
    out = product.result()
    run_dense(product, out, OWN)
    assert error(out, x.astype(np.float64) @ y.astype(np.float64)) <= TOLERANCE["bf16"]


def test_dynamic_bytes():
    """Thresholds, ``out``, the sparse operand on the right, and what is refused."""
    rng = np.random.default_rng(7)
    x, y, out = draw(rng, "i8", (40, 50)), draw(rng, "i8", (50, 30)), np.full((40, 30), 7, np.int32)
    large = np.where(np.abs(x.astype(np.int32)) > 100, x, 0).astype(np.int64)
    assert pith.matmul(pith.dynamic(x, threshold=100), y, out=out) is out
    np.testing.assert_array_equal(out, large @ y)
    np.testing.assert_array_equal(pith.matmul(x, pith.dynamic(y), variant="1x1"), x.astype(np.int64) @ y)
    with pytest.raises(pith.ShapeError):
        pith.matmul(pith.dynamic(x), y, out=np.empty((40, 30), np.int8))
    with pytest.raises(pith.DTypeError):
        pith.matmul(pith.dynamic(x.view(np.uint8)), y.view(np.uint8))


def test_decisions_of_tensors_are_run_again():
    """The third product of the same memory is bound: bf16 tensors have no array of their own type."""
    torch = pytest.importorskip("torch")
    x, y = torch.ones(64, 65).bfloat16(), torch.ones(65, 32).bfloat16()
    for _ in range(5):
        assert (pith.matmul(pith.dynamic(x), y) == 65).all()


@pytest.mark.parametrize("element", ["bf16", "i8"])
def test_micro_tiles_of_narrow_types_are_measured(element, monkeypatch):
    """Micro-tiles race against a dense product of the same type, and the table of that type decides."""
    monkeypatch.setitem(TILES, "left", ((32, 1),))
    (table,) = measure_tiles(Settings(rounds=1, elements=(element,), sides=("left",), extents=((64, 64, 64),)))
    (measured,) = table.measured
    assert table.element == element and measured.table.dense > 0 and set(measured.table.rows) == {(32, 1)}
    assert element != "i8" or measured.dense_way == OWN
    names = {c.name for c in decide_tiles(table, (64, 64, 64), {(32, 1): 0.9}, 0.9).candidates}
    assert names == {"32x1", "dense"}
