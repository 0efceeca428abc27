"""``pith.explain(function, ...)``: what is said is what runs."""

import re

import numpy as np
import pith
import pytest
from pith.functional.linear import choice, ways
from pith.tuning.select import rank

RNG = np.random.default_rng(41)


def f32(*shape):
    return RNG.standard_normal(shape, np.float32)


def csr(rows, columns, density):
    return pith.compress(np.where(RNG.random((rows, columns)) < density, f32(rows, columns), 0), "csr")


def chosen(text):
    """The candidate with the star, which is what the verdict names."""
    (starred,) = re.findall(r"^\* +(\S+)", text, re.M)
    assert f"\nruns {starred}: " in text
    return starred


@pytest.mark.parametrize("density", [0.1, 0.5, 0.95])
def test_linear_runs_what_is_said(monkeypatch, density):
    a, x = csr(256, 384, density), f32(3, 43, 384)
    text = pith.explain(pith.linear, x, a, f32(256), "relu")
    assert text.startswith(
        f"129x384 through 256x384 f32 as csr, {100 * a.nse / a.shape[0] / a.shape[1]:.1f} % stored\n"
    )
    assert text.endswith("in the same kernel: bias, relu")
    ran, kernel = [], ways._kernel
    monkeypatch.setattr(ways, "_kernel", lambda fmt, *rest: ran.append((fmt, rest[4])) or kernel(fmt, *rest))
    pith.linear(x, a, f32(256), "relu")
    ((fmt, tile),) = ran
    assert (chosen(text) == "dense:own") == fmt.is_dense
    assert fmt.is_dense or chosen(text) == tile
    assert "dense:own" not in pith.explain(pith.linear, x, a, variant="sparse")


def test_linear_says_that_dense_waits_for_a_look(monkeypatch):
    """The dense product is charged with looking whether x is finite, and the text says on what it depends."""
    a, x = csr(64, 64, 1.0), f32(32, 64)
    monkeypatch.setattr(choice, "LOOK", 0.0)
    cheap = choice.rivals(problem(a, 32))[1]
    monkeypatch.setattr(choice, "LOOK", 1.0)
    dear = choice.rivals(problem(a, 32))[1]
    assert dear.seconds == pytest.approx(cheap.seconds + 32 * 64)
    assert not chosen(pith.explain(pith.linear, x, csr(64, 64, 1.0))).startswith("dense")


def problem(a, rows):
    return pith.tuning.problem.Problem.of(a, rows)


def test_linear_of_dense_and_quantised_weights():
    w = f32(64, 48)
    text = pith.explain(pith.linear, f32(16, 48), w)
    assert chosen(text) == choice.dense_tile(w.dtype, 16) and "dense:library" in text
    assert "2 of 16 rows" in pith.explain(pith.linear, f32(16, 48), w, where=pith.Pattern.from_indices([3, 5], 16))
    assert "runs nothing" in pith.explain(pith.linear, f32(0, 48), w)
    q = pith.quantize(pith.prune(w, "C0(2:4)"), "C0(2:4)")
    assert pith.explain(pith.linear, f32(5, 48), q) == pith.explain(q, f32(48, 5))


def test_matmul_by_its_name():
    a, x = csr(64, 64, 0.2), f32(64, 8)
    assert pith.explain(pith.matmul, a, x) == pith.explain(a, x)
    assert pith.explain(pith.matmul, a, x, variant="dense") == pith.explain(a, x, variant="dense")
    assert "measured" in pith.explain(pith.matmul, pith.dynamic(a.to_dense()), x, measure=True)
    with pytest.raises(pith.UnsupportedError, match="times products, no calls of linear"):
        pith.explain(pith.linear, x.T, a, measure=True)


def test_stored_filters():
    w = pith.compress(pith.prune(f32(8, 16, 3, 3), "MCRS: C0(2:4)"), "MCRS: C0(2:4)")
    text = pith.explain(pith.conv2d, f32(1, 16, 9, 8), w, padding=1, activation="relu")
    assert text.startswith("1x16x9x8 f32, filters 8x16x3x3, result 1x8x9x8\nruns one kernel on what is stored:\n")
    assert "fused: relu" in text and "as fast as dense" in text


def test_sampled_products():
    text = pith.explain(pith.sddmm, f32(32, 8), f32(8, 24), csr(32, 24, 0.25))
    assert text.startswith("32x8 times 8x24, where 32x24 f32 as csr, ") and "[0] sampled: " in text


def test_experts():
    x, experts = f32(6, 4), np.array([[0, 1], [0, 1], [0, 2], [0, 2], [0, 1], [1, 0]])
    for text in (
        pith.explain(pith.moe, x, experts, f32(4, 4, 8), f32(4, 8, 3), b1=f32(4, 8)),
        pith.explain(pith.grouped_matmul, x, experts, f32(4, 4, 8), bias=f32(4, 8)),
    ):
        assert text.startswith("6 tokens of f32 through 2 of 4 experts of 4x8")
        assert "experts have 0 to 6 tokens each, 3.0 on average, none for 1" in text and "50.0% of the work" in text
    with pytest.raises(pith.ShapeError, match="expects shape"):
        pith.explain(pith.moe, x, experts, f32(4, 4, 8), f32(4, 7, 3))


def test_inactive_neurons():
    x, w1, w2 = np.abs(f32(300, 16)), np.abs(f32(16, 64)), f32(64, 8)
    w1[:, ::2] *= -1
    assert "32 of 64 rows of w2" in pith.explain(pith.relu_ffn, x[:2], w1, None, w2, None)
    assert "two dense products" in pith.explain(pith.relu_ffn, x, w1, None, w2, None, skip=False)
    assert "one along what is active" in pith.explain(pith.relu_ffn, x, w1, None, w2, None, skip=True)
    text = pith.explain(pith.relu_ffn, x, w1, None, w2, None)
    assert "50.0% of the neurons active; the second product:\n300x64 f32, dynamic" in text and "\nruns " in text


def test_calls_that_are_refused():
    a, x = csr(16, 32, 0.5), f32(4, 32)
    with pytest.raises(pith.ArgumentError, match=r"explains no calls of .route.") as caught:
        pith.explain(pith.route, x)
    assert "pith.linear" in str(caught.value)
    with pytest.raises(pith.ArgumentError, match=r"(?s)pith.moe takes no such call: .*help\(pith.moe\)"):
        pith.explain(pith.moe, nonsense=1)
    with pytest.raises(pith.ArgumentError, match="unexpected keyword argument 'nonsense'"):
        pith.explain(pith.linear, x, a, nonsense=1)
    with pytest.raises(pith.ShapeError):
        pith.explain(pith.linear, x.T, a)
    with pytest.raises(pith.UnsupportedError, match="no variant 'dense'"):
        pith.explain(pith.linear, x, a, variant="dense")
    with pytest.raises(pith.DTypeError, match="no linear kernel for int32"):
        pith.explain(pith.linear, x, a.astype(np.int32))


def test_predictions_are_those_of_the_selector():
    a, x = csr(128, 128, 0.3), f32(32, 128)
    names = re.findall(r"^[* ] +((?:lanes|dense)\S+) ", pith.explain(pith.linear, x, a), re.M)
    assert set(names) == {c.name for c in rank(problem(a, 32), "sparse")} | {"dense:own"}
