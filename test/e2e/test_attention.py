"""``pith.attention`` against softmax in float64, over what queries see."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from attention_reference import RNG, TOLERANCE, check, elements, operands, reference, run, visible

#: Numbers of queries: none, one, below, at and past the size of a block, chunks and several.
SIZES = (0, 1, 7, 24, 25, 64, 65, 200, 331)


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
