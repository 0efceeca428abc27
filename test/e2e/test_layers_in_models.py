"""Layers in models as torch has them: shared, frozen and derived weights, autocast, transforms of torch.func."""

import copy

import numpy as np
import pith
import pytest
import torch
from pith.torch import MaskedLinear, MoE, QuantizedLinear, SparseLinear, sparse_attention, sparsify_


class Tied(torch.nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(24, 24), torch.nn.Linear(24, 24)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


def test_shared_weights_stay_shared():
    torch.manual_seed(0)
    dense, x = Tied(), torch.randn(5, 24)
    with torch.no_grad():
        dense.a.weight.copy_(pith.prune(dense.a.weight.detach(), "C0(2:4)"))
    sparse = copy.deepcopy(dense)
    assert sparsify_(sparse, {"*": "C0(2:4)"}) == ("a", "b")
    assert sparse.a.values is sparse.b.values and sparse.a.bias is not sparse.b.bias
    for model in (dense, sparse):
        model(x).square().sum().backward()
    kept = dense.a.weight != 0
    torch.testing.assert_close(sparse.a.values.grad, dense.a.weight.grad[kept], rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        sparse.a.values.mul_(2)
    assert torch.equal(sparse.b.weight, 2 * dense.b.weight)
    other = Tied()
    sparsify_(other, {"a": "C0(2:4)", "b": "csr"})
    assert other.a.values.numel() < other.b.values.numel()


def test_frozen_layers_stay_frozen():
    model = torch.nn.Sequential(torch.nn.Linear(16, 8)).requires_grad_(False)
    sparsify_(model, {"0": "C0(2:4)"})
    assert not any(p.requires_grad for p in model.parameters())


def test_layers_of_derived_classes_are_refused_with_advice():
    attention = torch.nn.MultiheadAttention(16, 2)
    with pytest.raises(pith.UnsupportedError, match=r"out_proj is a .*derives from torch.nn.Linear") as raised:
        sparsify_(attention, {"*": "C0(2:4)"})
    assert "{'out_proj.weight': ...}" in str(raised.value)
    normed = torch.nn.Sequential(torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(16, 8)))
    with pytest.raises(pith.UnsupportedError, match="remove_parametrizations"):
        sparsify_(normed, {"0": "C0(2:4)"})
    with pytest.raises(pith.UnsupportedError, match=r"itself a Linear\n  hint: SparseLinear.from_linear"):
        sparsify_(torch.nn.Linear(16, 8), {"*": "C0(2:4)"})


@pytest.mark.parametrize("gradients", [True, False])
def test_attention_and_experts_follow_autocast(gradients):
    torch.manual_seed(1)
    layer, x, q = MoE(16, 32, 4), torch.randn(7, 16), torch.randn(1, 2, 9, 16)
    with torch.set_grad_enabled(gradients):
        expected = layer(x), sparse_attention(q, q, q, window=3)
        with torch.autocast("cpu", torch.bfloat16):
            hidden = torch.nn.functional.linear(q, torch.eye(16))  # of bf16, as whatever comes from a linear layer
            found = layer(x), sparse_attention(hidden.requires_grad_(gradients), q, q, window=3)
            assert layer(x.bfloat16()).dtype == torch.bfloat16
    for y, z in zip(found, expected):
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y.float(), z, rtol=5e-2, atol=5e-2)
    if gradients:
        found[0].float().sum().backward()
        assert layer.w1.grad.dtype == torch.float32 and layer.router.weight.grad is not None


def masked():
    layer = MaskedLinear(32, 16, granularity=(4, 1))
    layer.pattern = layer.strongest(0.1)
    return layer


@pytest.mark.parametrize(
    "make",
    [
        lambda: SparseLinear("C0(2:4)", 32, 16),
        lambda: QuantizedLinear(torch.nn.Linear(32, 16), pith.Quantized()),
        masked,
        lambda: lambda x: sparse_attention(x, x, x),
    ],
)
@pytest.mark.parametrize("warm", [False, True])
def test_transforms_of_functions_are_refused(make, warm):
    layer, x = make(), torch.randn(2, 4, 32)
    if warm:
        layer(x)
    for transform in (torch.func.vmap, lambda f: torch.func.grad(lambda x: f(x).sum())):
        with pytest.raises(pith.Error, match=r"torch.func \(grad, vmap, jvp, ...\) does not go through kernels"):
            transform(layer)(x)


def test_scores_are_tensors():
    with pytest.raises(
        pith.ArgumentError, match=r"scores: expects a torch Tensor, got ndarray\n  hint: torch.from_numpy"
    ):
        masked().strongest(0.5, np.ones((16, 32)))
