"""Quantised weights and their dense copies: the same results, exact zeros, new values, what explain() says runs."""

import re

import numpy as np
import pith
import pytest
from pith.functional.matmul import copies
from pith.lowering.isa import host_isa
from pith.runtime import num_threads, set_num_threads
from test_quantized import close


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("text", ["C0(2:4)", "C0(1:4)", "csr", "B(4x1)C0(1:2)", "C0(2:4) pad", "B(4x4)C0(1:2)"])
def test_every_variant_computes_the_same(text, threads):
    """What is stored and dense copies, of odd sizes, both ways around; bytes exactly alike."""
    rng, before = np.random.default_rng(5), num_threads()
    set_num_threads(threads)
    try:
        for m, k in ((24, 64), (16, 136), (37, 44)):
            if "B(4" in text and m % 4:
                continue
            w = pith.prune(rng.standard_normal((m, k), np.float32), "C0(2:4)" if text == "csr" else text)
            for scheme in ({}, {"bits": 4, "group": 24}, {"group": 16}):
                q = pith.quantize(w, text, **scheme)
                exact, n = q.dequantize().to_dense().astype(np.float64), int(rng.integers(2, 70))
                for columns in (1, n):
                    x = rng.standard_normal((k, columns), np.float32)
                    for variant in ("auto", "dense", "sparse"):
                        close(pith.matmul(q, x, variant=variant), exact @ x)
                        close(q.linear(x.T.copy(), np.ones(m), "relu", variant=variant), np.maximum(exact @ x + 1, 0).T)
                    if not scheme:
                        x = rng.integers(-128, 128, x.shape).astype(np.int8)
                        found = [q.matmul(x, out_scale=3.0, x_zero=5, variant=v) for v in ("auto", "dense", "sparse")]
                        np.testing.assert_array_equal(found[0], found[1])
                        np.testing.assert_array_equal(found[0], found[2])
                        close(pith.matmul(q, x, variant="dense"), exact @ x)
    finally:
        set_num_threads(before)


def test_dense_copies_of_quantised_weights():
    """They count what is not stored as zeros whatever it meets, follow new values, and are bytes of bytes."""
    rng = np.random.default_rng(6)
    w = pith.prune(rng.standard_normal((16, 32), np.float32), "C0(2:4)")
    for scheme in ({}, {"bits": 4, "group": 16}):
        q = pith.quantize(w, "C0(2:4)", **scheme)
        x = rng.standard_normal((32, 6), np.float32)
        close(pith.matmul(q, x, variant="dense"), q.dequantize().to_dense() @ x)
        absent = int(np.flatnonzero(w[0] == 0)[0])
        x[absent] = np.inf
        out = q.matmul(x, variant="dense")
        np.testing.assert_array_equal(np.isfinite(out[:, 0]), w[:, absent] == 0)
        x[absent] = 0
        pith.repack(q, -2 * w, out=q)
        for _ in range(3):
            close(pith.matmul(q, x, variant="dense"), q.dequantize().to_dense().astype(np.float64) @ x)
    q = pith.quantize(w, "C0(2:4)")
    x = rng.integers(-128, 128, (32, 5)).astype(np.int8)
    q.matmul(x, variant="dense")
    (copy,) = q.__dict__["_products"].dense.values()
    assert copy.dtype == np.int8 and copy.nbytes == w.size
    y = pith.quantize(w, "C0(2:4)")
    y.matmul(x, variant="sparse")
    assert not y.__dict__["_products"].dense
    with pytest.raises(pith.UnsupportedError, match="auto, dense, sparse"):
        q.matmul(x, variant="best")


@pytest.mark.parametrize("columns", [1, 7, 16, 17, 40])
@pytest.mark.parametrize("rows", [16, 83])
def test_rows_a_way_of_the_cache_apart(rows, columns):
    """Rows of 4096 bytes are copied for few columns, those of other sizes are not."""
    rng = np.random.default_rng(8)
    for contracted in (4096, 4160, 8192):
        w = rng.integers(-128, 128, (rows, contracted)).astype(np.int8)
        x = rng.integers(-128, 128, (contracted, columns)).astype(np.int8)
        out = np.full((rows, columns), 7, np.int32)
        pith.matmul(pith.compress(w, "dense"), x, out=out, variant="sparse")
        np.testing.assert_array_equal(out, w.astype(np.int64) @ x)


