"""Pruning to a density, against sorting: exact counts, ties, infinities, every order of storage."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from pith.formats import threshold
from pith.formats.threshold import Cut, find_cut


def best(scores: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` largest; ties go to the lower position."""
    keep = np.zeros(scores.size, bool)
    keep[np.argsort(-scores.astype(np.float64), kind="stable")[:count]] = True
    return keep


@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "C0(bitmask)"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8"])
@pytest.mark.parametrize("density", [0.0, 0.003, 0.3, 0.97, 1.0])
def test_the_best_elements_of_the_whole_tensor(fmt, dtype, density):
    rng = np.random.default_rng(3)
    for shape in ((300, 700), (1, 5), (40, 33)):
        w = (rng.standard_normal(shape) * 10).astype(dtype)  # int8: many ties
        if dtype.startswith("float"):
            w.flat[rng.integers(w.size)] = -np.inf
        scores = np.abs(w.astype(np.float64))
        count = round(density * w.size)
        flat = best(scores.T.ravel(), count) if fmt == "csc" else best(scores.ravel(), count)
        expected = flat.reshape(shape[::-1]).T if fmt == "csc" else flat.reshape(shape)
        np.testing.assert_array_equal(pith.prune_mask(w, fmt, density=density), expected)
        np.testing.assert_array_equal(pith.prune(w, fmt, density=density), np.where(expected, w, 0))


def test_blocks_and_diagonals():
    rng = np.random.default_rng(4)
    w = rng.standard_normal((64, 96))
    scores = np.abs(w).reshape(16, 4, 24, 4).sum(axis=(1, 3))
    expected = np.kron(best(scores.ravel(), 96).reshape(16, 24), np.ones((4, 4), bool))
    np.testing.assert_array_equal(pith.prune_mask(w, "bsr(4x4)", density=0.25), expected)
    kept = pith.prune(w, "dia", density=0.25)
    sums = {k: np.abs(np.diagonal(w, k)).sum() for k in range(-63, 96)}
    largest = set(sorted(sums, key=lambda k: -sums[k])[: round(0.25 * 96)])
    assert {k for k in sums if np.diagonal(kept, k).any()} == largest


def test_saliencies_drop_what_is_not_finite():
    w = np.array([[np.inf, 1.0, 2.0, -np.inf]])
    np.testing.assert_array_equal(
        pith.prune(w, "csr", density=0.5, saliency=[[0, 9, 8, -1]] * np.ones((1, 4))), [[0, 1, 2, 0]]
    )


def test_nan_is_named_where_it_stands():
    w = np.ones((50, 70))
    w[30, 4] = np.nan
    for fmt in ("csr", "csc", "dia", "bsr(2x2)"):
        with pytest.raises(pith.FormatError, match=r"element \[30, 4\]"):
            pith.prune(w, fmt, density=0.2)


def test_an_unlucky_sample_costs_a_pass_and_nothing_else(monkeypatch):
    scores = np.random.default_rng(5).permutation(1000).astype(np.float32)
    passes = []
    collect = threshold._collect
    monkeypatch.setattr(threshold, "_collect", lambda *args: passes.append(args[1:]) or collect(*args))
    assert find_cut(lambda: iter((scores,)), np.full(100, 2000, np.float32), 1000, 10) == Cut(990.0, 1)
    assert len(passes) == 2
    assert find_cut(lambda: iter(np.split(scores, 10)), scores[:200], 1000, 10) == Cut(990.0, 1)
    assert len(passes) == 3
