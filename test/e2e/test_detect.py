"""``pith.detect``: patterns found by compiled kernels, against NumPy."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pith
import pytest
from pith.runtime.cache import kernel_cache

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16, np.int8, np.uint8, np.int32, np.int64, np.bool_]


def reference(x, granularity, axes, threshold=0.0):
    """Cells of the grid that hold a magnitude not below or equal to the threshold."""
    wide = x.astype(np.float64)
    present = ~(np.abs(wide) <= threshold)
    grid = [-(-x.shape[a] // g) for a, g in zip(axes, granularity)]
    out = np.zeros(grid, bool)
    hits = np.argwhere(present)
    out[tuple(hits[:, a] // g for a, g in zip(axes, granularity))] = True
    return out


def sparse(rng, shape, density, dtype=np.float32):
    return (rng.standard_normal(shape) * 6 * (rng.random(shape) < density)).astype(dtype)


def assert_found(x, granularity, axes=None, threshold=0.0, **options):
    """Detection lists what the reference lists, each once."""
    dims = tuple(range(x.ndim)) if axes is None else axes
    p = pith.detect(x, granularity, axes=axes, threshold=threshold, **options)
    want = reference(np.asarray(x), granularity, dims, threshold)
    np.testing.assert_array_equal(p.mask(), want)
    assert p.count == want.sum() and p.coordinates.dtype == np.int32 and p.coordinates.flags.c_contiguous
    return p


@pytest.mark.parametrize("granularity", [(1, 1), (1, 32), (32, 1), (3, 5), (2, 96), (7, 300)])
def test_sizes_that_divide_nothing(granularity):
    rng = np.random.default_rng(1)
    for shape, density in itertools.product([(1, 1), (5, 7), (33, 64), (70, 1021), (3, 5000)], [0.0, 0.01, 1.0]):
        assert_found(sparse(rng, shape, density), granularity)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
@pytest.mark.parametrize("axes", [(0, 1), (0,), (1,)])
def test_nothing_to_detect(shape, axes):
    assert_found(np.empty(shape, np.float32), (2,) * len(axes), axes)


@pytest.mark.parametrize(
    ("shape", "axes", "granularity"),
    [
        ((200, 37), (0,), (1,)),
        ((200, 37), (0,), (8,)),
        ((37, 500), (0,), (2,)),
        ((300, 41), (1,), (1,)),
        ((9, 11, 130), (1,), (2,)),
        ((9, 11, 130), (0, 2), (2, 3)),
        ((9, 11, 130), (2, 0), (3, 2)),
        ((9, 11, 130), (0, 1), (1, 1)),
        ((3, 4, 5, 6), (1, 3), (2, 4)),
        ((70000,), (0,), (1,)),
        ((70000,), (0,), (1000,)),
    ],
)
def test_axes(shape, axes, granularity):
    rng = np.random.default_rng(2)
    for density in (0.0, 0.005, 0.3):
        assert_found(sparse(rng, shape, density), granularity, axes)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("threshold", [0.0, 2.5, 200.0])
def test_element_types(dtype, threshold):
    rng = np.random.default_rng(3)
    x = sparse(rng, (33, 150), 0.1, np.float32)
    x = np.abs(x) if dtype is np.uint8 else x
    x = x.astype(dtype)
    if np.dtype(dtype).kind in "iu":
        x[3, 3], x[32, 149] = np.iinfo(dtype).min, np.iinfo(dtype).max
    assert_found(x, (1, 3), threshold=threshold)


@pytest.mark.parametrize("width", [64, 256, 300, 513, 1100])
def test_one_element_anywhere_in_a_long_row(width):
    """Row i holds something at place i only, and the last row nothing."""
    x = np.zeros((width + 1, width), np.float32)
    x[range(width), range(width)] = np.where(np.arange(width) % 2, np.nan, -1e-40)
    assert_found(x, (1,), (0,))
    assert_found(x, (1, 700))


def test_nan_infinity_and_signed_zero():
    for dtype in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64):
        x = np.full((8, 80), -0.0, dtype)
        x[1, 1], x[2, 70], x[3, 79], x[4, 0] = np.nan, -np.nan, -np.inf, np.inf
        for threshold, want in ((0.0, 4), (1e300, 4), (np.inf, 2)):
            assert assert_found(x, (1, 8), threshold=threshold).count == want


def test_denormals_are_present():
    for dtype in (np.float16, np.float32, np.float64):
        x = np.zeros(100, dtype)
        x[77] = np.finfo(dtype).smallest_subnormal
        assert pith.detect(x, 1).coordinates.tolist() == [77]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("run", [32, 160])
def test_pieces_of_rows(dtype, run):
    """Cells whose largest magnitude decides: one element anywhere in them, and a last cell that sticks out."""
    for width in (run - 1, 3 * run, 3 * run + 17):
        x = np.zeros((width, width), dtype)
        np.fill_diagonal(x, 1)
        assert_found(x, (1, run))
        assert_found(np.roll(x, width // 2), (1, run), deterministic=True)


def test_not_a_number_beside_infinity():
    x = np.zeros((3, 96), np.float32)
    x[0, 40], x[1, 3], x[2, 70:72] = np.nan, -np.inf, (np.inf, -np.nan)
    assert_found(x, (1, 32), threshold=5.0)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_thresholds_between_numbers(dtype):
    """A threshold that the element type cannot hold separates its neighbours."""
    one = np.dtype(dtype).type(1)
    above = np.nextafter(one, np.dtype(dtype).type(2))
    x = np.array([one, above, -one, -above], dtype)
    for threshold in (1.0, 1 + 1e-9, float(np.nextafter(np.float64(above), 0))):
        assert pith.detect(x, 1, threshold=threshold, deterministic=True).coordinates.tolist() == [1, 3]
    assert pith.detect(x, 1, threshold=float(np.nextafter(1.0, 0))).count == 4
    assert pith.detect(x, 1, threshold=float(above)).count == 0


@pytest.mark.parametrize("axes", [None, (0,), (1,)])
@pytest.mark.parametrize("channel", [0, 1])
def test_thresholds_per_channel(axes, channel):
    rng = np.random.default_rng(4)
    x = rng.standard_normal((40, 300)).astype(np.float32)
    values = rng.random(x.shape[channel]) * 4
    limits = values.reshape((-1, 1) if channel == 0 else -1)
    granularity = (2, 3) if axes is None else (3,)
    p = pith.detect(x, granularity, axes=axes, threshold=limits)
    masked = np.where(np.abs(x.astype(np.float64)) > limits, 1.0, 0.0)
    np.testing.assert_array_equal(p.mask(), reference(masked, granularity, axes or (0, 1)))


def test_deterministic_is_sorted_and_repeatable():
    rng = np.random.default_rng(5)
    x = sparse(rng, (300, 1000), 0.4)
    runs = [pith.detect(x, (1, 1), deterministic=True).coordinates for _ in range(3)]
    np.testing.assert_array_equal(runs[0], np.argwhere(x != 0))
    assert all(np.array_equal(runs[0], r) for r in runs)
    swapped = pith.detect(x, (1, 2), axes=(1, 0), deterministic=True)
    np.testing.assert_array_equal(swapped.coordinates, np.argwhere(swapped.mask()))


def test_lists_grow_past_their_first_capacity():
    x = np.ones((1300, 1000), np.float32)
    for deterministic in (False, True):
        p = assert_found(x, (1, 1), deterministic=deterministic)
        assert p.count == 1_300_000
    x[600:] = 0
    x[1250, 999] = np.nan
    assert assert_found(x, (1, 1)).count == 600_001


def test_memory_follows_the_count():
    """No allocation of the size of the tensor or its grid, and nothing leaks."""
    from pith.runtime.native import lib

    x = np.zeros((2000, 2000), np.float32)
    x[7, 7] = 1
    pith.detect(x, (1, 1))
    live = lib().pith_live_bytes()
    held = [pith.detect(x, (1, 1)) for _ in range(4)]
    assert lib().pith_live_bytes() - live <= 4 * 4096
    del held
    assert lib().pith_live_bytes() <= live


def test_any_layout():
    rng = np.random.default_rng(6)
    x = sparse(rng, (60, 70), 0.05)
    for view in (x.T, np.asfortranarray(x), x[:, ::2], x[::-1], x[5:40, 3:50], np.broadcast_to(x[:1], (9, 70))):
        assert_found(view, (1, 8))
        assert_found(view, (1, 8), deterministic=True)
    assert_found(sparse(rng, (4, 5, 6), 0.2).transpose(2, 0, 1), (1, 2), (0, 2))


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    x = torch.zeros(8, 64)
    x[2, 40] = 1.0
    for tensor in (x, x.bfloat16(), x.half(), x.double(), x > 0, x.int(), x.requires_grad_()):
        assert pith.detect(tensor, (1, 32)).coordinates.tolist() == [[2, 1]]
    assert pith.detect(x.detach().T, (32, 1)).coordinates.tolist() == [[1, 2]]


def test_new_patterns_and_sizes_compile_nothing():
    rng = np.random.default_rng(7)
    pith.detect(sparse(rng, (20, 30), 0.5), (2, 2))
    before = kernel_cache().stats.misses
    for shape, density in (((20, 30), 0.1), ((1, 999), 0.9), ((300, 2), 0.0)):
        assert_found(sparse(rng, shape, density), (2, 2), threshold=float(rng.random()))
    assert kernel_cache().stats.misses == before


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda x: pith.detect(x, 1, threshold=-1), pith.ArgumentError, "threshold >= 0, got -1"),
        (lambda x: pith.detect(x, 1, threshold=float("nan")), pith.ArgumentError, "threshold >= 0"),
        (lambda x: pith.detect(x, 1, threshold=np.array([1, -2, 3])), pith.ArgumentError, "got -2"),
        (lambda x: pith.detect(x, 1, threshold="a"), pith.ArgumentError, "expects a number"),
        (lambda x: pith.detect(x, 1, threshold="0.5"), pith.ArgumentError, "expects a number, got str"),
        (lambda x: pith.detect(x, 1, threshold=np.ones(5)), pith.ShapeError, "one per entry of one dimension"),
        (lambda x: pith.detect(x, 1, threshold=np.ones((2, 3))), pith.ShapeError, "one per entry of one dimension"),
        (lambda x: pith.detect(x, 0), pith.FormatError, "granularity >= 1, got 0"),
        (lambda x: pith.detect(x, (1,)), pith.ShapeError, "one granularity per axis (2), got 1"),
        (lambda x: pith.detect(x, 1, axes=(0, 0)), pith.ShapeError, "none twice"),
        (lambda x: pith.detect(x, 1, axes=2), pith.ShapeError, "-2 to 1"),
        (lambda x: pith.detect(x[0, 0], 1), pith.ShapeError, "got a scalar"),
        (lambda x: pith.detect(x.astype(complex), 1), pith.DTypeError, "complex128"),
        (lambda x: pith.detect(x.astype(str), 1), pith.DTypeError, "cannot be passed"),
        (lambda x: pith.detect(3, 1), pith.ArgumentError, "expected an array"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error) as caught:
        make(np.ones((2, 3), np.float32))
    assert message in str(caught.value)


def test_what_is_refused_is_refused_by_cached_kernels_too():
    torch = pytest.importorskip("torch")
    x = torch.eye(4)
    pith.detect(x, 1)
    with pytest.raises(pith.ArgumentError, match="expected a dense tensor"):
        pith.detect(torch.sparse_csr_tensor([0, 1, 2, 3, 4], [0, 1, 2, 3], torch.ones(4)), 1)
    with pytest.raises(pith.ArgumentError, match="expects a number"):
        pith.detect(x, 1, threshold=10**400)


def test_a_grid_past_32_bits_is_refused_by_cached_kernels_too():
    pith.detect(np.ones((1, 40), np.int8), (1, 2))
    long = np.zeros((1, 2**32 + 2), np.int8)  # pages nobody touches take no memory
    for x, granularity in ((long, (1, 2)), (long.T, (2, 1))):
        with pytest.raises(pith.ShapeError, match="2147483649 micro-tiles; coordinates are 32-bit"):
            pith.detect(x, granularity)


def test_any_number_of_threads():
    rng = np.random.default_rng(8)
    x = sparse(rng, (700, 900), 0.2)
    before = pith.runtime.num_threads()
    try:
        for threads in (1, 2):
            pith.runtime.set_num_threads(threads)
            for granularity in ((1, 1), (1, 32), (16, 2)):
                assert_found(x, granularity)
                assert_found(x, granularity, deterministic=True)
    finally:
        pith.runtime.set_num_threads(before)
