"""Formats of diagonals: text, shapes, packing, pruning, errors and inference, against plain NumPy."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from pith.formats import Format
from pith.formats.parse import format_name, parse_format
from pith.formats.sparse_tensor import sparse_tensor_encoding

RNG = np.random.default_rng(17)

BANDS = ("band(1:2)", "band(0:0)", "band(30:30)", "d1 : dense, d0 - d1 : band(2:0)")
LISTS = (
    "dia",
    "d0 - d1 : compressed, d1 : dense",
    "d0 : dense, d1 - d0 : compressed",
    "d0 floordiv 2 : dense, d1 - d0 : compressed, d0 mod 2 : dense pad",
)
SHAPES = ((6, 6), (5, 9), (9, 5), (1, 4), (4, 1), (0, 3), (3, 0))


def diagonals(shape: tuple[int, int], text: str) -> np.ndarray:
    """Diagonal of every element, as the format's expression numbers them."""
    i, j = np.indices(shape)
    return i - j if "d0 - d1" in text else j - i


@pytest.mark.parametrize("text", BANDS + LISTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_stored_reads_back(text, shape):
    w = RNG.standard_normal(shape) * (RNG.random(shape) < 0.5)
    w = pith.prune(w, text)
    a = pith.compress(w, text).validate()
    np.testing.assert_array_equal(a.to_dense(), w)
    np.testing.assert_array_equal(a.T.to_dense(), w.T)
    np.testing.assert_array_equal(a.to("csr").to_dense(), w)
    np.testing.assert_array_equal(pith.compress(w, "csr").to(text).to_dense(), w)
    coords, values = a.coordinates()
    np.testing.assert_array_equal(w[tuple(coords)], values)


@pytest.mark.parametrize("text", BANDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_pruning_keeps_the_band(text, shape):
    w = RNG.standard_normal(shape)
    level = next(level for level in parse_format(text).levels if level.kind == "band")
    at = diagonals(shape, text)
    np.testing.assert_array_equal(pith.prune(w, text), np.where((-level.lower <= at) & (at <= level.upper), w, 0))


def test_pruning_with_a_floor_names_a_nan_where_it_stands():
    w = np.ones((4, 6))
    w[2, 3] = np.nan
    with pytest.raises(pith.FormatError, match=r"element \[2, 3\].*NaN"):
        pith.prune(w, "band(1:1)", at_most=0.5)


@pytest.mark.parametrize("text", BANDS + LISTS)
def test_text_reads_back(text):
    fmt = parse_format(text)
    assert str(parse_format(str(fmt))) == str(fmt)
    assert str(parse_format(format_name(fmt))) == str(fmt)


def test_storage():
    w = np.array([[1, 2, 0], [3, 4, 5], [0, 6, 7]])
    assert pith.compress(w, pith.BAND(1, 1)).buffers[0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0]
    positions, offsets, values = pith.compress(np.triu(np.tril(w, 1), 1), pith.DIA).buffers
    assert (positions.tolist(), offsets.tolist(), values.tolist()) == ([0, 1], [3], [2, 5, 0])  # 3 - (rows - 1) = 1
    assert Format.banded(1, 2).packed_shapes((5, 7)) == {"values": (5, 4)}
    assert Format.banded(1, 2).metadata_bits((5, 7)) == 0
    assert Format.dia().level_sizes((5, -1)) == (-1, 5)


def test_the_first_element_outside_is_named():
    w = np.eye(4)
    w[3, 0] = w[1, 3] = 1
    with pytest.raises(pith.FormatError, match=r"element \[1, 3\].*diagonals -1 to 1 of d1 - d0.*diagonal 2"):
        pith.compress(w, "band(1:1)")
    with pytest.raises(pith.FormatError, match=r"element \[1, 3\]"):
        pith.validate(w, "band(1:1)")
    pith.validate(w, "dia")


def test_what_stands_beyond_the_matrix_is_zero():
    a = pith.compress(np.eye(3), "band(1:1)")
    a.values[0] = 5
    with pytest.raises(pith.FormatError, match=r"5.0 stands at \[0, -1\]"):
        a.validate()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("d0 : dense, d1 : band(1:1)", "band\\(1:1\\) has no diagonals"),
        ("d0 : dense, d1 - d0 : bitmask", "cannot be bitmask"),
        ("d0 : dense, d1 - d0 : compressed(nonunique)", "cannot be compressed"),
        ("d0 : dense, d1 : dense, d1 - d0 : band(1:1)", "has a level of its own"),
        ("d0 : compressed, d1 - d0 : band(1:1)", "every level is dense"),
        ("d0 mod 4 : dense, d1 - d0 : band(1:1), d0 floordiv 4 : dense", "outermost first"),
        ("d0 : dense, d1 - d0 : band(1:1), d1 - d0 : band(1:1)", "one level of the diagonals"),
        ("d0 : dense, d1 : dense, d2 - d0 : band(1:1)", "one level of the diagonals"),
        ("d0 : dense, d1 - d0 : band(1)", "cannot parse level"),
        ("band(-2:5)", "expects l >= 0 and u >= 0"),
        ("d1 - d0 : band(1:1)", "stored by no level"),
    ],
)
def test_illegal_formats(text, message):
    with pytest.raises(pith.FormatError, match=message):
        parse_format(text)


def test_explain():
    assert "every element of 4 diagonals is kept" in pith.formats.explain(pith.BAND(1, 2))
    assert "diagonals -1 to 2" in pith.formats.explain(pith.BAND(1, 2))
    assert "list of diagonals" in pith.formats.explain(pith.DIA)


def test_infer_format_finds_diagonals():
    n = 200
    tri = np.eye(n) + np.eye(n, k=1) + np.eye(n, k=-1)
    assert pith.infer_format(tri).format == pith.BAND(1, 1)
    far = np.eye(n, k=20) + np.eye(n, k=-30) + np.eye(n, k=3)
    found = pith.infer_format(far)
    assert found.format == pith.DIA
    assert pith.compress(far, found.format).nbytes == found.nbytes


def test_upstream_cannot_say_diagonals():
    """``d1 - d0`` fails there with "failed to infer lvlToDim from dimToLvl"."""
    assert sparse_tensor_encoding(pith.DIA) is None
    with pytest.raises(pith.FormatError, match="no word"):
        pith.HSS.from_format(pith.DIA)
