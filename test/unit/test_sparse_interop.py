"""SciPy and torch tensors in and out."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from format_strategies import random_tensor

RNG = np.random.default_rng(11)


def _matrix(dtype: str = "float32") -> np.ndarray:
    return random_tensor(RNG, (12, 10), dtype, 0.3)


# -- SciPy ------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
@pytest.mark.parametrize("make", ["array", "matrix"])
def test_from_and_to_scipy(layout, make):
    sp = pytest.importorskip("scipy.sparse")
    x = _matrix("float64")
    matrix = getattr(sp, f"coo_{make}")(x).asformat(layout)
    tensor = pith.SparseTensor.from_scipy(matrix).validate()
    np.testing.assert_array_equal(tensor.to_dense(), x)
    back = tensor.to_scipy()
    np.testing.assert_array_equal(back.toarray(), x)
    kept = {"csr": "csr", "csc": "csc", "bsr": "csr"}  # SciPy's own choice of blocks is 1x1 here
    assert back.format == kept.get(layout, "coo")


@pytest.mark.parametrize("block", [(1, 1), (1, 5), (4, 1)])
def test_blocks_of_one_row_or_column_have_kernels(block):
    sp = pytest.importorskip("scipy.sparse")
    matrix = sp.bsr_array(_matrix(), blocksize=block)
    tensor = pith.SparseTensor.from_scipy(matrix)
    assert tensor.format == pith.BSR(*matrix.blocksize)
    assert tensor.to_scipy().format == ("csr" if block == (1, 1) else "bsr")
    np.testing.assert_array_equal(tensor.to_scipy().toarray(), matrix.toarray())
    np.testing.assert_allclose(tensor @ np.ones((10, 2), np.float32), matrix @ np.ones((10, 2)), rtol=1e-5)


@pytest.mark.parametrize("layout", ["csr", "csc", "bsr"])
def test_scipy_arrays_are_shared(layout):
    sp = pytest.importorskip("scipy.sparse")
    matrix = sp.csr_array(_matrix()).asformat(layout)
    tensor = pith.SparseTensor.from_scipy(matrix)
    for ours, theirs in zip(tensor.buffers, (matrix.indptr, matrix.indices, matrix.data)):
        assert np.shares_memory(ours, theirs)
    assert np.shares_memory(tensor.to_scipy().data, matrix.data)


def test_scipy_matrices_that_are_not_canonical_are_put_in_order():
    sp = pytest.importorskip("scipy.sparse")
    data, indices, indptr = np.array([1.0, 2, 3, 4]), np.array([2, 0, 2, 1]), np.array([0, 3, 4])
    matrix = sp.csr_array((data, indices, indptr), shape=(2, 3))
    tensor = pith.SparseTensor.from_scipy(matrix).validate()
    assert tensor.to_dense().tolist() == [[2, 0, 4], [0, 4, 0]]
    assert matrix.indices.tolist() == [2, 0, 2, 1], "the input is untouched"
    coo = sp.coo_array((data, ([1, 0, 1, 0], [2, 0, 2, 1])), shape=(2, 3))
    assert pith.SparseTensor.from_scipy(coo).validate().to_dense().tolist() == [[2, 4, 0], [0, 0, 4]]
    repeated = sp.coo_array((data, ([0, 0, 1, 1], [1, 1, 0, 2])), shape=(2, 3))
    assert pith.SparseTensor.from_scipy(repeated).validate().to_dense().tolist() == [[0, 3, 0], [3, 0, 4]]


def test_formats_scipy_does_not_know():
    with pytest.raises(pith.FormatError, match=r"A\.to\(pith\.CSR\)"):
        pith.compress(np.eye(4), "C0(2:4)").to_scipy()
    with pytest.raises(pith.DTypeError, match="bfloat16"):
        pith.compress(_matrix("bfloat16"), pith.CSR).to_scipy()
    with pytest.raises(pith.DTypeError, match="ndarray"):
        pith.SparseTensor.from_scipy(np.eye(3))


@pytest.mark.parametrize("shape", [(12, 10), (10, 12), (1, 7), (7, 1), (0, 5), (5, 0)])
@pytest.mark.parametrize("fmt", ["dia", "band(2:3)", "coo", "csr", "bsr(3x2) pad", "csc"])
def test_diagonals_and_transposed_matrices_go_back_to_scipy(fmt, shape):
    sp = pytest.importorskip("scipy.sparse")
    x = pith.prune(random_tensor(RNG, shape, "float64", 0.4), fmt)
    tensor = pith.compress(x, fmt)
    if "pad" in fmt:
        with pytest.raises(pith.FormatError, match="no layout"):
            tensor.to_scipy()
        return
    for made, expected in ((tensor.to_scipy(), x), (tensor.T.to_scipy(), x.T)):
        assert sp.issparse(made) and made.shape == expected.shape and made.dtype == x.dtype
        np.testing.assert_array_equal(made.toarray(), expected)
    if fmt in ("dia", "band(2:3)"):
        assert tensor.to_scipy().format == "dia"
        np.testing.assert_array_equal(pith.SparseTensor.from_scipy(tensor.to_scipy()).to("dia").to_dense(), x)


@pytest.mark.parametrize("block", [(3, 5), (1, 5), (4, 1), (1, 1)])
@pytest.mark.filterwarnings("ignore:Sparse")
def test_columns_of_blocks_go_to_scipy_and_back_to_torch(block):
    torch = pytest.importorskip("torch")
    x = _matrix()
    tensor = pith.SparseTensor.from_torch(torch.from_numpy(x).to_sparse_bsc(block)).validate()
    np.testing.assert_array_equal(tensor.to_scipy().toarray(), x)
    for made, expected in ((tensor, x), (tensor.T, x.T), (pith.SparseTensor.from_scipy(tensor.to_scipy()), x)):
        assert torch.equal(made.to_torch().to_dense(), torch.from_numpy(expected))
    rhs = np.ones((10, 3), np.float32)
    for variant in ("sparse", "auto"):
        np.testing.assert_allclose(pith.matmul(tensor, rhs, variant=variant), x @ rhs, rtol=1e-5, atol=1e-4)


def test_diagonals_have_no_layout_in_torch():
    pytest.importorskip("torch")
    with pytest.raises(pith.FormatError, match=r"torch has no layout"):
        pith.compress(np.eye(4), "dia").to_torch()


def test_what_takes_dense_arrays_says_how_to_get_one():
    sp = pytest.importorskip("scipy.sparse")
    with pytest.raises(pith.DTypeError, match=r"A\.to_dense\(\)"):
        pith.prune(pith.compress(np.eye(4), "csr"), "C0(2:4)")
    with pytest.raises(pith.DTypeError, match=r"A\.toarray\(\)"):
        pith.prune(sp.eye_array(4, format="csr"), "C0(2:4)")
    pith.validate(sp.eye_array(4, format="csr"), "C0(1:4)")
    with pytest.raises(pith.FormatError, match="has 4 with non-zeros"):
        pith.validate(sp.csr_array(np.ones((4, 4))), "C0(2:4)")


# -- torch ------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("layout", ["coo", "csr", "csc", "bsr", "bsc", "strided", "hybrid"])
def test_from_and_to_torch(layout, dtype):
    torch = pytest.importorskip("torch")
    dense = torch.from_numpy(_matrix()).to(getattr(torch, dtype))
    tensor = {
        "coo": dense.to_sparse,
        "csr": dense.to_sparse_csr,
        "csc": dense.to_sparse_csc,
        "bsr": lambda: dense.to_sparse_bsr((3, 5)),
        "bsc": lambda: dense.to_sparse_bsc((3, 5)),
        "strided": lambda: dense,
        "hybrid": lambda: dense.to_sparse(1),
    }[layout]()
    ours = pith.SparseTensor.from_torch(tensor).validate()
    np.testing.assert_array_equal(ours.to_dense().astype(np.float32), dense.float().numpy())
    if layout == "hybrid":
        with pytest.raises(pith.FormatError, match="no layout"):
            ours.to_torch()
        return
    back = ours.to_torch()
    assert back.dtype == dense.dtype and torch.equal(back.to_dense(), dense)
    assert back.layout == (torch.sparse_csr if layout == "strided" else tensor.layout)
    if layout in ("csr", "csc", "bsr", "bsc"):
        assert back.values().data_ptr() == tensor.values().data_ptr()


@pytest.mark.filterwarnings("ignore:Sparse")
def test_torch_tensors_that_cannot_be_taken():
    torch = pytest.importorskip("torch")
    with pytest.raises(pith.UnsupportedError, match="to_dense"):
        pith.SparseTensor.from_torch(torch.ones(2, 3, 3).to_sparse_csr())
    with pytest.raises(pith.DTypeError, match="from_torch"):
        pith.prune(torch.eye(3).to_sparse(), "C0(1:3)")
    with pytest.raises(pith.DeviceError, match="meta"):
        pith.SparseTensor.from_torch(torch.ones(2, 2, device="meta"))
    with pytest.raises(pith.DTypeError):
        pith.SparseTensor.from_torch(np.eye(2))


def test_compress_takes_sparse_matrices_of_others():
    torch, sparse = pytest.importorskip("torch"), pytest.importorskip("scipy.sparse")
    for matrix in (torch.eye(4).to_sparse(), torch.eye(4).to_sparse_csr(), sparse.eye_array(4, format="dia")):
        assert pith.compress(matrix, "C0(1:2)").validate().to_dense().tolist() == np.eye(4).tolist()


def test_uncoalesced_torch_tensors_are_added_up():
    torch = pytest.importorskip("torch")
    t = torch.sparse_coo_tensor([[1, 0, 1], [0, 1, 0]], [1.0, 2.0, 3.0], (2, 2), check_invariants=True)
    assert pith.SparseTensor.from_torch(t).validate().to_dense().tolist() == [[0, 2], [4, 0]]
