"""Patterns made on the device, under emulation, against NumPy. Unordered lists are compared as sets."""

import functools

import numpy as np
import pattern_programs as programs
import pith
import pytest
from pattern_programs import device_list, entries

NUMPY = {
    "f16": np.float16,
    "f32": np.float32,
    "f64": np.float64,
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i1": np.bool_,
}
ORDERED = ", pith.deterministic = true"


@functools.cache
def compiled(source):
    return pith.compile(source, target="emulate:sm_90")


def scattered(rng, shape, element, share):
    """Values a few of which are not zero, and NaN among them where there is one."""
    x = (rng.standard_normal(shape) * 4 * (rng.random(shape) < share)).astype(NUMPY[element])
    if element.startswith("f") and x.size and share:
        x.flat[rng.integers(x.size)] = np.nan
    return x


def cells(x, axes, granularity, threshold=0.0):
    """The cells that hold anything, in row-major order of the axes."""
    with np.errstate(invalid="ignore"):
        present = np.argwhere(~(np.abs(x.astype("f8")) <= threshold))
    return sorted({tuple(int(at[a]) // g for a, g in zip(axes, granularity)) for at in present})


CASES = [
    # shape, element, axes, granularity, share
    ((70, 100), "f16", (0, 1), (1, 1), 0.02),
    ((61, 37), "f32", (0, 1), (1, 1), 0.3),
    ((64, 48), "f16", (0, 1), (1, 1), 1.0),
    ((33, 64), "f32", (0, 1), (32, 1), 0.02),
    ((33, 72), "f16", (0, 1), (1, 64), 0.02),
    ((70, 136), "f16", (0, 1), (32, 64), 0.001),
    ((40, 37), "f16", (0, 1), (3, 5), 0.02),
    ((70, 24), "i8", (0, 1), (2, 3), 0.1),
    ((30, 26), "i16", (1, 0), (2, 2), 0.05),
    ((70, 24), "i32", (1, 0), (2, 3), 0.1),
    ((70, 64), "f64", (0, 1), (8, 8), 0.01),
    ((50, 67), "i1", (0, 1), (2, 8), 0.01),
    ((40, 64), "f16", (0,), (1,), 0.02),
    ((9, 1030), "f16", (0,), (2,), 0.0005),
    ((200, 16), "f16", (1,), (1,), 0.002),
    ((5, 5000), "f16", (0, 1), (1, 3000), 0.0005),
    ((3, 5, 7), "f32", (0, 1, 2), (1, 1, 1), 0.3),
    ((3, 50, 7), "f32", (2, 0), (1, 2), 0.02),
    ((3, 50, 7), "f32", (1,), (4,), 0.02),
    ((0, 64), "f16", (0, 1), (8, 8), 0.1),
    ((64, 0), "f32", (0,), (8,), 0.1),
    ((64, 48), "f16", (0, 1), (1, 16), 0.0),
]


@pytest.mark.parametrize(("shape", "element", "axes", "granularity", "share"), CASES)
def test_detection_lists_the_cells_that_hold_anything(shape, element, axes, granularity, share):
    rng = np.random.default_rng([*shape, *granularity])
    x = scattered(rng, shape, element, share)
    expected = cells(x, axes, granularity)
    kernel = compiled(programs.detect([-1] * len(shape), element, axes, granularity))
    assert sorted(entries(kernel(x), len(axes))) == expected
    assert sorted(entries(kernel(x), len(axes))) == expected, "the count starts from zero in every run"


@pytest.mark.parametrize(("shape", "element", "axes", "granularity", "share"), CASES[::3])
def test_sizes_may_be_known_when_compiling(shape, element, axes, granularity, share):
    x = scattered(np.random.default_rng([*shape, *granularity, 2]), shape, element, share)
    kernel = compiled(programs.detect(shape, element, axes, granularity))
    assert sorted(entries(kernel(x), len(axes))) == cells(x, axes, granularity)


@pytest.mark.parametrize(("shape", "element", "axes", "granularity", "share"), CASES[:7] + CASES[12:19])
def test_deterministic_lists_are_in_storage_order(shape, element, axes, granularity, share):
    rng = np.random.default_rng([*shape, *granularity, 1])
    x = scattered(rng, shape, element, share)
    expected = sorted(cells(x, axes, granularity), key=lambda c: [v for _, v in sorted(zip(axes, c))])
    kernel = compiled(programs.detect([-1] * len(shape), element, axes, granularity, ORDERED))
    for _ in range(2):
        assert entries(kernel(x), len(axes)) == expected


def test_another_tensor_through_the_same_kernel_finds_its_own_cells():
    kernel, rng = compiled(programs.detect([-1, -1], "f16", (0, 1), (1, 1))), np.random.default_rng(0)
    for shape in ((1, 1), (300, 8), (2, 9000), (17, 31)):
        x = scattered(rng, shape, "f16", 0.05)
        assert sorted(entries(kernel(x), 2)) == cells(x, (0, 1), (1, 1))


def test_magnitudes_up_to_the_threshold_are_absent():
    x = np.array([[1.0, -1.0, 1.001, -1.5, np.nan, -np.inf, 0.0, -0.0, 1e-7]], np.float16)
    for threshold in (0.0, 1.0):
        kernel = compiled(programs.detect([-1, -1], "f16", (0, 1), (1, 1), threshold=threshold))
        assert sorted(entries(kernel(x), 2)) == cells(x, (0, 1), (1, 1), threshold)


@pytest.mark.parametrize("element", ["f16", "f32", "i8"])
def test_thresholds_of_run_time(element):
    rng = np.random.default_rng(3)
    x = scattered(rng, (30, 44), element, 0.5)
    kernel = compiled(programs.detect_by(element, (1, 2), "f64", ()))
    assert sorted(entries(kernel(x, 1.5), 2)) == cells(x, (0, 1), (1, 2), 1.5)
    for channel, size in ((0, 30), (1, 44)):
        limits = np.linspace(-1, 4, size).astype(np.float32)
        limits[3] = np.nan
        kernel = compiled(programs.detect_by(element, (1, 2), "tensor<?xf32>", (channel,)))
        per = np.maximum(np.nan_to_num(limits.astype("f8"), nan=0), 0)
        expected = cells(x, (0, 1), (1, 2), per[:, None] if channel == 0 else per)
        assert sorted(entries(kernel(x, limits), 2)) == expected


def test_a_list_that_is_too_short_keeps_what_fits_and_says_how_much_there_was():
    source = programs.detect([-1, -1], "f16", (0, 1), (1, 1), ', pith.buffer = #pith.buffer<100, "error", "global">')
    attribute = '#pith.buffer<100 : i64, "error", "global">'
    source = source.replace('#pith.buffer<100, "error", "global">', attribute)
    x = np.ones((20, 30), np.float16)
    listed = compiled(source)(x)
    assert listed[0] == 600 and len(listed) == 201
    kept = {tuple(map(int, c)) for c in listed[1:].reshape(100, 2)}
    assert len(kept) == 100 and kept <= set(cells(x, (0, 1), (1, 1)))
    x[...] = 0
    x[3, 4] = 1
    assert entries(compiled(source)(x), 2) == [(3, 4)]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_sets_list_every_cell_once_in_row_major_order(share):
    rng = np.random.default_rng(5)
    a, b = rng.random((25, 34)) < share, rng.random((25, 34)) < 0.4
    lists = [device_list(rng.permutation(np.argwhere(m))) for m in (a, b)]
    lists[1][-2:] = 99  # garbage behind the count
    for name, expected in (("union", a | b), ("intersection", a & b), ("complement", ~a)):
        listed = compiled(programs.sets(name, (2, 3)))(*lists, 50, 100)
        assert entries(listed, 2) == [tuple(map(int, c)) for c in np.argwhere(expected)]


def test_sets_leave_out_coordinates_past_the_grid():
    p, q = device_list([(0, 0), (30, 1), (-1, 2), (2, 90)]), device_list([])
    assert entries(compiled(programs.sets("union", (2, 3)))(p, q, 50, 100), 2) == [(0, 0)]


@pytest.mark.parametrize("element", ["i32", "i64"])
def test_lengths_and_routing(element):
    rng, dtype = np.random.default_rng(7), np.dtype(element.replace("i", "int"))
    lengths = rng.integers(-3, 60, 300).astype(dtype)
    listed = compiled(programs.from_lengths(element, 4))(lengths, 50)
    used = -(-np.clip(lengths.astype(int), 0, 50) // 4)
    assert entries(listed, 2) == [(s, p) for s in range(300) for p in range(used[s])]
    for rank, experts in ((1, rng.integers(-1, 8, 300)), (2, rng.integers(-1, 8, (150, 2)))):
        listed = compiled(programs.from_routing(element, rank))(experts.astype(dtype))
        each = experts.reshape(len(experts), -1)
        assert entries(listed, 2) == [(t, int(e)) for t, row in enumerate(each) for e in row]


@pytest.mark.parametrize("rank", [1, 2])
def test_patterns_of_given_coordinates(rank):
    given = np.random.default_rng(9).integers(0, 99, (300, rank)).astype(np.int32)
    kernel = compiled(programs.from_coordinates(rank))
    for count in (300, 1, 0):
        coordinates = np.ascontiguousarray(given[:count, 0] if rank == 1 else given[:count])
        assert entries(kernel(coordinates), rank) == [tuple(map(int, c)) for c in given[:count]]


@pytest.mark.parametrize("element", ["f32", "f16", "i8", "i32"])
@pytest.mark.parametrize("k", [0, 1, 3, 40, 500])
def test_topk_lists_the_largest_of_every_row(element, k):
    rng, (rows, size) = np.random.default_rng(k), (5, 300 if k == 40 else 37)
    scores = (rng.integers(-5, 6, (rows, size)) if k == 3 else rng.standard_normal((rows, size)) * 20).astype(
        NUMPY[element]
    )
    if element.startswith("f"):
        scores[1, 3], scores[2, :4] = np.nan, [-0.0, 0.0, -np.inf, np.inf]
    got = entries(compiled(programs.topk(element, 2))(scores, k), 2)
    taken = min(k, size)
    assert len(got) == rows * taken
    for r in range(rows):
        nan, key = np.isnan(scores[r].astype("f8")), np.nan_to_num(scores[r].astype("f8"), nan=0)
        best = sorted(range(size), key=lambda c: (not nan[c], -key[c], c))[:taken]
        assert {c for row, c in got if row == r} == set(best)


#: Smaller than a window, as large, and larger.
TILES = [(1, 1), (1, 32), (32, 1), (8, 8), (5, 7), (3, 64), (32, 64), (64, 1), (1, 100), (40, 50), (200, 300)]


@pytest.mark.parametrize("element", ["f32", "f16", "i8", "i1"])
@pytest.mark.parametrize("shape", [(100, 130), (257, 93), (32, 64), (1, 1), (0, 5), (5, 0)])
def test_samples_are_shares_of_empty_cells(element, shape):
    x = scattered(np.random.default_rng(shape), shape, element, 0.02)
    tiles = np.array(TILES, np.int32)
    found, again = (compiled(programs.sample(element))(x, tiles, 0.0, 1000) for _ in range(2))
    np.testing.assert_array_equal(found, again)
    for share, tile in zip(found, TILES):
        searched = tile[0] > 32 or tile[1] > 64
        if searched or all(n % t == 0 for n, t in zip((32, 64), tile)):  # windows leave out parts of the others
            count = int(np.prod([-(-n // t) for n, t in zip(shape, tile)]))
            want = 1 - len(cells(x, (0, 1), tile)) / count if count else 1.0
            assert share == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("windows", [1, 5])
def test_samples_are_those_of_the_processor(windows):
    x = scattered(np.random.default_rng(windows), (300, 410), "f16", 0.05)
    tiles = np.array(TILES, np.int32)
    on_cpu = pith.compile(programs.sample("f16"), target="cpu")(x, tiles, 0.5, windows)
    np.testing.assert_array_equal(compiled(programs.sample("f16"))(x, tiles, 0.5, windows), on_cpu)
    assert compiled(programs.sample("f16"))(x, tiles[:0], 0.0, windows).shape == (0,)
