"""``pith.sddmm``: products sampled at the positions a sparse tensor stores, against float64."""

from __future__ import annotations

import numpy as np
import pith
import pytest
import torch
from cpu_programs import DTYPES, PATHS, check, poisoned, random_dense, random_sparse, wide
from pith.formats import Format
from pith.runtime import kernel_cache, num_threads, set_num_threads
from pith.sparse import as_format

RNG = np.random.default_rng(11)

#: Formats of every kind of level, order and block; rows that divide 48, columns that divide 96.
FORMATS = (
    "csr",
    "csc",
    "coo",
    "bsr(4x4)",
    "bsr(3x2)",
    "C0(2:4)",
    "C1(3:4)->C0(2:4)",
    "V(4)C0(2:4)",
    "V(4)C1(2:4)->C0(2:4)",
    "V(16)C0(2:4)",
    "B(4x4)C0(1:2)",
    "B(16x8)C0(1:4)",
    "C0(4:4)",
    "d0 : dense, d1 : dense",
    "d0 : dense, d1 : bitmask",
    "d1 : bitmask, d0 : compressed",
    "d0 : compressed, d1 : compressed",
    "d0 : dense, d1 : loose_compressed",
    "d0 floordiv 2 : dense, d1 : compressed, d0 mod 2 : dense",
    "d0 : dense, d1 mod 8 : nm(2:8), d1 floordiv 8 : dense",
)


def pattern(shape, fmt, density=0.4, element="f32"):
    form, _ = as_format(fmt)
    return pith.compress(random_sparse(RNG, shape, element, form, density), fmt)


def sampled(a, b, stored):
    """The reference, in storage order."""
    coords, _ = stored.coordinates()
    inside = np.all(coords < np.array(stored.shape)[:, None], axis=0)
    dense = wide(a) @ wide(b)
    i, j = np.where(inside, coords, 0)
    return np.where(inside, dense[i, j], 0)


def in_order(result):
    """Values in the order of :meth:`pith.SparseTensor.coordinates`."""
    return result.coordinates()[1]


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("inner", [1, 77])
def test_every_format(fmt, inner):
    S = pattern((48, 96), fmt)
    a, b = random_dense(RNG, (48, inner), "f32"), random_dense(RNG, (inner, 96), "f32")
    R = pith.sddmm(a, b, S, out=poisoned((S.nse,), "f32"))
    check(in_order(R), sampled(a, b, S), "f32")
    assert all(x is y for x, y in zip(R.buffers[:-1], S.buffers))
    assert R.shape == S.shape and R.format == S.format and R.hss == S.hss
    R.validate()


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (33, 97), (65, 300), (0, 4), (4, 0)])
@pytest.mark.parametrize("fmt", ["csr", "coo", "d0 : dense, d1 : bitmask"])
@pytest.mark.parametrize("density", [0.0, 0.05, 1.0])
def test_shapes_that_divide_nothing(shape, fmt, density):
    S = pattern(shape, fmt, density)
    a, b = random_dense(RNG, (shape[0], 19), "f32"), random_dense(RNG, (19, shape[1]), "f32")
    check(in_order(pith.sddmm(a, b, S)), sampled(a, b, S), "f32")


@pytest.mark.parametrize(
    ("fmt", "cols"),
    [("C0(16:512) pad", 13), ("B(4x4)C0(1:2) pad", 157), ("V(4)C0(2:4) pad", 157), ("bsr(4x4) pad", 157)],
)
def test_nothing_beyond_the_edge_of_padded_formats(fmt, cols):
    """Groups store elements that the tensor has not; coordinates of 512 take more than a byte."""
    S = pattern((46, cols), fmt)
    a, b = random_dense(RNG, (46, 20), "f32"), random_dense(RNG, (20, cols), "f32")
    R = pith.sddmm(a, b, S, out=poisoned((S.nse,), "f32"))
    assert np.isfinite(R.values).all()
    reference = wide(a) @ wide(b) * (pith.sddmm(np.ones_like(a), np.ones_like(b), S).to_dense() != 0)
    check(R.to_dense(), reference, "f32")


