"""Gradients of ``pith.torch.sparse_attention`` against torch's own of a float64 softmax."""

from __future__ import annotations

import numpy as np
import pith
import pytest
import torch
from attention_reference import visible
from pith.runtime import kernel_cache
from pith.torch import sparse_attention

#: Largest error of a gradient, by dtype; gradients are of order 1 to 10.
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12, torch.bfloat16: 0.15}


def operands(*shape, dtype=torch.float32, kv_heads=None):
    kv = shape if kv_heads is None else (*shape[:-3], kv_heads, *shape[-2:])
    return [torch.randn(s, dtype=dtype).requires_grad_() for s in (shape, kv, kv)]


def wide_attention(q, k, v, mask, scale):
    """Result and logarithms (0 where nothing is seen) in float64, differentiable."""
    share = q.shape[-3] // k.shape[-3]
    k, v = (x.repeat_interleave(share, -3) for x in (k, v))
    scores = (q @ k.transpose(-1, -2) * scale).masked_fill(~mask, float("-inf"))
    lse = torch.logsumexp(scores, -1)
    lse = torch.where(torch.isinf(lse), 0.0, lse)
    return torch.where(mask, torch.exp(scores - lse[..., None]), 0.0) @ v, lse


def check(given, mask, options, scale=0.3):
    """All three gradients, of a loss that depends on the result and on the logarithms."""
    out, lse = sparse_attention(*given, return_lse=True, scale=scale, **options)
    weight, lse_weight = torch.randn_like(out), torch.randn_like(lse)
    lse_weight = torch.where(torch.isinf(lse), 0.0, lse_weight)
    ((out * weight).sum() + (torch.where(torch.isinf(lse), 0.0, lse) * lse_weight).sum()).backward()
    wide = [x.detach().double().requires_grad_() for x in given]
    want, want_lse = wide_attention(*wide, torch.from_numpy(mask), scale)
    ((want * weight.double()).sum() + (want_lse * lse_weight.double()).sum()).backward()
    for ours, theirs in zip(given, wide):
        assert ours.grad.dtype == ours.dtype
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=0, atol=TOLERANCE[ours.dtype])


CASES = {
    "everything": ({}, {}),
    "window": ({"window": (7, 3)}, {"window": (7, 3)}),
    "causal": ({"causal": True, "window": 20}, {"causal": True, "window": (20, 20)}),
    "tokens": ({"window": 4, "global_tokens": [1, 3]}, {"window": (4, 4), "tokens": [1, 3]}),
    "length": ({"lengths": [17], "window": 6}, {"length": 17, "window": (6, 6)}),
}


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("size", [18, 24, 70, 157])
@pytest.mark.parametrize("case", CASES)
def test_gradients(case, size, dtype):
    torch.manual_seed(size)
    options, seen = CASES[case]
    check(operands(1, 3, size, 16, dtype=dtype), visible(size, size, **seen), options)


@pytest.mark.parametrize("granularity", [(40, 8), (16, 16)])
def test_patterns(granularity):
    """Blocks are sorted by their columns for the keys' side; tokens are not counted twice."""
    torch.manual_seed(0)
    rng, size = np.random.default_rng(0), 130
    pattern = pith.Pattern.from_mask(rng.random((size, size)) < 0.01, granularity)
    elements = np.kron(pattern.mask(), np.ones(granularity, bool))[:size, :size].astype(bool)
    options = {"pattern": pattern, "global_tokens": [2, 99], "lengths": [120]}
    check(operands(1, 2, size, 16), visible(size, size, pattern=elements, tokens=[2, 99], length=120), options)


def test_other_sizes():
    """Fewer queries than keys, values of another width, keys shared by heads, one matrix."""
    torch.manual_seed(1)
    q, k, v = (torch.randn(s, requires_grad=True) for s in ((2, 4, 30, 9), (2, 2, 47, 9), (2, 2, 47, 21)))
    check([q, k, v], visible(30, 47, window=(5, 30)), {"window": (5, 30)})
    matrices = [torch.randn(25, 16, requires_grad=True) for _ in range(3)]
    out = sparse_attention(*matrices, causal=True)
    out.sum().backward()
    wide = [x.detach().double()[None].requires_grad_() for x in matrices]
    wide_attention(*wide, torch.from_numpy(visible(25, 25, causal=True)), 0.25)[0].sum().backward()
    for ours, theirs in zip(matrices, wide):
        torch.testing.assert_close(ours.grad.double(), theirs.grad[0], rtol=0, atol=2e-5)


def test_packed_sequences():
    """Every sequence gets the gradients it would have alone; rows of strided gradients are read as they lie."""
    torch.manual_seed(2)
    lengths = [13, 0, 50, 1, 30]
    given = operands(94, 6, 16)
    given[1:] = operands(94, 2, 16)[1:]
    weight = torch.randn(94, 6, 16)
    options = {"window": 8, "global_tokens": [0]}
    (sparse_attention(*given, lengths=lengths, **options) * weight).sum().backward()
    start = 0
    for n in filter(None, lengths):
        own = slice(start, start + n)
        start += n
        alone = [x.detach()[own].transpose(0, 1).clone().requires_grad_() for x in given]
        (sparse_attention(*alone, **options) * weight[own].transpose(0, 1)).sum().backward()
        for whole, part in zip(given, alone):
            torch.testing.assert_close(whole.grad[own].transpose(0, 1), part.grad, rtol=0, atol=1e-5)


def test_no_gradient_is_made_where_none_is_wanted():
    q, k, v = (x.detach() for x in operands(1, 2, 20, 16))
    assert not sparse_attention(q, k, v).requires_grad
    q.requires_grad_()
    with torch.no_grad():
        assert not sparse_attention(q, k, v).requires_grad
    sparse_attention(q, k, v).sum().backward()
    assert q.grad is not None and k.grad is None


def test_a_step_compiles_nothing_new():
    def step(size, seed):
        tokens = np.random.default_rng(seed).choice(size, 2, replace=False)
        sparse_attention(*operands(1, 2, size, 16), window=seed, global_tokens=tokens).sum().backward()

    step(50, 1)
    compiled = kernel_cache().stats.compiled
    step(33, 2)
    step(111, 9)
    assert kernel_cache().stats.compiled == compiled


def test_what_cannot_be_done():
    q, k, v = operands(1, 2, 20, 16)
    with pytest.raises(pith.ShapeError, match="do not fit each other"):
        sparse_attention(q, k[..., :15], v)
    with pytest.raises(pith.CheckError, match="sequence 0 has length 21"):
        sparse_attention(q, k, v, lengths=[21])
    with pytest.raises(pith.ArgumentError, match="k: expects a torch tensor, got ndarray"):
        sparse_attention(q, k.detach().numpy(), v)
    for loss in (sparse_attention(q, k, v).square().sum(), sparse_attention(q, k, v).sum()):
        (first,) = torch.autograd.grad(loss, q, create_graph=True)
        with pytest.raises(pith.UnsupportedError, match="sparse_attention: gradients of its gradients"):
            (first.square().sum() + q.sum()).backward()
