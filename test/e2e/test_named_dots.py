"""Dot instructions on panel rows that lists name: rows that share coordinates, against float64.

``test_amx_products.py`` says how operands are drawn and what is an error.
"""

from __future__ import annotations

import numpy as np
import pith
import pytest
from pith.formats.parse import parse_format
from test_amx_products import FORMATS, ORIENTATIONS, TOLERANCE, check, draw, draw_sparse, product
from test_dot_products import TARGETS, UNITS, isa_of

#: Format -> rows and columns that it divides, and the density of free patterns: groups whose coordinates are whole
#: bytes in every row, in every other row, in two levels, more than a vector has lanes for; rows of two tiles; lists
#: without groups; a mask.
NAMED = {
    "V(4)C0(2:4)": (4, 4, 1.0),
    "V(16)C0(2:4)": (16, 4, 1.0),
    "V(2)C0(1:4)": (2, 4, 1.0),
    "B(4x1)C0(3:10) pad": (1, 1, 1.0),
    "V(8)C0(5:12) pad": (1, 1, 1.0),
    "V(4)C0(17:40)": (4, 40, 1.0),
    "V(4)C0(20:300)": (4, 300, 1.0),
    "d0 floordiv 4 : dense, d1 floordiv 16 : dense, (d1 floordiv 4) mod 4 : nm(2:4), d1 mod 4 : nm(1:4), "
    "d0 mod 4 : dense": (4, 16, 1.0),
    "bsr(4x1)": (4, 1, 0.3),
    "bsr(8x1) pad": (8, 1, 0.1),
    "d0 floordiv 4 : dense, d1 : bitmask, d0 mod 4 : dense": (4, 1, 0.2),
}
FORMATS = {**FORMATS, **NAMED}

#: Those that are named whatever the instruction set: half of all elements, or two rows, may be expanded faster.
EVERYWHERE = [text for text in NAMED if not text.endswith("C0(2:4)") and "V(2)" not in text]


@pytest.fixture(autouse=True)
def densities(monkeypatch):
    """Draw patterns of these formats, too, as densely as it says here."""
    monkeypatch.setattr("test_amx_products.FORMATS", FORMATS)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", NAMED)
def test_random_shapes(target, text):
    """All widths of a panel: some columns, none left, whole ones and a rest."""
    t = UNITS[isa_of(target)][0]
    rng = np.random.default_rng([len(text), len(target)])
    rows, cols, _ = NAMED[text]
    for width in (int(rng.integers(2, 16)), int(rng.integers(17, 32)), int(rng.integers(33, 48)), 64, 150):
        shape = (rows * int(rng.integers(1, 1 + 90 // rows)), cols * int(rng.integers(1, 2 + 300 // cols)))
        kernel = check(rng, target, t, text, shape, width)
    if text in EVERYWHERE:
        assert "rows of blocks list their coordinates" in kernel.explain()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", ["B(4x1)C0(3:10) pad", "bsr(4x1)"])
def test_orientations_and_accumulation(target, text):
    rng, t = np.random.default_rng(5), UNITS[isa_of(target)][0]
    for option in ORIENTATIONS:
        check(rng, target, t, text, (44, 130), 37, **{option: True})
    check(rng, target, t, text, (44, 130), 70, accumulate=True, **dict.fromkeys(ORIENTATIONS, True))


@pytest.mark.parametrize("target", TARGETS)
def test_many_tasks(target):
    """More rows and columns than one task has, rows that list nothing, in threads."""
    rng, t = np.random.default_rng(6), UNITS[isa_of(target)][0]
    check(rng, target, t, "bsr(4x1)", (208, 192), 299)
    check(rng, target, t, "bsr(8x1) pad", (201, 12), 33)


@pytest.mark.parametrize("target", TARGETS)
def test_empty_matrices(target):
    rng, t = np.random.default_rng(7), UNITS[isa_of(target)][0]
    for shape, cols in (((0, 64), 3), ((16, 64), 0), ((16, 0), 5)):
        check(rng, target, t, "bsr(4x1)", shape, cols)


@pytest.mark.parametrize("target", [t for t in TARGETS if UNITS[isa_of(t)][0] == "i8"])
@pytest.mark.parametrize("value", [-128, 127])
def test_extreme_bytes_do_not_saturate(target, value):
    packed = pith.compress(np.full((12, 130), -128, np.int8), parse_format("bsr(4x1)"))
    x, out = np.full((130, 33), value, np.int8), np.full((12, 33), 77, np.int32)
    product(target, packed.format, "i8").native(*packed.buffers, *packed.shape, x, out)
    np.testing.assert_array_equal(out, -128 * value * 130)


@pytest.mark.parametrize("text", ["bsr(4x1)", "B(4x1)C0(3:10) pad"])
def test_unstored_elements_do_not_meet_infinities(text):
    """The last dword of a row is filled up with zeros, times row 0 of the dense operand."""
    rng = np.random.default_rng(9)
    dense, packed = draw_sparse(rng, "bf16", text, (24, 41))
    x = draw(rng, "bf16", (41, 21))
    x[0, 20] = np.inf
    out = np.full((24, 21), 77, np.float32)
    product("emulate:avx512-bf16", packed.format, "bf16").native(*packed.buffers, *packed.shape, x, out)
    ones = [*packed.buffers[:-1], np.ones(len(packed.values), np.float32)]
    stored = pith.SparseTensor(packed.shape, packed.format, tuple(ones)).to_dense()[:, 0] != 0
    np.testing.assert_array_equal(np.isfinite(out[:, 20]), ~stored)
    wanted = dense.astype(np.float64) @ x[:, :20].astype(np.float64)
    assert np.linalg.norm(out[:, :20] - wanted) <= TOLERANCE * np.linalg.norm(wanted)
