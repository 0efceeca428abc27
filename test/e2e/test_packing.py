"""Large tensors are packed, unpacked and pruned by compiled kernels; the result is NumPy's, bit for bit."""

import numpy as np
import pith
import pytest
from pith.compiler import packing as kernels
from pith.formats.pack import pack as pack_numpy
from pith.formats.pack_read import unpack as unpack_numpy
from pith.formats.parse import parse_format
from pith.formats.prune import prune_array as prune_numpy
from pith.named_formats import as_format
from pith.packing import WORTH_A_KERNEL, pack, prune_array

FORMATS = ["C1(3:4)->C0(2:4)", "V(4)C1(1:2)->C0(2:4)", "B(4x4)C0(1:2)"]


def weights(fmt: str, dtype=np.float32) -> np.ndarray:
    rng = np.random.default_rng(len(fmt))
    w = rng.standard_normal((2064, 2048)).astype(dtype)
    w[rng.random(w.shape) < 0.2] = 0
    w[5, 7], w[6, 8] = np.inf, -0.0
    assert w.size >= WORTH_A_KERNEL
    return w


def kernel_calls() -> int:
    """How often a kernel that prunes or packs was asked for."""
    found = [f.cache_info() for f in (kernels._prune_kernel, kernels._pack_kernel)]
    return sum(info.hits + info.misses for info in found)


@pytest.mark.parametrize("text", FORMATS)
def test_same_as_numpy(text):
    fmt = pith.HSS.parse(text).to_format()
    w = weights(text)
    before = w.copy()
    before_calls = kernel_calls()
    pruned = prune_array(w, fmt)
    np.testing.assert_array_equal(pruned, prune_numpy(w, fmt))
    for got, want in zip(pack(pruned, fmt), pack_numpy(pruned, fmt), strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(w, before)
    assert kernel_calls() == before_calls + 2


COUNTED = ["C0(*)", "C0->M0(*)", "M0(*)->C0(*)", "coo", "B(16x16)C0(*)", "C1(*)->C0(2:4)", "d0 : dense, d1 : bitmask"]


UNPACKED = [*FORMATS, *COUNTED, "csc", "masked(4)", "C0(3:7) pad", "d0 : dense, d1 : loose_compressed"]


@pytest.mark.parametrize("dtype", (np.float32, np.float64, np.int8), ids=lambda t: t.__name__)
@pytest.mark.parametrize("text", UNPACKED)
def test_unpacking_by_a_kernel_is_numpys(text, dtype):
    fmt = as_format(text)[0]
    w = weights(text)
    w = np.where(np.isfinite(w), prune_numpy(w, fmt if fmt.is_static else as_format("C0(2:4)")[0]) * 5, 1).astype(dtype)
    a = pith.compress(w, text)
    before = kernels._unpack_kernel.cache_info()
    got = a.to_dense()
    after = kernels._unpack_kernel.cache_info()
    assert after.hits + after.misses == before.hits + before.misses + 1
    np.testing.assert_array_equal(got, w)
    np.testing.assert_array_equal(got, unpack_numpy(a.buffers, a.format, a.shape))


def test_small_tensors_and_diagonals_are_unpacked_by_numpy():
    before = kernels._unpack_kernel.cache_info()
    for text, size in (("csr", 64), ("dia", 1024)):
        w = np.eye(size, dtype=np.float32)
        np.testing.assert_array_equal(pith.compress(w, text).to_dense(), w)
    assert kernels._unpack_kernel.cache_info() == before


@pytest.mark.parametrize("dtype", (np.float32, np.float16, np.int8), ids=lambda t: t.__name__)
@pytest.mark.parametrize("text", COUNTED)
def test_formats_that_count_what_they_store(text, dtype):
    parsed = parse_format(text)
    fmt = parsed if isinstance(parsed, pith.Format) else parsed.to_format()
    w = prune_numpy(weights(text), pith.HSS.parse("C0(2:4)").to_format())
    w[tuple(np.argwhere(w)[5])] = np.nan
    with np.errstate(invalid="ignore"):
        w = np.where(np.isfinite(w) | (dtype is not np.int8), w * 3, 1).astype(dtype)
    calls = kernel_calls()
    for got, want in zip(pack(w, fmt), pack_numpy(w, fmt), strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)
    assert kernel_calls() == calls + 1
    empty = np.zeros_like(w)
    assert [b.tolist() for b in pack(empty, fmt)[1:]] == [b.tolist() for b in pack_numpy(empty, fmt)[1:]]


def test_torch_in_torch_out():
    torch = pytest.importorskip("torch")
    w = torch.from_numpy(weights(FORMATS[0], np.float64))
    pruned = pith.prune(w, FORMATS[0])
    assert pruned.dtype == torch.float64
    np.testing.assert_array_equal(pruned.numpy(), prune_numpy(w.numpy(), pith.HSS.parse(FORMATS[0]).to_format()))


def test_errors_name_the_element():
    w = np.ones((2064, 2048), np.float32)
    with pytest.raises(pith.FormatError, match="level"):
        pith.compress(w, FORMATS[0])
    w[3, 4] = np.nan
    with pytest.raises(pith.FormatError, match="NaN"):
        pith.prune(w, FORMATS[0])
    with pytest.raises(pith.ShapeError, match="2047"):
        pith.prune(np.ones((2064, 2047), np.float32), FORMATS[0])
