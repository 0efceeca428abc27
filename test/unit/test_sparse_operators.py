"""Operators of sparse tensors, against NumPy on the dense ones; formats are kept, zeros stay zeros."""

from __future__ import annotations

import copy
import pickle

import ml_dtypes
import numpy as np
import pith
import pytest
import scipy.sparse as sp
from format_strategies import formats_and_tensors
from hypothesis import given, settings
from hypothesis import strategies as st

FORMATS = ("csr", "csc", "coo", "bsr(2x5)", "C0(*)", "C0(bitmask)", "dia", "V(4)C0(5:5)", "C0(4:4) pad")
RNG = np.random.default_rng(11)


def matrix(shape=(12, 10), density=0.3, dtype=np.float64):
    return (RNG.integers(-9, 10, shape) * (RNG.random(shape) < density)).astype(dtype)


def check(got, want, fmt):
    """``got`` is ``want``, stored in a format."""
    assert isinstance(got, pith.SparseTensor)
    assert got.validate().format == fmt
    np.testing.assert_array_equal(got.to_dense(), want)
    assert got.dtype == want.dtype


@settings(max_examples=60, deadline=None)
@given(formats_and_tensors(), st.sampled_from((2, -0.5, np.float64(3), True)))
def test_numbers_scale_any_format(case, number):
    fmt, x = case
    x = pith.prune(x, fmt)
    A = pith.compress(x, fmt)
    check(A * number, x * number, A.format)
    check(number * A, number * x, A.format)
    check(A / 4, x / 4, A.format)
    check(abs(A), abs(x), A.format)
    if x.dtype.kind != "b":
        check(-A, -x, A.format)


@settings(max_examples=60, deadline=None)
@given(formats_and_tensors(dtypes=("float64", "int32")), st.integers(-3, 2))
def test_sums_of_any_format(case, axis):
    fmt, x = case
    x = pith.prune(x, fmt)
    A = pith.compress(x, fmt)
    np.testing.assert_allclose(A.sum(), x.sum(), rtol=1e-12, atol=1e-12)
    if -x.ndim <= axis < x.ndim:
        np.testing.assert_allclose(A.sum(axis), x.sum(axis), rtol=1e-12, atol=1e-12)
    else:
        with pytest.raises(pith.ShapeError, match="expects a dimension of the tensor"):
            A.sum(axis)


@pytest.mark.parametrize("fmt", FORMATS)
def test_two_matrices(fmt):
    x, y = matrix(), matrix()
    A, B = pith.compress(x, fmt), pith.compress(y, "csr")
    check(A + B, x + y, A.format)
    check(A - B, x - y, A.format)
    check(A * B, x * y, A.format)
    check(A + 2 * A, 3 * x, A.format)
    check(sum([A, B, A]), x + y + x, A.format)
    check(A + sp.csc_array(y), x + y, A.format)
    check(sp.csr_array(y) - A, y - x, A.format)
    assert (A - A.to("csc")).nnz == 0


@pytest.mark.parametrize("fmt", FORMATS)
def test_dense_operands(fmt):
    x, y = matrix(), matrix() + 0.5
    A = pith.compress(x, fmt)
    np.testing.assert_array_equal(A + y, x + y)
    np.testing.assert_array_equal(y - A, y - x)
    check(A * y, x * y, A.format)
    check(y[0] * A, y[0] * x, A.format)
    check(A / y[:, :1], x / y[:, :1], A.format)


def test_zeros_stay_zeros():
    x = np.float32([[0, 2, 0, 0], [0, 0, 0, 0]])
    A = pith.compress(x, "C0(2:4)")
    with np.errstate(divide="ignore"):
        for got in (A * np.nan, A * np.full(4, np.nan), A / np.float32(0), A * np.float32(np.inf)):
            dense = got.to_dense()
            assert not np.isfinite(dense[0, 1]) and np.count_nonzero(dense) == 1 and got.format == A.format
    assert not np.signbit((-A).to_dense()).any(where=x == 0)


def test_dtypes_follow_numpy():
    for dtype in (np.int8, np.float16, np.float32, ml_dtypes.bfloat16, np.complex64):
        x = np.array([[1, 0, 3]], dtype)
        A = pith.compress(x, "csr")
        check(A * 2, x * 2, A.format)
        check(A / 2, x / 2, A.format)
        check(A + A, x + x, A.format)
        assert A.sum() == 4 and A.sum().dtype == x.sum().dtype and A.sum(axis=1).dtype == x.sum(axis=1).dtype
        assert A[0, 2] == 3 and A[0, 2].dtype == A[0, 1].dtype == dtype
        check(A[:, 1:], x[:, 1:], A.format)
    with pytest.raises(pith.DTypeError, match="negative of bool"):
        -pith.compress(np.eye(2, dtype=bool), "csr")


def test_torch_operands():
    torch = pytest.importorskip("torch")
    x, y = matrix(dtype=np.float32), matrix(dtype=np.float32)
    A, t = pith.compress(x, "csr"), torch.from_numpy(y)
    for got, want in ((A + t, x + y), (t + A, x + y), (A - t, x - y), (t - A, y - x)):
        assert torch.equal(got, torch.from_numpy(want))
    check(A * t, x * y, A.format)
    check(t * A, x * y, A.format)
    check(A + t.to_sparse_csr(), x + y, A.format)
    with pytest.raises(pith.Error, match="SparseTensor"):
        torch.as_tensor(A)


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("key", [np.s_[:4], np.s_[4:], np.s_[::2, :], np.s_[[0, 3, 3, 8]], np.s_[..., 0:10]])
def test_rows(fmt, key):
    x = matrix()
    A = pith.compress(x, fmt)
    if fmt == "V(4)C0(5:5)" and len(x[key]) % 4:
        with pytest.raises(pith.ShapeError, match="the part does not obey the format"):
            A[key]
    else:
        check(A[key], x[key], A.format)


