"""``pith.sddmm`` of arrays on a GPU, under emulation, against float64; sizes that divide nothing."""

import numpy as np
import pith
import pytest
from pith.functional.sddmm.device import sddmm_on_device

TOLERANCE = {"float16": 1e-3, "float32": 1e-6}
M, N, K = 20, 32, 37

FORMATS = {
    "csr": "csr",
    "coo": "coo",
    "blocks": pith.Format.bsr(4, 2),
    "2:4": "C0(2:4)",
    "hss": "V(4)C1(1:2)->C0(2:4)",
}


def pattern_of(fmt, dtype):
    rng = np.random.default_rng(3)
    dense = rng.standard_normal((M, N)).astype(dtype)
    if isinstance(fmt, str) and "C0" in fmt:
        return pith.compress(pith.prune(dense, fmt), fmt)
    return pith.compress(np.where(rng.random(dense.shape) < 0.3, dense, 0).astype(dtype), fmt)


def reference(a, b, stored):
    """Values in storage order: those of a matrix that stores where each of its elements lies."""
    places = np.arange(stored.nse, dtype="f8")
    where = pith.SparseTensor(stored.shape, stored.format, (*stored.buffers[:-1], places + 1), stored.hss).to_dense()
    out = np.zeros(stored.nse)
    rows, columns = np.nonzero(where)
    out[where[rows, columns].astype(int) - 1] = (a.astype("f8") @ b.astype("f8"))[rows, columns]
    return out, np.isin(places + 1, where)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", FORMATS)
def test_sampled_products(name, dtype):
    rng = np.random.default_rng(7)
    stored = pattern_of(FORMATS[name], dtype)
    a, b = (rng.standard_normal(shape).astype(dtype) for shape in ((M, K), (K, N)))
    ref, seen = reference(a, b, stored)
    values = sddmm_on_device(a, b, stored, np.full(stored.nse, np.nan, dtype), target="emulate:sm_90")
    assert values.dtype == dtype
    assert np.linalg.norm((values - ref)[seen]) <= TOLERANCE[dtype] * np.linalg.norm(ref)
    more = sddmm_on_device(a, b, stored, values.copy(), accumulate=True, target="emulate:sm_90")
    assert np.linalg.norm((more - 2 * ref)[seen]) <= 2 * TOLERANCE[dtype] * np.linalg.norm(2 * ref)


def test_nothing_is_stored():
    stored = pith.compress(np.zeros((M, N), "f4"), "csr")
    a, b = np.full((M, K), np.nan, "f4"), np.ones((K, N), "f4")
    assert sddmm_on_device(a, b, stored, target="emulate:sm_90").shape == (0,)


def test_what_does_not_fit():
    stored = pattern_of("csr", "f4")
    a, b = np.ones((M, K), "f4"), np.ones((K, N), "f4")

    def refused(kind, match, *args, **options):
        with pytest.raises(kind, match=match):
            sddmm_on_device(*args, target="emulate:sm_90", **options)

    refused(pith.DTypeError, "no sddmm kernel for float32 and float16", a, b.astype("f2"), stored)
    refused(pith.DTypeError, "no sddmm kernel for int8", a.astype("i1"), b.astype("i1"), stored)
    refused(pith.ArgumentError, "out, which is missing", a, b, stored, accumulate=True)
    refused(pith.ShapeError, "expects float32 of shape", a, b, stored, np.empty(3, "f4"))
