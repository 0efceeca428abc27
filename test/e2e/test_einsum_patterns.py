"""``pith.einsum`` with random patterns against float64: many axes, granularities and element types."""

from __future__ import annotations

import math

import numpy as np
import pith
import pytest
import torch
from cpu_programs import DTYPES, check, poisoned, wide
from einsum_cases import Case, named, places, reference
from hypothesis import given, settings
from hypothesis import strategies as st
from pith.runtime import kernel_cache

CASES = (
    Case("mk,kn->mn", {}),
    Case("mk,kn->mn", {"m": (1,)}),
    Case("mk,kn->mn", {"n": (3,)}),
    Case("mk,kn->mn", {"k": (4,)}, transposed=(0,)),
    Case("mk,kn->mn", {"mk": (4, 1)}),
    Case("mk,kn->mn", {"mk": (1, 8)}),
    Case("mk,kn->mn", {"km": (1, 1)}, transposed=(1,)),
    Case("mk,kn->mn", {"mn": (4, 2)}),
    Case("mk,kn->mn", {"m": (1,), "k": (1,)}),
    Case("mk,kn->mn", {"mk": (3, 1), "n": (2,)}),
    Case("mk,nk->mn", {"nk": (4, 8)}),
    Case("mk,kn->mn", {"mnk": (4, 8, 2)}),
    Case("mk,kn->mn", {"m": (1,)}, "f64"),
    Case("mk,kn->mn", {"mk": (4, 1)}, "bf16"),
    Case("mk,kn->mn", {"m": (1,)}, "f16"),
    Case("mk,kn->mn", {"k": (1,)}, "i8"),
    Case("bmk,bkn->bmn", {"bm": (1, 1)}),
    Case("bmk,bkn->bmn", {"b": (1,)}),
    Case("bmk,bkn->bmn", {"k": (2,)}),
    Case("bmk,bkn->bmn", {"bmk": (4, 8, 1)}),
    Case("bmk,bnk->bmn", {"kbm": (2, 3, 1)}, "bf16", transposed=(0,)),
    Case("bmk,bkn->bmn", {"nbk": (1, 2, 1), "m": (2,)}, "i8"),
    Case("abc,bd->adc", {"abc": (2, 3, 1)}, "f64"),
    Case("tk,ekn->tn", {"te": (1, 1)}),
    Case("mk->m", {"mk": (2, 2)}),
    Case("mk->", {"k": (1,)}, "f64"),
    Case("mk->km", {"mk": (2, 4)}, "i32"),
    Case("mk,mk->mk", {"mk": (4, 1)}),
    Case("m,n->mn", {"mn": (2, 2)}),
    Case("mk,kn,m->mn", {"m": (1,), "n": (4,)}),
    Case("tk,ekn,te->tn", {"te": (1, 1)}),
    Case("k,mk,kn->mn", {"m": (2,)}),
    Case("mk,m,kn->mn", {"n": (2,)}, "bf16"),
    Case("mk,kn,m->mn", {}, "i8"),
    Case("ab,bc,ca->", {"bc": (1, 2)}, "f64"),
)

#: Activations in float64.
ACTIVATIONS = {
    None: lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "gelu": lambda z: z * 0.5 * (1 + np.vectorize(math.erf)(z / math.sqrt(2))),
}

FEW = settings(max_examples=8, deadline=None)


@pytest.mark.parametrize("case", CASES, ids=str)
@FEW
@given(seed=st.integers(0, 2**32), density=st.sampled_from((0.0, 0.1, 0.5, 1.0)))
def test_random_patterns(case, seed, density):
    rng = np.random.default_rng(seed)
    sizes = case.sizes(rng)
    patterns, operands = case.patterns(rng, sizes, density), case.operands(rng, sizes)
    expected = reference(case.parsed, operands, patterns, sizes)
    check(pith.einsum(case.equation, *operands, where=patterns), expected, case.element)


