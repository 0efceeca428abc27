"""Random einsums with random patterns against float64: equations, granularities, types and layouts are drawn."""

from __future__ import annotations

import numpy as np
import pith
from cpu_programs import TOLERANCE
from einsum_cases import Case, reference
from hypothesis import given, settings
from hypothesis import strategies as st

#: Every example compiles a kernel, some tenths of a second.
EXAMPLES = 40

#: Element types, those that most kernels are for more often.
ELEMENTS = ("f32", "f32", "f64", "f16", "bf16", "i8", "i32")


@st.composite
def cases(draw) -> Case:
    """One to three operands of up to three letters each, up to two patterns on disjoint letters."""
    letters = "abcde"[: draw(st.integers(1, 5))]
    words = st.lists(st.sampled_from(letters), min_size=1, max_size=min(3, len(letters)), unique=True).map("".join)
    inputs = draw(st.lists(words, min_size=1, max_size=3))
    used = draw(st.permutations(sorted(set("".join(inputs)))))
    result = "".join(used[: draw(st.integers(0, min(3, len(used))))])
    granularity: dict[str, tuple[int, ...]] = {}
    free = list(draw(st.permutations(used)))
    for _ in range(draw(st.integers(0, 2))):
        axes = [free.pop() for _ in range(min(len(free), draw(st.integers(1, 3))))]
        if axes:
            granularity["".join(axes)] = tuple(draw(st.sampled_from((1, 1, 2, 3, 8, 32))) for _ in axes)
    transposed = tuple(i for i in range(len(inputs)) if draw(st.booleans()))
    return Case(f"{','.join(inputs)}->{result}", granularity, draw(st.sampled_from(ELEMENTS)), transposed)


@settings(max_examples=EXAMPLES, deadline=None)
@given(case=cases(), seed=st.integers(0, 2**32), density=st.sampled_from((0.0, 0.1, 0.5, 1.0)))
def test_random_einsums(case, seed, density):
    rng = np.random.default_rng(seed)
    sizes = case.sizes(rng)
    patterns, operands = case.patterns(rng, sizes, density), case.operands(rng, sizes)
    expected = reference(case.parsed, operands, patterns, sizes)
    got = np.asarray(pith.einsum(case.equation, *operands, where=patterns))
    assert got.shape == expected.shape
    # Sums may cancel: what is rounded is as large as the sum of magnitudes.
    magnitudes = reference(case.parsed, [abs(x) for x in operands], patterns, sizes)
    error = np.linalg.norm((got.astype(expected.dtype) - expected).ravel())
    assert error <= TOLERANCE.get(case.element, 0) * np.linalg.norm(magnitudes.ravel())
