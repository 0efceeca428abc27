"""``pith.torch.einsum`` and ``MaskedLinear``: gradients against finite differences and dense torch in float64."""

from __future__ import annotations

import numpy as np
import pith
import pytest
import torch
from einsum_cases import Case
from pith.runtime import kernel_cache
from pith.torch import MaskedLinear, einsum

CASES = (
    Case("mk,kn->mn", {"m": (1,)}),
    Case("mk,kn->mn", {"k": (2,), "n": (3,)}),
    Case("mk,nk->mn", {"nk": (4, 2)}),
    Case("mk,kn->mn", {"mn": (2, 1)}),
    Case("tk,ekn->tn", {"te": (1, 1)}),
    Case("mk->m", {"mk": (2, 2)}),
    Case("mk,mk,k->mk", {"m": (2,)}),
)


def tensors(case, sizes, rng, dtype=torch.float64):
    return [torch.tensor(rng.standard_normal([sizes[c] for c in o]), dtype=dtype) for o in case.parsed.inputs]


def setting(case, seed=0, density=0.5):
    rng = np.random.default_rng(seed)
    sizes = {c: 5 + 2 * i for i, c in enumerate(case.parsed.letters)}
    patterns = case.patterns(rng, sizes, density)
    operands = [t.requires_grad_() for t in tensors(case, sizes, rng)]
    return sizes, patterns, operands


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients(case):
    _, patterns, operands = setting(case)
    assert torch.autograd.gradcheck(lambda *xs: einsum(case.equation, *xs, where=patterns), operands)


def test_gradients_of_gradients():
    case = CASES[2]
    _, patterns, operands = setting(case)
    assert torch.autograd.gradgradcheck(lambda *xs: einsum(case.equation, *xs, where=patterns), operands)


@pytest.mark.parametrize("case", [CASES[0], CASES[2]], ids=str)
@pytest.mark.parametrize("activation", [None, "relu", "gelu", "gelu_tanh", "silu"])
def test_epilogue(case, activation):
    """The differentiated form and the kernel's own agree, also where nothing is computed."""
    sizes, patterns, operands = setting(case)
    bias = torch.randn(sizes["n"], dtype=torch.float64, requires_grad=True)
    options = {"where": patterns, "activation": activation, "scale": 0.5}

    def layer(*xs):
        return einsum(case.equation, *xs[:2], bias=xs[2], **options)

    with torch.no_grad():
        fused = layer(*operands, bias)
    torch.testing.assert_close(layer(*operands, bias).detach(), fused)
    if activation != "relu":  # has a kink
        assert torch.autograd.gradcheck(layer, [*operands, bias])


@pytest.mark.parametrize("density", [0.0, 1.0])
def test_empty_and_full_patterns(density):
    case = CASES[2]
    _, patterns, operands = setting(case, density=density)
    einsum(case.equation, *operands, where=patterns).sum().backward()
    x, w = (t.detach().requires_grad_() for t in operands)
    (torch.einsum(case.equation, x, w) * density).sum().backward()
    torch.testing.assert_close(operands[0].grad, x.grad)
    torch.testing.assert_close(operands[1].grad, w.grad)


def test_gradients_that_are_views():
    """Expanded and transposed gradients of the result."""
    case = CASES[1]
    _, patterns, (a, b) = setting(case)
    einsum(case.equation, a, b, where=patterns).sum().backward()
    expanded = a.grad.clone()
    a.grad = None
    y = einsum(case.equation, a, b, where=patterns)
    y.t().backward(torch.ones_like(y.t()).contiguous())
    torch.testing.assert_close(a.grad, expanded)


def masked(layer, x, grad):
    """Result and gradients of dense torch, in float64."""
    keep = torch.zeros_like(layer.weight, dtype=torch.float64)
    keep[tuple(torch.from_numpy(i) for i in layer.pattern.indices())] = 1
    x, w, b = (t.detach().double().requires_grad_() for t in (x, layer.weight, layer.bias))
    y = torch.nn.functional.linear(x, w * keep, b)
    y.backward(grad.double())
    return y.detach(), x.grad, w.grad, b.grad


def close(found, expected, tolerance):
    assert (found.double() - expected).norm() <= tolerance * expected.norm()


