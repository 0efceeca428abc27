"""Patterns as values: what they say, and what they refuse."""

import operator

import numpy as np
import pith
import pytest
from pith import Pattern


def test_a_pattern_says_what_it_names():
    p = Pattern.from_indices([[2, 0], [0, 1]], sizes=(5, 6), granularity=(2, 4))
    assert (p.sizes, p.granularity, p.grid, p.count, p.rank) == ((5, 6), (2, 4), (3, 2), 2, 2)
    assert p.coordinates.dtype == np.int32 and p.coordinates.flags.c_contiguous
    assert p.density == pytest.approx(2 / 6)
    np.testing.assert_array_equal(p.mask(), [[0, 1], [0, 0], [1, 0]])
    named = np.zeros((5, 6), bool)
    named[p.indices()] = True
    want = np.zeros((5, 6), bool)
    want[0:2, 4:6] = want[4:5, 0:4] = True
    np.testing.assert_array_equal(named, want)


def test_order_means_nothing():
    a = Pattern.from_indices([3, 1, 2], 5)
    b = Pattern.from_indices([1, 2, 3], 5)
    assert a == b and hash(a) == hash(b) and a != Pattern.from_indices([1, 2, 4], 5)
    assert a != Pattern.from_indices([1, 2, 3], 6) and a != 3
    assert a.sorted().coordinates.tolist() == [1, 2, 3] and len(a) == 3


def test_sizes_and_granularity_as_arrays():
    p = Pattern.from_indices([[1, 0]], np.array([3, 3]), np.array([2, 1]))
    assert (p.sizes, p.granularity) == ((3, 3), (2, 1)) and type(p.sizes[0]) is int
    assert Pattern.from_indices([1], np.array([3]), np.int64(1)) == Pattern.from_indices([1], np.array(3))


def test_parts_cannot_be_exchanged():
    with pytest.raises(AttributeError):
        Pattern.from_indices([1], 2).sizes = (3,)


def test_coordinates_belong_to_the_pattern():
    """Checked once, so neither the caller's array nor the pattern's own can change them later."""
    for indices, sizes in ((np.array([0, 2], np.int32), (3,)), (np.array([[0, 1], [2, 0]], np.int32), (3, 3))):
        for p in (Pattern(sizes, (1,) * len(sizes), indices), Pattern.from_indices(indices, sizes)):
            assert not np.shares_memory(p.coordinates, indices)
        assert indices.flags.writeable
    p = Pattern.from_indices([[0, 1], [2, 0]], (3, 3))
    lengths, routed = Pattern.from_lengths([1, 2], 3), Pattern.from_routing([[0, 1]], 2)
    masked, best = Pattern.from_mask(np.eye(3)), Pattern.top_k(np.eye(3), 1)
    for q in (p, ~p, p | masked, p.sorted(), p.coarsen(2), p.flatten(), lengths, routed, masked, best):
        with pytest.raises(ValueError, match="read-only"):
            q.coordinates[...] = 7


@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (5, 9), (3, 4, 5), (0, 3), (3, 0)])
def test_masks_and_back(shape):
    rng = np.random.default_rng(1)
    mask = rng.random(shape) < 0.3
    for granularity in (1, tuple(rng.integers(1, 4, len(shape)).tolist())):
        p = Pattern.from_mask(mask, granularity)
        rebuilt = np.zeros(shape, bool)
        rebuilt[p.indices()] = True
        assert not (mask & ~rebuilt).any()
        assert p.count == Pattern.from_mask(rebuilt, granularity).count
        if granularity == 1:
            np.testing.assert_array_equal(rebuilt, mask)


def test_nan_is_present():
    assert Pattern.from_mask(np.array([0.0, np.nan, -0.0, np.inf])).coordinates.tolist() == [1, 3]


@pytest.mark.parametrize("size", [1, 4, 9])
@pytest.mark.parametrize("granularity", [1, 3])
def test_lengths(size, granularity):
    lengths = np.random.default_rng(2).integers(0, size + 1, 6)
    p = Pattern.from_lengths(lengths, size, granularity)
    used = np.arange(size) < lengths[:, None]
    assert p == Pattern.from_mask(used, (1, granularity))


def test_no_sequences():
    assert Pattern.from_lengths([], 8).count == 0 and Pattern.from_lengths([0, 0], 8).count == 0


