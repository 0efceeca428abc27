"""``pith.einsum`` of arrays on a GPU, under emulation, against float64; patterns and sizes that divide nothing."""

import numpy as np
import pith
import pytest
from pith.functional.einsum.device import einsum_on_device

M, N, K = 67, 45, 70
TOLERANCE = {"float16": 1e-3, "float32": 1e-6, "int8": 0.0}


def pattern(sizes, granularity, share=0.4):
    """A share of the micro-tiles, at random, and the elements it names."""
    rng = np.random.default_rng([*sizes, *granularity])
    mask = rng.random([-(-n // g) for n, g in zip(sizes, granularity)]) < share
    for axis, g in enumerate(granularity):
        mask = mask.repeat(g, axis)
    mask = mask[tuple(slice(n) for n in sizes)]
    return pith.Pattern.from_mask(mask, granularity), mask


def reference(equation, arrays, masks):
    """In float64, over the elements of the iteration space that every pattern names."""
    inputs, result = equation.split("->")
    operands = [x.astype("f8") for x in arrays] + [m.astype("f8") for m in masks.values()]
    return np.einsum(f"{','.join([inputs, *masks])}->{result}", *operands)


def check(equation, shapes, where, dtype="float32", target="emulate:sm_90", **options):
    rng = np.random.default_rng(len(equation))
    arrays = [(rng.standard_normal(shape) * 3).astype(dtype) for shape in shapes]
    made = {letters: pattern(*given) for letters, given in where.items()}
    patterns, masks = {c: p for c, (p, _) in made.items()}, {c: m for c, (_, m) in made.items()}
    result = einsum_on_device(equation, arrays, patterns, target=target, **options)
    ref = reference(equation, arrays, masks)
    assert result.shape == ref.shape and result.dtype == ("int32" if dtype == "int8" else dtype)
    assert np.linalg.norm(result.astype("f8") - ref) <= TOLERANCE[dtype] * np.linalg.norm(ref)
    return ref


PRODUCT = ("mk,kn->mn", [(M, K), (K, N)])
CASES = [
    (*PRODUCT, {"m": ((M,), (1,))}, "float16"),
    (*PRODUCT, {"n": ((N,), (4,))}, "float32"),
    (*PRODUCT, {"k": ((K,), (1,))}, "float16"),
    (*PRODUCT, {"mk": ((M, K), (32, 1))}, "int8"),
    (*PRODUCT, {"mk": ((M, K), (1, 32))}, "float16"),
    (*PRODUCT, {"kn": ((K, N), (16, 16))}, "float32"),
    (*PRODUCT, {"mn": ((M, N), (16, 16))}, "float16"),
    (*PRODUCT, {"m": ((M,), (1,)), "n": ((N,), (1,))}, "float32"),
    (*PRODUCT, {"m": ((M,), (1,)), "k": ((K,), (1,))}, "float16"),
    (*PRODUCT, {}, "float16"),
    ("bmk,bkn->bmn", [(3, M, K), (3, K, N)], {"bm": ((3, M), (1, 1))}, "float16"),
    ("bmk,nk->bmn", [(3, M, K), (N, K)], {"b": ((3,), (1,))}, "float32"),
]


@pytest.mark.parametrize(("equation", "shapes", "where", "dtype"), CASES)
def test_products(equation, shapes, where, dtype):
    check(equation, shapes, where, dtype)


def test_warpgroups():
    check(*PRODUCT, {"m": ((M,), (1,))}, "float16", "emulate:sm_90a")


@pytest.mark.parametrize("letters", ["m", "k"])
def test_what_follows_the_sums(letters):
    """Scale, bias and activation; places that no pattern names have sums of zero."""
    rng = np.random.default_rng(3)
    x, w, bias = (rng.standard_normal(s).astype("f2") for s in ((M, K), (K, N), (N,)))
    p, mask = pattern((dict(m=M, k=K)[letters],), (1,))
    given = None if letters == "m" else bias
    out = einsum_on_device(
        "mk,kn->mn", [x, w], {letters: p}, given, activation="relu", scale=0.5, target="emulate:sm_90"
    )
    ref = 0.5 * reference("mk,kn->mn", [x, w], {letters: mask}) + (0 if given is None else bias.astype("f8"))
    assert np.linalg.norm(out - np.maximum(ref, 0)) <= 1e-3 * np.linalg.norm(ref)


@pytest.mark.parametrize("accumulate", [False, True])
def test_into_an_array(accumulate):
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((M, K)).astype("f4"), rng.standard_normal((K, N)).astype("f4")
    p, mask = pattern((K,), (1,))
    out = np.full((M, N), 2.0 if accumulate else np.nan, "f4")
    made = einsum_on_device("mk,kn->mn", [x, w], {"k": p}, out=out, accumulate=accumulate, target="emulate:sm_90")
    assert made is out
    ref = reference("mk,kn->mn", [x, w], {"k": mask}) + 2.0 * accumulate
    assert np.linalg.norm(out - ref) <= 1e-6 * np.linalg.norm(ref)


def test_nothing_is_named_and_what_is_not_named_is_not_read():
    x, w = np.full((M, K), np.nan, "f4"), np.ones((K, N), "f4")
    out = einsum_on_device(
        "mk,kn->mn", [x, w], {"m": pith.Pattern.from_mask(np.zeros(M, bool))}, target="emulate:sm_90"
    )
    assert (out == 0).all()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"bias": np.ones(N, "f4")}, pith.UnsupportedError, "add it to the result"),
        ({"out": np.ones((M, N), "f4")}, pith.UnsupportedError, "accumulate=True"),
        ({"accumulate": True}, pith.ArgumentError, "out, which is missing"),
        ({"activation": "tanh"}, pith.ArgumentError, "unknown activation"),
        ({"bias": np.ones(N, "f2")}, pith.DTypeError, "one element type"),
    ],
)
def test_what_is_refused(options, error, text):
    x, w = np.ones((M, K), "f4"), np.ones((K, N), "f4")
    with pytest.raises(error, match=text):
        einsum_on_device("mk,kn->mn", [x, w], {"m": pattern((M,), (1,))[0]}, target="emulate:sm_90", **options)


def test_axes_that_may_not_be_permuted_are_refused():
    with pytest.raises(pith.ShapeError, match="its pattern is for 7"):
        einsum_on_device("mk,kn->mn", [np.ones((3, 4)), np.ones((4, 2))], {"m": pattern((7,), (1,))[0]})
