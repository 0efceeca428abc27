"""Stored elements that dot instructions multiply in pairs, against float64; emulated where the host has none."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from pith.compiler.kernel import compile_source
from pith.functional.matmul.ir import matmul_source
from pith.lowering.isa import ISAS
from pith.runtime.cpu import cpu_features
from test_amx_products import ORIENTATIONS, check, draw, draw_sparse

#: Results are bf16, of sums in f32.
ROUNDING = 2.0**-8

TARGETS = ["emulate:avx512-bf16", *(["avx512-bf16"] if ISAS["avx512-bf16"].runs_on(cpu_features()) else [])]

#: Format -> contracted coordinates in a step of the loop: whole bytes of coordinates, or a group.
FORMATS = {"C0(2:4)": 8, "C0(4:8)": 8, "C0(1:4)": 16, "C1(2:4)->C0(2:4)": 16, "C0(3:4)": 16, "C1(2:4)->C0(1:4)": 64}


def multiply(target, packed, x, variant, multiple):
    """The product of a kernel that knows a divisor of the contracted size, and its register tile if that is given."""
    source = matmul_source(packed.format, "bf16", False, variant, multiple, False, False)
    kernel = compile_source(source, "matmul", isa=target)
    out = np.full((packed.shape[0], x.shape[1]), np.nan, packed.dtype)
    kernel.native(*packed.buffers, *packed.shape, x, out)
    return out.astype(np.float32)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", FORMATS)
def test_random_shapes(target, text):
    """A panel of two registers, of four, of eight; strips that are blocks, and what is left of them."""
    rng, step = np.random.default_rng(len(text)), FORMATS[text]
    for variant, multiple in ((None, step), ("lanes=32,rows=1", step), ("lanes=128,rows=1", 2 * step)):
        rows, cols = (int(rng.integers(*ends)) for ends in ((1, 90), (2, 150)))
        reds = multiple * int(rng.integers(1, 1100 // multiple))
        dense, packed = draw_sparse(rng, "bf16", text, (rows, reds))
        x = draw(rng, "bf16", (reds, cols))
        wanted = dense.astype(np.float64) @ x.astype(np.float64)
        got = multiply(target, packed, x, variant, multiple)
        assert np.linalg.norm(got - wanted) <= ROUNDING * np.linalg.norm(wanted)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", ["C0(2:4)", "C1(2:4)->C0(2:4)"])
def test_orientations_and_accumulation(target, text):
    """Of sizes that the kernel knows nothing about."""
    rng = np.random.default_rng(5)
    for option in ORIENTATIONS:
        check(rng, target, "bf16", text, (41, 144), 37, **{option: True})
    check(rng, target, "bf16", text, (44, 80), 70, accumulate=True, **dict.fromkeys(ORIENTATIONS, True))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", ["C1(7:8)->C0(15:16)", "C1(5:8)->C0(5:16)"])
def test_odd_groups_too_long_to_unroll_several(target, text):
    """Several groups together would be pairs, but a loop takes one of them a turn: none of its elements is left out."""
    rng = np.random.default_rng(11)
    dense, packed = draw_sparse(rng, "bf16", text, (9, 2048))
    x = draw(rng, "bf16", (2048, 70))
    wanted = dense.astype(np.float64) @ x.astype(np.float64)
    for variant in (None, "lanes=64,rows=1", "lanes=128,rows=1"):
        got = multiply(target, packed, x, variant, 1024)
        assert np.linalg.norm(got - wanted) <= ROUNDING * np.linalg.norm(wanted)


@pytest.mark.parametrize("target", TARGETS)
def test_empty_matrices(target):
    rng = np.random.default_rng(7)
    for shape, cols in (((0, 64), 33), ((16, 64), 0), ((16, 0), 40)):
        _, packed = draw_sparse(rng, "bf16", "C0(2:4)", shape)
        assert not multiply(target, packed, draw(rng, "bf16", (shape[1], cols)), None, 8).any()


@pytest.mark.parametrize("target", TARGETS)
def test_unstored_elements_do_not_meet_infinities(target):
    rng = np.random.default_rng(9)
    _, packed = draw_sparse(rng, "bf16", "C0(2:4)", (24, 64))
    x = draw(rng, "bf16", (64, 40))
    x[5, 3], x[17, 39] = np.inf, np.nan
    ones = [*packed.buffers[:-1], np.ones(len(packed.values), np.float32)]
    stored = pith.SparseTensor(packed.shape, packed.format, tuple(ones)).to_dense() != 0
    got = multiply(target, packed, x, None, 8)
    finite = np.ones(got.shape, bool)
    finite[:, 3], finite[:, 39] = ~stored[:, 5], ~stored[:, 17]
    np.testing.assert_array_equal(np.isfinite(got), finite)