def test_a_list_of_single_bytes_runs_dense():
    """Nothing multiplies bytes of CSR by dot instructions; a copy of them does."""
    if host_isa().dot_gain("i8") < 4:
        pytest.skip("asks for dot instructions of bytes")
    w = pith.prune(np.random.default_rng(7).standard_normal((256, 512), np.float32), "C0(1:2)")
    q, x = pith.quantize(w, "csr"), np.ones((512, 64), np.int8)
    assert "runs dense:own" in pith.explain(q, x) and "runs dense:own" in pith.explain(pith.linear, x.T, q)
    close(q.matmul(x), q.dequantize().to_dense().astype(np.float64) @ x)


def test_new_values_transposes_and_explanations():
    rng = np.random.default_rng(31)
    w = pith.prune(rng.standard_normal((32, 64)).astype(np.float32), "C0(2:4)")
    rows, groups = pith.quantize(w, "C0(2:4)"), pith.quantize(w, "C0(2:4)", bits=4, group=32)
    for q in (rows, groups):
        new = pith.repack(q, 3 * w)
        np.testing.assert_array_equal(
            new.integers, pith.quantize(3 * w, "C0(2:4)", bits=q.bits, group=q.group).integers
        )
        assert new.buffers[0] is q.buffers[0]
        assert pith.repack(q, 3 * w, out=q) is q
        np.testing.assert_array_equal(q.dequantize().to_dense(), new.dequantize().to_dense())
        told = pith.explain(q, np.ones((64, 8), np.float32), variant="sparse")
        assert "what the load dequantises, on what is stored" in told and "dense:own" not in told
        told = pith.explain(q, np.ones((64, 8), np.float32), variant="dense")
        assert f"runs dense:own; f32 is multiplied by f32, on a copy of 8192 bytes beside {q.nbytes}" in told
        told = pith.explain(q, np.ones((64, 8), np.float32))
        assert "dense:own" in told and "lanes=" in told
    told = pith.explain(rows, np.ones((64, 8), np.int8))
    assert re.search(r"^[* ] +dense:own +\S+ us", told, re.MULTILINE)
    assert "bytes are multiplied, on a copy of 2048 bytes" in pith.explain(
        rows, np.ones((64, 8), np.int8), variant="dense"
    )
    by_dots = host_isa().dot_gain("i8") >= 2
    assert (re.search(r"^[* ] +dots ", told, re.MULTILINE) is not None) == by_dots
    assert " dots " not in pith.explain(rows, np.ones((64, 1), np.int8))
    y = rng.standard_normal((32, 5)).astype(np.float32)
    np.testing.assert_allclose(
        groups.T @ y, groups.dequantize().to_dense().T.astype(np.float64) @ y, rtol=1e-4, atol=1e-4
    )
    reference = y.T.astype(np.float64) @ groups.dequantize().to_dense()
    np.testing.assert_allclose(y.T @ groups, reference, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(pith.matmul(y[:, 0], groups), reference[0], rtol=1e-4, atol=1e-4)
    with pytest.raises(pith.UnsupportedError, match="one per column"):
        _ = rows.T
    with pytest.raises(pith.ArgumentError, match="share the pattern"):
        pith.repack(rows, w, out=groups)


def test_without_room_for_a_copy_nothing_is_unpacked(monkeypatch):
    monkeypatch.setattr(copies, "MOST_DENSE_BYTES", 0)
    w = pith.prune(np.random.default_rng(5).standard_normal((16, 32)).astype(np.float32), "C0(2:4)")
    q, x = pith.quantize(w, "C0(2:4)"), np.ones((32, 6), np.float32)
    expected = q.matmul(x, variant="sparse")
    monkeypatch.setattr(pith.QuantizedTensor, "dequantize", None)
    np.testing.assert_array_equal(q.matmul(x, variant="dense"), expected)
