"""Linear layers on some rows of a padded batch, where they lie, against float64 NumPy."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pith
import pytest
from pith.runtime.cache import kernel_cache
from relative_error import error_of

torch = pytest.importorskip("torch")

#: ||out - reference|| / ||reference||.
TOLERANCES = {"float64": 1e-13, "float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}


def operands(rng, rows, inner, outer):
    return [rng.standard_normal(s).astype(np.float32) for s in ((rows, inner), (outer, inner), (outer,))]


def reference(x, w, b, named, activation=None):
    x, w, b = (a.astype(np.float64) for a in (x, w, b))
    y = np.zeros((len(x), len(w)))
    y[named] = x[named] @ w.T + b
    return np.maximum(y, 0) if activation == "relu" else y


def test_micro_tiles_larger_than_the_axis():
    """Their list takes no more memory than the axis has elements."""
    x, w, b = operands(np.random.default_rng(0), 9, 5, 7)
    rows = pith.Pattern.from_indices([0], 9, 2**40)
    assert error_of(pith.linear(x, w, b, where=rows), reference(x, w, b, slice(None))) < TOLERANCES["float32"]


@pytest.mark.parametrize("density", [0.0, 0.02, 0.4, 1.0])
@pytest.mark.parametrize("granularity", [1, 4])
@pytest.mark.parametrize("sizes", [(203, 37, 61), (64, 64, 64), (1, 5, 1), (130, 300, 9)])
def test_named_rows(sizes, granularity, density):
    rng = np.random.default_rng([*sizes, granularity])
    x, w, b = operands(rng, *sizes)
    rows = pith.Pattern.from_mask(rng.random(sizes[0]) < density, granularity)
    named = rows.indices()[0]
    x[np.setdiff1d(np.arange(sizes[0]), named)] = np.nan  # must not be read
    for activation in (None, "relu"):
        out = pith.linear(x, w, b, activation, where=rows)
        assert error_of(out, reference(x, w, b, named, activation)) < TOLERANCES["float32"]


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_padded_batch(dtype):
    """Tokens of a padded batch, named by their lengths; torch in, torch out, other rows of ``out`` kept."""
    rng, kind, lengths = np.random.default_rng(0), getattr(torch, dtype), np.array([3, 0, 12, 7])
    x, w, b = (torch.from_numpy(a).to(kind) for a in operands(rng, 4 * 12, 20, 33))
    x = x.reshape(4, 12, 20)
    tokens = pith.Pattern.from_lengths(lengths, 12)
    y = pith.linear(x, w, b, where=tokens)
    assert y.dtype is kind and y.shape == (4, 12, 33)
    wide = [t.double().numpy().reshape(-1, *t.shape[2:]) if t.ndim == 3 else t.double().numpy() for t in (x, w, b)]
    named = tokens.flatten().indices()[0]
    assert error_of(y.double().numpy().reshape(48, 33), reference(*wide, named)) < TOLERANCES[dtype]

    out = torch.full((4, 12, 33), 7.0, dtype=kind)
    assert pith.linear(x, w, b, where=pith.Ragged(x[0, :3], [0, 0, 3, 0]).tokens(12), out=out) is out
    # few rows are summed in another order than many
    assert error_of(out[2, :3].double().numpy(), y[2, :3].double().numpy()) < TOLERANCES[dtype]
    assert bool((out[[0, 1, 3]] == 7).all() and (out[2, 3:] == 7).all())


def test_new_rows_compile_nothing_and_copy_nothing():
    rng = np.random.default_rng(1)
    x, w, b = operands(rng, 2000, 64, 64)
    out = np.zeros((2000, 64), np.float32)
    pith.linear(x, w, b, where=pith.Pattern.from_indices([1], 2000), out=out)
    lookups = kernel_cache().stats.hits + kernel_cache().stats.misses
    for count in (0, 17, 1999):
        rows = pith.Pattern.from_indices(rng.permutation(2000)[:count], 2000)
        tracemalloc.start()
        pith.linear(x, w, b, where=rows, out=out)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < x.nbytes / 20
    assert kernel_cache().stats.hits + kernel_cache().stats.misses == lookups


X, W = np.ones((4, 3), np.float32), np.ones((5, 3), np.float32)
ALL = pith.Pattern.from_mask(np.ones(4))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (dict(where=np.ones(4)), pith.ArgumentError, "expects a pith.Pattern"),
        (dict(where=pith.Pattern.from_mask(np.ones(5))), pith.ShapeError, r"rows of shape \(4,\)"),
        (dict(where=pith.Pattern.from_mask(np.ones((4, 3)))), pith.ShapeError, r"rows of shape \(4,\)"),
        (dict(where=ALL, out=np.zeros((5, 4), np.float32)), pith.ShapeError, "out"),
        (dict(where=ALL, out=np.zeros((4, 5))), pith.ShapeError, "out"),
        (dict(where=ALL, bias=np.zeros(4, np.float32)), pith.ShapeError, "bias"),
        (dict(where=ALL, activation="swish"), pith.ArgumentError, "unknown activation"),
        (dict(where=ALL, residual=X), pith.UnsupportedError, "no residual"),
        (dict(where=ALL, a=pith.compress(W, "csr")), pith.UnsupportedError, "dense weight"),
        (dict(where=ALL, a=W[:, :2]), pith.ShapeError, "weight"),
        (dict(out=np.zeros((4, 5), np.float32)), pith.ArgumentError, "together with where"),
        (dict(a=W[0]), pith.ShapeError, "expects a matrix"),
    ],
)
def test_errors(arguments, kind, message):
    with pytest.raises(kind, match=message):
        pith.linear(**(dict(x=X, a=W) | arguments))


@pytest.mark.parametrize("name", ["x", "w", "b"])
def test_out_may_be_an_operand(name):
    """What is written over is read before; rows that are not named stay."""
    rng = np.random.default_rng(2)
    x, w, b = operands(rng, 257, 257, 257)
    named = rng.permutation(257)[:200]
    store = np.zeros((258, 257), np.float32)
    given = {"x": x, "w": w, "b": b}
    store[: 1 if name == "b" else 257] = given[name]
    out = store[:257]
    before, given[name] = out.copy(), store[0] if name == "b" else out
    pith.linear(given["x"], given["w"], given["b"], where=pith.Pattern.from_indices(named, 257), out=out)
    expected = before.astype(np.float64)
    expected[named] = reference(x, w, b, named)[named]
    assert error_of(out, expected) < TOLERANCES["float32"]
