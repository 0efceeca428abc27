"""Bias and activation behind sums whose terms a kernel sees in parts, or not as a matrix product at all."""

import numpy as np
import pith
import pytest

CASES = [
    ("tk,ekn->tn", {"t": 1}),  # summed over e as well: the bias is added once, not per e
    ("tk,ekn->tn", {"te": (1, 1)}),
    ("mk,k->m", {"m": 32}),  # no columns
    ("mk,kn->mn", {"m": 1, "n": 4}),
    ("mk,kn->mn", {"mk": (1, 1), "n": 2}),
    ("bmk,bkn->bmn", {"b": 1, "mk": (2, 4)}),
]


@pytest.mark.parametrize("activation", ["relu", None])
@pytest.mark.parametrize("density", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("equation", "granularity"), CASES, ids=str)
def test_bias_and_activation_come_once_and_last(equation, granularity, density, activation):
    rng = np.random.default_rng(0)
    sizes = {"t": 37, "e": 3, "k": 13, "n": 9, "m": 21, "b": 4}
    terms, result = equation.split("->")
    operands = [rng.standard_normal([sizes[c] for c in letters]).astype(np.float32) for letters in terms.split(",")]
    bias = rng.standard_normal(sizes[result[-1]]).astype(np.float32)
    where, masks, computed = {}, [], np.ones([sizes[c] for c in result], bool)
    for letters, extent in granularity.items():
        axes, extents = [sizes[c] for c in letters], np.broadcast_to(extent, len(letters))
        listed = rng.random([-(-n // g) for n, g in zip(axes, extents)]) < density
        where[letters] = pith.Pattern.from_indices(
            np.argwhere(listed) if len(axes) > 1 else np.flatnonzero(listed), axes, tuple(map(int, extents))
        )
        mask = np.zeros(axes, bool)
        mask[where[letters].indices()] = True
        masks.append(mask.astype(np.float64))
        if set(letters) <= set(result):
            computed &= np.einsum(f"{letters},{result}->{result}", masks[-1], np.ones(computed.shape)) > 0
    got = pith.einsum(equation, *operands, where=where, bias=bias, activation=activation)
    want = np.einsum(f"{','.join([terms, *where])}->{result}", *(x.astype(float) for x in operands), *masks) + bias
    want = np.where(computed, np.maximum(want, 0) if activation else want, 0)
    assert np.linalg.norm(got - want) <= 1e-5 * max(1.0, float(np.linalg.norm(want)))


@pytest.mark.parametrize(
    ("equation", "listed"),
    [("tk,ekn,te->tn", letters) for letters in ("te k", "et k", "tk e", "kt e", "te n k")]
    + [("ij,jk,kl->il", letters) for letters in ("ij kl", "ji lk", "ji k", "jl ki")],
)
def test_three_operands_whose_sums_span_tiles(equation, listed):
    """No operand may weigh sums that are not whole yet; the summed dimensions span several tiles."""
    rng = np.random.default_rng(1)
    sizes = {"t": 7, "e": 3, "k": 300, "n": 5, "i": 6, "j": 290, "l": 4}
    terms, result = equation.split("->")
    operands = [rng.standard_normal([sizes[c] for c in letters]).astype(np.float32) for letters in terms.split(",")]
    masks = {letters: rng.random([sizes[c] for c in letters]) < 0.5 for letters in listed.split()}
    got = pith.einsum(equation, *operands, where={x: pith.Pattern.from_mask(mask, 1) for x, mask in masks.items()})
    want = np.einsum(f"{','.join([terms, *masks])}->{result}", *(x.astype(float) for x in (*operands, *masks.values())))
    assert np.linalg.norm(got - want) <= 1e-5 * np.linalg.norm(want)
