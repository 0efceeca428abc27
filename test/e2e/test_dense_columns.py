"""Products of dense matrices with one column, in every spelling, against float64."""

from __future__ import annotations

import numpy as np
import pith
import pytest
import torch

RNG = np.random.default_rng(29)

#: Rows and contracted sizes: below, at and past the tiles of four rows, two vectors, 64 rows a task.
SHAPES = ((1, 1), (3, 5), (4, 16), (64, 8), (67, 33), (130, 257), (5, 0))


def close(got, reference, dtype: str) -> None:
    tolerance = {"float32": 1e-5, "float64": 1e-13, "float16": 2e-3}[dtype]
    assert np.linalg.norm(got - reference) <= tolerance * (np.linalg.norm(reference) + 1e-30)


def operands(rows: int, reds: int, dtype: str):
    return (RNG.standard_normal(s).astype(dtype) for s in ((rows, reds), (reds,)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spelling", ["i,k,ik", "ij,kj->ik", "ik,kj->ij"])
def test_compiled_products(dtype, spelling):
    t = "f32" if dtype == "float32" else "f64"
    ones = {"i,k,ik": ("", ""), "ij,kj->ik": ("1x", ""), "ik,kj->ij": ("", "x1")}[spelling]
    (before, after) = ones
    x_map, y_map, loops = {
        "i,k,ik": ("(k)", "(i)", "(i, k)"),
        "ij,kj->ik": ("(j, k)", "(j, i)", "(i, j, k)"),
        "ik,kj->ij": ("(k, j)", "(i, j)", "(i, j, k)"),
    }[spelling]
    kinds = '"parallel", ' * (loops.count(",")) + '"reduction"'
    w_type, x_type, y_type = f"tensor<?x?x{t}>", f"tensor<{before}?{after}x{t}>", f"tensor<{before}?{after}x{t}>"
    kernel = pith.compile(f"""
func.func @mv(%w: {w_type}, %x: {x_type}, %y: {y_type}) -> {y_type} {{
  %r = linalg.generic {{indexing_maps = [affine_map<{loops} -> (i, k)>, affine_map<{loops} -> {x_map}>,
      affine_map<{loops} -> {y_map}>], iterator_types = [{kinds}]}}
      ins(%w, %x : {w_type}, {x_type}) outs(%y : {y_type}) {{
  ^bb0(%a: {t}, %b: {t}, %o: {t}):
    %m = arith.mulf %a, %b : {t}
    %s = arith.addf %o, %m : {t}
    linalg.yield %s : {t}
  }} -> {y_type}
  return %r : {y_type}
}}""")
    for rows, reds in SHAPES:
        w, x = operands(rows, reds, dtype)
        y = RNG.standard_normal(rows).astype(dtype)
        shape = {"": lambda v: v, "1x": lambda v: v[None], "x1": lambda v: v[:, None]}[before or after]
        got = np.asarray(kernel(w, shape(x), shape(y))).reshape(-1)
        close(got, y.astype(np.float64) + w.astype(np.float64) @ x, dtype)


@pytest.mark.parametrize("rows,reds", SHAPES)
def test_stored_dense(rows, reds):
    w, x = operands(rows, reds, "float32")
    a = pith.compress(w, "dense")
    out = np.full(rows, np.nan, np.float32)
    close(pith.matmul(a, x, out=out, variant="sparse"), w.astype(np.float64) @ x, "float32")
    close(pith.matmul(a, x[:, None], variant="sparse")[:, 0], w.astype(np.float64) @ x, "float32")


@pytest.mark.parametrize("fmt", ["dense", "C0(2:4)", "csr"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_linear_of_one_row(fmt, dtype):
    w = pith.prune(RNG.standard_normal((37, 48)).astype(dtype), fmt)
    x, bias, residual = (RNG.standard_normal(s).astype(dtype) for s in ((48,), (37,), (37,)))
    weight = w if fmt == "dense" else pith.compress(w, fmt)
    reference = np.maximum(x.astype(np.float64) @ w.astype(np.float64).T + bias, 0) + residual
    close(pith.linear(x, weight, bias, "relu", residual), reference, dtype)
    close(pith.linear(x[None], weight, bias, "relu", residual[None])[0], reference, dtype)


def test_a_layer_of_one_row():
    layer = torch.nn.Sequential(torch.nn.Linear(70, 33), torch.nn.GELU())
    x = torch.randn(1, 70)
    kernel = pith.compile(layer, (x,))
    assert "vector.shuffle" in kernel.ir("vector")
    torch.testing.assert_close(kernel(x), layer(x).detach(), rtol=1e-5, atol=1e-5)


def test_nan_and_infinities():
    w = np.ones((9, 40), np.float32)
    w[2, 39], w[5, 3] = np.nan, np.inf
    got = pith.matmul(pith.compress(w, "dense"), np.ones(40, np.float32), variant="sparse")
    assert np.isnan(got[2]) and np.isposinf(got[5]) and np.isfinite(np.delete(got, [2, 5])).all()
