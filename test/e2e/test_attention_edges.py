"""``pith.attention``: how arrays lie in memory, what is not finite, threads, other processors, wrong arguments."""

from __future__ import annotations

import numpy as np
import pith
import pytest
import torch
from attention_reference import check, elements, operands, poisoned, reference, run, visible
from pith.compiler.kernel import compile_source
from pith.functional.attention.ir import Variant
from pith.functional.attention.visibility import Limits, visibility
from pith.runtime import kernel_cache, num_threads, set_num_threads


def test_strides_are_kept():
    """Heads behind positions, as linear layers leave them; a last dimension that is not contiguous is copied."""
    q, k, v = (x.transpose(0, 2, 1, 3) for x in operands(2, 60, 3, 32))
    want = reference(q, k, v, visible(60, 60))
    check(run(q, k, v), want)
    check(run(*(np.asfortranarray(x) for x in (q, k, v))), want)
    for x in (q, k, v):
        x.flags.writeable = False
    check(run(q, k, v), want)
    everywhere = np.broadcast_to(k[:, :1], k.shape)
    check(run(q, everywhere, v), reference(q, everywhere, v, visible(60, 60)))
    out = poisoned((2, 60, 3, 32)).transpose(0, 2, 1, 3)
    pith.attention(q, k, v, out=out)
    np.testing.assert_allclose(out, want[0], atol=5e-6)


def test_the_result_may_be_an_operand():
    q, k, v = operands(2, 60, 32)
    want = reference(q, k, v, visible(60, 60))
    for i in range(3):
        given = [q.copy(), k.copy(), v.copy()]
        pith.attention(*given, out=given[i])
        np.testing.assert_allclose(given[i], want[0], atol=5e-6)


def test_leading_dimensions():
    q, k, v = operands(2, 3, 4, 20, 32)
    check(
        run(q, k, v, lengths=[20, 3, 0, 7, 19, 1]),
        reference(
            q, k, v, np.stack([visible(20, 20, length=n) for n in (20, 3, 0, 7, 19, 1)]).reshape(2, 3, 1, 20, 20)
        ),
    )
    check(
        run(q[0, 0, 0], k[0, 0, 0], v[0, 0, 0]),
        tuple(x[0] for x in reference(q[0, 0, :1], k[0, 0, :1], v[0, 0, :1], visible(20, 20))),
    )


def test_large_scores():
    """Weights are taken relative to the largest score, which may come last."""
    q, k, v = operands(1, 300, 32)
    k *= np.linspace(1, 200, 300, dtype=np.float32)[:, None]
    out, lse = run(q, k, v, scale=3.0)
    want = reference(q, k, v, visible(300, 300), 3.0)
    np.testing.assert_allclose(lse, want[1], rtol=2e-6)
    np.testing.assert_allclose(out, want[0], atol=2e-2)  # scores near 1e4 are right to 1e-3, weights to as much


@pytest.mark.parametrize("tokens", [None, [40]])
def test_only_what_is_seen_has_influence(tokens):
    """NaN and infinities reach the queries that see them, and no others, however near."""
    q, k, v = operands(1, 200, 33)
    k[0, 100, 3], v[0, 20, 5], v[0, 150, 32] = np.nan, np.inf, np.nan
    out, lse = run(q, k, v, window=10, global_tokens=tokens)
    mask = visible(200, 200, window=(10, 10), tokens=tokens or [])
    np.testing.assert_array_equal(np.isnan(lse[0]), mask[:, 100])
    infinite, nan = np.zeros((200, 33), bool), np.zeros((200, 33), bool)
    infinite[mask[:, 20], 5] = True
    nan[mask[:, 150], 32] = nan[mask[:, 100]] = True
    np.testing.assert_array_equal(np.isnan(out[0]), nan)
    np.testing.assert_array_equal(np.isinf(out[0]), infinite & ~nan)
    clean = ~(mask[:, 20] | mask[:, 150] | mask[:, 100])
    want = reference(q, *(np.nan_to_num(x, posinf=0) for x in (k, v)), mask)[0]
    np.testing.assert_allclose(out[0, clean], want[0, clean], atol=5e-6)


def test_infinite_scores():
    """Minus infinity weighs nothing; plus infinity has no softmax."""
    q, k, v = operands(1, 40, 4)
    q[...], k[0, 7, :] = 1.0, -np.inf
    mask = visible(40, 40)
    mask[:, 7] = False
    k_finite = np.where(np.isinf(k), 0.0, k)
    check(run(q, k, v), reference(q, k_finite, v, mask))
    k[0, 7, :] = np.inf
    assert np.isnan(run(q, k, v)[0]).all()


