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


@pytest.mark.parametrize("width", [1, 4, 7, 16, 40, 64, 100, 200])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_widths_that_vectors_do_not_divide(width, dtype):
    torch.manual_seed(0)
    for mode in ("sum", "mean", "max"):
        module = torch.nn.EmbeddingBag(50, width, mode=mode, padding_idx=3, dtype=dtype)
        places = torch.randint(0, 50, (300,))
        begins = torch.cat([torch.zeros(1, dtype=torch.int64), torch.randint(0, 300, (40,)).sort().values])
        check(module, places, begins)


def test_what_reads_bags_and_what_makes_their_ends():
    class Around(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bag, self.out = torch.nn.EmbeddingBag(50, 32, mode="sum"), torch.nn.Linear(32, 8)

        def forward(self, places, lengths, x):
            users = self.bag(places * 2, lengths.cumsum(0) - lengths)
            return self.out(users).relu(), users.unsqueeze(1) + x, users.sum(1)

    torch.manual_seed(0)
    module, lengths = Around(), torch.tensor([3, 0, 5, 1])
    args = torch.randint(0, 25, (9,)), lengths, torch.randn(4, 3, 32)
    for made, expected in zip(pith.compile(module, args)(*args), module(*args)):
        torch.testing.assert_close(made, expected.detach(), rtol=1e-5, atol=1e-5)


def test_an_index_past_the_table_is_an_error():
    module = torch.nn.EmbeddingBag(10, 64, mode="sum")
    kernel = pith.compile(module, (torch.zeros(4000, dtype=torch.int64), torch.arange(0, 4000, 4)))
    for wrong in (10, -1, 1 << 40):
        places = torch.zeros(4000, dtype=torch.int64)
        places[1234] = wrong
        with pytest.raises(pith.CheckError, match="an index into a table of bags is out of range"):
            kernel(places, torch.arange(0, 4000, 4))


def test_bags_are_summed_in_vectors():
    """Four side by side, where they divide a row: an element at a time took twelve times as long."""
    module = torch.nn.EmbeddingBag(10, 128, mode="sum")
    code = pith.compile(module, (PLACES, BEGINS), target="cpu:avx2").ir("vector")
    assert "vector<32xf32>" in code and "(vector<32xf32>, i1)" in code.replace("f32, i1", "i1")