@pytest.mark.parametrize("listed, columns", [(True, 7), (False, 0)])
def test_sums_over_batches_of_no_columns(listed, columns):
    """Tasks of all batches share the groups of columns out; of none there is nothing to divide by."""
    a, b = np.ones((3, columns, 9, 8), np.float32), np.ones((2, 8), np.float32)
    nothing = {"b": pith.Pattern.from_indices([], columns)} if listed else {}
    assert np.array_equal(pith.einsum("abde,ce->cab", a, b, where=nothing), np.zeros((2, 3, columns)))


@pytest.mark.parametrize("case", CASES[1::3], ids=str)
@FEW
@given(seed=st.integers(0, 2**32), density=st.sampled_from((0.0, 0.3, 1.0)))
def test_places_that_are_not_named_keep_what_out_holds(case, seed, density):
    rng = np.random.default_rng(seed)
    sizes = case.sizes(rng)
    patterns, operands = case.patterns(rng, sizes, density), case.operands(rng, sizes)
    expected = reference(case.parsed, operands, patterns, sizes)
    kept = ~places(case.parsed, patterns, sizes)
    element = case.element if "f" in case.element else "i32"
    out = poisoned(expected.shape, element)
    assert pith.einsum(case.equation, *operands, where=patterns, out=out) is out
    assert np.array_equal(out[kept], poisoned(expected.shape, element)[kept], equal_nan="f" in element)
    check(np.where(kept, 0, out), expected, case.element)


@pytest.mark.parametrize("case", CASES[::4], ids=str)
@FEW
@given(seed=st.integers(0, 2**32))
def test_accumulate(case, seed):
    rng = np.random.default_rng(seed)
    sizes = case.sizes(rng)
    patterns, operands = case.patterns(rng, sizes, 0.4), case.operands(rng, sizes)
    expected = reference(case.parsed, operands, patterns, sizes)
    out = np.full(expected.shape, 3, DTYPES[case.element if "f" in case.element else "i32"])
    pith.einsum(case.equation, *operands, where=patterns, out=out, accumulate=True)
    check(out, expected + 3, case.element)


@pytest.mark.parametrize(
    "case",
    [
        Case("mk,kn->mn", {"mk": (8, 1)}),
        Case("mk,nk->mn", {"nk": (8, 1)}),
        Case("mk,nk->mn", {"mn": (1, 1)}),
        Case("mbi,bik->mk", {"bk": (1, 1)}),
        Case("mbi,mk->bik", {"bk": (1, 1)}),
        Case("tk,ekn->tn", {"te": (1, 1)}),
        Case("tk,ekn,te->tn", {"te": (1, 1)}),
    ],
    ids=str,
)
@pytest.mark.parametrize("density", [0.05, 0.6])
def test_lists_longer_than_what_a_task_takes(case, density):
    rng = np.random.default_rng(8)
    sizes = {c: {"b": 9, "e": 9, "i": 33}.get(c, 301 + 2 * i) for i, c in enumerate(case.parsed.letters)}
    patterns, operands = case.patterns(rng, sizes, density), case.operands(rng, sizes)
    expected = reference(case.parsed, operands, patterns, sizes)
    check(pith.einsum(case.equation, *operands, where=patterns), expected, case.element)


@pytest.mark.parametrize("case", [c for c in CASES if c.granularity and c.element == "f32"], ids=str)
def test_what_is_not_named_is_not_read(case):
    """NaN wherever no element that the patterns name lies."""
    rng = np.random.default_rng(3)
    sizes = {c: 19 + 2 * i for i, c in enumerate(case.parsed.letters)}
    patterns, operands = case.patterns(rng, sizes, 0.3), case.operands(rng, sizes)
    expected = reference(case.parsed, operands, patterns, sizes)
    for array, letters in zip(operands, case.parsed.inputs):
        array[named(letters, patterns, sizes) == 0] = np.nan
    check(pith.einsum(case.equation, *operands, where=patterns), expected, case.element)