def test_torch_in_torch_out():
    q, k, v = (torch.from_numpy(x) for x in operands(2, 3, 70, 32))
    ours, lse = pith.attention(q, k, v, causal=True, return_lse=True)
    theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert isinstance(ours, torch.Tensor) and isinstance(lse, torch.Tensor)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    b16 = [x.bfloat16() for x in (q, k, v)]
    torch.testing.assert_close(pith.attention(*b16, causal=True).float(), theirs, atol=4e-2, rtol=4e-2)


def test_threads_change_nothing():
    q, k, v = operands(2, 6, 300, 32)
    given = {"window": 40, "global_tokens": [5, 250], "lengths": [300, 120]}
    before = num_threads()
    try:
        results = []
        for threads in (1, 2, 5):
            set_num_threads(threads)
            results.append(run(q, k, v, **given)[0])
    finally:
        set_num_threads(before)
    assert all(np.array_equal(results[0], r) for r in results[1:])


def test_what_queries_see_is_data():
    """New sizes, windows, lengths, tokens and patterns compile nothing."""

    def calls(size, seed):
        rng = np.random.default_rng(seed)
        q, k, v = operands(2, 2, size, 32)
        pattern = pith.Pattern.from_mask(rng.random((size, size)) < 0.01, (32, 32))
        tokens = rng.choice(size, 3, replace=False)
        pith.attention(q, k, v, pattern=pattern, window=int(rng.integers(50)), global_tokens=tokens)
        pith.attention(q, k, v, lengths=rng.integers(0, size, 2))

    calls(100, 0)
    compiled = kernel_cache().stats.compiled
    for seed, size in enumerate((31, 100, 257), start=1):
        calls(size, seed)
    assert kernel_cache().stats.compiled == compiled


WRONG = [
    (lambda q: {"lengths": [21]}, pith.CheckError, "sequence 0 has length 21, the axis has 20 positions"),
    (lambda q: {"lengths": [-1]}, pith.CheckError, "sequence 0 has length -1"),
    (lambda q: {"lengths": [2, 3]}, pith.ShapeError, "one length for each of 1 sequences"),
    (lambda q: {"lengths": [1.5]}, pith.DTypeError, "expects integers"),
    (lambda q: {"window": -1}, pith.ArgumentError, "expects numbers of keys >= 0"),
    (lambda q: {"window": "wide"}, pith.ArgumentError, "a pair"),
    (lambda q: {"window": (1, 2, 3)}, pith.ArgumentError, "a pair"),
    (lambda q: {"global_tokens": [20]}, pith.CheckError, "20"),
    (lambda q: {"global_tokens": 3}, pith.ShapeError, "expects a list of positions, got 3"),
    (lambda q: {"global_tokens": [-1]}, pith.CheckError, "-1"),
    (lambda q: {"global_tokens": [3, 3]}, pith.CheckError, "listed twice"),
    (lambda q: {"global_tokens": [[1], [2]]}, pith.ShapeError, "one list for each of 1 sequences"),
    (lambda q: {"global_tokens": np.ones(20, bool)}, pith.DTypeError, "integers"),
    (lambda q: {"pattern": np.ones((20, 20))}, pith.ArgumentError, "expects a pith.Pattern"),
    (lambda q: {"pattern": pith.Pattern.from_mask(np.ones((19, 20)))}, pith.ShapeError, "axes of sizes"),
    (lambda q: {"pattern": pith.Pattern.from_mask(np.ones(20))}, pith.ShapeError, "axes of sizes"),
    (lambda q: {"scale": float("nan")}, pith.ArgumentError, "expects a finite number"),
    (lambda q: {"scale": "big"}, pith.ArgumentError, "expects a number"),
    (lambda q: {"out": np.empty((1, 2, 20, 31), np.float32)}, pith.ShapeError, "the result has shape"),
    (lambda q: {"out": np.empty((1, 2, 20, 32))}, pith.DTypeError, "expects float32"),
    (lambda q: {"out": np.empty((1, 2, 32, 20), np.float32).swapaxes(2, 3)}, pith.ShapeError, "contiguous last"),
]


@pytest.mark.parametrize("given,error,message", WRONG, ids=range(len(WRONG)))
def test_wrong_arguments(given, error, message):
    q, k, v = operands(1, 2, 20, 32)
    with pytest.raises(error, match=message):
        pith.attention(q, k, v, **given(q))