@pytest.mark.parametrize("density", [0.1, 0.3])
@pytest.mark.parametrize("inner", [0, 8, 128, 129, 300])
def test_several_strips_and_blocks(inner, density):
    """Where few elements are stored, columns are not cut into blocks."""
    S = pattern((40, 220), "csr", density)
    a, b = random_dense(RNG, (40, inner), "f32"), random_dense(RNG, (inner, 220), "f32")
    check(in_order(pith.sddmm(a, b, S)), sampled(a, b, S), "f32")


@pytest.mark.parametrize("element", ["f16", "bf16", "f32", "f64"])
@pytest.mark.parametrize("left", ["rows", "columns", "strided"])
@pytest.mark.parametrize("right", ["rows", "columns"])
def test_element_types_and_orientations(element, left, right):
    S = pattern((40, 36), "C0(2:4)", element=element)
    a, b = random_dense(RNG, (40, 50), element), random_dense(RNG, (50, 36), element)
    a = {"rows": a, "columns": a.T.copy().T, "strided": np.repeat(a, 2, axis=1)[:, ::2]}[left]
    b = b if right == "rows" else b.T.copy().T
    R = pith.sddmm(a, b, S)
    assert R.dtype == DTYPES[element]
    check(in_order(R), sampled(a, b, S), element)


@pytest.mark.parametrize("element", ["f16", "f32", "f64"])
def test_accumulate_adds_to_out(element):
    S = pattern((40, 36), "C0(2:4)", element=element)
    a, b = random_dense(RNG, (40, 50), element), random_dense(RNG, (50, 36), element)
    before = random_dense(RNG, (S.nse,), element)
    out = before.copy()
    R = pith.sddmm(a, b, S, out=out, accumulate=True)
    assert R.values is out
    check(out, sampled(a, b, S) + wide(before), element)


def test_torch_operands_and_destinations():
    S = pattern((40, 36), "csr")
    a = torch.from_numpy(random_dense(RNG, (50, 40), "f32")).T
    b = torch.from_numpy(random_dense(RNG, (50, 36), "f32")).requires_grad_()
    out = torch.full((S.nse,), torch.nan)
    with torch.no_grad():
        R = pith.sddmm(a, b, S, out=out)
    check(out.numpy(), sampled(a.numpy(), b.detach().numpy(), S), "f32")
    assert R.values.ctypes.data == out.data_ptr()


def test_patterns_of_scipy_and_torch():
    S = pattern((40, 36), "csr")
    a, b = random_dense(RNG, (40, 50), "f32"), random_dense(RNG, (50, 36), "f32")
    for foreign in (S.to_scipy(), S.to_torch()):
        check(pith.sddmm(a, b, foreign).values, sampled(a, b, S), "f32")


def test_operands_may_share_memory_with_out():
    S = pattern((8, 8), "d0 : dense, d1 : dense")
    buffer = random_dense(RNG, (64,), "f32")
    a, b = buffer.reshape(8, 8), random_dense(RNG, (8, 8), "f32")
    reference = sampled(a.copy(), b, S)
    pith.sddmm(a, b, S, out=buffer)
    check(buffer, reference, "f32")


def test_patterns_and_shapes_never_recompile():
    fmt = Format.csr(width=16)
    pith.sddmm(np.ones((3, 4), np.float32), np.ones((4, 5), np.float32), pattern((3, 5), fmt))
    compiled = kernel_cache().stats.compiled
    for m, k, n, density in ((1, 1, 1, 1.0), (50, 7, 40, 0.5), (9, 300, 4, 0.0)):
        S = pattern((m, n), fmt, density)
        a, b = random_dense(RNG, (m, k), "f32"), random_dense(RNG, (k, n), "f32")
        check(in_order(pith.sddmm(a, b, S)), sampled(a, b, S), "f32")
    assert kernel_cache().stats.compiled == compiled


@pytest.mark.parametrize("fmt", ["csr", "coo", "V(4)C0(2:4)"])
def test_bitwise_the_same_whatever_the_threads(fmt):
    S = pattern((512, 256), fmt)
    a, b = random_dense(RNG, (512, 200), "f32"), random_dense(RNG, (200, 256), "f32")
    threads = num_threads()
    try:
        results = []
        for count in (1, 2):
            set_num_threads(count)
            results.append(pith.sddmm(a, b, S).values)
    finally:
        set_num_threads(threads)
    np.testing.assert_array_equal(results[0], results[1])