@pytest.mark.parametrize(
    ("granularity", "element", "activation"),
    [
        ({}, "f32", "gelu"),
        ({"m": (2,)}, "bf16", "relu"),
        ({"mk": (4, 1)}, "f32", "relu"),
        ({"k": (1,), "n": (3,)}, "bf16", None),
        ({"mn": (4, 3)}, "f32", None),
    ],
)
def test_epilogue(granularity, element, activation):
    """Bias, activation and scale apply where something is computed, and nowhere else."""
    case = Case("mk,kn->mn", granularity, element)
    rng = np.random.default_rng(5)
    sizes = {"m": 21, "n": 30, "k": 17}
    patterns, operands = case.patterns(rng, sizes, 0.4), case.operands(rng, sizes)
    bias = rng.standard_normal(30).astype(DTYPES[element])
    sums = 0.5 * reference(case.parsed, operands, patterns, sizes) + wide(bias)
    expected = ACTIVATIONS[activation](sums) * places(case.parsed, patterns, sizes)
    options = {"where": patterns, "bias": bias, "scale": 0.5, "activation": activation}
    out = pith.einsum(case.equation, *operands, **options)
    check(out, expected, element)
    check(pith.einsum(case.equation, *operands, **options, out=out, accumulate=True), 2 * expected, element)


def test_new_patterns_and_sizes_compile_nothing():
    case = Case("mk,kn->mn", {"mk": (4, 1)})
    rng = np.random.default_rng(6)
    pith.einsum("mk,kn->mn", *case.operands(rng, s := {"m": 5, "n": 6, "k": 7}), where=case.patterns(rng, s, 0.5))
    compiled = kernel_cache().stats.compiled
    for density in (0.0, 0.2, 0.9, 1.0):
        sizes = case.sizes(rng)
        pith.einsum("ij,jl->il", *case.operands(rng, sizes), where={"ij": case.patterns(rng, sizes, density)["mk"]})
    assert kernel_cache().stats.compiled == compiled


def test_dimensions_in_any_order_in_memory():
    """Transposed operands and results are read and written as they are."""
    rng = np.random.default_rng(7)
    a, b = rng.standard_normal((4, 5, 6)), rng.standard_normal((4, 6, 7))
    pattern = pith.Pattern.from_mask(rng.random((4, 5)) < 0.5)
    expected = (a @ b) * pattern.mask()[:, :, None]
    out = np.zeros((7, 4, 5)).transpose(1, 2, 0)
    transposed = np.ascontiguousarray(a.transpose(2, 0, 1)).transpose(1, 2, 0)
    pith.einsum("bmk,bkn->bmn", transposed, b, where={"bm": pattern}, out=out)
    np.testing.assert_allclose(out, expected, atol=1e-12)
    sliced = np.zeros((4, 5, 8))[:, :, :7]
    with pytest.raises(pith.ShapeError, match="without gaps"):
        pith.einsum("bmk,bkn->bmn", a, b, where={"bm": pattern}, out=sliced)
    padded = np.pad(b, ((0, 0), (0, 0), (0, 1)))[:, :, :7]
    np.testing.assert_allclose(pith.einsum("bmk,bkn->bmn", a, padded, where={"bm": pattern}), expected, atol=1e-12)


def test_an_operand_may_be_the_output():
    a = np.arange(9.0).reshape(3, 3)
    expected = a.T * np.eye(3)
    pith.einsum("mk->km", a, where={"mk": pith.Pattern.from_mask(np.eye(3))}, out=a)
    assert np.array_equal(np.diag(a), np.diag(expected))


X, W = np.ones((3, 4), np.float32), np.ones((4, 2), np.float32)
GRAD = torch.ones(3, 4, requires_grad=True)
M, K, MK = (pith.Pattern.from_mask(np.ones(s)) for s in (3, 4, (3, 4)))