@pytest.mark.parametrize("fmt", ("csr", "csc", "C0(1:5)"))
def test_parts(fmt):
    x = pith.prune(matrix(density=0.9), fmt)
    A = pith.compress(x, fmt)
    for key in (np.s_[3], np.s_[-1], np.s_[:, 2], np.s_[5, 1:7]):
        assert A[key].ndim == 1
        np.testing.assert_array_equal(A[key].to_dense(), x[key])
    np.testing.assert_array_equal(A[[1, 2, 9], [3, 4, 0]], x[[1, 2, 9], [3, 4, 0]])
    assert [[A[i, j] for j in range(10)] for i in range(12)] == x.tolist()
    check(A[x[:, 0] == 0], x[x[:, 0] == 0], A.format)
    assert A[2:2].shape == (0, 10)
    for key in (12, (0, 10), -13):
        with pytest.raises(IndexError, match=r"out of (range|bounds)") as caught:
            A[key]
        assert isinstance(caught.value, pith.CheckError)
    with pytest.raises(pith.CheckError):
        A["a"]


def test_entries_stored_twice_are_one():
    levels = (0, "compressed(nonunique)"), (1, "singleton(nonunique)")
    repeated = pith.Format.make(2, *levels, pos_width=32, crd_width=32)
    A = pith.SparseTensor((2, 2), repeated, (*np.int32([[0, 2], [1, 1], [0, 0]]), np.array([2.0, 3.0])))
    assert A[1, 0] == 5 and (A + A).to_dense()[1, 0] == (A + A.to("csr")).to_dense()[1, 0] == 10 and A.sum() == 5


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda A: A + 1, pith.ArgumentError, "leaves no zeros"),
        (lambda A: 1 - A, pith.ArgumentError, "leaves no zeros"),
        (lambda A: A + pith.compress(np.eye(3), "csr"), pith.ShapeError, "do not broadcast"),
        (lambda A: A * pith.compress(np.eye(3), "csr"), pith.ShapeError, "do not broadcast"),
        (lambda A: A * np.ones(3), pith.ShapeError, r"\(3,\) does not broadcast to the tensor's \(4, 4\)"),
        (lambda A: A * np.ones((2, 4, 4)), pith.ShapeError, "does not broadcast"),
        (lambda A: A + pith.compress(np.ones((4, 4)), "csr"), pith.FormatError, "sum does not obey the format.*C0"),
        (lambda A: bool(A), pith.ArgumentError, "neither true nor false"),
        (lambda A: len(A), pith.ArgumentError, "ambiguous"),
        (lambda A: np.asarray(A), pith.DTypeError, "no dense array"),
        (lambda A: sp.csr_array(np.eye(4)) @ A, pith.DTypeError, "pith.matmul"),
        (lambda A: pith.compress(np.eye(4).reshape(4, 2, 2), pith.Format.coo(3))[0], pith.UnsupportedError, "parts"),
        (lambda A: A * None, TypeError, "unsupported operand"),
        (lambda A: A / A, pith.ArgumentError, r"0 / 0[^\n]*\n.*to_dense"),
        (lambda A: 2 / A, pith.ArgumentError, "divides by its zeros"),
        (lambda A: np.eye(4) / A, pith.ArgumentError, "divides by its zeros"),
        (lambda A: A > 0, pith.ArgumentError, r"compare true[^\n]*\n.*to_scipy\(\) > x"),
        (lambda A: np.eye(4) <= A, pith.ArgumentError, "compare true"),
        (lambda A: A // 2, pith.ArgumentError, "no // and %"),
        (lambda A: 2 % A, pith.ArgumentError, "no // and %"),
        (lambda A: A**0, pith.ArgumentError, "above 0 as exponent, got 0"),
        (lambda A: A**-1.5, pith.ArgumentError, "above 0 as exponent"),
        (lambda A: A**1j, pith.ArgumentError, "above 0 as exponent"),
        (lambda A: A**A, pith.ArgumentError, "above 0 as exponent"),
        (lambda A: 2**A, pith.ArgumentError, "leaves no zeros"),
        (lambda A: A.__setitem__((0, 0), 1), pith.ArgumentError, r"never changes\n.*repack"),
        (lambda A: np.sum(A, dtype=int), pith.ArgumentError, r"an axis only\n.*astype"),
        (lambda A: A + None, TypeError, "unsupported operand"),
        (list, TypeError, "not iterable"),
    ],
)
def test_what_is_not_sparse_is_refused(act, error, message):
    with pytest.raises(error, match=message):
        act(pith.compress(np.eye(4), "C0(1:4)"))


def test_powers_are_those_of_scipys_arrays():
    for fmt in FORMATS:
        A = pith.compress(matrix(), fmt)
        check(A**2, A.to_dense() ** 2, A.format)
        check(abs(A).power(0.5), abs(A.to_dense()) ** 0.5, A.format)
    np.testing.assert_array_equal((A**3).to_dense(), (A.to(pith.CSR).to_scipy() ** 3).toarray())


def test_numpys_sum():
    A = pith.compress(matrix(), "csr")
    assert np.sum(A) == A.to_dense().sum()
    np.testing.assert_array_equal(np.sum(A, axis=1), A.to_dense().sum(1))


def test_objects():
    A = pith.compress(matrix(), "csr")
    assert A == A and A != copy.copy(A) and A in [A] and {A: 1}[A] == 1
    for copied in (pickle.loads(pickle.dumps(A.T)), copy.deepcopy(A.T), copy.copy(A.T)):
        np.testing.assert_array_equal(copied.T.toarray(), A.todense())
    assert A.ndim == 2