def test_lists_of_gpu_programs():
    listed = np.array([2, 0, 1, 3, 2, -1, -1], np.int32)
    assert Pattern.from_list(listed, (4, 8), (1, 2)) == Pattern.from_indices([[3, 2], [0, 1]], (4, 8), (1, 2))
    assert Pattern.from_list(np.int32([0]), 5).count == 0
    with pytest.raises(pith.CheckError, match="7 micro-tiles were found, the list has room for 3"):
        Pattern.from_list(np.array([7, *listed[1:]], np.int32), (4, 8), (1, 2))
    with pytest.raises(pith.ShapeError, match="expects a count and 2 coordinates per entry"):
        Pattern.from_list(listed[:4], (4, 8), (1, 2))


def test_routing():
    experts = np.array([[1, 0], [3, 1]])
    p = Pattern.from_routing(experts, 4)
    want = np.zeros((2, 4), bool)
    np.put_along_axis(want, experts, True, 1)
    np.testing.assert_array_equal(p.mask(), want)
    assert Pattern.from_routing([2, 2], 4).coordinates.tolist() == [[0, 2], [1, 2]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.uint8, bool])
def test_top_k_is_the_stable_choice(dtype):
    scores = np.random.default_rng(3).integers(0, 5, (6, 11)).astype(dtype)
    for k in (0, 1, 4, 11):
        order = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :k]
        want = np.zeros(scores.shape, bool)
        np.put_along_axis(want, order, True, 1)
        np.testing.assert_array_equal(Pattern.top_k(scores, k).mask(), want)


def test_top_k_ranks_nan_above_infinity():
    assert Pattern.top_k(np.array([np.inf, 1.0, np.nan, -np.inf]), 2).sorted().coordinates.tolist() == [0, 2]
    assert Pattern.top_k(np.array([np.inf, 1.0, np.nan, -np.inf]), 1).coordinates.tolist() == [2]


def test_set_algebra():
    rng = np.random.default_rng(4)
    a, b = (Pattern.from_mask(rng.random((6, 10)) < 0.4, (2, 3)) for _ in range(2))
    np.testing.assert_array_equal((a | b).mask(), a.mask() | b.mask())
    np.testing.assert_array_equal((a & b).mask(), a.mask() & b.mask())
    np.testing.assert_array_equal((~a).mask(), ~a.mask())
    assert ~(a | b) == ~a & ~b


def test_sets_of_few_micro_tiles_in_a_large_grid():
    """No memory for each of the cells: there are 2^40."""
    sizes = (1 << 20, 1 << 20)
    a, b = (Pattern.from_indices(i, sizes) for i in ([[7, 1], [(1 << 20) - 1] * 2, [3, 5]], [[3, 5], [9, 9]]))
    assert (a | b).coordinates.tolist() == [[3, 5], [7, 1], [9, 9], [(1 << 20) - 1] * 2]
    assert (a & b).coordinates.tolist() == [[3, 5]] and (a & b).coordinates.dtype == np.int32
    line = Pattern.from_indices([5], 1 << 30)
    assert (line | Pattern.from_indices([2], 1 << 30)).coordinates.tolist() == [2, 5]
    nothing = Pattern.from_indices([], sizes)
    assert (a & nothing).coordinates.shape == (0, 2) and (nothing | nothing).count == 0
    with pytest.raises(pith.ShapeError, match="complement would list 1099511627773 micro-tiles"):
        operator.invert(a)


def test_coarsen_is_detection_at_the_wider_granularity():
    mask = np.random.default_rng(5).random((13, 10)) < 0.1
    fine = Pattern.from_mask(mask, (1, 2))
    assert fine.coarsen((4, 4)) == Pattern.from_mask(mask, (4, 4))


def test_flatten_names_the_same_elements():
    p = Pattern.from_lengths([3, 0, 2], 4)
    flat = np.ravel_multi_index(p.indices(), p.sizes)
    np.testing.assert_array_equal(p.flatten().indices()[0], flat)
    blocks = Pattern.from_lengths([3, 0, 2], 4, granularity=2)
    np.testing.assert_array_equal(blocks.flatten().indices()[0], np.ravel_multi_index(blocks.indices(), blocks.sizes))


