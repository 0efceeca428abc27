"""Large patterns: what kernels build and combine, against NumPy."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from pith import Pattern
from pith.patterns import algebra, build, cells, sample_coverage
from pith.runtime.cache import kernel_cache

DTYPES = (np.float32, np.float64, np.float16, ml_dtypes.bfloat16, np.int8, np.uint8, np.int64, np.bool_)


@pytest.fixture
def by_numpy(monkeypatch):
    """Run a function once more without kernels."""

    def run(function, *arguments):
        with monkeypatch.context() as patch:
            patch.setattr(algebra, "worth_a_kernel", lambda size: False)
            patch.setattr(build, "worth_a_kernel", lambda size: False)
            return function(*arguments)

    return run


def same(a, b):
    np.testing.assert_array_equal(a.coordinates, b.coordinates)
    assert (a.sizes, a.granularity) == (b.sizes, b.granularity)
    assert a.coordinates.dtype == np.int32 and a.coordinates.flags.c_contiguous


@pytest.mark.parametrize(
    ("sizes", "granularity"), [((5000,), (1,)), ((70001,), (16,)), ((130, 999), (2, 3)), ((9, 40, 65), (1, 2, 1))]
)
def test_sets(sizes, granularity, by_numpy):
    rng = np.random.default_rng(1)
    grid = [-(-s // g) for s, g in zip(sizes, granularity)]
    masks = [rng.random(grid) < density for density in (0.2, 0.6)]
    a, b = (Pattern(sizes, granularity, rng.permutation(cells.locate(np.flatnonzero(m), grid), axis=0)) for m in masks)
    for make in (lambda: a | b, lambda: a & b, lambda: ~a):
        same(make(), by_numpy(make))
    assert (a & ~a).count == 0 and (a | ~a).density == 1.0


def test_a_new_pattern_compiles_nothing():
    rng = np.random.default_rng(2)
    make = [
        lambda m: Pattern.from_mask(m, (1, 4)),
        lambda m: ~Pattern.from_mask(m, (1, 4)),
        lambda m: Pattern.top_k(m, 3),
    ]
    for m in make:
        m(rng.random((100, 400)) < 0.1)
    before = kernel_cache().stats.misses
    for m in make:
        m(rng.random((300, 200)) < 0.5)
    assert kernel_cache().stats.misses == before


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.int16])
def test_lengths(dtype, by_numpy):
    lengths = np.random.default_rng(3).integers(0, 301, 77).astype(dtype)
    for granularity in (1, 8):
        arguments = lengths, 300, granularity
        same(Pattern.from_lengths(*arguments), by_numpy(Pattern.from_lengths, *arguments))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
def test_top_k(dtype, by_numpy):
    rng = np.random.default_rng(4)
    for shape, k in (((40, 130), 7), ((5000,), 100), ((600, 9), 2), ((90, 64), 64), ((90, 64), 0)):
        scores = (rng.standard_normal(shape) * 4).astype(np.float32)
        scores = np.abs(scores).astype(dtype) if np.dtype(dtype).kind == "u" else scores.astype(dtype)
        if scores.dtype.kind in "fV":
            scores[rng.random(shape) < 0.05], scores[rng.random(shape) < 0.05] = np.nan, -np.inf
        same(Pattern.top_k(scores, k).sorted(), by_numpy(Pattern.top_k, scores, k).sorted())


def test_masks(by_numpy):
    rng = np.random.default_rng(5)
    for mask in (rng.random((70, 130)) < 0.1, rng.standard_normal((70, 130)) * (rng.random((70, 130)) < 0.1)):
        same(Pattern.from_mask(mask, (3, 4)), by_numpy(Pattern.from_mask, mask, (3, 4)))
        same(Pattern.from_mask(mask.T, (3, 4)), by_numpy(Pattern.from_mask, mask.T, (3, 4)))


CANDIDATES = [(1, 1), (1, 32), (32, 1), (8, 8), (32, 64), (1, 4), (64, 64), (1, 512)]


def test_samples_of_small_tensors_are_exact():
    rng = np.random.default_rng(6)
    for shape in ((32, 64), (33, 65), (5, 7), (96, 512)):
        x = (rng.random(shape) * (rng.random(shape) < 0.02)).astype(np.float32)
        found = sample_coverage(x, CANDIDATES, budget=1 << 20)
        want = [1 - Pattern.from_mask(x, g).density for g in CANDIDATES]
        np.testing.assert_allclose(found, want, atol=1e-12)


@pytest.mark.parametrize("block", [(1, 32), (32, 1), (1, 1), (8, 8)])
def test_samples_are_close(block):
    """The standard error of an estimate over 8 windows of independent blocks is below 0.02 for these."""
    rng = np.random.default_rng(7)
    keep = rng.random([2048 // b for b in block]) < 0.2
    x = np.repeat(np.repeat(keep, block[0], 0), block[1], 1).astype(np.float32)
    candidates = CANDIDATES[:4]
    found = sample_coverage(x, candidates)
    want = [1 - Pattern.from_mask(x, g).density for g in candidates]
    np.testing.assert_allclose(found, want, atol=0.1)
    assert found == sample_coverage(x, candidates)


def test_samples_of_any_tensor():
    x = np.zeros((3, 70, 130), np.float16)
    x[1] = np.nan
    shares = [sample_coverage(v, [(1, 8)], budget=1 << 20)[0] for v in (x, x[1], x[0], x[0].T, x[0, ::2, ::2])]
    assert shares == [pytest.approx(2 / 3, abs=0.02), 0.0, 1.0, 1.0, 1.0]
    assert sample_coverage(np.ones((100, 100), np.int32), [(1, 1)], threshold=1) == (1.0,)
    assert sample_coverage(np.empty((0, 5)), [(1, 1)]) == (1.0,) and sample_coverage(np.ones((2, 2)), []) == ()


def test_bad_samples():
    import pith

    for arguments, error in (
        ((np.ones(3), [(1, 1)]), pith.ShapeError),
        ((np.ones((3, 3)), [(1, 1)], -1.0), pith.ArgumentError),
        ((np.ones((3, 3)), [(1, 1)], 0.0, 0), pith.ArgumentError),
        ((np.ones((3, 3)), [(1, 0)]), pith.FormatError),
        ((np.ones((3, 3)), [(1,)]), pith.ShapeError),
        ((np.ones((3, 3), complex), [(1, 1)]), pith.DTypeError),
    ):
        with pytest.raises(error):
            sample_coverage(*arguments)
