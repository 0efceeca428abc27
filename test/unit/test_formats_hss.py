"""The notation of the literature: what it says, what it refuses, and that it says it back."""

from __future__ import annotations

import itertools

import numpy as np
import pith
import pytest
from format_strategies import formats, random_tensor
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pith.formats import HIGHLIGHT, HSS, Format, Rank, highlight
from pith.formats.pack import pack, unpack
from pith.formats.prune import prune_array


@st.composite
def notations(draw):
    """Any HSS of up to four ranks of a matrix or a convolution's weight, in any order of dimensions."""
    dims = draw(st.sampled_from(("MC", "MC", "MCRS")))
    names = ["M", "C"] if dims == "MC" else draw(st.sampled_from((["M", "CRS"], ["C", "RS"], ["M", "CR", "S"])))
    shared = draw(st.booleans())
    if shared:
        names = [n for n in names if n != "M"]
    ranks, seen = [], set()
    for _ in range(draw(st.integers(1, 4))):
        dim = draw(st.sampled_from(names))
        kind = draw(st.sampled_from(("nm", "nm", "dense", "compressed", "bitmask")))
        size = draw(st.integers(1, 4))
        if kind == "nm":
            ranks.append(Rank(draw(st.integers(1, size)), size, dim=dim))
        else:
            is_open = dim not in seen and draw(st.booleans())
            ranks.append(Rank(0, 0 if is_open else size, dim=dim, kind=kind))
        seen.add(dim)
    v = 1
    for i in reversed(range(len(ranks))) if shared else ():
        v *= draw(st.sampled_from((1, 1, 2)))
        block = (1, draw(st.integers(1, 2))) if i == len(ranks) - 1 else (1, 1)
        ranks[i] = Rank(ranks[i].g, ranks[i].h, v, block, ranks[i].dim, ranks[i].kind)
    return HSS(tuple(ranks), dims, draw(st.booleans()))


@settings(max_examples=300, deadline=None)
@given(notations())
def test_text_reads_back_as_what_it_was(hss):
    assert HSS.parse(str(hss)) == hss
    assert pith.formats.parse.parse_format(str(hss)) == hss
    assert hss.explain().startswith(str(hss))
    assert hss.density == pytest.approx(1 - hss.degree) == pytest.approx(hss.to_format().density)


@settings(max_examples=150, deadline=None)
@given(notations(), st.integers(0, 2**32 - 1))
def test_what_is_pruned_to_it_is_stored_in_it(hss, seed):
    fmt = hss.to_format().with_padding(False)
    x = random_tensor(np.random.default_rng(seed), tuple(2 * d for d in fmt.divisors()), "float32", 0.6)
    kept = prune_array(x, fmt)
    assert np.count_nonzero(kept) <= fmt.density * x.size
    np.testing.assert_array_equal(unpack(pack(kept, fmt), fmt, x.shape), kept)


@settings(max_examples=200, deadline=None)
@given(formats(max_rank=2))
def test_a_format_of_plain_levels_has_a_notation(fmt):
    fmt = fmt.with_widths(32, 32, 0) if any(v.has_positions for v in fmt.levels) else fmt.with_widths(0, 0, 0)
    assume(all(v.kind in ("nm", "dense", "bitmask") or str(v) == "compressed" for v in fmt.levels))
    assume(all(e.mod != 1 or v.kind not in ("nm", "dense") for e, v in zip(fmt.exprs, fmt.levels)))
    hss = HSS.from_format(fmt)
    assert hss.to_format() == fmt
    assert HSS.parse(str(hss)) == hss


@pytest.mark.parametrize("text", ["C1(1)->C0(2:4)", "C1(1:1)->C0(2:4)", "C2->C1(1)->C0(2:4)", "V(1)C0(2:4)"])
def test_ranks_of_one_coordinate_are_no_levels(text):
    assert HSS.parse(text).to_format() == HSS.parse("C0(2:4)").to_format()


@pytest.mark.parametrize(
    ("text", "fmt"),
    [
        ("M0->C0", Format.dense()),
        ("C0", Format.dense()),
        ("C0(*)", Format.csr()),
        ("C0(unconstrained)", Format.csr()),
        ("C0->M0(*)", Format.csc()),
        ("C2->C0(8)->C1(1:4)", "d0 : dense, d1 floordiv 32 : dense, d1 mod 8 : dense, (d1 floordiv 8) mod 4 : nm(1:4)"),
        ("B(16x32)C0(*)", Format.bsr(16, 32)),
        ("M1->C1(Unstructured)->M0(16)->C0(32)", Format.bsr(16, 32)),
        ("C2->C1(3:4)->C0(2:4)", HSS.parse("C1(3:4)->C0(2:4)").to_format()),
        ("M->C0(2:4)", HSS.parse("C0(2:4)").to_format()),
        ("M1->C2->C1(1:2)->M0(4)->C0(2:4)", HSS.parse("V(4)C1(1:2)->C0(2:4)").to_format()),
        ("C1->C0(4)->M1(1:4)->M0(4)", "d0 floordiv 16 : dense, d1 floordiv 4 : dense, d1 mod 4 : dense, "
                                      "(d0 floordiv 4) mod 4 : nm(1:4), d0 mod 4 : dense"),
    ],
)  # fmt: skip
def test_points_of_the_space_are_what_they_are_called(text, fmt):
    got = HSS.parse(text).to_format()
    assert (str(got) if isinstance(fmt, str) else got) == fmt


