"""Groups a register at a time, and rows of sampled products: odd sizes, rests, other element types, against float64."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from cpu_programs import check, poisoned
from pith.compiler.packing import repack_compiled, unpack_compiled
from pith.formats.pack_read import unpack
from pith.runtime import num_threads, set_num_threads

RNG = np.random.default_rng(19)

#: Groups that fill registers, that leave parts of bytes at the ends of rows, and that do neither.
GROUPS = ("C0(2:4)", "C0(1:2)", "C0(4:8)", "C0(1:4)", "C0(2:8)", "C0(1:8)", "C0(3:4)", "C0(1:16)", "C0(4:4)", "C0(2:6)")
OTHERS = ("csr", "csc", "V(4)C0(2:4)", "B(4x4)C0(1:2)", "C1(3:4)->C0(2:4)", "C0(2:4) pad", "V(16)C0(2:4)")


def packed(shape, fmt, dtype=np.float32):
    w = RNG.standard_normal(shape).astype(dtype)
    w[RNG.random(shape) < 0.3] = 0
    return pith.compress(pith.prune(w, fmt), fmt)


@pytest.mark.parametrize("groups", [1, 3, 4, 8, 15, 16, 33])
@pytest.mark.parametrize("fmt", GROUPS)
def test_groups_are_unpacked_and_taken(fmt, groups):
    size = pith.HSS.parse(fmt).to_format().exprs[-1].mod
    A = packed((5, groups * size), fmt)
    dense = unpack_compiled(A.buffers, A.format, A.shape)
    np.testing.assert_array_equal(dense, unpack(A.buffers, A.format, A.shape))
    w = RNG.standard_normal(A.shape).astype(np.float32)
    i, j = A.coordinates()[0]
    np.testing.assert_array_equal(repack_compiled(A.buffers, A.format, w), w[i, j])


@pytest.mark.parametrize("terms", [1, 3, 8, 40])
@pytest.mark.parametrize("shape", [(4, 48), (48, 96), (20, 240), (33, 144)])
@pytest.mark.parametrize("fmt", [*GROUPS, *OTHERS])
def test_few_terms(fmt, shape, terms):
    form = pith.sparse.as_format(fmt)[0]
    shape = tuple(-(-n // d) * d for n, d in zip(shape, form.divisors()))
    S = packed(shape, fmt)
    y, x = (RNG.standard_normal((terms, n)).astype(np.float32) for n in shape)
    out = poisoned((S.nse,), "f32")
    pith.sddmm(y.T, x, S, out=out)
    (i, j), expected = S.coordinates()[0], y.T.astype(np.float64) @ x
    inside = (i < shape[0]) & (j < shape[1])
    expected = np.where(inside, expected[np.where(inside, i, 0), np.where(inside, j, 0)], 0)
    check(out, expected, "f32")
    pith.sddmm(y.T, x, S, out=out, accumulate=True)
    check(out, 2 * expected, "f32")


@pytest.mark.parametrize("fmt", ["csr", "C0(2:4)"])
def test_few_terms_in_f64_with_infinities_and_threads(fmt):
    """What is not stored may be infinite; threads take rows."""
    S = packed((70, 132), fmt, np.float64)
    y, x = RNG.standard_normal((6, 70)), RNG.standard_normal((6, 132))
    x[2, 5] = np.inf
    i, j = S.coordinates()[0]
    threads, found = num_threads(), []
    try:
        for count in (1, 2):
            set_num_threads(count)
            found.append(pith.sddmm(y.T, x, S).values)
    finally:
        set_num_threads(threads)
    np.testing.assert_array_equal(*found)
    assert np.array_equal(np.isfinite(found[0]), j != 5)
    check(found[0][j != 5], (y.T @ x)[i, j][j != 5], "f64")
