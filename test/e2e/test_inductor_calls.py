"""Calls of pith's functions behind ``torch.compile``'s own backend, which takes other tensors for constants."""

import pith
import pytest
import torch
from test_traced_calls import CALLS, Around


@pytest.fixture(autouse=True)
def fresh():
    torch.manual_seed(0)
    torch._dynamo.reset()


@pytest.mark.parametrize("name", ["matmul", "linear, bytes", "einsum"])
def test_inductor_takes_what_is_stored_as_constants(name):
    model = Around(CALLS[name])
    whole = torch.compile(model, fullgraph=True)
    with torch.no_grad():
        for rows in (8, 16, 0):
            x = torch.randn(rows, 64)
            torch.testing.assert_close(whole(x), model(x))


def test_inductor_differentiates_and_sees_new_values():
    dense = pith.prune(torch.randn(32, 64), "C0(2:4)")
    pattern = pith.compress(dense, "C0(2:4)")
    values, x = torch.from_numpy(pattern.values.copy()).requires_grad_(), torch.randn(5, 64)

    def loss(values):
        return (pith.torch.sparse_linear(x, values, pattern) + pith.linear(x, pattern)).square().sum()

    whole = torch.compile(loss, fullgraph=True)
    for scale in (1, -2):
        pith.repack(pattern, scale * dense, out=pattern)
        (got,), (expected,) = (torch.autograd.grad(f(values), values) for f in (whole, loss))
        torch.testing.assert_close(got, expected)
