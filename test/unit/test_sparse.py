"""SparseTensor: construction, conversion, and the checks of its buffers."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pith
import pytest
import scipy.sparse as sp
from format_strategies import formats_and_tensors, random_tensor
from hypothesis import given, settings
from hypothesis import strategies as st
from pith.formats import Format
from pith.formats.pack_digits import may_repeat

RNG = np.random.default_rng(7)
MATRICES = ("csr", "csc", "coo", "bsr(4x2)", "dense")


def _matrix(dtype: str = "float32", shape=(12, 10), density=0.3) -> np.ndarray:
    return random_tensor(RNG, shape, dtype, density)


@settings(max_examples=150, deadline=None)
@given(formats_and_tensors(), st.sampled_from(("coo", "csf")))
def test_any_format_converts_to_coordinates_and_back(case, via):
    fmt, x = case
    obeying = pith.prune(x, fmt)
    tensor = pith.compress(obeying, fmt)
    other = Format.coo(x.ndim) if via == "coo" else Format.make(x.ndim, *((d, "compressed") for d in range(x.ndim)))
    there = tensor.to(other).validate()
    np.testing.assert_array_equal(there.to_dense(), obeying)
    assert there.nse == np.count_nonzero(obeying) == tensor.nnz
    back = there.to(fmt).validate()
    for a, b in zip(back.buffers, tensor.buffers, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("source", MATRICES)
@pytest.mark.parametrize("target", MATRICES)
def test_conversions_between_layouts(source, target):
    x = _matrix()
    out = pith.compress(x, source).to(target).validate()
    np.testing.assert_array_equal(out.to_dense(), x)


def test_conversion_does_not_densify():
    shape = (10**7, 10**7)
    coo = pith.SparseTensor.from_coordinates(RNG.integers(0, 10**7, (2, 50)), np.ones(50), shape)
    csf = coo.to(Format.make(2, (1, "compressed"), (0, "compressed"), pos_width=32, crd_width=32))
    assert csf.nbytes < 2000
    assert csf.to(pith.COO).buffers[1].tolist() == coo.buffers[1].tolist()


def test_conversion_checks_the_target():
    with pytest.raises(pith.FormatError, match="does not obey"):
        pith.compress(np.ones((4, 8)), pith.CSR).to("C0(2:4)")
    with pytest.raises(pith.ShapeError, match="pad dimension 1 with zeros to 8"):
        pith.compress(np.ones((4, 6)), pith.CSR).to("C0(2:4)")


# -- facts ------------------------------------------------------------------------------


def test_sizes():
    x = np.zeros((8, 16), np.float32)
    x[0, 0] = 1
    tensor = pith.compress(x, "C1(1:2)->C0(2:4)")
    assert tensor.nse == 8 * 16 // 4 and tensor.nnz == 1 and tensor.density == 1 / 128
    # 16 groups of one 1-bit coordinate, 32 2-bit coordinates, 32 values
    assert tensor.nbytes == 2 + 8 + 128
    assert tensor.dtype == np.float32 and tensor.shape == (8, 16)


def test_repr():
    x = np.eye(4, dtype=np.float32)
    assert repr(pith.compress(x, "C0(1:4)")) == "SparseTensor(4x4 float32, C0(1:4), 4 stored, 17 bytes)"
    assert repr(pith.compress(x, pith.BSR(2, 2))) == "SparseTensor(4x4 float32, bsr(2x2), 8 stored, 52 bytes)"
    assert "compressed, d1 : bitmask" in repr(pith.compress(x, Format.make(2, (0, "compressed"), (1, "bitmask"))))


def test_constructors_as_formats():
    x = pith.prune(_matrix(shape=(8, 8), density=1), pith.NM(2, 4))
    for fmt in (pith.CSR, pith.CSC, pith.COO, pith.BSR(4, 4), pith.NM(2, 4), "csr", "C0(2:4)", "bsr(4x4)"):
        np.testing.assert_array_equal(pith.compress(x, fmt).to_dense(), x)


def test_tensors_of_rank_1_and_3():
    for shape in ((9,), (3, 4, 5)):
        x = _matrix(shape=shape)
        np.testing.assert_array_equal(pith.compress(x, Format.coo(len(shape))).to_dense(), x)


def test_compress_takes_sparse_tensors_and_torch():
    x = _matrix()
    tensor = pith.compress(x, pith.CSR)
    assert pith.compress(tensor, pith.CSC).format == pith.CSC
    torch = pytest.importorskip("torch")
    w = torch.from_numpy(x).to(torch.bfloat16).requires_grad_()
    np.testing.assert_array_equal(pith.compress(w, pith.CSR).to_dense().astype(np.float32), w.detach().float().numpy())


@pytest.mark.parametrize(
    ("w", "error"),
    [
        (np.ones((2, 2), object), pith.DTypeError),
        (np.array([["a", "b"]]), pith.DTypeError),
        (np.ones((2, 2), ">f4"), pith.DTypeError),
        (np.ones((2, 2), "M8[s]"), pith.DTypeError),
        (np.ones((2, 2), [("a", "f4")]), pith.DTypeError),
        ([[1, 2], [3, 4]], pith.DTypeError),
        (None, pith.DTypeError),
        (np.ones(4), pith.ShapeError),
        (np.ones((2, 2, 2)), pith.ShapeError),
    ],
)
def test_bad_input_is_typed(w, error):
    with pytest.raises(error):
        pith.compress(w, pith.CSR)


# -- buffers of unknown origin ----------------------------------------------------------


def _csr(positions, coordinates, values, shape=(2, 3)):
    arrays = (np.array(positions, np.int32), np.array(coordinates, np.int32), np.array(values, np.float32))
    return pith.SparseTensor(shape, pith.CSR, arrays)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (([0, 1], [0], [1]), "level 1, compressed: expects 3 positions, got 2"),
        (([1, 1, 1], [0], [1]), "positions must start at 0, got 1"),
        (([0, 2, 1], [0], [1]), r"must not decrease(.|\n)*entry 2"),
        (([0, 1, 2], [0], [1]), "positions end at 2, but there are 1 entries"),
        (([0, 1, 2], [0, 3], [1, 1]), r"coordinate 3 is outside of 0..2(.|\n)*entry 1"),
        (([0, 1, 2], [0, -1], [1, 1]), r"coordinate -1 is outside of 0..2(.|\n)*entry 1"),
        (([0, 0, 2], [1, 0], [1, 1]), r"must be sorted(.|\n)*entry 1"),
        (([0, 0, 2], [1, 1], [1, 1]), r"must be distinct(.|\n)*entry 1"),
        (([0, 1, 2], [0, 0], [1]), "expects 2 values, one per position of the last level, got 1"),
    ],
)
def test_validate_names_the_first_bad_entry(parts, text):
    tensor = _csr(*parts)
    with pytest.raises(pith.FormatError, match=text):
        tensor.validate()


def test_validate_of_other_levels():
    nm = pith.compress(np.eye(4, dtype=np.float32), "C0(2:4)")
    with pytest.raises(pith.FormatError, match=r"level 2, nm\(2:4\): .*sorted and distinct"):
        dataclasses.replace(nm, buffers=(np.full(2, 0b01010001, np.uint8), nm.values)).validate()
    bits = pith.compress(np.eye(3, dtype=np.float32), Format.make(2, (0, "dense"), (1, "bitmask")))
    positions, words, values = bits.buffers
    for broken, text in ((words | 8, "past coordinate 2"), (words | 4, "number of bits set")):
        with pytest.raises(pith.FormatError, match=text):
            dataclasses.replace(bits, buffers=(positions, broken, values)).validate()
    loose = pith.compress(np.eye(2, dtype=np.float32), Format.make(2, (0, "dense"), (1, "loose_compressed")))
    for positions, text in (([0, 1, 0, 2], "more than one parent"), ([0, 1, 2, 1], "begin <= end")):
        broken = (np.array(positions, np.int64), *loose.buffers[1:])
        with pytest.raises(pith.FormatError, match=text):
            dataclasses.replace(loose, buffers=broken).validate()


def test_loose_levels_may_have_gaps():
    fmt = Format.make(2, (0, "dense"), (1, "loose_compressed"), pos_width=32, crd_width=32)
    parts = ([3, 4, 0, 2], [0, 2, 99, 1], [1, 2, 99, 4])
    tensor = pith.SparseTensor((2, 3), fmt, (*(np.array(p, np.int32) for p in parts[:2]), np.array(parts[2])))
    assert tensor.validate().to_dense().tolist() == [[0, 4, 0], [1, 0, 2]]
    assert tensor.to(pith.CSR).values.tolist() == [4, 1, 2]


def test_unordered_levels_may_be_in_any_order_but_not_repeat():
    fmt = Format.make(2, (0, "dense"), (1, "compressed(nonordered)"), pos_width=32, crd_width=32)
    for coordinates, repeats in (([2, 0, 1, 0], False), ([2, 0, 2, 0], True)):
        arrays = (np.array([0, 3, 4], np.int32), np.array(coordinates, np.int32), np.ones(4, np.float32))
        tensor = pith.SparseTensor((2, 3), fmt, arrays)
        if repeats:
            with pytest.raises(pith.FormatError, match=r"must be distinct(.|\n)*entry 2"):
                tensor.validate()
        else:
            assert tensor.validate().to_dense().tolist() == [[1, 1, 1], [1, 0, 0]]


@settings(max_examples=300, deadline=None)
@given(formats_and_tensors(dtypes=("float32",), max_rank=3), st.data())
def test_buffers_that_validate_can_be_read(case, data):
    """Change entries or lengths at random: either validate refuses, or reading works."""
    fmt, x = case
    tensor = pith.compress(pith.prune(x, fmt), fmt)
    which = data.draw(st.integers(0, len(tensor.buffers) - 1))
    buffer = tensor.buffers[which].copy()
    if buffer.size and data.draw(st.booleans()):
        at = data.draw(st.integers(0, buffer.size - 1))
        buffer[at] = data.draw(st.sampled_from((0, 1, 2, 3, 100)))
    else:
        buffer = buffer[: data.draw(st.integers(0, buffer.size))]
    buffers = (*tensor.buffers[:which], buffer, *tensor.buffers[which + 1 :])
    changed = dataclasses.replace(tensor, buffers=buffers)
    try:
        changed.validate()
    except pith.FormatError:
        return
    coords, values = changed.coordinates()
    assert all(((0 <= c) & (c < s)).all() for c, s in zip(coords, x.shape))
    assert len({tuple(c) for c in coords.T.tolist()}) == values.size or may_repeat(fmt)
    np.testing.assert_allclose(changed.to_dense().sum(), values.sum(), rtol=1e-4, atol=1e-2)


def test_buffers_of_another_format_are_refused():
    good = pith.compress(np.eye(3), pith.CSR)
    positions, coordinates, values = good.buffers
    for buffers, error in (
        (good.buffers[:2], pith.FormatError),
        ((positions.astype(np.int64), coordinates, values), pith.DTypeError),
        ((positions, coordinates, values.reshape(3, 1)), pith.FormatError),
        ((positions, coordinates, np.repeat(values, 2)[::2]), pith.FormatError),
        ((positions, coordinates, values.astype(object)), pith.DTypeError),
        ((positions, coordinates, values.tolist()), pith.FormatError),
    ):
        with pytest.raises(error):
            dataclasses.replace(good, buffers=buffers)
    with pytest.raises(pith.ShapeError):
        dataclasses.replace(good, shape=(3, -1))


def test_a_dense_array_beyond_memory_is_an_error_before_a_kernel_would_abort():
    eye = sp.eye_array(3_000_000, format="csr", dtype=np.float32)
    A = pith.SparseTensor.from_scipy(eye)
    for act in (A.to_dense, lambda: A @ A):
        with pytest.raises(pith.FormatError, match=r"3000000x3000000\) would take 3.6e\+13 bytes.*\n.*to_scipy\(\) @"):
            act()


def test_what_the_process_may_not_have_is_an_error_too():
    text = """
import resource, numpy as np, pith, scipy.sparse as sp
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
try:
    pith.SparseTensor.from_scipy(sp.eye_array(40_000, format="csr", dtype=np.float32)).to_dense()
except pith.FormatError as error:
    print(error)
"""
    out = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
    assert "the dense array (40000x40000) would take 6.4e+09 bytes, more than this " in out
