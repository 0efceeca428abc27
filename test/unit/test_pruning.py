"""pith.prune and its relatives: what is ranked by, thresholds, densities, masks, reports, and bad arguments."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from format_strategies import formats, random_tensor
from hypothesis import given, settings
from hypothesis import strategies as st
from pith.formats.pack_digits import slot_limits
from pith.formats.prune import Ranking, keep_mask
from pith.formats.validate import first_violation
from pith.packing import WORTH_A_KERNEL

W = np.array([[1.0, -4.0, 3.0, 2.0, 0.0, 0.0, 5.0, 6.0]])


def test_a_saliency_is_ranked_by_as_it_is():
    saliency = np.array([[-1.0, -9.0, -2.0, -3.0, 1.0, 0.0, 0.5, -1.0]])
    assert pith.prune(W, "C0(2:4)", saliency=saliency).tolist() == [[1, 0, 3, 0, 0, 0, 5, 0]]
    assert pith.prune(W, "C1(1:2)->C0(2:4)", saliency=saliency)[0].nonzero()[0].tolist() == [6]


def test_scores_of_blocks():
    # magnitudes 4 + 4 against 7; squares 32 against 49; the mean square of what is kept: 16 against 49
    x = np.array([[4.0, 4.0, 7.0, 0.0]])
    assert pith.prune(x, "C1(1:2)->C0(2:2)").tolist() == [[4, 4, 0, 0]]
    assert pith.prune(x, "C1(1:2)->C0(2:2)", score="l2").tolist() == [[0, 0, 7, 0]]
    # squares 32 against 25, means 16 against 25
    x[0, 2] = 5
    assert pith.prune(x, "C1(1:2)->C0(2:2)", score="l2").tolist() == [[4, 4, 0, 0]]
    assert pith.prune(x, "C1(1:2)->C0(2:2)", score="scaled").tolist() == [[0, 0, 5, 0]]


def test_at_most_drops_what_there_is_room_for():
    assert pith.prune(W, "C0(2:4)", at_most=3.5).tolist() == [[0, -4, 0, 0, 0, 0, 5, 6]]
    assert pith.prune(W, "csr", at_most=3).tolist() == [[0, -4, 3, 0, 0, 0, 5, 6]]
    # What is below the threshold does not count for its block: 4 against 3.
    x = np.array([[1.0, 1, 1, 3, 4, 0, 0, 0]])
    assert pith.prune(x, "C1(1:2)->C0(3:4)")[0].nonzero()[0].tolist() == [0, 1, 3]
    assert pith.prune(x, "C1(1:2)->C0(3:4)", at_most=2)[0].nonzero()[0].tolist() == [4]


@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "d0 : dense, d1 : bitmask"])
@pytest.mark.parametrize("density", [0, 0.1, 0.5, 1])
def test_unstructured_levels_reach_their_density(fmt, density):
    x = np.random.default_rng(0).standard_normal((20, 30)).astype(np.float32)
    out = pith.prune(x, fmt, density=density)
    assert np.count_nonzero(out) == density * x.size
    if 0 < density < 1:
        assert np.abs(out[out != 0]).min() >= np.abs(x[out == 0]).max()
    np.testing.assert_array_equal(out, pith.prune(x, fmt, sparsity=1 - density))


def test_blocks_are_chosen_over_the_whole_tensor():
    x = np.zeros((4, 8))
    x[:2, :4], x[2, 1], x[3, 7] = 1, 9, 3
    out = pith.prune(x, "bsr(2x4)", density=0.5)
    assert out[:2, :4].all() and out[2, 1] == 9 and out[3, 7] == 0


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_densities_in_any_format(data):
    fmt = data.draw(formats(max_rank=3))
    shape = tuple(d * data.draw(st.integers(1, 2)) for d in fmt.divisors())
    x = random_tensor(np.random.default_rng(data.draw(st.integers(0, 99))), shape, "float32", 1)
    density = data.draw(st.sampled_from((0.0, 0.3, 1.0)))
    if not any(level.has_positions for level in fmt.levels):
        with pytest.raises(pith.FormatError, match="no unstructured level"):
            pith.prune(x, fmt, density=density)
        return
    out = pith.prune(x, fmt, density=density)
    assert first_violation(out, fmt) is None
    assert np.count_nonzero(out) <= round(density * x.size) + x.size // 2
    if density == 1 and len(slot_limits(fmt)) == 0:
        np.testing.assert_array_equal(out, x)


@pytest.mark.parametrize("options", [{}, {"score": "l2"}, {"at_most": 2.5}, {"saliency": np.abs(W) + 1}])
def test_masks_are_where_the_result_comes_from(options):
    mask = pith.prune_mask(W, "C1(1:2)->C0(2:4)", **options)
    assert mask.dtype == bool
    np.testing.assert_array_equal(np.where(mask, W, 0), pith.prune(W, "C1(1:2)->C0(2:4)", **options))


def test_masks_keep_zeros_that_have_room():
    assert pith.prune_mask(np.zeros((1, 4)), "C0(2:4)").tolist() == [[True, True, False, False]]


def test_report():
    x = np.array([[1.0, 2, 3, 4, 8, 0, 0, 0]])
    report = pith.prune_report(x, "C1(1:2)->C0(2:4)")
    assert report.pruned.tolist() == [[0, 0, 0, 0, 8, 0, 0, 0]] and report.shape == (1, 8)
    assert report.density == 1 / 8 and report.energy == pytest.approx(64 / 94)
    inner, outer = report.ranks
    assert (inner.kept, inner.energy) == (pytest.approx(3 / 5), pytest.approx(89 / 94))
    assert (outer.kept, outer.energy) == (pytest.approx(1 / 3), pytest.approx(64 / 89))
    assert "density 12.50 %, energy kept 68.09 %" in str(report) and "d1 mod 4 : nm(2:4)" in str(report)


def test_report_of_unstructured_and_empty():
    report = pith.prune_report(W, "csr", density=0.25)
    assert [r.rank for r in report.ranks] == ["unstructured, density 0.25"] and report.density == 0.25
    large = pith.prune_report(np.float32([[3e25, 0, 4e25, 0]]), "C0(1:4)")  # squares are beyond f32
    assert large.energy == pytest.approx(16 / 25)
    assert np.isnan(pith.prune_report(np.float32([[np.inf, 0, 1, 0]]), "C0(1:4)").energy)
    empty = pith.prune_report(np.zeros((2, 4), np.int8), "C0(2:4)")
    assert (empty.density, empty.energy, empty.ranks[0].kept) == (0, 1, 1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e5m2", "float8_e4m3fn", "float32", "float64", "int8"])
def test_torch_in_torch_out(dtype):
    torch = pytest.importorskip("torch")
    w = (torch.randn(8, 32) * 20).to(getattr(torch, dtype))
    saliency = torch.rand(8, 32)
    out = pith.prune(w, "C0(2:4)", saliency=saliency)
    mask = pith.prune_mask(w, "C0(2:4)", saliency=saliency)
    assert out.dtype == w.dtype and mask.dtype == torch.bool
    assert torch.equal(out.double(), w.double().masked_fill(~mask, 0))
    keep = keep_mask(saliency.numpy(), pith.HSS.parse("C0(2:4)").to_format(), Ranking("value"))
    np.testing.assert_array_equal(mask.numpy(), keep)


def test_a_parameter_that_needs_a_gradient_can_be_pruned():
    torch = pytest.importorskip("torch")
    w = torch.nn.Parameter(torch.ones(2, 8))
    assert pith.prune(w, "C0(2:4)").sum() == 8 and pith.prune_mask(w, "C0(2:4)").sum() == 8


@pytest.mark.parametrize("columns", [8, WORTH_A_KERNEL])  # by NumPy, by a kernel
def test_nan_and_infinity(columns):
    x = np.ones((1, columns), np.float32)
    x[0, 5] = np.inf
    assert pith.prune(x, "C0(1:4)")[0, 4:8].tolist() == [0, np.inf, 0, 0]
    saliency = x.copy()
    saliency[0, columns - 2] = np.nan
    with pytest.raises(pith.FormatError, match=rf"element \[0, {columns - 2}\].*by saliency: NaN"):
        pith.prune(x, "C0(1:4)", saliency=saliency)
    assert np.isnan(pith.prune(saliency, "C0(1:4)", saliency=x)).sum() == 0  # may be dropped like any other
    with pytest.raises(pith.FormatError, match=rf"element \[0, {columns - 2}\].*by magnitude: NaN"):
        pith.prune(saliency, "csr", density=0.5)


def test_the_smallest_integer_has_the_largest_magnitude():
    x = np.array([[-128, 127, 1, 2]], np.int8)
    for fmt, options in (("C0(1:4)", {}), ("csr", {"density": 0.25})):
        assert pith.prune(x, fmt, **options).tolist() == [[-128, 0, 0, 0]]


def test_large_padded_tensors():
    x = np.random.default_rng(0).standard_normal((1025, 1027)).astype(np.float32)
    fmt = pith.HSS.parse("V(4)C1(1:2)->C0(2:4)").to_format().with_padding()
    np.testing.assert_array_equal(pith.prune_mask(x, fmt), keep_mask(x, fmt))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"saliency": np.ones((1, 4))}, pith.ShapeError, r"saliency of shape \(1, 8\), got \(1, 4\)"),
        ({"saliency": np.ones((1, 8), complex)}, pith.DTypeError, "complex"),
        ({"saliency": W, "score": "l1"}, pith.ArgumentError, "exclude each other"),
        ({"score": "l3"}, pith.ArgumentError, "no score 'l3'"),
        ({"score": "value"}, pith.ArgumentError, "needs a saliency"),
        ({"at_most": float("nan")}, pith.ArgumentError, "NaN"),
        ({"density": 0.5}, pith.FormatError, "no unstructured level: its density is 0.5"),
        ({"density": 0.5, "sparsity": 0.5}, pith.ArgumentError, "exclude each other"),
        ({"density": 1.5}, pith.ArgumentError, "from 0 to 1"),
        ({"density": float("nan")}, pith.ArgumentError, "from 0 to 1"),
        ({"sparsity": "half"}, pith.ArgumentError, "from 0 to 1, got 'half'"),
        ({"at_most": "a bit"}, pith.ArgumentError, "a number other than NaN, got 'a bit'"),
    ],
)
def test_bad_arguments(options, error, text):
    with pytest.raises(error, match=text):
        pith.prune(W, "C0(2:4)", **options)