def test_torch_tensors_are_taken():
    torch = pytest.importorskip("torch")
    assert Pattern.from_indices(torch.tensor([1, 2]), 4) == Pattern.from_indices([1, 2], 4)
    assert Pattern.from_mask(torch.tensor([0.0, 1.0])).coordinates.tolist() == [1]
    assert Pattern.from_lengths(torch.tensor([1, 2]), 4).count == 3


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Pattern.from_indices([5], 5), pith.CheckError, "entry 0 is 5, axis 0 has 5 places"),
        (lambda: Pattern.from_indices([-1], 5), pith.CheckError, "entry 0 is -1"),
        (lambda: Pattern.from_indices([[0, 2]], (3, 2)), pith.CheckError, "axis 1 has 2 places"),
        (lambda: Pattern.from_indices([1, 2, 1], 5), pith.CheckError, "entry 2 lists micro-tile 1 again"),
        (lambda: Pattern.from_indices([[0, 1]] * 2, (2, 2)), pith.CheckError, "entry 1 lists micro-tile [0, 1] again"),
        (lambda: Pattern.from_indices([1.5], 5), pith.DTypeError, "expects integers, got float64"),
        (lambda: Pattern.from_indices([[1, 2]], 5), pith.ShapeError, "expects coordinates of shape (count,)"),
        (lambda: Pattern.from_indices([1], (5, 5)), pith.ShapeError, "expects coordinates of shape (count, 2)"),
        (lambda: Pattern.from_indices([1], -1), pith.ShapeError, "axis 0 expects a size >= 0, got -1"),
        (lambda: Pattern.from_indices([], ()), pith.ShapeError, "at least one axis"),
        (lambda: Pattern.from_indices([], 2**31 + 1), pith.ShapeError, "32-bit"),
        (lambda: Pattern.from_indices([], (2**31, 2**31, 2)), pith.ShapeError, "the grid has 9223372036854775808"),
        (lambda: Pattern.from_indices([], "ab"), pith.ArgumentError, "expects integers"),
        (lambda: Pattern.from_indices([], np.array([2.0, 3.0])), pith.ArgumentError, "expects integers"),
        (lambda: Pattern.from_indices([1], 5, 0), pith.FormatError, "granularity >= 1, got 0"),
        (lambda: Pattern.from_indices([1], 5, (1, 1)), pith.ShapeError, "one granularity per axis (1), got 2"),
        (lambda: Pattern.from_lengths([1, 9], 8), pith.CheckError, "sequence 1 has length 9, the axis has 8"),
        (lambda: Pattern.from_lengths([-1], 8), pith.CheckError, "sequence 0 has length -1"),
        (lambda: Pattern.from_lengths([[1]], 8), pith.ShapeError, "one length per sequence"),
        (lambda: Pattern.from_routing([0], 0), pith.CheckError, "entry 0 is 0, the expert axis has no places"),
        (lambda: Pattern.from_routing([0, 4], 4), pith.CheckError, "entry 1 is 4, the expert axis has 4 places"),
        (lambda: Pattern.from_routing([[1, 1]], 4), pith.CheckError, "a token names an expert once"),
        (lambda: Pattern.from_routing([[[1]]], 4), pith.ShapeError, "(tokens, k)"),
        (lambda: Pattern.top_k(np.ones((2, 3)), 4), pith.ShapeError, "0 <= k <= 3"),
        (lambda: Pattern.top_k(np.ones((2, 3)), -1), pith.ShapeError, "got -1"),
        (lambda: Pattern.top_k(np.ones((2, 3, 1)), 1), pith.ShapeError, "one or two dimensions"),
        (lambda: Pattern.top_k(np.array(["a"]), 1), pith.DTypeError, "booleans or numbers"),
        (lambda: Pattern.from_indices([1], 5) | Pattern.from_indices([1], 6), pith.ShapeError, "different grids"),
        (lambda: Pattern.from_indices([1], 6) & Pattern.from_indices([1], 6, 2), pith.ShapeError, "different grids"),
        (lambda: Pattern.from_indices([1], 6) & 3, pith.ArgumentError, "expects two patterns, got int"),
        (lambda: Pattern.from_indices([1], 6, 2).coarsen(3), pith.ShapeError, "a multiple of 2, got 3"),
        (lambda: Pattern.from_indices([], (4, 4), (2, 1)).flatten(), pith.ShapeError, "no runs"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert message in str(caught.value)
