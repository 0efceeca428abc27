"""pith.repack: new values on an old pattern, without compiling."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from format_strategies import can_be_written, formats_and_tensors
from hypothesis import HealthCheck, assume, given, settings
from pith.formats.pack_digits import may_repeat
from pith.formats.prune import prune_array
from pith.runtime import kernel_cache

FORMATS = ("C0(2:4)", "C1(3:4)->C0(2:4)", "V(4)C1(1:2)->C0(2:4)", "B(4x4)C0(1:2)", "csr", "csc", "coo", "bsr(4x4)")


def packed(fmt: str, shape=(16, 48), dtype=np.float32, seed: int = 0) -> pith.SparseTensor:
    w = np.random.default_rng(seed).standard_normal(shape)
    return pith.compress(pith.prune(np.where(np.abs(w) > 0.7, w * 30, 0).astype(dtype), fmt), fmt)


def expected(a: pith.SparseTensor, w: np.ndarray) -> np.ndarray:
    coords, _ = a.coordinates()
    out = np.zeros_like(w)
    out[tuple(coords)] = w[tuple(coords)]
    return out


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(formats_and_tensors(dtypes=("float32", "float64", "float16", "bfloat16", "int8"), max_rank=3, max_levels=5))
def test_any_format(case):
    fmt, x = case
    assume(can_be_written(fmt) and not may_repeat(fmt))
    a = pith.compress(prune_array(x, fmt), fmt)
    w = np.random.default_rng(0).uniform(-90, 90, x.shape).astype(x.dtype)
    b = pith.repack(a, w).validate()
    np.testing.assert_array_equal(b.to_dense(), expected(a, w))
    assert all(p is q for p, q in zip(a.buffers[:-1], b.buffers[:-1]))


@pytest.mark.parametrize("fmt", FORMATS)
def test_nothing_is_compiled_for_new_values_patterns_and_shapes(fmt):
    pith.repack(packed(fmt), np.ones((16, 48), np.float32))
    stats = kernel_cache().stats
    before = stats.compiled, stats.hits, stats.misses
    for seed, shape in enumerate([(16, 48), (32, 96), (1024, 96)]):
        a = packed(fmt, shape, seed=seed)
        w = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
        np.testing.assert_array_equal(pith.repack(a, w).to_dense(), expected(a, w))
    assert (stats.compiled, stats.hits, stats.misses) == before


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128, np.bool_, np.uint16, np.int64])
@pytest.mark.parametrize("fmt", ["C0(2:4)", "csc", "B(4x4)C0(1:2)", "band(1:2)"])
def test_every_element_type_that_is_stored(fmt, dtype):
    rng = np.random.default_rng(3)
    part = pith.prune(rng.integers(-9, 10, (16, 48)).astype(np.float32), fmt)
    a = pith.compress((part * (1 - 2j) if np.issubdtype(dtype, np.complexfloating) else part).astype(dtype), fmt)
    w = (rng.integers(1, 9, (16, 48)) * (2 + 1j)).astype(np.complex128)
    w = (w if np.issubdtype(dtype, np.complexfloating) else w.real).astype(dtype)
    coords, _ = a.coordinates()
    stored = np.zeros(w.shape, bool)
    stored[tuple(coords[:, np.all((coords >= 0) & (coords < np.array([[16], [48]])), axis=0)])] = True
    np.testing.assert_array_equal(pith.repack(a, w).to_dense(), np.where(stored, w, w.dtype.type(0)))


def test_in_place_kernels_see_the_new_values():
    a, x = packed("C0(2:4)"), np.random.default_rng(1).standard_normal((48, 3)).astype(np.float32)
    w = np.random.default_rng(2).standard_normal((16, 48)).astype(np.float32)
    values, want = a.values, expected(a, w)
    assert pith.repack(a, w, out=a) is a and a.values is values
    np.testing.assert_allclose(a @ x, want @ x, rtol=1e-5, atol=1e-5)
    assert values.ctypes.data % 64 == 0


def test_what_lies_between_rows_is_zero():
    a = packed("d0 : dense, d1 : loose_compressed")
    positions, coordinates, values = a.buffers
    positions = positions.copy()
    positions[1::2] -= positions[1::2] > positions[::2]  # every row gives up its last
    gaps = np.ones(values.size, bool)
    for begin, end in positions.reshape(-1, 2):
        gaps[begin:end] = False
    loose = pith.SparseTensor(a.shape, a.format, (positions, coordinates, values)).validate()
    for _ in range(8):  # memory is used again
        np.full(values.size, np.nan, values.dtype)
        assert gaps.any() and not pith.repack(loose, np.ones(a.shape, np.float32)).values[gaps].any()


def test_torch_and_padding():
    torch = pytest.importorskip("torch")
    fmt = pith.HSS.parse("V(4)C0(2:4)").to_format().with_padding()
    a = pith.compress(pith.prune(np.random.default_rng(3).standard_normal((6, 10)), fmt), fmt)
    w = torch.full((6, 10), 2.0, dtype=torch.float64)
    b = pith.repack(a, w)
    np.testing.assert_array_equal(b.to_dense(), np.where(b.to_dense() != 0, 2.0, 0))
    assert b.nnz >= a.nnz and b.values.sum() == 2 * b.nnz


@pytest.mark.parametrize(
    ("w", "error", "text"),
    [
        (np.ones((4, 48), np.float32), pith.ShapeError, r"\(16, 48\), got \(4, 48\)"),
        (np.ones((16, 48)), pith.DTypeError, "float32, got float64"),
        ([1], pith.DTypeError, "list"),
    ],
)
def test_bad_values(w, error, text):
    with pytest.raises(error, match=text):
        pith.repack(packed("C0(2:4)"), w)


def test_bad_out():
    a, w = packed("C0(2:4)"), np.ones((16, 48), np.float32)
    with pytest.raises(pith.ArgumentError, match="SparseTensor, got ndarray"):
        pith.repack(w, w)
    with pytest.raises(pith.ArgumentError, match="share the pattern"):
        pith.repack(a, w, out=w)
    with pytest.raises(pith.ArgumentError, match="share the pattern"):
        pith.repack(a, w, out=packed("C0(2:4)", seed=5))
    a.values.flags.writeable = False
    with pytest.raises(pith.ArgumentError, match="read-only"):
        pith.repack(a, w, out=a)
    twice = pith.Format.make(1, (0, "compressed(nonunique)"))
    with pytest.raises(pith.FormatError, match="twice"):
        pith.repack(pith.compress(np.ones(4), twice), np.ones(4))


@pytest.mark.parametrize("variant", ["dense", "sparse", "auto"])
def test_products_see_values_that_were_overwritten_in_place(variant):
    rng = np.random.default_rng(3)
    w = pith.prune(rng.standard_normal((32, 64)).astype(np.float32), "C0(2:4)")
    a, x = pith.compress(w, "C0(2:4)"), rng.standard_normal((64, 16)).astype(np.float32)
    transposed = a.T
    pith.matmul(a, x, variant=variant), pith.matmul(transposed, x[:32], variant=variant)
    assert pith.repack(a, 3 * w, out=a) is a
    np.testing.assert_allclose(pith.matmul(a, x, variant=variant), 3 * w @ x, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(pith.matmul(transposed, x[:32], variant=variant), 3 * w.T @ x[:32], rtol=1e-4, atol=1e-4)