def test_wrong_operands():
    q, k, v = operands(1, 2, 20, 32)
    with pytest.raises(pith.ShapeError, match="do not fit each other"):
        pith.attention(q, k[..., :31], v)
    with pytest.raises(pith.ShapeError, match="do not fit each other"):
        pith.attention(q, k, v[:, :, :19])
    with pytest.raises(pith.ShapeError, match="do not fit each other"):
        pith.attention(*operands(1, 3, 20, 32, kv_heads=2))
    with pytest.raises(pith.ShapeError, match="of one rank"):
        pith.attention(q, k[0], v)
    with pytest.raises(pith.ShapeError, match="at least one feature"):
        pith.attention(q[..., :0], k[..., :0], v)
    with pytest.raises(pith.ShapeError, match="the lengths make 19 positions, the arrays have 20"):
        pith.attention(*(x[0].swapaxes(0, 1) for x in (q, k, v)), lengths=[19])
    with pytest.raises(pith.ShapeError, match="as many queries as keys"):
        pith.attention(q, k[:, :, :9], v[:, :, :9], lengths=[3])
    with pytest.raises(pith.ShapeError, match="of which there are 20 and 9"):
        pith.attention(q, k[:, :, :9], v[:, :, :9], global_tokens=[3])
    with pytest.raises(pith.DTypeError, match="one element type"):
        pith.attention(q, k.astype(np.float64), v)
    with pytest.raises(pith.DTypeError, match="no attention kernel"):
        pith.attention(*(x.astype(np.int32) for x in (q, k, v)))
    q.flags.writeable = False
    with pytest.raises(pith.ArgumentError, match="read-only"):
        pith.attention(q, k, v, out=q)
    with pytest.raises(pith.ArgumentError, match="requires a gradient"):
        pith.attention(torch.ones(1, 2, 3, requires_grad=True), torch.ones(1, 2, 3), torch.ones(1, 2, 3))


def test_ir_with_static_tensors():
    """The op on plain tensors: its destinations are made in the program, results are returned."""
    kernel = pith.compile("""
    func.func @f(%q: tensor<1x2x30x16xf32>, %scale: f64, %seen: tensor<1x30x2xi32>, %t: tensor<1x1xi32>,
                 %p: !pith.pattern<[30, 30], [10, 10]>) -> (tensor<1x2x30x16xf32>, tensor<1x2x30xf32>) {
      %out = tensor.empty() : tensor<1x2x30x16xf32>
      %lse = tensor.empty() : tensor<1x2x30xf32>
      %y:2 = "pith.attention"(%q, %q, %q, %scale, %out, %seen, %lse, %p, %t, %seen) {
          operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0>, resultSegmentSizes = array<i32: 1, 1>}
        : (tensor<1x2x30x16xf32>, tensor<1x2x30x16xf32>, tensor<1x2x30x16xf32>, f64, tensor<1x2x30x16xf32>,
           tensor<1x30x2xi32>, tensor<1x2x30xf32>, !pith.pattern<[30, 30], [10, 10]>, tensor<1x1xi32>,
           tensor<1x30x2xi32>)
        -> (tensor<1x2x30x16xf32>, tensor<1x2x30xf32>)
      return %y#0, %y#1 : tensor<1x2x30x16xf32>, tensor<1x2x30xf32>
    }""")
    q = operands(1, 2, 30, 16)[0]
    pattern = pith.Pattern.from_indices([[0, 1], [2, 2]], (30, 30), (10, 10))
    everything = np.broadcast_to(np.array([0, 30], np.int32), (1, 30, 2)).copy()
    got = kernel(q, 0.25, everything, np.array([[4]], np.int32), pattern.coordinates)
    check(got, reference(q, q, q, visible(30, 30, pattern=elements(pattern), tokens=[4]), 0.25))


@pytest.mark.parametrize("isa", ["sse", "emulate:avx512"])
def test_instruction_sets(isa):
    """Other widths of vectors, numbers of registers and so sizes of blocks."""
    q, k, v = operands(1, 2, 100, 20)
    seen = visibility((1, 100, 100), False, Limits(window=9, global_tokens=[3, 50]))
    kernel = compile_source(Variant("f32", 20, 20, lse=True, tokens=True).source(), "attention", isa=isa)
    out, lse = poisoned(q.shape), poisoned((1, 2, 100))
    kernel.native(q, k, v, 20**-0.5, out, seen.intervals, lse, seen.tokens, seen.reach)
    check((out, lse), reference(q, k, v, visible(100, 100, window=(9, 9), tokens=[3, 50])))