@pytest.mark.parametrize(
    ("error", "message", "arguments", "options"),
    [
        (pith.ArgumentError, "2 operands and 1 were given", ("mk,kn->mn", X), {}),
        (pith.ArgumentError, "has 4 operands: at most 3 are possible", ("m,m,m,m", *[X[:, 0]] * 4), {}),
        (pith.ArgumentError, "expects an equation, got int", (3, X), {}),
        (pith.ArgumentError, "has ';' where a letter is expected", ("mk;kn->mn", X, W), {}),
        (pith.ArgumentError, "where: expects letters -> pith.Pattern, got list", ("mk->m", X), {"where": [M]}),
        (pith.ArgumentError, "where: expects letters -> pith.Pattern, got list", ("mk->m", X), {"where": []}),
        (pith.ArgumentError, "expects letters, got 0", ("mk->m", X), {"where": {0: M}}),
        (pith.ArgumentError, "scale: expects a number, got str", ("mk->m", X), {"scale": "x"}),
        (pith.ArgumentError, "'q' in its result and in no operand", ("mk,kn->mq", X, W), {}),
        (pith.ArgumentError, "'m' twice in its result", ("mk->mm", X), {}),
        (pith.ArgumentError, "'1' where a letter is expected", ("m1,1n->mn", X, W), {}),
        (pith.ShapeError, "operand 0 has 2 dimensions, 'mkz' names 3", ("mkz,kn->mn", X, W), {}),
        (pith.ShapeError, "'k' has size 4, operand 1", ("mk,kn->mn", X, X), {}),
        (pith.DTypeError, "one element type", ("mk,kn->mn", X, W.astype(float)), {}),
        (pith.DTypeError, "no kernel for complex64", ("mk->m", X.astype(np.complex64)), {}),
        (pith.DTypeError, "uint8: integers are signed(.|\n)*int16 or wider", ("mk->m", X.astype("u1")), {}),
        (pith.DTypeError, "integers are signed", ("mk->m", torch.ones(3, 4, dtype=torch.uint8)), {}),
        (
            pith.ArgumentError,
            "operand 0.*requires a gradient(.|\n)*pith.torch.einsum has gradients",
            ("mk->m", GRAD),
            {},
        ),
        (pith.ArgumentError, "bias.*requires a gradient", ("mk->k", X), {"bias": GRAD[0]}),
        (pith.ArgumentError, "expects a pith.Pattern for 'm'", ("mk->m", X), {"where": {"m": [0]}}),
        (pith.ArgumentError, "expects 2 different letters", ("mk->m", X), {"where": {"m": MK}}),
        (pith.ArgumentError, "has no letter 'z'", ("mk->m", X), {"where": {"z": M}}),
        (pith.ShapeError, "'m' has size 3, its pattern is for 4", ("mk->m", X), {"where": {"m": K}}),
        (pith.ArgumentError, "'m' has two patterns", ("mk->m", X), {"where": {"m": M, "mk": MK}}),
        (pith.UnsupportedError, r"'i' cannot have a pattern.*operand #0 uses i 2 times", ("ii->i", X[:, :3]), "i"),
        (pith.ArgumentError, "out, which is missing", ("mk->m", X), {"accumulate": True}),
        (pith.ShapeError, "out: expects shape", ("mk->m", X), {"out": X}),
        (pith.ArgumentError, "out: the array is read-only", ("mk->m", X), {"out": np.broadcast_to(X[0, :1], 3)}),
        (pith.DTypeError, "out: expects float32", ("mk->m", X), {"out": np.zeros(3)}),
        (pith.ArgumentError, "unknown activation 'tanh'", ("mk->m", X), {"activation": "tanh"}),
        (pith.ShapeError, "bias: expects shape", ("mk,kn->mn", X, W), {"bias": X[0]}),
        (pith.DTypeError, "no bias, activation or scale", ("mk->m", X.astype(np.int8)), {"scale": 2.0}),
    ],
)
def test_bad_input(error, message, arguments, options):
    options = {"where": {"i": M}} if options == "i" else options
    with pytest.raises(error, match=message):
        pith.einsum(*arguments, **options)
