"""Feed-forward layers with inactive neurons against the dense layer in float64."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from pith.functional.dynamic import dense
from pith.runtime.cache import kernel_cache
from pith.tuning.tiles import LIBRARY, OWN
from relative_error import error_of

torch = pytest.importorskip("torch")

#: ||out - reference|| / ||reference||.
TOLERANCES = {"float64": 1e-13, "float32": 2e-6, "float16": 4e-3, "bfloat16": 4e-2}


def operands(rng, rows, width, hidden, out, inactive):
    """Operands whose hidden layer is inactive to a share, in other places for every row."""
    x, w1, w2 = (rng.standard_normal(s) for s in ((rows, width), (width, hidden), (hidden, out)))
    b1 = np.full(hidden, -np.quantile(x @ w1, inactive) if rows else 0.0)
    return x, w1, b1, w2, rng.standard_normal(out)


def reference(x, w1, b1, w2, b2, threshold=0.0):
    z = x @ w1 + (0 if b1 is None else b1)
    return np.where(z <= threshold, 0, z) @ w2 + (0 if b2 is None else b2)


@pytest.mark.parametrize("skip", [None, True, False])
@pytest.mark.parametrize("inactive", [0.0, 0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("rows", [1, 3, 6, 7, 17])
def test_result_is_that_of_the_dense_layer(rows, inactive, skip):
    rng = np.random.default_rng([rows, int(100 * inactive)])
    args = operands(rng, rows, 23, 301, 45, inactive)
    out = pith.relu_ffn(*(a.astype(np.float32) for a in args), skip=skip)
    assert out.dtype == np.float32 and error_of(out, reference(*args)) < TOLERANCES["float32"]


@pytest.mark.parametrize("way", [OWN, LIBRARY])
@pytest.mark.parametrize("biased", [False, True])
def test_dense_layers_of_either_kind(way, biased, monkeypatch):
    """pith's kernel and the library's; NaN stays, and operands that are not row-major, or read-only, are taken."""
    monkeypatch.setattr(dense, "dense_way", lambda *_: way)
    rng = np.random.default_rng(biased)
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in ((37, 51), (51, 70), 70))
    b = b if biased else None
    wanted = x.astype(np.float64) @ w + (0 if b is None else b)
    w.flags.writeable = False
    for one, other in ((x, w), (np.asfortranarray(x), w), (x, np.asfortranarray(w))):
        assert error_of(dense.dense_layer(one, other, b), wanted) < TOLERANCES["float32"]
        rectified = dense.dense_layer(one, other, b, rectified=True)
        assert error_of(rectified, np.maximum(wanted, 0)) < TOLERANCES["float32"]
    x[3, 4] = np.nan
    assert (np.isnan(dense.dense_layer(x, w, b, rectified=True)).all(axis=1) == (np.arange(37) == 3)).all()


@pytest.mark.parametrize("rows", [0, 1, 40])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_element_types_and_no_biases(dtype, rows):
    rng, kind = np.random.default_rng(rows), getattr(torch, dtype)
    x, w1, b1, w2, b2 = (torch.from_numpy(a).to(kind) for a in operands(rng, rows, 12, 65, 18, 0.9))
    wide = [t.double().numpy() for t in (x, w1, b1, w2, b2)]
    out = pith.relu_ffn(x, w1, b1, w2, b2, skip=True)
    assert out.dtype is kind and error_of(out.double().numpy(), reference(*wide)) < TOLERANCES[dtype]
    out = pith.relu_ffn(x, w1, None, w2, None)
    assert error_of(out.double().numpy(), reference(wide[0], wide[1], None, wide[3], None)) < TOLERANCES[dtype]


@pytest.mark.parametrize("rows", [1, 50])
def test_thresholds(rows):
    rng = np.random.default_rng(7)
    args = operands(rng, rows, 16, 120, 33, 0.3)
    narrow = [a.astype(np.float32) for a in args]
    for threshold in (1.5, rng.random(120) * 4):
        out = pith.relu_ffn(*narrow, threshold=threshold)
        assert error_of(out, reference(*args, threshold)) < TOLERANCES["float32"]


@pytest.mark.parametrize("rows", [1, 40])
def test_only_active_neurons_count(rows):
    """Rows of w2 that no neuron activates are not read; NaN in the hidden layer stays in its row."""
    rng = np.random.default_rng(8)
    x, w1, b1, w2, b2 = (a.astype(np.float32) for a in operands(rng, rows, 16, 120, 33, 0.9))
    dead = ~(x @ w1 + b1 > 0).any(0)
    assert dead.any() or rows > 1
    poisoned = np.where(dead[:, None], np.nan, w2).astype(np.float32)
    for skip in (True, None):
        assert error_of(pith.relu_ffn(x, w1, b1, poisoned, b2, skip=skip), reference(x, w1, b1, w2, b2)) < 2e-6
    x[rows // 2, 3] = np.nan
    out = pith.relu_ffn(x, w1, b1, w2, b2, skip=True)
    assert np.isnan(out).all(1).nonzero()[0].tolist() == [rows // 2] and np.isnan(out).any(1).sum() == 1


def test_leading_dimensions():
    rng = np.random.default_rng(9)
    x, w1, b1, w2, b2 = operands(rng, 24, 7, 50, 5, 0.9)
    narrow = [a.astype(np.float32) for a in (x, w1, b1, w2, b2)]
    expected = reference(x, w1, b1, w2, b2)
    assert error_of(pith.relu_ffn(narrow[0].reshape(2, 3, 4, 7), *narrow[1:]), expected.reshape(2, 3, 4, 5)) < 2e-6
    assert error_of(pith.relu_ffn(narrow[0][5], *narrow[1:]), expected[5]) < 2e-6


def test_new_activations_compile_nothing():
    rng = np.random.default_rng(10)
    for rows in (1, 30):
        narrow = [a.astype(np.float32) for a in operands(rng, rows, 16, 120, 33, 0.9)]
        pith.relu_ffn(*narrow, skip=True)
        lookups = kernel_cache().stats.hits + kernel_cache().stats.misses
        for _ in range(3):
            pith.relu_ffn(rng.standard_normal((rows, 16)).astype(np.float32), *narrow[1:], skip=True)
        assert kernel_cache().stats.hits + kernel_cache().stats.misses == lookups


X, W, V = np.ones((2, 3), np.float32), np.ones((3, 4), np.float32), np.ones((4, 5), np.float32)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (dict(w1=V), pith.ShapeError, "w1"),
        (dict(w2=W), pith.ShapeError, "w2"),
        (dict(b1=np.ones(3, np.float32)), pith.ShapeError, "b1"),
        (dict(b2=np.ones(5)), pith.DTypeError, "b2"),
        (dict(threshold=-1), pith.ArgumentError, "thresholds >= 0"),
        (dict(threshold=float("nan")), pith.ArgumentError, "thresholds >= 0"),
        (dict(threshold=[1, 2]), pith.ShapeError, "one per neuron"),
        (dict(threshold="low"), pith.ShapeError, "one per neuron"),
        (dict(x=X.astype(int)), pith.DTypeError, "floating-point"),
    ],
)
def test_errors(arguments, kind, message):
    with pytest.raises(kind, match=message):
        pith.relu_ffn(**(dict(x=X, w1=W, b1=None, w2=V, b2=None) | arguments))
