"""The formats found in a matrix hold it, in the bytes that are said, and none tighter is missed."""

from __future__ import annotations

import time

import numpy as np
import pith
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from pith.formats import HSS
from pith.formats.infer import infer
from pith.formats.occupancy import diagonals, occupancies
from pith.formats.occupancy_listed import listed_diagonals, listed_occupancies
from pith.formats.validate import first_violation

PLANTED = (
    "C0(2:4)",
    "C0(1:3)",
    "C1(3:4)->C0(2:4)",
    "V(4)C1(1:4)->C0(2:4)",
    "V(8)C1(1:2)->V(4)C0(1:4)",
    "B(4x1)C0(1:4)",
    "B(4x4)C0(1:2)",
    "V(4)C0(2:8)",
    "C1(4:5)->C0(1:4)",
    "C2(1:2)->C1(2:4)->C0(1:2)",
    "V(8)C2(1:2)->V(4)C1(2:4)->C0(2:4)",
    "V(8)C1(2:4)->B(4x4)C0(1:2)",
    "C2(*)->C1(2:4)->C0(1:2)",
    "V(4)C1(bitmask)->C0(1:4)",
)


@st.composite
def matrices(draw):
    """Matrices with some structure: random blocks of random elements."""
    block = [draw(st.sampled_from((1, 1, 2, 3, 4))) for _ in range(2)]
    blocks = [draw(st.integers(1, 12)) for _ in range(2)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    outer = rng.random(blocks) < draw(st.sampled_from((0, 0.1, 0.5, 1)))
    mask = np.kron(outer, np.ones(block, bool)) & (
        rng.random([b * n for b, n in zip(block, blocks)]) < draw(st.sampled_from((0.3, 0.9, 1)))
    )
    return mask * rng.integers(1, 9, mask.shape).astype(draw(st.sampled_from(("float32", "int8", "float64"))))


@settings(max_examples=150, deadline=None)
@given(matrices(), st.booleans())
def test_every_candidate_holds_the_matrix_in_the_bytes_it_says(w, padded):
    found = pith.infer_format(w, padded=padded, limit=24)
    assert found.nbytes == min(c.nbytes for c in found.candidates)
    assert {"M0->C0", "C0(*)"} <= {str(c.hss) for c in found.candidates}
    assert padded or not any(c.hss.padded for c in found.candidates)
    for candidate in found.candidates:
        assert first_violation(w, candidate.hss.to_format()) is None
        stored = pith.compress(w, candidate.hss)
        assert (stored.nbytes, stored.nse) == (candidate.nbytes, candidate.stored), candidate
        np.testing.assert_array_equal(stored.to_dense(), w)


@settings(max_examples=150, deadline=None)
@given(matrices(), st.booleans(), st.sampled_from(("csr", "csc", "C0(bitmask)")))
def test_lists_and_masks_give_the_same_answers(w, padded, fmt):
    coords, _ = pith.compress(w, fmt).coordinates()
    listed = {(o.width, o.height): o for o in listed_occupancies(coords, w.shape, padded=padded)}
    assert listed == {(o.width, o.height): o for o in occupancies(w != 0, padded=padded)}
    np.testing.assert_array_equal(listed_diagonals(coords), diagonals(w != 0))
    found = pith.infer_format(pith.compress(w, fmt), padded=padded, limit=500)
    assert found == pith.infer_format(w, padded=padded, limit=500)


def test_sparse_input_is_not_made_dense():
    rng = np.random.default_rng(5)
    rows, columns = rng.integers(0, 10**7, (2, 3000))
    at_random = sp.coo_array((np.ones(3000, np.float32), (rows, columns)), shape=(10**7, 10**7)).tocsr()
    assert str(pith.infer_format(at_random)) == "M0(*)->C0(*): 48012 bytes"
    tridiagonal = sp.diags_array([1.0, 2.0, 1.0], offsets=[-1, 0, 1], shape=(10**6, 10**6), format="csr")
    assert str(pith.infer_format(tridiagonal)) == "band(1:1): 24000000 bytes"


@pytest.mark.parametrize("text", PLANTED)
@pytest.mark.parametrize("pad", ["", " pad"])
def test_nothing_looser_than_what_a_matrix_was_pruned_to_is_found(text, pad):
    shape = (72, 484) if pad else (64, 480)
    w = pith.prune(np.random.default_rng(3).standard_normal(shape).astype(np.float32), text + pad)
    found = pith.infer_format(w, padded=bool(pad))
    assert found.nbytes <= pith.compress(w, text + pad).nbytes


@pytest.mark.parametrize(
    ("text", "best"),
    [
        ("C0(*)", "M0(*)->C0(*)"),
        ("C0(2:4)", "M0(*)->C1->C0(2:4)"),
        ("C2(1:2)->C1(2:4)->C0(2:4)", "M0(*)->C3->C2(1:2)->C1(2:4)->C0(2:4)"),
        ("V(4)C2(1:2)->V(4)C1(2:4)->C0(2:4)", "M1(*)->C3->C2(1:2)->C1(2:4)->M0(4)->C0(2:4)"),
        ("V(4)C0(2:4)", "M1(*)->C1->C0(2:4)->M0(4)"),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_empty_rows_are_left_out(text, best, listed):
    rng = np.random.default_rng(4)
    w = rng.standard_normal((128, 512)).astype(np.float32) * (rng.random((128, 512)) < (0.02 if "*" in text else 1))
    w = pith.prune(w, text) * np.repeat(rng.random(32) < 0.3, 4)[:, None]
    found = pith.infer_format(pith.compress(w, "csr") if listed else w)
    assert str(found.format) == best
    assert found.nbytes == pith.compress(w, best).nbytes < pith.compress(w, text).nbytes
    x = rng.standard_normal((512, 9)).astype(np.float32)
    for variant in ("auto", "sparse"):
        y = pith.matmul(pith.compress(w, found.format), x, variant=variant)
        np.testing.assert_allclose(y, w.astype(float) @ x, rtol=1e-4, atol=1e-4)


def test_a_group_is_as_full_as_its_fullest():
    mask = np.zeros((4, 16), bool)
    mask[2, [4, 5, 6]] = True
    formats = {str(c.hss) for c in infer(mask, 4, limit=500).candidates}
    assert "C0(3:4)" in formats and "C0(2:4)" not in formats
    assert "C0(3:16)" in formats and "B(2x2)C0(2:4)" in formats
    assert "C1(1:4)->C0(3:4)" in formats


def test_masks_torch_and_stored_tensors_are_taken():
    torch = pytest.importorskip("torch")
    w = np.tile(np.float32([1, 0, 0, 2]), (8, 4))
    best = pith.infer_format(w)
    assert pith.infer_format(w != 0) == best
    assert pith.infer_format(torch.from_numpy(w)) == best
    assert pith.infer_format(pith.compress(w, "csr")) == best
    assert pith.infer_format(w != 0, value_bytes=1).nbytes < best.nbytes


def test_only_matrices_have_formats():
    for shape in ((4,), (2, 2, 2), (0, 4)):
        with pytest.raises(pith.ShapeError, match="expects a matrix with elements"):
            pith.infer_format(np.ones(shape))


def test_large_matrices_take_a_few_passes():
    w = np.random.default_rng(0).random((4096, 4096)) < 0.1
    begin = time.process_time()
    found = pith.infer_format(w)
    assert time.process_time() - begin < 2
    assert found.format == HSS.parse("C0(bitmask)")


@pytest.mark.parametrize(("density", "listed"), [(0.5, True), (0.1, False)])
def test_rows_may_list_their_columns_together(density, listed):
    w = np.random.default_rng(0).random((16, 64)) < density
    found = {c.name: c for c in infer(w, 4).candidates}
    assert ("masked(4)" in found) is listed
    if listed:
        assert found["masked(4)"].nbytes == pith.compress(w.astype(np.float32), "masked(4)").nbytes
