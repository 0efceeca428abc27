"""``pith.matmul`` as users call it: arrays of every kind, shapes, ``out=``, errors, caching, threads."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pith
import pytest
import torch
from cpu_programs import DTYPES, check, poisoned, random_dense, random_sparse, wide
from pith.compiler.kernel import as_torch
from pith.formats import HSS, Format
from pith.functional.matmul.copies import products_of
from pith.runtime import kernel_cache, num_threads, set_num_threads

RNG = np.random.default_rng(7)
HSS_FORMAT = HSS.parse("C1(3:4)->C0(2:4)").to_format()


def matrix(shape=(6, 16), element="f32", fmt=HSS_FORMAT):
    w = random_sparse(RNG, shape, element, fmt)
    return w, pith.compress(w, fmt)


class OnlyDLPack:
    """An array that offers nothing but DLPack."""

    def __init__(self, array, device=None):
        self._array, self._device = array, device

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._device or self._array.__dlpack_device__()


# -- shapes ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(16,), (16, 1), (16, 70), (16, 0), (2, 16, 3), (2, 3, 16, 3), (0, 16, 3)])
def test_sparse_times_dense_shapes(shape):
    w, stored = matrix()
    x = random_dense(RNG, shape, "f32")
    ref = wide(w) @ wide(x)
    check(pith.matmul(stored, x), ref, "f32")
    check(stored @ x, ref, "f32")
    out = poisoned(ref.shape, "f32")
    assert pith.matmul(stored, x, out=out) is out
    check(out, ref, "f32")


@pytest.mark.parametrize("shape", [(6,), (1, 6), (70, 6), (0, 6), (2, 3, 6), (2, 3, 4, 6), (0, 3, 6)])
def test_dense_times_sparse_shapes(shape):
    w, stored = matrix()
    x = random_dense(RNG, shape, "f32")
    ref = wide(x) @ wide(w)
    check(pith.matmul(x, stored), ref, "f32")
    check(x @ stored, ref, "f32")
    out = poisoned(ref.shape, "f32")
    assert pith.matmul(x, stored, out=out) is out
    check(out, ref, "f32")


@pytest.mark.parametrize("m, k", [(0, 16), (6, 0), (0, 0), (1, 16)])
def test_matrices_without_rows_or_columns(m, k):
    w, stored = matrix((m, k))
    for x in (random_dense(RNG, (k, 3), "f32"), random_dense(RNG, (k,), "f32")):
        check(pith.matmul(stored, x), wide(w) @ wide(x), "f32")
    x = random_dense(RNG, (2, m), "f32")
    check(pith.matmul(x, stored), wide(x) @ wide(w), "f32")


@pytest.mark.parametrize("element", DTYPES)
def test_element_types(element):
    """f16 and bf16 are summed in f32 and rounded once; i8 and i16 give i32."""
    w, stored = matrix(element=element)
    x = random_dense(RNG, (16, 5), element)
    out = pith.matmul(stored, x)
    assert out.dtype == {"i8": np.int32, "i16": np.int32}.get(element, DTYPES[element])
    check(out, wide(w) @ wide(x), element)


def test_small_integers_do_not_wrap():
    stored = pith.compress(np.full((1, 512), 100, np.int8), "csr")
    assert pith.matmul(stored, np.full((512, 1), 100, np.int8)).tolist() == [[512 * 10_000]]


def test_two_sparse_operands():
    (v, a), (w, b) = matrix(), matrix((16, 8), fmt=Format.csr())
    check(pith.matmul(a, b), wide(v) @ wide(w), "f32")
    check(a @ b, wide(v) @ wide(w), "f32")


def test_two_dense_operands_are_numpys():
    v, w = random_dense(RNG, (3, 4), "f64"), random_dense(RNG, (4, 2), "f64")
    np.testing.assert_array_equal(pith.matmul(v, w), v @ w)


# -- kinds of arrays ------------------------------------------------------------------


def test_torch_in_torch_out():
    w, stored = matrix()
    for shape in ((16,), (16, 3), (2, 16, 3)):
        x = torch.from_numpy(random_dense(RNG, shape, "f32"))
        out = pith.matmul(stored, x)
        assert isinstance(out, torch.Tensor)
        check(out.numpy(), wide(w) @ wide(x.numpy()), "f32")
    out = torch.full((6, 3), torch.nan)
    x = torch.from_numpy(random_dense(RNG, (16, 3), "f32"))
    address = out.data_ptr()
    assert pith.matmul(stored, x, out=out) is out
    assert out.data_ptr() == address
    check(out.numpy(), wide(w) @ wide(x.numpy()), "f32")


def test_torch_bfloat16():
    w, stored = matrix(element="bf16")
    x = torch.from_numpy(random_dense(RNG, (16, 3), "f32")).bfloat16()
    out = pith.matmul(stored, x)
    assert out.dtype is torch.bfloat16
    check(out.float().numpy(), wide(w) @ wide(x.float().numpy()), "bf16")


@pytest.mark.parametrize("view", ["transposed", "strided", "reversed", "broadcast", "dlpack"])
def test_views_of_every_kind(view):
    w, stored = matrix()
    base = random_dense(RNG, (48, 48), "f32")
    x = {
        "transposed": base[:3, :16].T,
        "strided": base[:32:2, ::7],
        "reversed": base[15::-1, :3],
        "broadcast": np.broadcast_to(base[:16, :1], (16, 3)),
        "dlpack": base[:16, :3].copy(),
    }[view]
    before = x.copy()
    out = pith.matmul(stored, OnlyDLPack(x) if view == "dlpack" else x)
    check(out, wide(w) @ wide(before), "f32")
    np.testing.assert_array_equal(x, before)


def test_out_is_written_in_place_and_may_be_the_operand():
    w, stored = matrix((16, 16))
    buffer = poisoned((3, 16, 16), "f32")
    x = random_dense(RNG, (16, 16), "f32")
    pith.matmul(stored, x, out=buffer[1])
    check(buffer[1], wide(w) @ wide(x), "f32")
    assert np.isnan(buffer[[0, 2]]).all()
    for element in ("f32", "i32"):  # the panel template copies its operand first, the scalar one does not
        w, stored = matrix((16, 16), element)
        x = random_dense(RNG, (16, 16), element)
        ref = wide(w) @ wide(x)
        pith.matmul(stored, x, out=x)
        check(x, ref, element)


# -- errors ---------------------------------------------------------------------------


def _frozen(array):
    array.flags.writeable = False
    return array


#: what -> (dense operand or call options, error class, words the message has)
BAD = {
    "inner size": (dict(x=np.ones((15, 3), "f4")), pith.ShapeError, r"\(6, 16\) by \(15, 3\)"),
    "inner size of a vector": (dict(x=np.ones(15, "f4")), pith.ShapeError, r"\(6, 16\) by \(15,\)"),
    "inner size of a batch": (dict(x=np.ones((2, 15, 3), "f4")), pith.ShapeError, r"\(2, 15, 3\)"),
    "rank 0": (dict(x=np.float32(3)), pith.ShapeError, "scalar"),
    "a number": (dict(x=3.0), pith.ArgumentError, "expected an array, got float"),
    "a list": (dict(x=[1.0] * 16), pith.ArgumentError, "expected an array, got list"),
    "nothing": (dict(x=None), pith.ArgumentError, "NoneType"),
    "another float": (dict(x=np.ones((16, 3))), pith.DTypeError, "float64"),
    "an integer": (dict(x=np.ones((16, 3), "i4")), pith.DTypeError, "int32"),
    "an unsigned integer": (dict(x=np.ones((16, 3), "u1")), pith.DTypeError, "uint8: integers are signed"),
    "an unsigned tensor": (dict(x=torch.ones(16, 3, dtype=torch.uint8)), pith.DTypeError, "integers are signed"),
    "objects": (dict(x=np.ones((16, 3), object)), pith.DTypeError, "object"),
    "a GPU array": (dict(x=OnlyDLPack(np.ones((16, 3), "f4"), (2, 0))), pith.DeviceError, "CPU"),
    "a meta tensor": (dict(x=torch.ones(16, 3, device="meta")), pith.DeviceError, "meta"),
    "a gradient": (dict(x=torch.ones(16, 3, requires_grad=True)), pith.ArgumentError, "gradient"),
    "out of another shape": (dict(out=np.ones((7, 3), "f4")), pith.ShapeError, r"\(6, 3\), got \(7, 3\)"),
    "out of another rank": (dict(out=np.ones(18, "f4")), pith.ShapeError, r"\(6, 3\), got \(18,\)"),
    "out of another type": (dict(out=np.ones((6, 3))), pith.DTypeError, "out.*float64"),
    "read-only out": (dict(out=_frozen(np.ones((6, 3), "f4"))), pith.ArgumentError, "read-only"),
    "out by columns": (dict(out=np.ones((3, 6), "f4").T), pith.ShapeError, "row-major"),
    "a list as out": (dict(out=[[0.0] * 3] * 6), pith.ArgumentError, "list"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_calls_say_what_is_wrong(what):
    options, error, words = BAD[what]
    _, stored = matrix()
    call = {"x": np.ones((16, 3), "f4"), "out": None} | options
    with pytest.raises(error, match=words) as caught:
        pith.matmul(stored, call["x"], out=call["out"])
    assert isinstance(caught.value, pith.Error)
    if isinstance(call["out"], np.ndarray):
        assert (call["out"] == 1).all()


def test_bad_sparse_operands():
    x = np.ones((16, 3), np.complex64)
    with pytest.raises(pith.DTypeError, match="complex64"):
        pith.matmul(pith.compress(np.ones((6, 16), np.complex64), "csr"), x)
    with pytest.raises(pith.DTypeError, match="no matmul kernel for uint8"):
        pith.matmul(pith.compress(np.ones((6, 16), np.uint8), "csr"), np.ones((16, 3), np.int8))
    for text, problem in (("C1(2:2)->C0(*:1)", "has one coordinate"), ("C1(bitmask)->C0(2:300)", "beside a bitmask")):
        with pytest.raises(pith.FormatError, match=problem):
            pith.matmul(pith.compress(np.zeros((6, 300), np.float32), text), np.ones((300, 3), np.float32))
    with pytest.raises(pith.ShapeError, match="expects a sparse matrix"):
        pith.matmul(pith.compress(np.ones(16, np.float32), "d0 : compressed"), x)


@pytest.mark.parametrize("layout", ["csr", "csc", "bsr", "coo", "dia", "lil"])
def test_sparse_matrices_of_scipy(layout):
    sparse = pytest.importorskip("scipy.sparse")
    w, x = random_sparse(RNG, (12, 6), "f32", Format.csr(), 0.4), random_dense(RNG, (6, 3), "f32")
    a = sparse.csr_array(w).asformat(layout)
    check(pith.matmul(a, x), wide(w) @ wide(x), "f32")
    check(pith.matmul(x.T, a.T), wide(x.T) @ wide(w.T), "f32")
    check(pith.matmul(a, a.T), wide(w) @ wide(w.T), "f32")
    check(pith.matmul(pith.compress(a, "csr"), a.T), wide(w) @ wide(w.T), "f32")
    assert "runs " in pith.explain(a, x) and pith.infer_format(a).format == pith.infer_format(w).format


def test_sparse_tensors_of_torch():
    w, x = random_sparse(RNG, (12, 6), "f32", Format.csr(), 0.4), torch.randn(6, 3)
    for a in (torch.from_numpy(w).to_sparse(), torch.from_numpy(w).to_sparse_csr()):
        out = pith.matmul(a, x)
        assert isinstance(out, torch.Tensor)
        check(out.numpy(), wide(w) @ wide(x.numpy()), "f32")


def test_numpy_makes_no_dense_array_of_a_sparse_tensor():
    with pytest.raises(pith.DTypeError, match=r"no dense array\n.*to_dense"):
        np.asarray(pith.compress(np.eye(3), "csr"))


# -- stacks -------------------------------------------------------------------------------

STACKS = {
    "csr": "d0 : dense, d1 : dense, d2 : compressed",
    "2:4": "d0 : dense, d1 : dense, d2 floordiv 4 : dense, d2 mod 4 : nm(2:4)",
    "blocks": "d0 : dense, d1 floordiv 3 : dense, d2 floordiv 2 : compressed, d1 mod 3 : dense, d2 mod 2 : dense",
    "coordinates": "d0 : compressed(nonunique), d1 : singleton(nonunique), d2 : singleton",
    "innermost": "d1 : dense, d2 : compressed, d0 : dense",
}


def stack(fmt, *lead):
    w = np.stack([random_sparse(RNG, (9, 8), "f32", Format.csr(), d) for d in np.linspace(0, 0.9, int(np.prod(lead)))])
    w = w.reshape(*lead, 9, 8)
    if "nm" in fmt:
        w = pith.prune(w, fmt)
    return w, pith.compress(w, fmt)


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("lead", [(), (5,), (1,), (2, 1), (2, 5)], ids=str)
def test_stacks(name, lead):
    """As numpy.matmul pairs them: the dense operand is a matrix, a stack, or one of stacks; on either side."""
    w, a = stack(STACKS[name], 5)
    x, y = random_dense(RNG, (*lead, 8, 3), "f32"), random_dense(RNG, (*lead, 2, 9), "f32")
    check(pith.matmul(a, x), wide(w) @ wide(x), "f32")
    check(pith.matmul(y, a), wide(y) @ wide(w), "f32")
    out = np.full((*np.broadcast_shapes((5,), lead), 9, 3), np.nan, np.float32)
    check(pith.matmul(a, x, out=out, variant="sparse"), wide(w) @ wide(x), "f32")


def test_stacks_of_one_matrix_of_stacks_and_of_none():
    w, a = stack("d0 : dense, d1 : dense, d2 : dense, d3 : compressed", 2, 3)
    v = random_dense(RNG, (8,), "f32")
    check(a @ v, wide(w) @ wide(v), "f32")
    check(a @ torch.from_numpy(v), wide(w) @ wide(v), "f32")
    w, a = stack(STACKS["csr"], 1)
    x = random_dense(RNG, (4, 8, 3), "f32")
    check(a @ x, wide(w) @ wide(x), "f32")
    none = pith.compress(np.ones((0, 9, 8), np.float32), STACKS["csr"])
    assert (none @ x[:1]).shape == (0, 9, 3)


def test_stacks_follow_values_that_are_repacked():
    w, a = stack(STACKS["csr"], 3)
    x = random_dense(RNG, (8, 3), "f32")
    check(a @ x, wide(w) @ wide(x), "f32")
    pith.repack(a, 2 * w, out=a)
    check(a @ x, 2 * wide(w) @ wide(x), "f32")


def test_stacks_that_do_not_fit():
    _, a = stack(STACKS["csr"], 3)
    with pytest.raises(pith.ShapeError, match=r"\(3, 9, 8\) by \(2, 8, 4\): stacks differ"):
        pith.matmul(a, np.ones((2, 8, 4), np.float32))
    with pytest.raises(pith.ShapeError, match="inner sizes differ"):
        pith.matmul(a, np.ones((3, 7, 4), np.float32))
    with pytest.raises(pith.ShapeError, match="the result has shape"):
        pith.matmul(a, np.ones((3, 8, 4), np.float32), out=np.ones((9, 4), np.float32))
    with pytest.raises(pith.DTypeError, match="no matmul kernel for complex64"):
        pith.matmul(a.astype(np.complex64), np.ones((8, 4), np.complex64))
    with pytest.raises(pith.ShapeError, match="'d0 : dense, d1 : dense, d2 : compressed' is a stack"):
        pith.compress(np.ones((3, 9, 8)), "csr")


# -- caching, threads, determinism ----------------------------------------------------


def test_patterns_and_sizes_of_the_sparse_operand_never_recompile():
    fmt = Format.csr(width=16)
    pith.matmul(matrix(fmt=fmt)[1], np.ones((16, 3), np.float32), variant="sparse")
    compiled = kernel_cache().stats.compiled
    for m, k, density in ((1, 1, 1.0), (5, 7, 0.5), (100, 50, 0.1), (9, 30, 0.0)):
        w = random_sparse(RNG, (m, k), "f32", fmt, density)
        x = random_dense(RNG, (k, 3), "f32")
        check(pith.matmul(pith.compress(w, fmt), x, variant="sparse"), wide(w) @ wide(x), "f32")
    assert kernel_cache().stats.compiled == compiled


def test_column_counts_share_few_kernels():
    a = pith.compress(random_sparse(RNG, (24, 32), "f32", Format.csr(), 0.3), Format.csr(width=16))
    compiled = kernel_cache().stats.compiled
    for n in (1, 2, 3, 4, 5, 8, 20, 64, 65, 100, 128, 300, 1000):
        x = random_dense(RNG, (32, n), "f32")
        check(pith.matmul(a, x, variant="sparse"), wide(a.to_dense()) @ wide(x), "f32")
    # Powers of two below 8 columns, panels of whole vectors above.
    assert kernel_cache().stats.compiled - compiled <= 11


def test_many_threads_at_once():
    """The first calls race to compile; every result is right."""
    fmt = HSS.parse("C1(2:3)->C0(1:2)").to_format()
    cases = [(matrix((12 * i, 36), fmt=fmt), random_dense(RNG, (36, 5 * i), "f32")) for i in range(1, 9)]
    failures = []

    def work(number: int) -> None:
        (w, stored), x = cases[number]
        try:
            for _ in range(20):
                check(pith.matmul(stored, x), wide(w) @ wide(x), "f32")
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(cases))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


@pytest.mark.parametrize(
    "fmt", [HSS_FORMAT, Format.csr(), Format.csc(), Format.coo()], ids=["hss", "csr", "csc", "coo"]
)
def test_bitwise_the_same_whatever_the_threads(fmt):
    """Large enough for several tasks: the order of every sum is fixed by the format."""
    w, stored = matrix((512, 256), fmt=fmt)
    x = random_dense(RNG, (256, 200), "f32")
    threads = num_threads()
    try:
        results = []
        for count in (1, 2, 2):
            set_num_threads(count)
            results.append(pith.matmul(stored, x, variant="sparse"))  # the choice may depend on how many there are
    finally:
        set_num_threads(threads)
    check(results[0], wide(w) @ wide(x), "f32")
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].view(np.int32), other.view(np.int32))


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("element", ["f32", "bf16"])
def test_dense_operands_stored_by_columns_are_read_as_they_are(kind, right, element):
    a = pith.compress(pith.prune(random_dense(RNG, (32, 64), element), "C0(2:4)"), "C0(2:4)")
    shape = (9, 32) if right else (64, 9)
    by_rows = random_dense(RNG, shape[::-1], element)
    x = as_torch(by_rows).T if kind == "torch" else by_rows.T
    out = pith.matmul(x, a, variant="sparse") if right else pith.matmul(a, x, variant="sparse")
    reference = wide(by_rows.T) @ wide(a.to_dense()) if right else wide(a.to_dense()) @ wide(by_rows.T)
    check(out.float().numpy() if kind == "torch" else out, reference, element)


@pytest.mark.parametrize("text", ["C0(2:4)", "C1(1:2)->C0(2:4)", "B(4x4)C0(1:2)", "C0(2:4) pad", "band(2:1)"])
def test_repeated_products_against_the_stored_order(text, monkeypatch):
    """Products that visit rows of the result many times move to a copy in row order, and follow new values."""
    monkeypatch.setattr("pith.functional.matmul.row_order.COLUMNS_BEFORE", 20)
    rng = np.random.default_rng(5)
    w = pith.prune(rng.standard_normal((24, 43 if "pad" in text else 48)).astype(np.float32), text)
    a = pith.compress(w, text)
    x, y = (rng.standard_normal(s).astype(np.float32) for s in ((24, 16), (9, 24)))
    assert a.T is a.T and a.T.T is a
    for scale in (1, -3):
        if scale != 1:
            pith.repack(a, scale * w, out=a)
        for _ in range(3):
            for variant in ("auto", "sparse"):
                got = pith.matmul(a.T, x, variant=variant)
                np.testing.assert_allclose(got, scale * w.T.astype(np.float64) @ x, rtol=1e-4, atol=1e-4)
                got = pith.matmul(y, a, variant=variant)
                np.testing.assert_allclose(got, scale * y.astype(np.float64) @ w, rtol=1e-4, atol=1e-4)
    orders = products_of(a.T).orders
    assert orders[False].tensor is not None and orders[False].tensor.format.levels[1].kind == "compressed"
    assert pickle.loads(pickle.dumps(a)).T.shape == a.T.shape
    assert not products_of(a).orders.get(False)  # a @ x finishes its rows as it is stored


def test_products_of_two_sparse_operands_are_of_the_second_ones_kind():
    A, B = pith.compress(np.eye(4, dtype=np.float32), "csr"), torch.eye(4).to_sparse()
    assert isinstance(A @ B, torch.Tensor) and torch.equal(A @ B, torch.eye(4))
    assert isinstance(A @ A, np.ndarray)
