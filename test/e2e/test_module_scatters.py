"""Compiled PyTorch modules found wrong or refused by random ones: writes at indices, cuts, sorts, reshapes, bytes."""

import pith
import pytest
import torch
from torch import nn
from torch.nn import functional as F


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def columns_of(x: torch.Tensor) -> torch.Tensor:
    """A column per element; several elements of a row have the same."""
    return (x > 0).long() + (x > 1).long()


#: Writes to several places; where places repeat, what is written is summed or compared.
WRITES = {
    "scatter of a number": lambda x, y: y.scatter(1, columns_of(x), 2.0),
    "scatter from the end": lambda x, y: y.scatter(-1, torch.zeros_like(x, dtype=torch.int64)[:, :1], x),
    "scatter_add": lambda x, y: y.scatter_add(-2, columns_of(x), x),
    "scatter_reduce": lambda x, y: y.scatter_reduce(-1, columns_of(x), x, "amax"),
    "index_put": lambda x, y: y.index_put((torch.tensor([2, 0]),), x[:2]),
    "index_put of places": lambda x, y: y.index_put((torch.tensor([2, 0]), torch.tensor([1, 1])), x[0, :2]),
    "accumulate": lambda x, y: y.index_put((torch.tensor([1, 1]),), x[:2], accumulate=True),
    "index_add": lambda x, y: y.index_add(0, torch.tensor([0, 0, 1]), x[:3]),
    "index_copy": lambda x, y: y.index_copy(1, torch.tensor([4, 0]), x[:, :2]),
    "index_fill": lambda x, y: y.index_fill(1, torch.tensor([3]), 0.5),
}

OTHERS = {
    "cut off": lambda x, y: F.pad(x, (-1, 1)),
    "cut off two dimensions": lambda x, y: F.pad(x, (2, -2, -1, 0), value=3.0),
    "circular": lambda x, y: F.pad(x, (1, 1), mode="circular"),
    "cosine": lambda x, y: F.cosine_similarity(x, y),
    "cumprod": lambda x, y: x.cumprod(1),
    "sort": lambda x, y: x.sort(1, descending=True),
    "argsort": lambda x, y: (x * 2).round().argsort(dim=0, stable=True),
    "fmod": lambda x, y: torch.fmod(x * 5, 2),
}


def run(function, dtype=torch.float32, **options):
    torch.manual_seed(0)
    x, y = torch.randn(4, 6).to(dtype), torch.randn(4, 6).to(dtype)
    compiled = pith.compile(Apply(function), (x, y), **options)
    torch.testing.assert_close(compiled(x.clone(), y.clone()), function(x, y), rtol=1e-5, atol=1e-6)
    return compiled


@pytest.mark.parametrize("name", WRITES)
def test_writes(name):
    run(WRITES[name])


@pytest.mark.parametrize("name", OTHERS)
def test_others(name):
    run(OTHERS[name])


def test_writes_to_any_number_of_rows():
    k = run(lambda x, y: y.scatter_add(1, columns_of(x), x), dynamic_shapes=(({0: "n"}, {0: "n"}),))
    x, y = torch.randn(9, 6), torch.randn(9, 6)
    torch.testing.assert_close(k(x, y), y.scatter_add(1, columns_of(x), x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("row", [4, -1])
def test_rows_that_do_not_exist_are_refused(row):
    y = torch.randn(4, 6)
    k = pith.compile(Apply(lambda y, at: y.index_fill(0, at, 1.0)), (y, torch.tensor([3])))
    assert k(y, torch.tensor([2]))[2].eq(1).all()
    with pytest.raises(pith.errors.CheckError, match="out of range"):
        k(y, torch.tensor([row]))


def test_a_static_cache_of_keys():
    """What decoders do with ``StaticCache``: the new key is written at its position."""

    def step(cache, key, at):
        return cache.index_copy(2, at, key)

    cache, key = torch.zeros(1, 2, 8, 4), torch.randn(1, 2, 1, 4)
    k = pith.compile(Apply(step), (cache, key, torch.tensor([0])))
    for at in (0, 5, 7):
        torch.testing.assert_close(k(cache, key, torch.tensor([at])), step(cache, key, torch.tensor([at])))


def test_bytes_without_a_sign():
    def masks(x, y):
        return (x * 100).abs().to(torch.uint8), {"sum": x + y, "bits": (x > 0).to(torch.uint8)}

    x, y = torch.randn(2, 3, 5)
    first, rest = pith.compile(Apply(masks), (x, y))(x, y)
    expected, others = masks(x, y)
    assert first.dtype == rest["bits"].dtype == torch.uint8
    assert torch.equal(first, expected) and torch.equal(rest["bits"], others["bits"])


@pytest.mark.parametrize("sizes", [(-1, 2), (2, -1), (7, -1, 2)])
def test_reshapes_that_leave_a_size_open(sizes):
    class Reshape(nn.Module):
        def forward(self, x):
            return x.reshape(sizes)

    k = pith.compile(Reshape(), (torch.randn(8, 7),), dynamic_shapes=({0: "n"},))
    for rows in (8, 10, 2):
        x = torch.randn(rows, 7)
        assert torch.equal(k(x), x.reshape(sizes))


def test_booleans_are_added_as_or():
    class Marked(torch.nn.Module):
        def forward(self, x, rows):
            return x.index_add(0, torch.tensor([0, 0, 2]), rows)

    x, rows = torch.tensor([True, False, False]), torch.tensor([True, True, False])
    assert pith.compile(Marked(), (x, rows))(x, rows).tolist() == [True, False, False]
    assert pith.compile(Marked(), (~x, rows))(~x, rows).tolist() == [True, True, True]
