"""Packing and reading back, for any format; the slow reference spells the storage contract out."""

from __future__ import annotations

import itertools

import numpy as np
import pith
import pytest
from format_strategies import buffers_as_entries, formats_and_tensors, random_tensor, reference_buffers
from hypothesis import given, settings
from pith.formats import HSS, Format, LevelExpr, buffer_specs
from pith.formats.masks import masked
from pith.formats.pack import pack, pack_coordinates, unpack
from pith.formats.pack_buffers import metadata_dtype, pack_bits, unpack_bits
from pith.formats.pack_check import check_storage
from pith.formats.pack_read import coordinates_of
from pith.formats.prune import prune_array


@settings(max_examples=300, deadline=None)
@given(formats_and_tensors())
def test_pack_then_unpack_gives_the_pruned_tensor(case):
    fmt, x = case
    obeying = prune_array(x, fmt)
    buffers = pack(obeying, fmt)
    out = unpack(buffers, fmt, x.shape)
    assert out.dtype == x.dtype
    np.testing.assert_array_equal(out, obeying)
    check_storage(buffers, fmt, x.shape)


@settings(max_examples=200, deadline=None)
@given(formats_and_tensors(dtypes=("float64",), max_rank=3))
def test_buffers_follow_the_storage_contract(case):
    fmt, x = case
    obeying = prune_array(x, fmt)
    buffers = pack(obeying, fmt)
    for found, expected in zip(buffers_as_entries(buffers, fmt), reference_buffers(obeying, fmt), strict=True):
        assert found[: len(expected)] == expected
        assert not any(found[len(expected) :]), "bits past the last entry must be zero"
        assert len(found) - len(expected) < 8
    for b, spec in zip(buffers, buffer_specs(fmt)):
        assert b.dtype == metadata_dtype(spec.bits)
    assert all(b.ctypes.data % 64 == 0 for b in buffers if b.size)


@pytest.mark.parametrize("density", [0.1, 0.5, 1])
@pytest.mark.parametrize("rows", [2, 3, 4])
def test_columns_with_the_same_mask_are_neighbours(rows, density):
    rng = np.random.default_rng(rows)
    x, fmt = random_tensor(rng, (3 * rows, 40), "float64", density), masked(rows)
    buffers = pack(x, fmt)
    assert [b.tolist() for b in buffers] == reference_buffers(x, fmt)
    positions, _, _, bits, _ = buffers
    for lo, hi in itertools.pairwise(positions):
        assert np.all(np.diff(bits[lo:hi].astype(int)) >= 0)
    check_storage(buffers, fmt, x.shape)
    np.testing.assert_array_equal(unpack(buffers, fmt, x.shape), x)


@settings(max_examples=200, deadline=None)
@given(formats_and_tensors())
def test_coordinates_in_any_order_pack_to_the_same_buffers(case):
    fmt, x = case
    obeying = prune_array(x, fmt)
    coords = np.stack(np.nonzero(obeying))
    order = np.random.default_rng(coords.size).permutation(coords.shape[1])
    values = obeying[tuple(coords)]
    packed = pack_coordinates(coords[:, order], values[order], x.shape, fmt)
    for a, b in zip(packed, pack(obeying, fmt), strict=True):
        np.testing.assert_array_equal(a, b)


@settings(max_examples=100, deadline=None)
@given(formats_and_tensors())
def test_coordinates_of_lists_every_stored_element(case):
    fmt, x = case
    obeying = prune_array(x, fmt)
    buffers = pack(obeying, fmt)
    coords, values = coordinates_of(buffers, fmt, x.shape)
    assert coords.shape == (x.ndim, values.size) and values.size == buffers[-1].size
    rebuilt = np.zeros_like(obeying)
    rebuilt[tuple(coords)] = values
    np.testing.assert_array_equal(rebuilt, obeying)
    assert len({tuple(c) for c in coords.T.tolist()}) == values.size, "an element is stored twice"