def test_gallery_is_stored_as_its_name_says():
    shapes = {
        "C0(2:4)": (8, 8, 2),
        "C1(3:4)->C0(2:4)": (8, 2, 3, 2),
        "V(4)C1(1:4)->C0(2:4)": (2, 2, 1, 4, 2),
        "B(4x4)C0(1:2)": (2, 4, 1, 4, 4),
        "V(8)C0(1:4)": (1, 8, 1, 8),
        "B(4x1)C0(1:4)": (2, 8, 1, 4),
        "C1(4:4)->C0(4:4)": (8, 2, 4, 4),
    }
    for text, shape in shapes.items():
        assert HSS.parse(text).packed_shapes((8, 32))["values"] == shape, text


def test_convolution_weights_are_flattened_and_come_back():
    w = np.random.default_rng(0).standard_normal((8, 4, 3, 3)).astype(np.float32)
    for text in ("MCRS: CRS1(3:4)->CRS0(1:3)", "MCRS: RS->C1(1:2)->C0(1:2)", "MCRS: C(unconstrained)->R->S"):
        kept = pith.prune(w, text)
        assert kept.shape == w.shape
        stored = pith.compress(kept, text)
        np.testing.assert_array_equal(stored.to_dense(), kept)
        assert stored.to_dense().shape == w.shape
        assert np.count_nonzero(kept) == round(HSS.parse(text).density * w.size)
    assert pith.compress(kept, "MCRS: CRS0(*)").shape == (8, 36)


def test_highlight_has_twelve_degrees():
    degrees = [round(100 * fmt.degree, 1) for fmt in HIGHLIGHT]
    assert degrees == [0, 20, 33.3, 42.9, 50, 60, 66.7, 71.4, 75, 80, 83.3, 85.7]
    assert all(highlight(d) is fmt for d, fmt in zip(degrees, HIGHLIGHT))
    assert all(a.density > b.density for a, b in itertools.pairwise(HIGHLIGHT))
    with pytest.raises(pith.FormatError, match="no degree of 90 %"):
        highlight(90)
    for degree in ("60 %", float("nan")):
        with pytest.raises(pith.FormatError, match="a degree of sparsity is a number"):
            highlight(degree)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("C0(5:4)", "expects 1 <= G <= H"),
        ("C0(0:4)", "expects 1 <= G <= H"),
        ("C1->C0", "no size, but is split off"),
        ("C1(*)->C0(*)", "no size, but is split off"),
        ("C0->C0(2:4)", "should be C1 and C0"),
        ("C->C0(2:4)", "has no number"),
        ("C2(2:4)", "should be C0, got C2"),
        ("C0->C1(2:4)", "no size, but is split off C1"),
        ("C0(0)", "cannot parse rank"),
        ("C0(*:0)", "cannot parse rank"),
        ("C0(some)", "cannot parse rank"),
        ("K0(2:4)", "runs over K"),
        ("MCRS: CS0(2:4)", "do not adjoin"),
        ("MCRS: SR0(2:4)", "do not adjoin"),
        ("MCRS: CR0(*)->RS0(2:4)", "overlap in dimension R"),
        ("MCRS: CRS0(*)->R0(2:4)", "overlap in dimension R"),
        ("MMC: C0(2:4)", "distinct capital letters"),
        ("MVC: C0(2:4)", "distinct capital letters"),
        ("B(4x1)C1(2:4)->C0(2:4)", "last rank only"),
        ("C0(*)->B(2x2)M0(4)", "goes before a rank of another"),
        ("V(2)M0(1:2)->C0(2:4)", "does not go with them"),
        ("V(4)C1(1:2)->V(3)C0(2:4)", "must be a multiple"),
        ("C: V(4)C0(2:4)", "no dimension M"),
    ],
)
def test_text_that_is_no_format(text, message):
    with pytest.raises(pith.FormatError, match=message):
        HSS.parse(text)


def test_shapes_and_dims_that_do_not_fit():
    with pytest.raises(pith.ShapeError, match="which 4 does not divide"):
        HSS.parse("V(4)C0(2:4)").packed_shapes((6, 8))
    with pytest.raises(pith.ShapeError, match="for rank 4, got shape"):
        HSS.parse("MCRS: CRS0(*)").flat_shape((4, 4, 4))
    with pytest.raises(pith.FormatError, match="expects a text, got NoneType"):
        HSS.parse(None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(pith.FormatError, match="over the dimensions MCRS, not MC"):
        HSS.parse("MCRS: C0(*)", dims="MC")
    with pytest.raises(pith.FormatError, match="depend on the data"):
        HSS.parse("C0(*)").metadata_bits((4, 4))
    with pytest.raises(pith.FormatError, match="no word for"):
        HSS.from_format(Format.coo())


def test_text_is_parsed():
    with pytest.raises(pith.FormatError, match=r"hint: pith\.HSS\.parse\('C0\(2:4\)'\)"):
        pith.HSS("C0(2:4)")  # type: ignore[arg-type]


def test_sizes_are_whole_numbers():
    assert str(pith.NM(np.int64(2), np.int32(4))) == "C0(2:4)" and type(pith.NM(np.int64(2), 4).ranks[0].g) is int
    for make in (pith.NM, pith.BSR, pith.BAND):
        for g in (2.0, True, "2", None):
            with pytest.raises(pith.FormatError, match=r"expects a whole number( of at least 1)?, got"):
                make(g, 4)
    with pytest.raises(pith.FormatError, match="the height of a block expects a whole number of at least 1, got 0"):
        pith.BSR(0, 4)
    with pytest.raises(pith.FormatError, match="expects rows and columns"):
        Rank(2, 4, block=(4,))  # type: ignore[arg-type]
