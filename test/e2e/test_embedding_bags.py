"""``EmbeddingBag`` inside models: sums, means and maxima over bags of rows."""

import itertools

import pith
import pytest
import torch

PLACES = torch.tensor([1, 2, 2, 9, 0, 2, 7])
BEGINS = torch.tensor([0, 3, 3, 5, 6])
MATRIX = torch.tensor([[1, 2, 2, 0], [2, 2, 2, 2], [9, 8, 2, 1]])


class Bags(torch.nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.bag = torch.nn.EmbeddingBag(10, 6, **options)

    def forward(self, places, begins=None, weights=None):
        return self.bag(places, begins, weights) * 2


def check(module, *args):
    made = pith.compile(module, args)(*args)
    torch.testing.assert_close(torch.as_tensor(made), module(*args).detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mode, padding", [*itertools.product(["sum", "mean", "max"], [None, 2, -1])])
def test_bags(mode, padding, dtype):
    """The second and the fourth bag are empty or hold padding alone, for 2; so does the second row."""
    torch.manual_seed(0)
    options = {"mode": mode, "padding_idx": padding, "dtype": dtype}
    check(Bags(**options), PLACES, BEGINS)
    check(Bags(**options, include_last_offset=True), PLACES, torch.tensor([0, 0, 5, 7]))
    check(Bags(**options), MATRIX)


@pytest.mark.parametrize("padding", [None, 2])
def test_weights_of_samples(padding):
    torch.manual_seed(0)
    module = Bags(mode="sum", padding_idx=padding)
    check(module, PLACES, BEGINS, torch.randn(7))
    check(module, MATRIX, None, torch.randn(3, 4))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_indices_of_32_bits_and_half_precision(mode):
    torch.manual_seed(0)
    check(Bags(mode=mode), PLACES.int(), BEGINS.int())
    check(Bags(mode=mode, dtype=torch.bfloat16), MATRIX)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_numbers_of_places_and_bags_known_at_run_time(mode):
    torch.manual_seed(0)
    module = Bags(mode=mode)
    kernel = pith.compile(module, (PLACES, BEGINS), dynamic_shapes=({0: "places"}, {0: "bags"}))
    for places, begins in (([3], [0]), ([4, 5, 6] * 40, [0, 7, 7, 64, 120])):
        args = torch.tensor(places), torch.tensor(begins)
        torch.testing.assert_close(torch.as_tensor(kernel(*args)), module(*args).detach())