@pytest.mark.parametrize("width", [1, 2, 4])
def test_bits_are_packed_little_endian(width):
    entries = np.arange(13) % 2**width
    words = pack_bits(entries, width)
    for i, e in enumerate(entries):
        assert (words[i * width // 8] >> (i * width % 8)) % 2**width == e
    np.testing.assert_array_equal(unpack_bits(words, width, 13), entries)


def test_repeated_coordinates_are_added_up():
    buffers = pack_coordinates([[1, 0, 1, 1], [0, 1, 0, 0]], np.array([1.0, 2, 3, 4]), (2, 2), Format.coo())
    assert [b.tolist() for b in buffers] == [[0, 2], [0, 1], [1, 0], [2.0, 8.0]]


def test_shapes_too_large_for_one_linear_index():
    big = 2**40
    coords = np.array([[big - 1, 0, 0], [0, 5, 5], [1, big - 1, 2]])
    fmt = Format.coo(3, 64)
    buffers = pack_coordinates(coords, np.array([1.0, 2, 3]), (big, big, big), fmt)
    found, values = coordinates_of(buffers, fmt, (big, big, big))
    assert found.T.tolist() == [[0, 5, 2], [0, 5, big - 1], [big - 1, 0, 1]] and values.tolist() == [3, 2, 1]


def test_nan_and_infinities_are_kept_and_minus_zero_is_zero():
    x = np.array([[np.nan, -0.0, np.inf, 0.0]], np.float32)
    positions, coordinates, values = pack(x, Format.csr())
    assert positions.tolist() == [0, 2] and coordinates.tolist() == [0, 2]
    assert np.isnan(values[0]) and values[1] == np.inf
    assert not np.signbit(unpack(pack(x, Format.csr()), Format.csr(), x.shape)[0, 1])


def test_positions_that_do_not_fit_their_width():
    x = np.ones((2, 200))
    narrow = Format.csr().with_widths(pos=8, crd=8)
    with pytest.raises(pith.FormatError, match=r"posWidth 8 holds at most 255, got 400(.|\n)*pos=16"):
        pack(x, narrow)
    np.testing.assert_array_equal(unpack(pack(x[:1], narrow), narrow, (1, 200)), x[:1])


def test_coordinates_that_do_not_fit_their_width():
    x = np.zeros((1, 300))
    x[0, 299] = 1
    with pytest.raises(pith.FormatError, match="crdWidth 8 holds at most 255, got 299"):
        pack(x, Format.csr().with_widths(crd=8))


def test_a_violation_is_named():
    x = np.zeros((4, 16))
    x[2, 8:11] = 1
    with pytest.raises(
        pith.FormatError, match=r"element \[2, 10\].*nm\(2:4\).*at most 2.*\[2, 8\] has 3(.|\n)*pith.prune"
    ):
        pack(x, HSS.parse("C1(3:4)->C0(2:4)").to_format())


def test_a_singleton_holds_one_coordinate_per_parent():
    fmt = Format.make(2, (0, "compressed"), (1, "singleton"))
    np.testing.assert_array_equal(unpack(pack(np.eye(3), fmt), fmt, (3, 3)), np.eye(3))
    with pytest.raises(pith.FormatError, match=r"level 1, singleton, holds at most 1"):
        pack(np.ones((2, 2)), fmt)


def test_a_shape_the_format_does_not_divide():
    with pytest.raises(pith.ShapeError, match=r"dimension 1 .*size 6(.|\n)*to 8"):
        pack(np.ones((2, 6)), HSS.parse("C0(2:4)").to_format())


@pytest.mark.parametrize(
    ("coords", "error", "text"),
    [
        ([[0], [3]], pith.ShapeError, "coordinate 3 of dimension 1 is outside of 0..2"),
        ([[-1], [0]], pith.ShapeError, "coordinate -1 of dimension 0"),
        ([[0.5], [0]], pith.DTypeError, "dimension 0 are float64"),
        ([[np.nan], [0]], pith.DTypeError, "expects integers"),
        ([[0]], pith.ShapeError, "expects 2 coordinate arrays"),
        ([[0, 1], [0, 1]], pith.ShapeError, "expects 2 coordinate arrays"),
    ],
)
def test_bad_coordinates(coords, error, text):
    with pytest.raises(error, match=text):
        pack_coordinates([np.array(c) for c in coords], np.ones(1), (3, 3), Format.csr())


def test_dense_levels_beyond_memory_are_refused_before_allocation():
    with pytest.raises(pith.FormatError, match="more than this machine"):
        pack_coordinates([[0], [0]], np.ones(1), (10**15, 4), Format.csr(64))


def test_memory_of_coordinates_does_not_depend_on_the_shape():
    shape = (10**7, 10**7)
    buffers = pack_coordinates([[5, 10**7 - 1], [7, 0]], np.ones(2), shape, Format.coo())
    assert sum(b.nbytes for b in buffers) < 100


def test_large_groups_are_filled_in_several_chunks(monkeypatch):
    import pith.formats.pack as module

    monkeypatch.setattr(module, "_CHUNK", 64)
    fmt = Format.make(2, (0, "dense"), (LevelExpr(1, 16), "dense"), (LevelExpr(1, 1, 16), "nm(3:16)"))
    x = prune_array(random_tensor(np.random.default_rng(0), (9, 64), "float32", 0.1), fmt)
    for found, expected in zip(buffers_as_entries(pack(x, fmt), fmt), reference_buffers(x, fmt), strict=True):
        assert found[: len(expected)] == expected


@settings(max_examples=100, deadline=None)
@given(formats_and_tensors(dtypes=("float32",), max_rank=3))
def test_slabs_give_what_one_part_gives(case):
    fmt, x = case
    x = np.concatenate([x] * 9)  # slabs are multiples of 8 coordinates
    pruned = prune_array(x, fmt)
    buffers = pack(pruned, fmt)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pith.formats.pack_digits._SLAB", 1)
        np.testing.assert_array_equal(prune_array(x, fmt), pruned)
        for a, b in zip(pack(pruned, fmt), buffers, strict=True):
            np.testing.assert_array_equal(a, b)


def test_errors_in_later_slabs_name_the_place_in_the_tensor(monkeypatch):
    monkeypatch.setattr("pith.formats.pack_digits._SLAB", 1)
    fmt = HSS.parse("C0(2:4)").to_format()
    x = np.zeros((40, 8))
    x[33, 4:8] = 1
    with pytest.raises(pith.FormatError, match=r"element \[33, 6\].*group at \[33, 4\]"):
        pack(x, fmt)
    x[35, 7] = np.nan
    with pytest.raises(pith.FormatError, match=r"element \[35, 7\].*NaN"):
        prune_array(x, fmt)


def test_elements_that_are_stored_twice_are_added_up():
    fmt = Format.make(1, (0, "compressed(nonunique)"))
    buffers = [np.array([0, 3]), np.array([1, 1, 2]), np.array([2.0, 3.0, 4.0])]
    check_storage(buffers, fmt, (4,))
    assert unpack(buffers, fmt, (4,)).tolist() == [0, 5, 4, 0]
    rows = Format.make(2, (0, "compressed(nonunique)"), (1, "dense"))
    buffers = [np.array([0, 2]), np.array([1, 1]), np.array([1, 2, 3, 4])]
    check_storage(buffers, rows, (2, 2))
    assert unpack(buffers, rows, (2, 2)).tolist() == [[0, 0], [4, 6]]
