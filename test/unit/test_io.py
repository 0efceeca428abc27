"""read and write: round trips, element types, file names, and that writing is all or nothing."""

from __future__ import annotations

import numpy as np
import pith
import pytest
import scipy.sparse as sp
import torch
from format_strategies import formats_and_tensors, random_tensor
from hypothesis import given, settings
from pith.io.files import cast_exactly

RNG = np.random.default_rng(3)


@settings(max_examples=100, deadline=None)
@given(formats_and_tensors())
def test_npz_keeps_any_tensor_as_it_is(tmp_path_factory, case):
    fmt, x = case
    tensor = pith.compress(pith.prune(x, fmt), fmt)
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    pith.write(path, tensor)
    back = pith.read(path)
    assert (back.shape, back.format, back.dtype) == (tensor.shape, tensor.format, tensor.dtype)
    for a, b in zip(back.buffers, tensor.buffers, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_npz_keeps_the_hierarchical_notation(tmp_path):
    tensor = pith.compress(pith.prune(RNG.normal(size=(4, 16)), "C1(1:2)->C0(2:4)"), "C1(1:2)->C0(2:4)")
    pith.write(tmp_path / "a.npz", tensor)
    assert repr(pith.read(tmp_path / "a.npz")) == repr(tensor)


@pytest.mark.parametrize("suffix", [".mtx", ".mtx.gz"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int32", "complex128", "bool"])
def test_matrix_market_keeps_values(tmp_path, suffix, dtype):
    x = random_tensor(RNG, (7, 9), dtype, 0.4)
    path = tmp_path / f"a{suffix}"
    pith.write(path, pith.compress(x, pith.CSR))
    np.testing.assert_array_equal(pith.read(path, field_as=None if dtype == "bool" else x.dtype).to_dense(), x)


def test_matrix_market_is_readable_by_scipy(tmp_path):
    import scipy.io

    x = random_tensor(RNG, (7, 9), "float64", 0.4)
    pith.write(tmp_path / "a.mtx", pith.compress(x, pith.CSC))
    np.testing.assert_array_equal(scipy.io.mmread(tmp_path / "a.mtx").toarray(), x)


def test_smtx_keeps_the_pattern(tmp_path):
    x = (RNG.random((6, 8)) < 0.3).astype(np.float32)
    pith.write(tmp_path / "a.smtx", pith.compress(x, pith.CSC))
    np.testing.assert_array_equal(pith.read(tmp_path / "a.smtx").to_dense(), x)
    with pytest.raises(pith.FormatError, match="not all 1"):
        pith.write(tmp_path / "b.smtx", pith.compress(x * 2, pith.CSR))
    assert not (tmp_path / "b.smtx").exists()


def test_format_converts(tmp_path):
    x = pith.prune(RNG.normal(size=(4, 8)), "C0(2:4)")
    pith.write(tmp_path / "a.mtx", pith.compress(x, pith.CSR))
    out = pith.read(tmp_path / "a.mtx", format="C0(2:4)")
    assert str(out.hss) == "C0(2:4)"
    np.testing.assert_allclose(out.to_dense(), x, rtol=1e-15)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.smtx"
    path.write_text("old")
    with pytest.raises(pith.FormatError):
        pith.write(path, pith.compress(np.full((2, 2), 3.0), pith.CSR))
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.smtx"]


def test_matrices_of_scipy_and_torch_are_written(tmp_path):
    x = RNG.normal(size=(4, 8)) * (RNG.random((4, 8)) < 0.5)
    for name, matrix in (
        ("a.npz", sp.csr_array(x)),
        ("b.mtx", sp.coo_matrix(x)),
        ("c.npz", torch.tensor(x).to_sparse()),
    ):
        pith.write(tmp_path / name, matrix)
        np.testing.assert_array_equal(pith.read(tmp_path / name).to_dense(), x)


def test_what_is_not_written_says_what_to_do(tmp_path):
    tensor = pith.compress(np.eye(2), "csr")
    with pytest.raises(pith.MissingFileError, match=r"there is no folder .*absent: make it first"):
        pith.write(tmp_path / "absent" / "a.npz", tensor)
    with pytest.raises(pith.ArgumentError, match=r"got str\n.*pith.write\(path, A\)"):
        pith.write(tensor, "a.npz")
    with pytest.raises(pith.ArgumentError, match=r"got ndarray\n.*pith.compress"):
        pith.write(tmp_path / "a.npz", np.eye(2))


def test_matrices_only(tmp_path):
    tensor = pith.compress(np.ones((2, 2, 2)), "d0 : compressed, d1 : dense, d2 : dense")
    for name in ("a.mtx", "a.smtx"):
        with pytest.raises(pith.ShapeError, match="npz"):
            pith.write(tmp_path / name, tensor)


def test_unknown_endings_and_missing_files(tmp_path):
    with pytest.raises(pith.FileFormatError, match=r"matrix\.txt: unknown kind(.|\n)*\.smtx"):
        pith.read("matrix.txt")
    with pytest.raises(pith.ArgumentError, match="expects the name of a file, got NoneType"):
        pith.read(None)
    with pytest.raises(pith.FileFormatError):
        pith.write(tmp_path / "a", pith.compress(np.eye(2), pith.CSR))
    with pytest.raises(FileNotFoundError):
        pith.read(tmp_path / "none.mtx")
    with pytest.raises(pith.ArgumentError, match="SparseTensor, got ndarray"):
        pith.write(tmp_path / "a.mtx", np.eye(2))


@pytest.mark.parametrize(
    ("values", "dtype", "fits"),
    [
        (np.array([1.0, -2.0]), "int8", True),
        (np.array([1.5]), "int8", False),
        (np.array([300.0]), "int8", False),
        (np.array([np.nan]), "int32", False),
        (np.array([np.inf, np.nan]), "float16", True),
        (np.array([1e300]), "float32", False),
        (np.array([0.1]), "float32", True),
        (np.array([2**40]), "int32", False),
        (np.array([-1]), "uint8", False),
        (np.array([1 + 0j]), "float32", True),
        (np.array([1 + 2j]), "float32", False),
        (np.array([1 + 2j]), "complex64", True),
        (np.array([2.0]), "bool", False),
        (np.array([1.0]), "object", False),
    ],
)
def test_values_survive_field_as(values, dtype, fits):
    if fits:
        np.testing.assert_allclose(cast_exactly(values, np.dtype(dtype), "f"), values, rtol=1e-6)
    else:
        with pytest.raises(pith.DTypeError):
            cast_exactly(values, np.dtype(dtype), "f")
