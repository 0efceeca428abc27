"""Conversions and sums by SciPy's compiled code: the same buffers as through coordinates."""

import ml_dtypes
import numpy as np
import pith
import pytest
from pith.formats.pack import pack_coordinates
from pith.named_formats import as_format
from pith.sparse_elements import converted, sums

LAYOUTS = ("csr", "csc", "coo", pith.BSR(2, 3), pith.BSR(4, 1))
DTYPES = ("f4", "f8", "i4", "i8", "u1", "?", "c8", "f2")


def _matrix(rng, dtype):
    rows, columns = (12 * int(n) for n in rng.integers(0, 5, 2))
    present = rng.random((rows, columns)) < rng.choice([0, 0.05, 0.5, 1])
    dense = (present * rng.integers(-5, 6, (rows, columns))).astype(dtype)
    if dense.dtype.kind == "f" and dense.size:
        dense.flat[0] = np.nan
    return dense


def _equal(a, b):
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("source", LAYOUTS, ids=str)
def test_layouts_become_each_other(source, dtype):
    rng = np.random.default_rng(LAYOUTS.index(source) * len(DTYPES) + DTYPES.index(dtype))
    for target in (*LAYOUTS, pith.COO, as_format("csr")[0].with_widths(pos=64, crd=64)):
        tensor = pith.compress(_matrix(rng, dtype), source)
        if tensor.values.size:
            tensor.values[rng.integers(tensor.values.size)] = 0  # a stored zero is dropped
        before = [b.copy() for b in tensor.buffers]
        fmt, _ = as_format(target)
        coords, values = tensor.coordinates()
        kept = np.flatnonzero(values)
        expected = pack_coordinates(coords[:, kept], values[kept], tensor.shape, fmt)
        got = converted(tensor, fmt)
        assert all(map(_equal, expected, got)) and len(expected) == len(got)
        assert all(b.ctypes.data % 64 == 0 for b in got if b.size)
        assert all(map(_equal, before, tensor.buffers)) and not np.shares_memory(got[-1], tensor.values)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fmt", (*LAYOUTS, "C0(2:4) pad"), ids=str)
def test_sums_along_an_axis(fmt, dtype):
    dense = _matrix(np.random.default_rng(7), dtype)
    if fmt == "C0(2:4) pad":
        dense = pith.prune(np.nan_to_num(dense), fmt)
    tensor = pith.compress(dense, fmt)
    wide = np.float64 if dtype[0] == "f" else np.sum(dense[:0]).dtype
    for axis in (0, 1):
        expected = tensor.to_dense().astype(wide).sum(axis=axis)
        np.testing.assert_array_equal(sums(tensor, axis, wide), expected)
        assert tensor.sum(axis=axis).dtype == (dense.dtype if dtype[0] == "f" else wide)


@pytest.mark.parametrize("fmt", ("csr", "csc", "coo", "C0(bitmask)"))
@pytest.mark.parametrize("shape", [(1, 4), (4, 1), (1, 1), (0, 4), (4, 0)])
def test_sums_of_one_element_have_a_dimension(shape, fmt):
    dense = np.ones(shape)
    for axis in (0, 1):
        got = pith.compress(dense, fmt).sum(axis=axis)
        assert got.shape == (shape[1 - axis],) and got.tolist() == dense.sum(axis=axis).tolist()


def test_blocks_divide_the_shape():
    with pytest.raises(pith.ShapeError, match="size 4, which 3 does not divide"):
        pith.compress(np.ones((1, 4)), "csr").to(pith.BSR(1, 3))


@pytest.mark.parametrize("dtype", ["float8_e5m2", "float8_e4m3fn", "bfloat16"])
def test_types_that_scipy_would_widen(dtype):
    dense = (np.eye(6, 8) * 2).astype(getattr(ml_dtypes, dtype))
    tensor = pith.compress(dense, "csr")
    assert tensor.to("csc").dtype == dense.dtype and np.array_equal(tensor.to("csc").to_dense(), dense)
    assert tensor.sum(axis=1).tolist() == [2] * 6
