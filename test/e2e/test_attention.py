"""``pith.attention`` against softmax in float64, over what queries see and how arrays lie in memory."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pith
import pytest
import torch
from attention_reference import reference, visible
from pith.compiler.attention_ir import Variant
from pith.compiler.attention_visibility import visibility
from pith.compiler.kernel import compile_source
from pith.runtime import kernel_cache, num_threads, set_num_threads

RNG = np.random.default_rng(5)

#: Largest error of results (of order 1) and logarithms, by dtype: rounding of the result, then of the sums.
TOLERANCE = {
    np.dtype(np.float64): (1e-13, 1e-12),
    np.dtype(np.float32): (5e-6, 1e-5),
    np.dtype(np.float16): (2e-3, 1e-5),
    np.dtype(ml_dtypes.bfloat16): (2e-2, 1e-5),
}

#: Numbers of queries: none, one, below, at and past the size of a block, chunks and several.
SIZES = (0, 1, 7, 24, 25, 64, 65, 200, 331)


def operands(*shape, dtype=np.float32, kv_heads=None):
    """q, k and v of one shape; ``kv_heads``: heads of k and v."""
    kv = shape if kv_heads is None else (*shape[:-3], kv_heads, *shape[-2:])
    return tuple(RNG.standard_normal(s).astype(dtype) for s in (shape, kv, kv))


def poisoned(shape, dtype=np.float32):
    return np.full(shape, np.nan, dtype)


def check(got, want, dtype=np.float32):
    """Result and logarithms are right; -inf only where it must be."""
    out, lse = got
    bounds = TOLERANCE[np.dtype(dtype)]
    assert np.asarray(out).dtype == dtype
    np.testing.assert_allclose(np.asarray(out, np.float64), want[0], rtol=0, atol=bounds[0])
    np.testing.assert_array_equal(np.isneginf(np.asarray(lse)), np.isneginf(want[1]))
    seen = np.isfinite(want[1])
    np.testing.assert_allclose(np.asarray(lse, np.float64)[seen], want[1][seen], rtol=1e-6, atol=bounds[1])


def run(q, k, v, **given):
    """Into poisoned memory, with logarithms."""
    out = poisoned((*q.shape[:-1], v.shape[-1]), q.dtype)
    result, lse = pith.attention(q, k, v, return_lse=True, out=out, **given)
    assert result is out
    return out, lse


def elements(pattern):
    """A pattern over (queries, keys) as a mask of elements."""
    mask = np.kron(pattern.mask(), np.ones(pattern.granularity, bool))
    return mask[: pattern.sizes[0], : pattern.sizes[1]]


@pytest.mark.parametrize("size", SIZES)
def test_everything_is_visible(size):
    q, k, v = operands(2, 3, size, 32)
    check(run(q, k, v), reference(q, k, v, visible(size, size)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("window", [0, 3, (5, 0), (0, 70), 1000])
def test_windows(size, window):
    q, k, v = operands(3, size, 32)
    pair = window if isinstance(window, tuple) else (window, window)
    check(run(q, k, v, window=window), reference(q, k, v, visible(size, size, window=pair)))


@pytest.mark.parametrize("size", SIZES)
def test_causal(size):
    q, k, v = operands(3, size, 32)
    check(run(q, k, v, causal=True), reference(q, k, v, visible(size, size, causal=True)))
    got = run(q, k, v, causal=True, window=10)
    check(got, reference(q, k, v, visible(size, size, causal=True, window=(10, 10))))


@pytest.mark.parametrize("size", SIZES[1:])
def test_padded_lengths(size):
    """What lies past the end is never looked at, and comes out as zeros."""
    q, k, v = operands(4, 3, size, 32)
    lengths = [size, 0, *RNG.integers(0, size + 1, 2)]
    for x in (q, k, v):
        for row, n in zip(x, lengths):
            row[:, n:] = np.nan
    mask = np.stack([visible(size, size, length=n) for n in lengths])[:, None]
    out, lse = run(q, k, v, lengths=lengths)
    check((out, lse), reference(*(np.nan_to_num(x) for x in (q, k, v)), mask))
    assert all(not out[i, :, n:].any() for i, n in enumerate(lengths))


@pytest.mark.parametrize("lengths", [[5], [0, 13, 50, 1, 0, 30], [24, 24, 48], [100, 3, 3, 3, 100], [], [0]])
@pytest.mark.parametrize("given", [{}, {"window": 4}, {"causal": True}, {"global_tokens": [0, 6], "window": 3}])
def test_packed_lengths(lengths, given):
    """Sequences one after the other: each is alone with itself, whatever else is given."""
    total, given = sum(lengths), dict(given)
    q, k, v = operands(total, 6, 32)
    tokens = given.get("global_tokens", ())
    if any(t >= max(lengths, default=0) for t in tokens):
        given["global_tokens"] = tokens = [t for t in tokens if t < max(lengths, default=0)]
    got, lse = run(q, k, v, lengths=np.array(lengths, int), **given)
    window = given.get("window")
    start = 0
    for n in lengths:
        own = slice(start, start + n)
        start += n
        mask = visible(
            n,
            n,
            window=window and (window, window),
            causal=given.get("causal", False),
            tokens=[t for t in tokens if t < n],
        )
        want = reference(*(x[own].swapaxes(0, 1) for x in (q, k, v)), mask)
        check((got[own].swapaxes(0, 1), lse[own].T), want)


@pytest.mark.parametrize("size", SIZES[1:])
def test_global_tokens(size):
    """Shared, per sequence, and more of some than of others; each pair of query and key counts once."""
    q, k, v = operands(2, 3, size, 32)
    some = [RNG.choice(size, min(size, n), replace=False) for n in (5, 40)]
    for tokens in (some[0], list(some), np.stack([some[0], some[0]]), []):
        per_row = tokens if isinstance(tokens, list) and tokens else [np.asarray(tokens, int)] * 2
        per_row = list(tokens) if isinstance(tokens, np.ndarray) and tokens.ndim == 2 else per_row
        mask = np.stack([visible(size, size, window=(9, 9), tokens=list(t)) for t in per_row])[:, None]
        check(run(q, k, v, window=9, global_tokens=tokens), reference(q, k, v, mask))


@pytest.mark.parametrize("granularity", [(64, 64), (24, 16), (40, 8), (1, 1), (7, 100)])
def test_patterns(granularity):
    """Blocks of any size at the edges too, rows without blocks, in any order."""
    size = 150
    q, k, v = operands(2, size, 32)
    for density in (0.0, 0.05, 0.5, 1.0):
        pattern = pith.Pattern.from_mask(RNG.random((size, size)) < density / np.prod(granularity), granularity)
        order = RNG.permutation(pattern.count)
        pattern = pith.Pattern(pattern.sizes, pattern.granularity, pattern.coordinates[order])
        check(run(q, k, v, pattern=pattern), reference(q, k, v, elements(pattern)))


@pytest.mark.parametrize("seed", range(12))
def test_all_of_it_at_once(seed):
    rng = np.random.default_rng(seed)
    batch, size = int(rng.integers(1, 4)), int(rng.integers(1, 200))
    q, k, v = operands(batch, 4, size, 32, kv_heads=2)
    pattern = pith.Pattern.from_mask(rng.random((size, size)) < 0.01, (40, 8))
    lengths, window = rng.integers(0, size + 1, batch), tuple(int(n) for n in rng.integers(0, 80, 2))
    tokens = rng.choice(size, min(size, 6), replace=False)
    causal, scale = bool(rng.integers(2)), float(rng.uniform(-0.5, 0.5))
    given = {"window": window, "pattern": pattern, "causal": causal}
    out = run(q, k, v, lengths=lengths, global_tokens=tokens, scale=scale, **given)
    given["pattern"] = elements(pattern)
    mask = np.stack([visible(size, size, length=n, tokens=tokens, **given) for n in lengths])[:, None]
    check(out, reference(q, k, v, mask, scale))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_element_types(dtype):
    q, k, v = operands(2, 60, 32, dtype=dtype)
    check(
        run(q, k, v, window=20, global_tokens=[3]),
        reference(q, k, v, visible(60, 60, window=(20, 20), tokens=[3])),
        dtype,
    )


@pytest.mark.parametrize("depth,width", [(1, 1), (5, 7), (64, 64), (33, 48), (128, 3)])
def test_head_sizes(depth, width):
    q, k, _ = operands(2, 50, depth)
    v = RNG.standard_normal((2, 50, width)).astype(np.float32)
    check(run(q, k, v, window=9), reference(q, k, v, visible(50, 50, window=(9, 9))))


def test_other_numbers_of_keys():
    q, (k, v) = operands(3, 40, 32)[0], operands(3, 75, 32)[1:]
    check(run(q, k, v), reference(q, k, v, visible(40, 75)))
    check(run(q, k, v, window=5), reference(q, k, v, visible(40, 75, window=(5, 5))))
    check(run(q, k[:, :0], v[:, :0]), reference(q, k[:, :0], v[:, :0], visible(40, 0)))


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
          operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1>, resultSegmentSizes = array<i32: 1, 1>}
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
    seen = visibility((1, 100, 100), None, False, (9, 9), False, [3, 50])
    kernel = compile_source(Variant("f32", 20, 20, lse=True, tokens=True).source(), "attention", isa=isa)
    out, lse = poisoned(q.shape), poisoned((1, 2, 100))
    kernel.native(q, k, v, 20**-0.5, out, seen.intervals, lse, seen.tokens, seen.reach)
    check((out, lse), reference(q, k, v, visible(100, 100, window=(9, 9), tokens=[3, 50])))
