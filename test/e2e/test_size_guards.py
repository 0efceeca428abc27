"""What a model's code assumes of its sizes is demanded of every call: no wrong results for other sizes."""

import math

import pith
import pytest
import torch
from pith.torch.decompositions import fused_attention
from torch.export import Dim


class Halves(torch.nn.Module):
    def forward(self, x):
        a, b = torch.tensor_split(x, 2, 0)
        return a * 2 + b


class Pairs(torch.nn.Module):
    def forward(self, x):
        return x.view(x.shape[0] // 2, 2, x.shape[1]).sum(1)


class LongerFirst(torch.nn.Module):
    def forward(self, x, y):
        return x.sum(0) if x.shape[0] > y.shape[0] else y.sum(0)


class Doubled(torch.nn.Module):
    def forward(self, x, y):
        return torch.cat([x, x]) + y


class Extremes(torch.nn.Module):
    def forward(self, x, y):
        longer, shorter = torch.sym_max(x.shape[0], y.shape[0]), torch.sym_min(x.shape[0], y.shape[0])
        return x.new_zeros(longer, 3) + 1, x[:shorter] + y[:shorter]


def _compiled(module, args, dynamic):
    return pith.compile(module.eval(), args, dynamic_shapes=dynamic)


@pytest.mark.parametrize("module", [Halves(), Pairs()])
def test_a_size_that_does_not_divide(module):
    k = _compiled(module, (torch.randn(6, 5),), {"x": {0: "n"}})
    for size in (2, 4, 10):
        x = torch.randn(size, 5)
        torch.testing.assert_close(torch.as_tensor(k(x)), module(x))
    with pytest.raises(pith.ShapeError, match=r"x.shape\[0\].* got x of shape \(7, 5\)"):
        k(torch.randn(7, 5))


def test_control_flow_that_depends_on_two_sizes():
    module = LongerFirst()
    k = _compiled(module, (torch.randn(6, 5), torch.randn(3, 5)), {"x": {0: "n"}, "y": {0: "m"}})
    x, y = torch.randn(9, 5), torch.randn(8, 5)
    torch.testing.assert_close(torch.as_tensor(k(x, y)), module(x, y))
    with pytest.raises(pith.ShapeError, match=r"sizes with y.shape\[0\] < x.shape\[0\] only"):
        k(y, x)


def test_a_size_that_is_a_multiple_of_another():
    module = Doubled()
    k = _compiled(module, (torch.randn(3, 5), torch.randn(6, 5)), {"x": {0: "n"}, "y": {0: "m"}})
    x, y = torch.randn(4, 5), torch.randn(8, 5)
    torch.testing.assert_close(torch.as_tensor(k(x, y)), module(x, y))
    with pytest.raises(pith.ShapeError, match=r"y.shape\[0\]"):
        k(x, torch.randn(7, 5))


def test_dimensions_derived_from_a_name_that_no_input_has():
    n = Dim("n", min=1, max=32)
    module = Pairs()
    k = _compiled(module, (torch.randn(6, 5),), {"x": {0: 2 * n}})
    x = torch.randn(10, 5)
    torch.testing.assert_close(torch.as_tensor(k(x)), module(x))
    with pytest.raises(pith.ShapeError, match="got"):
        k(torch.randn(9, 5))


def test_sizes_of_one_and_none_are_no_violation():
    module = torch.nn.Linear(5, 3)
    k = _compiled(module, (torch.randn(6, 5),), {"input": {0: "n"}})
    for size in (0, 1):
        assert torch.as_tensor(k(torch.randn(size, 5))).shape == (size, 3)


def test_a_loaded_program_demands_the_same(tmp_path):
    k = _compiled(Pairs(), (torch.randn(6, 5),), {"x": {0: "n"}})
    k.save(tmp_path / "k.pith")
    loaded = pith.load(tmp_path / "k.pith")
    x = torch.randn(4, 5)
    torch.testing.assert_close(torch.as_tensor(loaded(x)), Pairs()(x))
    with pytest.raises(pith.ShapeError, match=r"x.shape\[0\]"):
        loaded(torch.randn(7, 5))


class LastTwo(torch.nn.Module):
    def forward(self, x):
        return x[-2:].sum(0)


class Squeezed(torch.nn.Module):
    def forward(self, x):
        return x.squeeze()


@pytest.mark.parametrize(("module", "smallest"), [(LastTwo(), 2), (Squeezed(), 2), (torch.nn.ReLU(), 0)])
def test_ops_that_need_two_rows(module, smallest):
    k = _compiled(module, (torch.randn(6, 5),), ({0: "n"},))
    for size in (0, 1, 2, 3):
        x = torch.randn(size, 5)
        if size >= smallest:
            torch.testing.assert_close(torch.as_tensor(k(x)), module(x))
            continue
        with pytest.raises(pith.ShapeError, match=f"expects a size from {smallest} to any, got {size}"):
            k(x)


class Causal(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.scaled_dot_product_attention(x, x + 1, x, is_causal=True)


def test_few_causal_queries_of_any_number():
    k = _compiled(Causal(), (torch.randn(3, 4, 5),), {"x": {0: "batch", 1: "tokens"}})
    for shape in ((3, 4, 5), (2, 9, 5), (1, 1, 5)):
        x = torch.randn(shape)
        torch.testing.assert_close(torch.as_tensor(k(x)), Causal()(x))


def test_a_size_that_a_decomposition_settles(monkeypatch):
    """torch goes on calling such a dimension dynamic, its size by a number. (None of those in use settles one.)"""
    monkeypatch.setattr(fused_attention, "_root_scale", lambda query: 1 / math.sqrt(query.shape[-1]))
    k = _compiled(Causal(), (torch.randn(3, 4, 5),), {"x": {2: Dim.AUTO}})
    x = torch.randn(3, 4, 5)
    torch.testing.assert_close(torch.as_tensor(k(x)), Causal()(x))
    with pytest.raises(pith.ShapeError, match="'x', dimension 2: expects a size of 5, got 6"):
        k(torch.randn(3, 4, 6))


def test_batches_of_nothing_beside_any_size():
    k = _compiled(torch.nn.Linear(16, 5), (torch.randn(0, 2, 16),), ({1: "n"},))
    for size in (2, 0, 7):
        assert k(torch.randn(0, size, 16)).shape == (0, size, 5)
    nothing = torch.randn(0, 3, 4, 16)
    assert _compiled(torch.nn.Linear(16, 5), (nothing,), None)(nothing).shape == (0, 3, 4, 5)


@pytest.mark.parametrize("first, second", [(4, 6), (6, 4), (5, 5), (300, 2)])
def test_the_larger_and_the_smaller_of_two_sizes(first, second):
    k = _compiled(Extremes(), (torch.randn(4, 5), torch.randn(6, 5)), {"x": {0: "n"}, "y": {0: "m"}})
    x, y = torch.randn(first, 5), torch.randn(second, 5)
    for got, expected in zip(k(x, y), Extremes()(x, y)):
        torch.testing.assert_close(torch.as_tensor(got), expected)