PROGRAM = """
#csr = #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 0, 0, 0>
#a = affine_map<(i, j, k) -> (i, k)>
#b = affine_map<(i, j, k) -> (k, j)>
#s = affine_map<(i, j, k) -> (i, j)>
func.func @f(%s: tensor<8x16xf64, #csr>, %a: tensor<8x5xf64>, %b: tensor<5x16xf64>) -> tensor<8x16xf64, #csr> {
  %r = linalg.generic {indexing_maps = [#a, #b, #s], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : tensor<8x5xf64>, tensor<5x16xf64>) outs(%s : tensor<8x16xf64, #csr>) {
  ^bb0(%x: f64, %y: f64, %z: f64):
    %p = arith.mulf %x, %y : f64
    %t = arith.addf %z, %p : f64
    linalg.yield %t : f64
  } -> tensor<8x16xf64, #csr>
  return %r : tensor<8x16xf64, #csr>
}
"""


@pytest.mark.parametrize("path", PATHS)
def test_programs_with_encoded_results(path):
    """From IR, on every path: the result is added to the values of the argument, which keeps its own."""
    S = pattern((8, 16), Format.csr(width=0), element="f64")
    a, b = random_dense(RNG, (8, 5), "f64"), random_dense(RNG, (5, 16), "f64")
    before = S.values.copy()
    k = pith.compile(PROGRAM, path=path)
    *metadata, values = k(S, a, b)
    check(values, sampled(a, b, S) + before, "f64")
    np.testing.assert_array_equal(S.values, before)
    for new, old in zip(metadata, S.buffers):
        np.testing.assert_array_equal(new, old)
    assert "sampled: the result has the pattern" in k.explain()


ONES = dict(a=np.ones((6, 4), "f4"), b=np.ones((4, 16), "f4"), out=None, accumulate=False)

#: what -> (changed arguments, error class, words the message has)
BAD = {
    "a vector": (dict(a=np.ones(4, "f4")), pith.ShapeError, "a: expects a matrix"),
    "inner sizes": (dict(b=np.ones((5, 16), "f4")), pith.ShapeError, r"\(6, 4\) @ \(5, 16\)"),
    "outer sizes": (dict(b=np.ones((4, 15), "f4")), pith.ShapeError, r"shape \(6, 16\)"),
    "two types": (dict(b=np.ones((4, 16))), pith.DTypeError, "float32 and float64"),
    "integers": (dict(a=np.ones((6, 4), "i4"), b=np.ones((4, 16), "i4")), pith.DTypeError, "int32"),
    "a list": (dict(a=[[1.0] * 4] * 6), pith.ArgumentError, "a: expected an array, got list"),
    "a meta tensor": (dict(a=torch.ones(6, 4, device="meta")), pith.DeviceError, "meta"),
    "a dense pattern": (dict(pattern=np.ones((6, 16), "f4")), pith.FormatError, "expects a pith.SparseTensor"),
    "nothing to add to": (dict(accumulate=True), pith.ArgumentError, "out, which is missing"),
    "out of another size": (dict(out=np.ones(3, "f4")), pith.ShapeError, r"got shape \(3,\)"),
    "out of another type": (dict(out=np.ones(48)), pith.DTypeError, "out: expects float32, got float64"),
    "out with strides": (dict(out=np.ones(96, "f4")[::2]), pith.ShapeError, "strides"),
    "read-only out": (dict(out=np.broadcast_to(np.float32(1), 48).copy()), pith.ArgumentError, "read-only"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_calls_say_what_is_wrong(what):
    changes, error, words = BAD[what]
    call = {**ONES, "pattern": pith.compress(np.tile(np.float32([1, 1, 0, 0]), (6, 4)), "C0(2:4)"), **changes}
    if what == "read-only out":
        call["out"].flags.writeable = False
    with pytest.raises(error, match=words):
        pith.sddmm(call["a"], call["b"], call["pattern"], out=call["out"], accumulate=call["accumulate"])
    if call["out"] is not None:
        assert (call["out"] == 1).all()
