"""Pruning: against a loop over groups, and its edge cases."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from format_strategies import formats_and_tensors, random_tensor, reference_prune
from hypothesis import given, settings
from pith.formats import HSS, Format
from pith.formats.prune import prune_array
from pith.formats.validate import first_violation


@settings(max_examples=200, deadline=None)
@given(formats_and_tensors(dtypes=("float64", "float16", "bfloat16", "int8"), max_rank=3))
def test_agrees_with_the_loop_over_groups(case):
    fmt, x = case
    before = x.copy()
    out = prune_array(x, fmt)
    np.testing.assert_array_equal(out, reference_prune(x, fmt))
    np.testing.assert_array_equal(x, before)
    assert out.dtype == x.dtype and not np.shares_memory(out, x)


@settings(max_examples=200, deadline=None)
@given(formats_and_tensors())
def test_result_obeys_and_is_a_fixed_point(case):
    fmt, x = case
    out = prune_array(x, fmt)
    assert first_violation(out, fmt) is None
    np.testing.assert_array_equal(prune_array(out, fmt), out)
    np.testing.assert_array_equal(out[out != 0], x[out != 0])


def test_outer_ranks_are_chosen_by_what_inner_ranks_keep():
    # Blocks of 4 by all magnitudes: 10 > 9. By the 2 largest of each: 9 > 5, so the second block stays.
    x = np.array([[2.5, 2.5, 2.5, 2.5, 5.0, 4.0, 0.0, 0.0]])
    assert pith.prune(x, "C1(1:2)->C0(2:4)").tolist() == [[0, 0, 0, 0, 5, 4, 0, 0]]


def test_rows_that_share_a_choice_are_scored_together():
    x = np.array([[3.0, 2.0], [0.0, 2.0]])
    assert pith.prune(x, "V(2)C0(1:2)").tolist() == [[0, 2], [0, 2]]
    assert pith.prune(x, "C0(1:2)").tolist() == [[3, 0], [0, 2]]


def test_blocks_are_kept_or_dropped_whole():
    x = np.array([[1.0, 1, 3, 0], [1, 1, 0, 0]])
    assert pith.prune(x, "B(2x2)C0(1:2)").tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]


@pytest.mark.parametrize("h", [4, 64])  # by comparing pairs, by sorting
def test_ties_keep_the_lower_coordinate(h):
    out = pith.prune(np.full((2, h), -1.0), f"C0(2:{h})")
    assert out.tolist() == [[-1.0, -1.0] + [0.0] * (h - 2)] * 2


@pytest.mark.parametrize("h", [4, 64])
def test_infinities_are_the_largest(h):
    x = np.arange(1.0, h + 1)[None].astype(np.float32)
    x[0, 1] = -np.inf
    out = pith.prune(x, f"C0(1:{h})")
    assert out[0, 1] == -np.inf and np.count_nonzero(out) == 1


def test_dropped_infinities_leave_zero():
    x = np.full((1, 4), np.inf, np.float32)
    assert pith.prune(x, "C0(1:4)").tolist() == [[np.inf, 0, 0, 0]]


def test_nan_is_an_error_that_says_where():
    x = np.ones((4, 8), np.float32)
    x[2, 5] = np.nan
    with pytest.raises(pith.FormatError, match=r"element \[2, 5\].*NaN"):
        pith.prune(x, "C0(2:4)")


def test_the_smallest_integer_has_the_largest_magnitude():
    assert pith.prune(np.array([[-128, 127, 127, 1]], np.int8), "C0(1:4)").tolist() == [[-128, 0, 0, 0]]


def test_formats_without_limits_keep_everything():
    x = np.array([[np.nan, 1.0], [-0.0, 2.0]])
    out = pith.prune(x, pith.CSR)
    np.testing.assert_array_equal(out, x)
    assert out is not x


def test_non_contiguous_input():
    x = random_tensor(np.random.default_rng(0), (32, 16), "float32", 1).T
    np.testing.assert_array_equal(pith.prune(x, "C0(2:4)"), pith.prune(x.copy(), "C0(2:4)"))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int8"])
def test_torch_in_torch_out(dtype):
    torch = pytest.importorskip("torch")
    w = (torch.randn(8, 32) * 20).to(getattr(torch, dtype))
    before = w.clone()
    out = pith.prune(w, "V(2)C1(2:4)->C0(2:4)")
    assert out.dtype == w.dtype and out.device == w.device and torch.equal(w, before)
    expected = prune_array(before.double().numpy(), HSS.parse("V(2)C1(2:4)->C0(2:4)").to_format())
    np.testing.assert_array_equal(out.double().numpy(), expected)


@pytest.mark.parametrize(
    ("w", "fmt", "error", "text"),
    [
        (np.ones((2, 6)), "C0(2:4)", pith.ShapeError, "pad dimension 1 with zeros to 8"),
        (np.ones(8), "C0(2:4)", pith.ShapeError, "rank 2, got shape"),
        (np.ones((2, 4), object), "C0(2:4)", pith.DTypeError, "object"),
        (np.array([["a"] * 4]), "C0(2:4)", pith.DTypeError, "<U1"),
        ([[1, 2, 3, 4]], "C0(2:4)", pith.DTypeError, "list"),
        (np.ones((2, 4)), "C0(5:4)", pith.FormatError, "1 <= G <= H"),
        (np.ones((2, 4)), "nonsense", pith.FormatError, "nonsense"),
        (np.ones((2, 4)), 24, pith.FormatError, "int"),
    ],
)
def test_bad_arguments(w, fmt, error, text):
    with pytest.raises(error, match=text):
        pith.prune(w, fmt)


def test_zero_sized():
    assert pith.prune(np.ones((0, 8)), "C0(2:4)").shape == (0, 8)
    assert pith.prune(np.ones((3, 0)), Format.csr()).shape == (3, 0)
