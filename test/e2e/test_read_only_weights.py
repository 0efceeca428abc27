"""``SparseLinear.weight`` is a copy: changes in place are refused, everything else works as with other tensors."""

import copy
import io
import pickle

import pith
import pytest
import torch
from pith.torch import SparseLinear
from pith.torch.layers.read_only import ReadOnly

CHANGES = {
    "fill": lambda w: w.fill_(1.0),
    "copy": lambda w: w.copy_(torch.zeros(8, 16)),
    "+=": lambda w: w.__iadd__(1),
    "//=": lambda w: w.__ifloordiv__(2),
    "item": lambda w: w.__setitem__(0, 1.0),
    "row": lambda w: w[0].fill_(1.0),
    "transposed": lambda w: w.T.zero_(),
    "detached": lambda w: w.detach().zero_(),
    "chunk": lambda w: w.chunk(2)[1].zero_(),
    "data": lambda w: w.data.copy_(torch.zeros(8, 16)),
    "data =": lambda w: setattr(w, "data", torch.zeros(8, 16)),
    "out": lambda w: torch.mul(torch.ones(8, 16), 2, out=w),
    "out, one of two": lambda w: torch.max(torch.ones(8, 16), 1, out=(w[:, 0], torch.empty(8, dtype=torch.long))),
    "of a list": lambda w: torch._foreach_add_([torch.ones(2), w], 1.0),
    "out, view": lambda w: torch.mul(torch.ones(8, 16), 2, out=w[:]),
    "init": torch.nn.init.kaiming_uniform_,
    "init, named": lambda w: torch.nn.init.zeros_(tensor=w),
    "orthogonal": torch.nn.init.orthogonal_,
}


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return SparseLinear("C0(2:4)", 16, 8)


@pytest.mark.parametrize("name", CHANGES)
def test_changes_in_place(layer, name):
    before = layer.weight.clone()
    with pytest.raises(pith.UnsupportedError, match=r"(?s)SparseLinear.weight: it is a copy.*layer.values"):
        CHANGES[name](layer.weight)
    torch.testing.assert_close(layer.weight.clone(), before, rtol=0, atol=0)


def test_what_is_computed_is_writable(layer):
    x = torch.randn(5, 16)
    w = layer.weight
    for made in (w + 1, w.clone(), w.double(), w.sum(0), x @ w.T):
        assert type(made) is torch.Tensor
        made.zero_()
    torch.testing.assert_close(torch.nn.functional.linear(x, layer.weight, layer.bias), layer(x))
    assert torch.zeros(8, 16).copy_(layer.weight).equal(layer.weight)
    assert layer.weight.numpy().shape == (8, 16) and repr(layer.weight).startswith("tensor(")


def test_copies_and_files_are_plain(layer):
    file = io.BytesIO()
    torch.save(layer.weight, file)
    file.seek(0)
    plain = (torch.load(file, weights_only=True), pickle.loads(pickle.dumps(layer.weight)), copy.deepcopy(layer.weight))
    for made in plain:
        assert type(made) is torch.Tensor and made.equal(layer.weight.clone())


class Taken(torch.nn.Module):
    """A parameter that was made of the copy."""

    def __init__(self, layer):
        super().__init__()
        self.weight = torch.nn.Parameter(layer.weight)

    def forward(self, x):
        return x @ self.weight.T


@pytest.mark.parametrize("again", [lambda m: m, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_parameters_made_of_it_are_trained(layer, again):
    model, x = again(Taken(layer)), torch.randn(5, 16)
    (weight,) = model.parameters()
    before = weight.detach().clone()
    torch.testing.assert_close(torch.compile(model, backend="eager")(x), x @ before.T)
    model(x).sum().backward()
    torch.optim.SGD([weight], 0.5).step()
    torch.testing.assert_close(weight.detach(), before - 0.5 * weight.grad)
    torch.nn.init.zeros_(weight)
    assert model.double().weight.dtype == torch.float64 and type(model.weight.detach()) is torch.Tensor


def test_graphs_take_it(layer):
    weight, x = layer.weight, torch.randn(5, 16)
    assert isinstance(weight, ReadOnly)
    torch.testing.assert_close(torch.compile(lambda t: t @ weight.T, backend="eager")(x), x @ weight.clone().T)
