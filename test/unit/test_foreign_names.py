"""Names of other libraries on arrays of pith: those that work do what they do there, others say what to write."""

from __future__ import annotations

import copy
import pathlib
import pickle
import re

import numpy as np
import pith
import pytest
import scipy.sparse as sp
import torch
from pith import foreign_names as names

M = np.random.default_rng(3).integers(-2, 3, (6, 8)).astype(np.float32)
A, S = pith.compress(M, "csr"), sp.csr_array(M)
P = pith.Pattern.from_indices([1, 3], sizes=8)
D = pith.dynamic(M)
Q = pith.quantize(M, "csr")
R = pith.Ragged(M, [2, 0, 4])
TABLES = [
    (A, names.INSTEAD_OF_TENSORS),
    (P, names.INSTEAD_OF_PATTERNS),
    (D, names.INSTEAD_OF_DYNAMIC),
    (Q, names.INSTEAD_OF_QUANTIZED),
    (R, names.INSTEAD_OF_RAGGED),
]
GUIDE = pathlib.Path(__file__).parents[2] / "docs/guide/formats.md"


@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "bsr(2x4)", "C0(*)", "C0(4:4) pad", "dia"])
def test_what_is_looked_at(fmt):
    T = pith.compress(M, fmt)
    np.testing.assert_array_equal(T.nonzero(), np.nonzero(M))
    for k in range(-7, 9):
        np.testing.assert_array_equal(T.diagonal(k), np.diagonal(M, k))
    assert (T.numel(), T.dim()) == (48, 2)
    assert T.coalesce() is T


def test_products():
    x, row = np.ones((8, 3), np.float32), np.ones((1, 8), np.float32)
    for name in ("dot", "matmul", "mm"):
        np.testing.assert_array_equal(getattr(A, name)(x), S @ x)
    np.testing.assert_array_equal(A.mv(x[:, 0]), S @ x[:, 0])
    np.testing.assert_array_equal(A.multiply(2 * row).toarray(), 2 * M)
    np.testing.assert_array_equal(A.abs().toarray(), abs(M))


@pytest.mark.parametrize(
    "name", ["tocsr", "tocsc", "tocoo", "todia", "to_sparse_csr", "to_sparse_csc", "to_sparse_coo"]
)
def test_conversions(name):
    made = getattr(A, name)()
    assert made.format == pith.SparseTensor.to(A, name[-3:]).format
    np.testing.assert_array_equal(made.to_dense(), M)
    assert A.asformat(name[-3:]).format == made.format


def test_blocks():
    assert A.tobsr((2, 4)).format == A.tobsr(blocksize=(2, 4)).format == A.to_sparse_bsr((2, 4)).format
    assert A.tobsr((2, 4)).format == pith.BSR(2, 4)


def test_copies_share_nothing():
    made = A.copy()
    assert made.format == A.format
    assert not any(map(np.may_share_memory, made.buffers, A.buffers))
    np.testing.assert_array_equal(A.clone().to_dense(), M)
    assert A.t() is A.transpose() is A.T


def test_filters_list_their_coordinates_unfolded():
    w = np.random.default_rng(0).integers(0, 2, (4, 2, 3, 3)).astype(np.float32)
    F = pith.compress(w, "MCRS: C0(*)")
    np.testing.assert_array_equal(F.nonzero(), np.nonzero(w))
    with pytest.raises(pith.ShapeError, match="diagonal: expects a matrix"):
        pith.compress(np.ones((2, 2, 2)), "d0 : dense, d1 : dense, d2 : compressed").diagonal()


@pytest.mark.parametrize(("value", "table"), TABLES)
def test_other_names_say_what_to_write(value, table):
    for name, advice in table.items():
        assert not hasattr(value, name), f"{name} exists: it needs no advice"
        with pytest.raises(pith.MissingNameError) as caught:
            getattr(value, name)
        assert isinstance(caught.value, AttributeError)
        assert (name in caught.value.message, caught.value.hint) == (True, advice)


def test_advice_is_true():
    """What begins with an expression is one."""
    places = {"pith": pith, "np": np, "A": A, "p": P, "d": D, "q": Q, "r": R, "i": 0, "j": 0}
    checked = 0
    for _, table in TABLES:
        for advice in table.values():
            expression = re.match(r"[Apdqr](\.\w+(\((pith\.CSR|np\.float32)?\))?|\[i, j\])+(?!\w|\()", advice)
            if expression:
                eval(expression[0], places)
                checked += 1
    assert checked > 60