@pytest.mark.parametrize(
    ("granularity", "dtype", "tolerance", "dense"),
    [
        ((32, 1), torch.float32, 1e-6, False),
        ((32, 1), torch.float32, 1e-6, True),
        ((32, 64), torch.float32, 1e-6, False),
        ((1, 1), torch.float32, 1e-6, False),
        ((1, 32), torch.float64, 1e-14, False),
        ((32, 1), torch.bfloat16, 1e-2, False),
    ],
)
def test_a_new_mask_every_step(granularity, dtype, tolerance, dense):
    """``dense``: dense products above some density, which differs from step to step."""
    torch.manual_seed(0)
    layer = MaskedLinear(100, 70, granularity=granularity, dtype=dtype)
    assert 0 < layer.dense_above < 1
    layer.dense_above = 0.3 if dense else 1.0
    compiled = None
    for step, density in enumerate((1.0, 0.5, 0.0, 0.1, 0.02)):
        layer.zero_grad()
        layer.pattern = layer.strongest(density)
        assert layer.pattern.density == pytest.approx(density, abs=0.5 / np.prod(layer.pattern.grid))
        x = torch.randn(3, 11 + step, 100).to(dtype).requires_grad_()
        y = layer(x)
        grad = torch.randn(y.shape).to(dtype)
        y.backward(grad)
        expected = masked(layer, x, grad)
        for found, reference in zip((y.detach(), x.grad, layer.weight.grad, layer.bias.grad), expected):
            close(found, reference, tolerance)
        if layer.pattern.density <= layer.dense_above:
            compiled = compiled or kernel_cache().stats.compiled
    assert kernel_cache().stats.compiled == compiled, "a new pattern compiled something"


def test_training_with_a_moving_mask():
    """A network learns while its masks follow the weights, and ends as sparse as they are."""
    torch.manual_seed(0)
    layer = MaskedLinear(32, 64, granularity=(8, 1))
    model = torch.nn.Sequential(layer, torch.nn.ReLU(), torch.nn.Linear(64, 4))
    x = torch.randn(256, 32)
    target = (x @ torch.randn(32, 4)).argmax(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for _ in range(40):
        layer.pattern = layer.strongest(0.4)
        loss = torch.nn.functional.cross_entropy(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    dense = layer.to_linear()
    assert (dense.weight != 0).float().mean() <= 0.45
    torch.testing.assert_close(dense(x), layer(x), atol=1e-5, rtol=1e-5)


def test_strongest_follows_scores_and_ragged_edges():
    layer = MaskedLinear(5, 3, granularity=(2, 2), bias=False)
    scores = torch.zeros(3, 5)
    scores[2, 4] = 1
    assert layer.strongest(1 / 6, scores).coordinates.tolist() == [[1, 2]]
    assert layer.strongest(0).count == 0 and layer.strongest(1).density == 1.0
    square = MaskedLinear(5, 3, granularity=2)
    assert square.granularity == (2, 2) and square.pattern == layer.pattern


def test_bad_input():
    layer = MaskedLinear(8, 4, granularity=(2, 2))
    with pytest.raises(pith.ArgumentError, match=r"expects a pith\.Pattern"):
        layer.pattern = torch.ones(4, 8)
    with pytest.raises(pith.ShapeError, match="expects a pattern over"):
        layer.pattern = pith.Pattern.from_mask(np.ones((8, 4)))
    with pytest.raises(pith.ArgumentError, match="a density in"):
        layer.strongest(1.5)
    with pytest.raises(pith.ShapeError, match="expects scores of shape"):
        layer.strongest(0.5, torch.ones(8, 4))
    with pytest.raises(pith.DTypeError, match="no kernels for weights"):
        MaskedLinear(8, 4, dtype=torch.complex64)
    with pytest.raises(pith.FormatError, match="granularity >= 1, got 0"):
        MaskedLinear(8, 8, granularity=(0, 1))
    with pytest.raises(pith.ShapeError, match="one granularity per axis"):
        MaskedLinear(8, 8, granularity=(2, 2, 2))
    x = torch.ones(3, 3, requires_grad=True)
    with pytest.raises(pith.UnsupportedError, match="letter twice"):
        einsum("ii->i", x)
    with pytest.raises(pith.ArgumentError, match="operand 1: expects a tensor"):
        einsum("ij,jk->ik", x, np.ones((3, 3)))
    with pytest.raises(pith.ArgumentError, match="unknown activation"):
        einsum("ij,jk->ik", x, x, activation="tanh")
    with pytest.raises(pith.ShapeError, match="bias"):
        einsum("ij,jk->ik", x, x, bias=torch.ones(2))
    with pytest.raises(pith.ArgumentError, match="where: expects letters"):
        einsum("ij,jk->ik", x, x, where=[pith.Pattern.from_indices([0], 3)])
    with pytest.raises(pith.ArgumentError, match="scale: expects a number, got str"):
        einsum("ij,jk->ik", x, x, scale="x")


def test_state_dict_carries_the_pattern(tmp_path):
    first, second = (MaskedLinear(10, 6, granularity=(4, 2)) for _ in range(2))
    first.pattern = first.strongest(0.4)
    torch.save({"layer": first.state_dict()}, tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt")["layer"])
    x = torch.randn(3, 10)
    assert second.pattern == first.pattern
    torch.testing.assert_close(second(x), first(x))
    dense = torch.nn.Linear(10, 6)
    second.load_state_dict(dense.state_dict())  # has no pattern: the layer's own stays
    assert second.pattern == first.pattern and torch.equal(second.weight, dense.weight)
    with pytest.raises(RuntimeError, match=r"kept: expects shape \(2, 5\), got \(2, 4\)"):
        second.load_state_dict(first.state_dict() | {"kept": torch.ones(2, 4, dtype=torch.bool)})
