"""Padded formats: shapes that the groups do not divide are stored rounded up."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from format_strategies import buffers_as_entries, padded_formats_and_tensors, reference_prune
from hypothesis import given, settings
from pith.formats import Format
from pith.formats.pack import pack, pack_coordinates
from pith.formats.pack_check import check_storage
from pith.formats.pack_read import coordinates_of, unpack
from pith.formats.parse import format_name, parse_format
from pith.formats.prune import prune_array
from pith.formats.validate import first_violation


@settings(max_examples=300, deadline=None)
@given(padded_formats_and_tensors())
def test_a_padded_tensor_comes_back(case):
    fmt, x = case
    buffers = pack(x, fmt)
    assert first_violation(x, fmt) is None
    check_storage(buffers, fmt, x.shape)
    np.testing.assert_array_equal(unpack(buffers, fmt, x.shape), x)
    coords, values = coordinates_of(buffers, fmt, x.shape)
    dense = np.zeros_like(x)
    np.add.at(dense, tuple(coords), values)
    np.testing.assert_array_equal(dense, x)


@settings(max_examples=200, deadline=None)
@given(padded_formats_and_tensors())
def test_it_is_stored_as_the_rounded_up_tensor_is(case):
    fmt, x = case
    whole = np.pad(x, [(0, up - size) for up, size in zip(fmt.padded_shape(x.shape), x.shape)])
    expected = pack(whole, fmt.with_padding(False))
    from_coordinates = pack_coordinates(np.nonzero(x), x[np.nonzero(x)], x.shape, fmt)
    for buffers in (pack(x, fmt), from_coordinates):
        assert buffers_as_entries(buffers, fmt) == buffers_as_entries(expected, fmt)


@settings(max_examples=60, deadline=None)
@given(padded_formats_and_tensors(dtypes=("float64",), max_rank=2, max_levels=4))
def test_pruning_ranks_what_is_there(case):
    fmt, x = case
    np.testing.assert_array_equal(prune_array(x, fmt), reference_prune(x, fmt))


def test_without_the_word_shapes_must_divide():
    w = np.ones((3, 6), np.float32)
    with pytest.raises(pith.ShapeError, match="which 4 does not divide"):
        pith.compress(w, "C0(4:4)")
    stored = pith.compress(w, "C0(4:4) pad")
    assert stored.nse == 3 * 8
    np.testing.assert_array_equal(stored.to_dense(), w)
    np.testing.assert_array_equal(stored.T.to_dense(), w.T)
    np.testing.assert_array_equal(stored.to("bsr(2x4) pad").to("csr").to_dense(), w)
    assert repr(stored) == "SparseTensor(3x6 float32, C0(4:4) pad, 24 stored, 96 bytes)"


@pytest.mark.parametrize("text", ["csr pad", "bsr(4x4) pad", "C1(3:4)->C0(2:4) pad", "d0 : dense, d1 : bitmask pad"])
def test_text_keeps_the_word(text):
    fmt = parse_format(text)
    assert fmt.padded and str(parse_format(str(fmt))) == str(fmt)
    form = fmt if isinstance(fmt, Format) else fmt.to_format()
    assert parse_format(str(form)).padded and parse_format(format_name(form)).padded
    assert form != form.with_padding(False) and form.transposed().padded


def test_what_pads_a_tensor_must_be_zero():
    stored = pith.compress(np.ones((1, 3), np.float32), "bsr(1x2) pad")
    stored.values[3] = 7
    with pytest.raises(pith.FormatError, match=r"7\.0 stands at \[0, 3\], beyond the edge"):
        stored.validate()


def test_an_error_names_the_element_of_the_tensor_itself():
    w = np.array([[0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 2, 3, 4, 0]])
    with pytest.raises(pith.FormatError, match=r"element \[2, 3\]"):
        pith.compress(w, "C0(2:4) pad")
