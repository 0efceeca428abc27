"""``topk`` of compiled PyTorch modules: values, places, ties, NaN, and a mixture of experts on top of it."""

import math

import pith
import pytest
import torch
from torch import nn


class TopK(nn.Module):
    def __init__(self, k: int, dim: int, largest: bool):
        super().__init__()
        self.k, self.dim, self.largest = k, dim, largest

    def forward(self, x):
        return x.topk(self.k, self.dim, self.largest)


class Experts(nn.Module):
    """Every expert sees every token; gates of those that are not chosen are zero."""

    def __init__(self, features: int, count: int, k: int):
        super().__init__()
        self.router = nn.Linear(features, count)
        self.experts = nn.ModuleList(nn.Linear(features, features) for _ in range(count))
        self.k = k

    def forward(self, x):
        gates, chosen = self.router(x).softmax(-1).topk(self.k, -1)
        outputs = [(gates * (chosen == i)).sum(-1, keepdim=True) * e(x) for i, e in enumerate(self.experts)]
        return torch.stack(outputs).sum(0)


@pytest.mark.parametrize(
    "shape, k, dim, largest",
    [((3, 7), 3, -1, True), ((7, 3), 7, 0, False), ((2, 5, 4), 1, 1, True), ((9,), 0, 0, True)],
)
def test_values_and_places(shape, k, dim, largest):
    torch.manual_seed(0)
    x = torch.randn(shape)
    values, places = pith.compile(TopK(k, dim, largest), (x,))(x)
    expected = x.topk(k, dim, largest)
    assert torch.equal(values, expected.values) and torch.equal(places, expected.indices)


@pytest.mark.parametrize("largest", [True, False])
def test_nan_infinities_and_ties(largest):
    """NaN is the largest, as in torch; of equal values the first comes first."""
    x = torch.tensor([2.0, math.nan, -math.inf, 2.0, math.inf, -math.inf, math.nan])
    values, places = pith.compile(TopK(7, 0, largest), (x,))(x)
    assert torch.allclose(values, x.topk(7, 0, largest).values, equal_nan=True)
    assert places.tolist() == ([1, 6, 4, 0, 3, 2, 5] if largest else [2, 5, 0, 3, 4, 1, 6])


def test_a_router_with_any_number_of_tokens():
    torch.manual_seed(1)
    module = Experts(12, 5, 2).eval()
    kernel = pith.compile(module, (torch.randn(4, 12),), dynamic_shapes={"x": {0: "tokens"}})
    for tokens in (1, 9):
        x = torch.randn(tokens, 12)
        torch.testing.assert_close(kernel(x), module(x).detach(), rtol=1e-4, atol=1e-5)


def test_more_places_than_are_ranked():
    with pytest.raises(pith.ImportProgramError, match=r"aten\.topk"):
        pith.compile(TopK(2, 0, True), (torch.randn(2000),))
