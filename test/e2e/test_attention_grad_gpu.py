"""Gradients of attention on an emulated GPU against those of a float64 softmax."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from attention_reference import RNG, elements, operands, reference, visible
from pith.functional.attention.device import attention_grad_on_device, attention_on_device
from pith.functional.attention.visibility import Limits

TARGET = "emulate:sm_90"
#: Largest error of a gradient, by dtype; gradients are of order 1 to 10, weights and their changes rounded once.
TOLERANCE = {np.float32: 2e-5, np.float16: 2e-2}


def gradients(q, k, v, grad, mask, scale):
    """Of queries, keys and values, in float64."""
    q, k, v, grad = (x.astype(np.float64) for x in (q, k, v, grad))
    out, lse = reference(q, k, v, mask, scale)
    scores = np.where(mask, q @ k.swapaxes(-1, -2) * scale, -np.inf)
    weights = np.where(mask, np.exp(scores - np.where(np.isinf(lse), 0.0, lse)[..., None]), 0.0)
    change = weights * (grad @ v.swapaxes(-1, -2) - (out * grad).sum(-1)[..., None])
    return scale * change @ k, scale * change.swapaxes(-1, -2) @ q, weights.swapaxes(-1, -2) @ grad


def check(q, k, v, mask, scale=0.3, **options):
    grad = RNG.standard_normal((*q.shape[:-1], v.shape[-1])).astype(q.dtype)
    out, lse = attention_on_device(q, k, v, Limits(**options), return_lse=True, scale=scale, target=TARGET)
    delta = (out.astype(np.float32) * grad.astype(np.float32)).sum(-1)
    got = attention_grad_on_device(q, k, v, grad, lse, delta, Limits(**options), scale=scale, target=TARGET)
    for ours, theirs in zip(got, gradients(q, k, v, grad, mask, scale)):
        assert ours.dtype == q.dtype
        np.testing.assert_allclose(ours.astype(np.float64), theirs, rtol=0, atol=TOLERANCE[q.dtype.type])


@pytest.mark.parametrize("dtype", TOLERANCE, ids=["f32", "f16"])
@pytest.mark.parametrize("size", [1, 64, 70, 157])
def test_intervals(size, dtype):
    q, k, v = operands(1, 2, size, 32, dtype=dtype)
    check(q, k, v, visible(size, size, window=(7, 3)), window=(7, 3))
    check(q, k, v, visible(size, size, causal=True), causal=True)
    check(q, k, v, visible(size, size, length=size // 2), lengths=[size // 2])


@pytest.mark.parametrize("dtype", TOLERANCE, ids=["f32", "f16"])
def test_other_sizes(dtype):
    """Fewer queries than keys, values of another width, features that fill no fragment."""
    q, k = operands(2, 2, 30, 20, dtype=dtype)[0], operands(2, 2, 97, 20, dtype=dtype)[1]
    v = RNG.standard_normal((2, 2, 97, 41)).astype(dtype)
    check(q, k, v, visible(30, 97, window=(5, 60)), window=(5, 60))


def test_global_tokens():
    q, k, v = operands(2, 2, 150, 32, dtype=np.float16)
    tokens = [1, 3, 77]
    check(q, k, v, visible(150, 150, window=(4, 9), tokens=tokens), window=(4, 9), global_tokens=tokens)


@pytest.mark.parametrize("granularity", [(40, 8), (64, 64)])
def test_patterns(granularity):
    """Blocks of rows for queries, of columns for keys; tokens are not counted twice."""
    q, k, v = operands(1, 2, 130, 32, dtype=np.float16)
    pattern = pith.Pattern.from_mask(RNG.random((130, 130)) < 1 / np.prod(granularity), granularity)
    seen = visible(130, 130, pattern=elements(pattern), tokens=[2, 99], length=120)
    check(q, k, v, seen, pattern=pattern, global_tokens=[2, 99], lengths=[120])


def test_packed_sequences():
    lengths = [13, 0, 50, 1, 30]
    q, k, v = operands(sum(lengths), 2, 32, dtype=np.float16)
    grad = RNG.standard_normal(q.shape).astype(q.dtype)
    out, lse = attention_on_device(q, k, v, Limits(lengths, 8), return_lse=True, target=TARGET)
    delta = (out.astype(np.float32) * grad.astype(np.float32)).sum(-1)
    got = attention_grad_on_device(q, k, v, grad, lse, delta, Limits(lengths, 8), target=TARGET)
    start = 0
    for n in lengths:
        own = slice(start, start + n)
        start += n
        alone = [x[own].swapaxes(0, 1) for x in (q, k, v, grad)]
        for ours, theirs in zip(got, gradients(*alone, visible(n, n, window=(8, 8)), 32**-0.5)):
            np.testing.assert_allclose(ours[own].swapaxes(0, 1).astype(float), theirs, rtol=0, atol=2e-2)
