"""Ragged batches and what works on tokens, against float64 NumPy."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from pith.runtime.cache import kernel_cache
from relative_error import error_of

torch = pytest.importorskip("torch")

#: ||out - reference|| / ||reference||.
TOLERANCES = {"float64": 1e-13, "float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}

LENGTHS = [[3, 0, 7, 1], [0, 0], [], [1], [5, 5, 5], list(range(17))]


def batch(lengths, width=5, size=None, seed=0):
    """A padded batch whose padding is NaN, the packed tokens, and the lengths."""
    rng = np.random.default_rng(seed)
    size = max(lengths, default=0) if size is None else size
    padded = np.full((len(lengths), size, width), np.nan, np.float32)
    for b, n in enumerate(lengths):
        padded[b, :n] = rng.standard_normal((n, width))
    packed = np.concatenate([np.zeros((0, width), np.float32), *(padded[b, :n] for b, n in enumerate(lengths))])
    return padded, packed


def lookups():
    """How often a kernel was asked for: what is compiled is asked for first."""
    return kernel_cache().stats.hits + kernel_cache().stats.misses


def gelu(x):
    return 0.5 * x * (1 + torch.special.erf(torch.from_numpy(x) / np.sqrt(2)).numpy())


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("extra", [0, 3])
def test_padding_goes_and_comes_back(lengths, extra):
    padded, packed = batch(lengths, size=max(lengths, default=0) + extra)
    r = pith.Ragged.from_padded(padded, lengths)
    np.testing.assert_array_equal(r.data, packed)
    np.testing.assert_array_equal(r.to_padded(padded.shape[1], np.nan), padded)
    assert r.to_padded().shape == (len(lengths), max(lengths, default=0), 5)
    assert not np.isnan(r.to_padded()).any()
    for b, n in enumerate(lengths):
        np.testing.assert_array_equal(r[b], padded[b, :n])


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "int64", "bool"])
def test_tokens_of_any_type_and_shape(dtype):
    x = np.random.default_rng(0).integers(0, 2, (3, 4, 2, 3)).astype(dtype)
    r = pith.Ragged.from_padded(x, [4, 0, 2])
    np.testing.assert_array_equal(r.data, np.concatenate([x[0], x[2, :2]]))
    out = r.to_padded(5)
    assert out.dtype == x.dtype and out.shape == (3, 5, 2, 3)
    np.testing.assert_array_equal(out[2, :2], x[2, :2])
    assert not out[1].any() and not out[2, 2:].any()


def test_one_number_per_position():
    r = pith.Ragged.from_padded(np.arange(6.0).reshape(2, 3), [1, 2])
    assert r.data.tolist() == [0.0, 3.0, 4.0]
    assert r.to_padded().tolist() == [[0.0, 0.0], [3.0, 4.0]]


def test_sequences():
    parts = [np.full((n, 2), n, np.float32) for n in (2, 0, 3)]
    r = pith.Ragged.from_sequences(parts)
    assert r.lengths.tolist() == [2, 0, 3] and r.offsets.tolist() == [0, 2, 2, 5]
    np.testing.assert_array_equal(r[2], parts[2])
    np.testing.assert_array_equal(r[-1], parts[2])
    with pytest.raises(IndexError):
        r[3]


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_layer(dtype):
    """A linear layer, GELU, a residual and a layer norm; torch in, torch out."""
    lengths = [9, 0, 33, 4]
    padded, _ = batch(lengths, width=19, seed=1)
    kind = getattr(torch, dtype)
    rng = np.random.default_rng(2)
    w, b, g, h = (torch.from_numpy(rng.standard_normal(s)).to(kind) for s in ((19, 19), 19, 19, 19))
    r = pith.Ragged.from_padded(torch.from_numpy(padded).to(kind), lengths)
    x, w64, b64, g64, h64 = (t.double().numpy() for t in (r.data, w, b, g, h))

    assert r.data.dtype is kind
    y = gelu(x @ w64.T + b64) + x
    assert error_of(r.linear(w, b, "gelu", residual=r).data.double().numpy(), y) < TOLERANCES[dtype]
    assert error_of(r.gelu().data.double().numpy(), gelu(x)) < TOLERANCES[dtype]
    assert error_of((r + r).data.double().numpy(), 2 * x) < TOLERANCES[dtype]
    centred = x - x.mean(1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
    assert error_of(r.layer_norm().data.double().numpy(), normed) < TOLERANCES[dtype]
    assert error_of(r.layer_norm(g, h).data.double().numpy(), normed * g64 + h64) < TOLERANCES[dtype]
    assert error_of(r.layer_norm(bias=h).data.double().numpy(), normed + h64) < TOLERANCES[dtype]


def test_layer_norm_of_a_large_mean():
    """Two passes: the variance does not drown in the mean."""
    x = np.random.default_rng(0).standard_normal((7, 64)) + 1e4
    out = pith.layer_norm(x.astype(np.float32))
    wide = x.astype(np.float32).astype(np.float64)
    centred = wide - wide.mean(1, keepdims=True)
    assert error_of(out, centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)) < 1e-3


def test_layer_norm_keeps_nan_in_its_row():
    x = np.ones((3, 4), np.float32) * [[1], [2], [3]] + np.arange(4)
    x = x.astype(np.float32)
    x[1, 2] = np.nan
    out = pith.layer_norm(x)
    assert np.isnan(out[1]).all() and np.isfinite(out[[0, 2]]).all()
    assert pith.layer_norm(np.zeros((0, 4), np.float32)).shape == (0, 4)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_softmax_over_every_sequence(dtype):
    lengths = [9, 0, 33, 1]
    padded, _ = batch(lengths, width=6, seed=3)
    r = pith.Ragged.from_padded(torch.from_numpy(padded * 20).to(getattr(torch, dtype)), lengths)
    out = r.softmax()
    for b, n in enumerate(lengths):
        x = r[b].double().numpy()
        e = np.exp(x - x.max(0, initial=-np.inf))
        assert error_of(out[b].double().numpy(), e / e.sum(0)) < TOLERANCES[dtype], n


def test_softmax_of_infinities():
    x = np.float32([0, -np.inf, np.inf, 1, -np.inf, -np.inf, np.nan, 1])
    r = pith.Ragged(x, [2, 2, 2, 2]).softmax().data
    assert r[:2].tolist() == [1.0, 0.0]
    assert np.isnan(r[2:]).all()  # as torch has it: inf - inf


def test_new_lengths_compile_nothing():
    padded, _ = batch([4, 4])
    pith.Ragged.from_padded(padded, [4, 4]).layer_norm().softmax().to_padded()
    before = lookups()
    for lengths in ([1, 0], [3, 2], [0, 0]):
        pith.Ragged.from_padded(padded, lengths).layer_norm().softmax().to_padded()
    assert lookups() == before


X = np.ones((2, 3, 4), np.float32)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: pith.Ragged.from_padded(X, [4, 1]), pith.CheckError, "sequence 0 has length 4, the axis has 3"),
        (lambda: pith.Ragged.from_padded(X, [1, -1]), pith.CheckError, "sequence 1 has length -1"),
        (lambda: pith.Ragged.from_padded(X, [1]), pith.ShapeError, r"shape \(1, size"),
        (lambda: pith.Ragged.from_padded(X, [0.5, 1]), pith.DTypeError, "one integer per sequence"),
        (lambda: pith.Ragged(X[0], [1, 1]), pith.CheckError, "add up to 2, data has 3 rows"),
        (lambda: pith.Ragged(3, [1]), pith.ArgumentError, "array of tokens"),
        (lambda: pith.Ragged(X[0], [3]).to_padded(2), pith.CheckError, "sequence 0 has length 3"),
        (lambda: pith.Ragged(X[0], [3]) + pith.Ragged(X[0], [2, 1]), pith.ShapeError, "same lengths"),
        (lambda: pith.Ragged(X[0], [3]) + X[0], pith.ArgumentError, "expects a pith.Ragged"),
        (lambda: pith.Ragged(X[0].astype(int), [3]).softmax(), pith.DTypeError, "floating-point"),
        (lambda: pith.Ragged(X[0], [3])[1], pith.CheckError, "no sequence 1 of 1"),
        (lambda: pith.Ragged.from_sequences([]), pith.ArgumentError, "at least one"),
        (lambda: pith.Ragged.from_sequences([X[0], X[0, :, :2]]), pith.ShapeError, "sequence 1"),
        (lambda: pith.Ragged.from_sequences([X[0], X[0] > 0]), pith.DTypeError, "sequence 1"),
        (lambda: pith.layer_norm(X, weight=X[0, 0, :2]), pith.ShapeError, "weight"),
        (lambda: pith.layer_norm(X, bias=np.ones(4)), pith.DTypeError, "bias"),
        (lambda: pith.layer_norm(X, eps=-1), pith.ArgumentError, "eps >= 0"),
        (lambda: pith.layer_norm(3.0), pith.ArgumentError, "expected an array"),
        (lambda: pith.layer_norm(np.array(1.0)), pith.ShapeError, "got a number"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
