"""``pith.linear``: every activation and element type against NumPy in float64, and its errors."""

from __future__ import annotations

import math

import numpy as np
import pith
import pytest
import scipy.sparse
import torch
from cpu_programs import DTYPES, check, random_dense, random_sparse, wide
from pith.formats import HSS, Format
from pith.functional.linear import choice as linear_choice
from pith.functional.matmul.copies import products_of
from pith.tuning.problem import Problem

RNG = np.random.default_rng(2026)

FORMATS = {"csr": Format.csr(), "hss": HSS.parse("C1(3:4)->C0(2:4)").to_format()}

erf = np.vectorize(math.erf, otypes=[float])

ACTIVATIONS = {
    None: lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "gelu": lambda z: 0.5 * z * (1 + erf(z / math.sqrt(2))),
    "gelu_tanh": lambda z: 0.5 * z * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))),
    "silu": lambda z: z / (1 + np.exp(-z)),
}


@pytest.mark.parametrize("element", ["f32", "f64", "f16", "bf16"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("fmt", ["csr", "hss"])
def test_linear(fmt: str, activation: str | None, element: str):
    w = random_sparse(RNG, (52, 48), element, FORMATS[fmt])
    a = pith.compress(w, FORMATS[fmt])
    for shape in ((48,), (1, 48), (7, 48), (3, 23, 48), (130, 48)):
        x = random_dense(RNG, shape, element)
        bias, residual = random_dense(RNG, (52,), element), random_dense(RNG, (*shape[:-1], 52), element)
        z = wide(x) @ wide(w).T
        check(
            pith.linear(x, a, bias, activation, residual), ACTIVATIONS[activation](z + wide(bias)) + residual, element
        )
        check(pith.linear(x, a, activation=activation), ACTIVATIONS[activation](z), element)


def test_linear_is_torch_linear():
    torch = pytest.importorskip("torch")
    w = random_sparse(RNG, (20, 16), "f32", FORMATS["csr"])
    x, bias = torch.randn(2, 5, 16), torch.randn(20)
    out = pith.linear(x, pith.compress(w, "csr"), bias, "gelu")
    assert isinstance(out, torch.Tensor)
    torch.testing.assert_close(out, torch.nn.functional.gelu(torch.nn.functional.linear(x, torch.tensor(w), bias)))
    transposed = torch.randn(16, 5).T  # not row-major
    torch.testing.assert_close(pith.linear(transposed, pith.compress(w, "csr")), transposed @ torch.tensor(w).T)


@pytest.mark.parametrize("element", ["f32", "bf16"])
def test_the_unpacked_weight_gives_the_same(element, monkeypatch):
    monkeypatch.setattr(linear_choice, "_choose", lambda *_: linear_choice.Choice(dense=True))
    w = random_sparse(RNG, (52, 48), element, FORMATS["hss"])
    a = pith.compress(w, FORMATS["hss"])
    for rows in (1, 7, 130):
        x, bias = random_dense(RNG, (rows, 48), element), random_dense(RNG, (52,), element)
        check(pith.linear(x, a, bias, "relu"), np.maximum(wide(x) @ wide(w).T + wide(bias), 0), element)
    assert list(products_of(a).dense) == [element]


@pytest.mark.parametrize("element", ["f32", "f16", "f64"])
def test_few_rows_of_dense_weights_have_tiles_of_their_own(element):
    w, bias = random_dense(RNG, (37, 21), element), random_dense(RNG, (37,), element)
    tiles = {linear_choice.dense_tile(w.dtype, rows) for rows in (1, 2, 7, 16, 33, 64, 65)}
    assert len(tiles) > 3 and linear_choice.dense_tile(w.dtype, 65) is None
    for rows in (2, 7, 16, 33, 64, 65):
        x = random_dense(RNG, (rows, 21), element)
        check(pith.linear(x, w, bias, "relu"), np.maximum(wide(x) @ wide(w).T + wide(bias), 0), element)


@pytest.mark.parametrize("element", ["f32", "f16", "bf16", "f64"])
def test_few_rows_of_dense_weights_are_dot_products(element):
    """Coordinates on both sides of a register, odd ones too; columns that do not fill a strip; few rows and more."""
    few = linear_choice._few(element)
    for rows in sorted({2, 3, 4, 5, 8, 11, 12, 13} | {max(few, 1), few + 1}):
        assert linear_choice.is_few(np.dtype(DTYPES[element]), rows) == (rows > 1 and rows <= few)
        n, k = int(RNG.integers(1, 300)), int(RNG.choice([1, 7, 31, 32, 64, 65, 130]))
        w, x = random_dense(RNG, (n, k), element), random_dense(RNG, (rows, k), element)
        bias, residual = random_dense(RNG, (n,), element), random_dense(RNG, (rows, n), element)
        expected = np.maximum(wide(x) @ wide(w).T + wide(bias), 0) + wide(residual)
        check(pith.linear(x, w, bias, "relu", residual), expected, element)
        check(pith.linear(x, w), wide(x) @ wide(w).T, element)


@pytest.mark.parametrize("element", ["f32", "f16", "bf16", "f64"])
def test_few_rows_are_predicted_from_one(element):
    """The more rows, the longer, and no kernel of many rows is taken for theirs."""
    a = pith.compress(random_sparse(RNG, (256, 256), element, FORMATS["csr"]), "csr")
    times = [linear_choice.whole_weight(Problem.of(a, n)).seconds for n in range(1, linear_choice._few(element) + 1)]
    assert times == sorted(times) and (len(times) < 2 or times[1] < 2 * times[0])
    x = random_dense(RNG, (2, 256), element)
    assert ("  few " in pith.explain(pith.linear, x, a.to_dense())) == (linear_choice._few(element) > 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_stored_counts_as_zero_whatever_is_faster(bad, monkeypatch):
    monkeypatch.setattr(linear_choice, "_choose", lambda *_: linear_choice.Choice(dense=True))
    a, x = pith.compress(np.eye(4, dtype=np.float32), "csr"), np.ones((3, 4), np.float32)
    x[1, 2] = bad
    np.testing.assert_array_equal(pith.linear(x, a, activation="relu"), np.maximum(x, 0))


def test_where_dense_gains_nothing_the_weight_stays_as_it_is():
    a = pith.compress(random_sparse(RNG, (256, 256), "f32", FORMATS["csr"]) * (RNG.random((256, 256)) < 0.05), "csr")
    pith.linear(random_dense(RNG, (64, 256), "f32"), a)
    assert not products_of(a).dense


@pytest.mark.parametrize("element", ["f32", "f64", "f16", "bf16"])
@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "silu"])
def test_activations_of_large_numbers(activation, element):
    """Where the approximated functions end, they are what they tend to: no part of a large number is left."""
    x = np.repeat(np.array([[-6e4, -1000, -200, 0, 200, 1000, 6e4, 0]]).astype(DTYPES[element]), 17, 0)
    identity = pith.compress(np.eye(8).astype(DTYPES[element]), "csr")
    out = np.asarray(pith.linear(x, identity, None, activation), float)
    np.testing.assert_allclose(out, np.maximum(x, 0).astype(float), rtol=0, atol=1e-30)


def test_nan_and_infinity_pass_through():
    a = pith.compress(np.eye(8, dtype=np.float32), "csr")
    x = np.zeros((3, 8), np.float32)
    x[0, 1], x[1, 2], x[2, 3] = np.nan, np.inf, -np.inf
    for activation, low in (("relu", 0.0), ("gelu", math.nan), (None, -math.inf)):
        out = pith.linear(x, a, activation=activation)
        assert np.isnan(out[0, 1]) and out[1, 2] == np.inf
        np.testing.assert_equal(out[2, 3], np.float32(low))


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (dict(x=np.ones((2, 3), np.float32)), pith.ShapeError, r"expects x of shape \(\.\.\., 4\)"),
        (dict(bias=np.ones(4, np.float32)), pith.ShapeError, r"expects bias of shape \(6,\)"),
        (dict(residual=np.ones((2, 4), np.float32)), pith.ShapeError, r"expects residual of shape \(2, 6\)"),
        (dict(activation="swish"), pith.ArgumentError, "unknown activation 'swish'"),
        (dict(a=[[1.0, 2.0]]), pith.ArgumentError, "expects a matrix"),
        (dict(bias=np.ones(6)), pith.DTypeError, "bias"),
        (dict(a=pith.compress(np.ones((6, 4), np.int32), "csr")), pith.DTypeError, "no linear kernel for int32"),
    ],
)
def test_linear_refuses(arguments: dict, error: type, message: str):
    given = dict(x=np.ones((2, 4), np.float32), a=pith.compress(np.ones((6, 4), np.float32), "csr"))
    with pytest.raises(error, match=message):
        pith.linear(**(given | arguments))


@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "dia"])
def test_weights_of_scipy_and_torch(layout):
    w = np.float32(np.random.default_rng(0).standard_normal((7, 5)) * (np.arange(35).reshape(7, 5) % 3 == 0))
    x = np.ones((2, 5), np.float32)
    np.testing.assert_allclose(pith.linear(x, scipy.sparse.csr_array(w).asformat(layout)), x @ w.T, rtol=1e-5)
    if layout in ("csr", "csc"):
        stored = torch.from_numpy(w).to_sparse(layout=getattr(torch, f"sparse_{layout}"))
        torch.testing.assert_close(pith.linear(torch.from_numpy(x), stored), torch.from_numpy(x @ w.T))