def test_products_of_quantised_tensors():
    x = np.ones((8, 3), np.float32)
    np.testing.assert_array_equal(Q.dot(x), Q @ x)
    np.testing.assert_array_equal(Q.mv(x[:, 0]), Q @ x[:, 0])


def test_what_is_no_array_says_how_to_make_one():
    for call, hint in (
        (lambda: pith.Pattern.from_mask(S), r"A.toarray\(\)"),
        (lambda: pith.Pattern.from_indices(np.array([True, False]), 2), "numpy.flatnonzero"),
        (lambda: P & np.ones(8, bool), "Pattern.from_mask"),
        (lambda: pith.einsum("mk,kn->mn", S, M.T), r"A.toarray\(\)"),
        (lambda: pith.einsum("mk,kn->mn", Q, M.T), r"q.dequantize\(\).to_dense\(\)"),
        (lambda: pith.einsum("mk,kn->mn", M.tolist(), M.T), "numpy.asarray"),
        (lambda: torch.as_tensor(A), r"A.to_dense\(\)"),
        (lambda: pith.conv2d(np.ones((2, 4, 4), np.float32), np.ones((1, 2, 3, 3), np.float32)), r"x\[None\]"),
    ):
        with pytest.raises(pith.Error, match=f"hint: .*{hint}"):
            call()


def test_scipy_has_what_advice_sends_there():
    for name, advice in names.INSTEAD_OF_TENSORS.items():
        if advice.startswith("A.to(pith.CSR).to_scipy()."):
            assert hasattr(S, name), name
        if advice.startswith("A.to(pith.CSR).to_torch()."):
            assert hasattr(torch.Tensor, name), name


def test_names_that_nobody_has():
    with pytest.raises(AttributeError, match="'SparseTensor' object has no attribute 'shpe'") as caught:
        _ = A.shpe
    assert not isinstance(caught.value, pith.Error)
    assert (caught.value.name, caught.value.obj) == ("shpe", A)
    assert {"dot", "tocsr", "to_dense"} <= set(dir(A))
    with pytest.raises(AttributeError) as caught:
        _ = pith.spmm
    assert (caught.value.name, caught.value.obj) == ("spmm", pith)


def test_copying_and_pickling_ask_for_no_foreign_name():
    for value in (A, P, Q, R):
        for made in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
            assert type(made) is type(value)
    assert (D.dtype, D.ndim) == (np.float32, 2)


def test_the_guide_lists_what_works():
    text = GUIDE.read_text(encoding="utf-8")
    named = set(re.findall(r"`\.(\w+)(?:\(.*?\))?`", text))
    assert not set(names.SAME_OF_TENSORS) - named, "docs/guide/formats.md, 'Coming from SciPy or torch'"


@pytest.mark.parametrize("dtype", [np.float16, np.dtype("f2"), torch.float16])
def test_to_is_for_formats(dtype):
    with pytest.raises(pith.FormatError, match=r"hint: A\.astype\(dtype\)"):
        A.to(dtype)


def test_scipy_s_iterative_solvers_take_a_tensor():
    from scipy.sparse import linalg

    rng = np.random.default_rng(1)
    square = sp.csr_array(np.diag(rng.uniform(4, 5, 30)) + rng.uniform(0, 0.1, (30, 30)))
    symmetric, b = square + square.T, rng.standard_normal(30)
    x, status = linalg.cg(pith.SparseTensor.from_scipy(symmetric), b, rtol=1e-10)
    assert status == 0
    np.testing.assert_allclose(symmetric @ x, b, atol=1e-6)
    wide = pith.SparseTensor.from_scipy(square[:20])  # its transpose is needed, too
    np.testing.assert_allclose(wide @ linalg.lsqr(wide, b[:20], atol=1e-12, btol=1e-12)[0], b[:20], atol=1e-6)


def test_blocks_need_a_size():
    with pytest.raises(pith.ArgumentError, match=r"tobsr: expects the size of blocks"):
        A.tobsr()


def test_functions_of_scipy_and_torch_say_what_to_write():
    for name, hint in (("solve", r"spsolve.*cg\(A, b\)"), ("csr_matrix", "pith.compress"), ("spmm", "pith.matmul")):
        with pytest.raises(pith.MissingNameError, match=rf"pith has no '{name}'\n  hint: .*{hint}"):
            getattr(pith, name)
    assert not hasattr(pith, "vstack") and not hasattr(pith, "nonsense")
