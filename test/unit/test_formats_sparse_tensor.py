"""Formats to upstream's encodings and back."""

from __future__ import annotations

import pith
import pytest
from format_strategies import formats
from hypothesis import given, settings
from pith.formats import HSS, Format
from pith.formats.sparse_tensor import from_sparse_tensor_encoding, sparse_tensor_encoding


@settings(max_examples=400, deadline=None)
@given(formats(max_rank=3, max_levels=4))
def test_what_upstream_can_say_comes_back(fmt):
    text = sparse_tensor_encoding(fmt)
    if text is not None:
        again = from_sparse_tensor_encoding(text)
        assert again.exprs == fmt.exprs and again.pos_width == fmt.pos_width
        assert [v.is_dense or v == w for v, w in zip(fmt.levels, again.levels)] == [True] * len(fmt.levels)
        assert sparse_tensor_encoding(again) == text


NAMED = {
    "csr": Format.csr(),
    "csc": Format.csc(),
    "coo": Format.coo(),
    "bsr": Format.bsr(4, 2),
    "dcsr": Format.make(2, (0, "compressed"), (1, "compressed"), pos_width=8, crd_width=16),
    "2:4": HSS.parse("C0(2:4)").to_format(nm_width=8),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_formats_survive_the_round_trip_through_mlir(name):
    ir = pytest.importorskip("pith._mlir").ir
    with ir.Context() as ctx:
        attribute = ir.Attribute.parse(sparse_tensor_encoding(NAMED[name]), ctx)
        assert from_sparse_tensor_encoding(attribute) == NAMED[name]


def test_structured_coordinates_of_the_native_index():
    text = "{ map = (i, j) -> (i : dense, j floordiv 4 : dense, j mod 4 : structured[2, 4]) }"
    assert from_sparse_tensor_encoding(text) == HSS.parse("C0(2:4)").to_format(nm_width=64)


@pytest.mark.parametrize("zero", ["0.000000e+00 : f32", "0 : i32", "0.0"])
def test_an_implicit_value_of_zero_is_what_formats_mean_anyway(zero):
    text = "{ map = (i, j) -> (i : dense, j : compressed), posWidth = 32, implicitVal = %s, crdWidth = 32 }"
    assert from_sparse_tensor_encoding(text % zero) == Format.csr()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("map = (i, j) -> (i : dense, j : compressed), implicitVal = 0.5 : f32", "implicitVal"),
        ("#other", "cannot read"),
        ("map = (i, j) -> (i : batch, j : compressed)", "unknown level 'batch'"),
        ("map = (i, j) -> (i : compressed(nonunique), j : singleton)", "interleaves its coordinates"),
        ("map = (i, j) -> (i : dense, j : compressed), explicitVal = 1.0", "explicitVal"),
        ("map = (i, j) -> (i + j : dense, j : compressed)", "cannot parse level expression"),
        ("map = (i, j) -> (i : dense, j : structured[2, 4])", "has no fixed size"),
        ("map = (i : #sparse_tensor<slice(1, 4, 1)>, j) -> (i : dense, j : compressed)", "cannot read"),
    ],
)
def test_what_has_no_counterpart_is_named(text, message):
    with pytest.raises(pith.FormatError, match=message):
        from_sparse_tensor_encoding(text)
