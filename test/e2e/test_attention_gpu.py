"""``pith.attention`` on an emulated GPU against softmax in float64: numbers, races, bounds, uninitialised reads."""

from __future__ import annotations

import types

import ml_dtypes
import numpy as np
import pith
import pytest
import torch
from attention_reference import RNG, TOLERANCE, check, elements, operands, reference, visible
from pith.functional.attention import device as attention_device
from pith.functional.attention.device import attention_on_device
from pith.functional.attention.visibility import Limits

TARGET = "emulate:sm_90"
HALF, BRAIN = np.float16, ml_dtypes.bfloat16


def run(q, k, v, scale=None, out=None, **limits):
    return attention_on_device(q, k, v, Limits(**limits), scale=scale, return_lse=True, out=out, target=TARGET)


@pytest.mark.parametrize("dtype", [HALF, np.float32], ids=["f16", "f32"])
@pytest.mark.parametrize("size", [0, 1, 17, 64, 65, 130, 200])
def test_intervals(size, dtype):
    """Everything, windows, causality and lengths are one kernel; padding is NaN and comes out as zeros."""
    q, k, v = operands(2, 2, size, 32, dtype=dtype)
    for given in ({}, {"window": (5, 0)}, {"window": (3, 70)}, {"causal": True}):
        check(run(q, k, v, **given), reference(q, k, v, visible(size, size, **given)), dtype)
    lengths = [size // 2, size]
    for x in (q, k, v):
        x[0, :, lengths[0] :] = np.nan
    mask = np.stack([visible(size, size, length=n, window=(9, 9)) for n in lengths])[:, None]
    got = run(q, k, v, lengths=lengths, window=9)
    check(got, reference(*(np.nan_to_num(x) for x in (q, k, v)), mask), dtype)


@pytest.mark.parametrize("dtype", [BRAIN, np.float32], ids=["bf16", "f32"])
@pytest.mark.parametrize("depth,width", [(5, 7), (128, 40)])
def test_head_sizes(depth, width, dtype):
    """Rows that are no whole numbers of copies, padding of both products, heads that share keys."""
    q, k, _ = operands(1, 4, 70, depth, dtype=dtype, kv_heads=2)
    v = RNG.standard_normal((1, 2, 70, width)).astype(dtype)
    check(run(q, k, v, window=20), reference(q, k, v, visible(70, 70, window=(20, 20))), dtype)


@pytest.mark.parametrize("dtype", [HALF, np.float32], ids=["f16", "f32"])
def test_global_tokens(dtype):
    """Shared and per sequence; each pair of query and key counts once."""
    size = 150
    q, k, v = operands(2, 2, size, 32, dtype=dtype)
    some = [RNG.choice(size, n, replace=False) for n in (5, 140)]
    for tokens, lengths in ((some[0], None), (some, [size, 60]), ([], None)):
        lists = tokens if lengths else [tokens, tokens]
        mask = np.stack(
            [
                visible(size, size, window=(9, 4), tokens=list(t), length=n)
                for t, n in zip(lists, lengths or (size, size))
            ]
        )[:, None]
        got = run(q, k, v, window=(9, 4), global_tokens=tokens, lengths=lengths)
        check(got, reference(q, k, v, mask), dtype)


@pytest.mark.parametrize("granularity", [(64, 64), (24, 16), (7, 100)])
def test_patterns(granularity):
    """Blocks of any size at the edges too, rows without blocks, in any order; what no block names is never read."""
    size = 150
    q, k, v = operands(2, size, 32, dtype=HALF)
    for density in (0.0, 0.3, 1.0):
        pattern = pith.Pattern.from_mask(RNG.random((size, size)) < density / np.prod(granularity), granularity)
        pattern = pith.Pattern(pattern.sizes, pattern.granularity, RNG.permutation(pattern.coordinates))
        check(run(q, k, v, pattern=pattern), reference(q, k, v, elements(pattern)), HALF)


def test_packed_lengths():
    lengths = [0, 13, 50, 1, 0, 90]
    q, k, v = operands(sum(lengths), 2, 32, dtype=HALF)
    got, lse = run(q, k, v, lengths=lengths, global_tokens=[0, 6], window=3)
    start = 0
    for n in lengths:
        own = slice(start, start + n)
        start += n
        mask = visible(n, n, window=(3, 3), tokens=[t for t in (0, 6) if t < n])
        want = reference(*(x[own].swapaxes(0, 1) for x in (q, k, v)), mask)
        check((got[own].swapaxes(0, 1), lse[own].T), want, HALF)


@pytest.mark.parametrize("seed", range(6))
def test_all_of_it_at_once(seed):
    rng = np.random.default_rng(seed)
    batch, size = int(rng.integers(1, 3)), int(rng.integers(1, 200))
    q, k, v = operands(batch, 2, size, 32, dtype=HALF, kv_heads=1)
    pattern = pith.Pattern.from_mask(rng.random((size, size)) < 0.01, (40, 8))
    lengths, window = rng.integers(0, size + 1, batch), tuple(int(n) for n in rng.integers(0, 80, 2))
    tokens = rng.choice(size, min(size, 6), replace=False)
    scale, given = float(rng.uniform(-0.3, 0.3)), {"window": window, "causal": bool(rng.integers(2))}
    out = run(q, k, v, lengths=lengths, global_tokens=tokens, scale=scale, pattern=pattern, **given)
    seen = [visible(size, size, length=n, tokens=tokens, pattern=elements(pattern), **given) for n in lengths]
    check(out, reference(q, k, v, np.stack(seen)[:, None], scale), HALF)


@pytest.mark.parametrize("dtype", [HALF, np.float32], ids=["f16", "f32"])
@pytest.mark.parametrize("tokens", [None, [40]])
def test_only_what_is_seen_has_influence(tokens, dtype):
    """NaN and infinities reach the queries that see them, and no others, however near."""
    q, k, v = operands(1, 200, 32, dtype=dtype)
    k[0, 100, 3], v[0, 20, 5], v[0, 25, 5], v[0, 150, 31] = np.nan, np.inf, -np.inf, np.nan
    out, lse = run(q, k, v, window=10, global_tokens=tokens)
    mask = visible(200, 200, window=(10, 10), tokens=tokens or [])
    np.testing.assert_array_equal(np.isnan(lse[0]), mask[:, 100])
    nan, infinite = np.zeros((200, 32), bool), np.zeros((200, 32), bool)
    nan[mask[:, 150], 31] = nan[mask[:, 100]] = nan[mask[:, 20] & mask[:, 25], 5] = True
    infinite[mask[:, 20] ^ mask[:, 25], 5] = True
    np.testing.assert_array_equal(np.isnan(out[0]), nan)
    np.testing.assert_array_equal(np.isinf(out[0]), infinite & ~nan)
    clean = ~(mask[:, 20] | mask[:, 25] | mask[:, 150] | mask[:, 100])
    want = reference(q, *(np.nan_to_num(x, posinf=0, neginf=0) for x in (k, v)), mask)[0]
    np.testing.assert_allclose(out[0, clean].astype(float), want[0, clean], atol=TOLERANCE[np.dtype(dtype)][0])


def test_infinite_and_large_scores():
    """Minus infinity weighs nothing; plus infinity has no softmax; the largest score may come last."""
    q, k, v = operands(1, 140, 4)
    q[...], k[0, 7, :] = 1.0, -np.inf
    mask = visible(140, 140)
    mask[:, 7] = False
    check(run(q, k, v), reference(q, np.where(np.isinf(k), 0.0, k), v, mask))
    k[0, 7, :] = np.inf
    assert np.isnan(run(q, k, v)[0]).all()
    k = operands(1, 140, 4)[1] * np.linspace(1, 200, 140, dtype=np.float32)[:, None]
    want = reference(q, k, v, visible(140, 140), 3.0)
    np.testing.assert_allclose(run(q, k, v, scale=3.0)[1], want[1], rtol=2e-6)


def test_other_numbers_of_keys():
    q, (k, v) = operands(3, 40, 32, dtype=HALF)[0], operands(3, 75, 32, dtype=HALF)[1:]
    check(run(q, k, v, window=5), reference(q, k, v, visible(40, 75, window=(5, 5))), HALF)
    check(run(q, k[:, :0], v[:, :0]), reference(q, k[:, :0], v[:, :0], visible(40, 0)), HALF)


def test_ir_with_static_tensors():
    """The op in a program: sizes that are known, scale from outside, results made on the device."""
    kernel = pith.compile(
        """
    func.func @f(%q: tensor<1x2x64x16xf16>, %scale: f64, %seen: tensor<1x64x2xi32>, %t: tensor<1x1xi32>,
                 %p: !pith.pattern<[64, 64], [16, 16]>) -> (tensor<1x2x64x16xf16>, tensor<1x2x64xf32>) {
      %out = tensor.empty() : tensor<1x2x64x16xf16>
      %lse = tensor.empty() : tensor<1x2x64xf32>
      %y:2 = "pith.attention"(%q, %q, %q, %scale, %out, %seen, %lse, %p, %t, %seen) {
          operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0>, resultSegmentSizes = array<i32: 1, 1>}
        : (tensor<1x2x64x16xf16>, tensor<1x2x64x16xf16>, tensor<1x2x64x16xf16>, f64, tensor<1x2x64x16xf16>,
           tensor<1x64x2xi32>, tensor<1x2x64xf32>, !pith.pattern<[64, 64], [16, 16]>, tensor<1x1xi32>,
           tensor<1x64x2xi32>)
        -> (tensor<1x2x64x16xf16>, tensor<1x2x64xf32>)
      return %y#0, %y#1 : tensor<1x2x64x16xf16>, tensor<1x2x64xf32>
    }""",
        target=TARGET,
    )
    q = operands(1, 2, 64, 16, dtype=HALF)[0]
    pattern = pith.Pattern.from_indices([[0, 1], [2, 3]], (64, 64), (16, 16))
    everything = np.broadcast_to(np.array([0, 64], np.int32), (1, 64, 2)).copy()
    got = kernel(q, 0.25, everything, np.array([[4]], np.int32), pattern)
    check(got, reference(q, q, q, visible(64, 64, pattern=elements(pattern), tokens=[4]), 0.25), HALF)


@pytest.mark.parametrize("dtype", [HALF, np.float32], ids=["f16", "f32"])
def test_scales_of_any_sign(dtype):
    """Zero weighs all alike, and still hides; a negative scale turns the queries."""
    q, k, v = operands(1, 2, 70, 32, dtype=dtype)
    for scale in (0.0, -0.25):
        check(run(q, k, v, scale=scale, causal=True), reference(q, k, v, visible(70, 70, causal=True), scale), dtype)


def test_torch_tensors():
    """Tensors in, tensors out: any leading dimensions, other strides by a copy, packed, into a given one."""
    q, k, v = (torch.from_numpy(x) for x in operands(2, 1, 2, 30, 32, dtype=HALF))
    out = torch.full((2, 1, 2, 30, 32), torch.nan, dtype=torch.float16)
    got, lse = run(q, k, v, out=out, lengths=[30, 11])
    assert got is out and isinstance(lse, torch.Tensor) and lse.shape == (2, 1, 2, 30)
    mask = np.stack([visible(30, 30, length=n) for n in (30, 11)])[:, None, None]
    check((got.numpy(), lse.numpy()), reference(q, k, v, mask), HALF)
    packed = [x[:, 0].transpose(1, 2).reshape(60, 2, 32) for x in (q, k, v)]
    got, lse = run(*packed, lengths=[60])
    assert got.shape == (60, 2, 32) and lse.shape == (60, 2)
    want = reference(*(x.transpose(0, 1) for x in packed), visible(60, 60))
    check((got.transpose(0, 1).numpy(), lse.T.numpy()), want, HALF)


def test_wrong_arguments():
    q = torch.ones(1, 2, 20, 32)
    with pytest.raises(pith.DTypeError, match=r"q: no attention kernel for torch\.float64 on a GPU"):
        run(q.double(), q.double(), q.double())
    with pytest.raises(pith.ShapeError, match="the result has shape"):
        run(q, q, q, out=q[..., :31])
    with pytest.raises(pith.DTypeError, match=r"expects torch\.float32"):
        run(q, q, q, out=q.half())
    with pytest.raises(pith.ShapeError, match="do not fit each other"):
        run(q, q[..., :31], q)
    with pytest.raises(pith.PassError, match="at most 256 features"):
        run(*[torch.ones(1, 4, 300)] * 3)


@pytest.mark.parametrize(
    "capability,chip", [((8, 0), "sm_80"), ((8, 9), "sm_89"), ((9, 0), "sm_90"), ((10, 3), "sm_100")]
)
def test_the_device_decides_what_is_compiled(capability, chip, monkeypatch):
    """The newest architecture it executes; a call there takes the way of the tests above."""
    tensor = types.SimpleNamespace(device=types.SimpleNamespace(index=1))
    monkeypatch.setattr(attention_device, "device", lambda n: {1: types.SimpleNamespace(capability=capability)}[n])
    assert attention_device._chip(tensor) == chip
