"""Padded formats, compiled: storage ops and products on shapes that the groups do not divide."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from format_strategies import broken_elements, padded_formats_and_tensors, random_tensor
from hypothesis import HealthCheck, assume, given, settings
from pith.formats.prune import prune_array
from pith.sparse import SparseTensor
from test_storage_ops import can_be_written
from test_storage_ops import check as check_storage_ops

RNG = np.random.default_rng(11)

FORMATS = (
    "C1(3:4)->C0(2:4) pad",
    "V(4)C1(1:2)->C0(2:4) pad",
    "B(4x4)C0(1:2) pad",
    "C1(*)->C0(2:4) pad",
    "bsr(3x4) pad",
    "C1(bitmask)->C0(4) pad",
    "C2->C0(4)->C1(1:4) pad",
)

many = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


@many
@given(padded_formats_and_tensors(max_rank=3, max_levels=5))
def test_storage_ops_on_any_format_and_shape(case):
    fmt, x = case
    assume(can_be_written(fmt))
    check_storage_ops(x, fmt, dynamic=x.size % 2 == 0)


@pytest.mark.parametrize("text", FORMATS)
@pytest.mark.parametrize("dynamic", [False, True])
def test_pruning_and_the_first_violation(text, dynamic):
    x = random_tensor(RNG, (7, 37), "float32", 0.7)
    fmt = pith.compress(np.zeros((4, 4)), text).format
    fits = x.copy()
    for at in broken_elements(x, fmt):
        fits[at] = 0
    check_storage_ops(x, fmt, dynamic=dynamic, fits=fits)


@many
@given(padded_formats_and_tensors(max_rank=2, max_levels=5))
def test_products_with_any_format_and_shape(case):
    fmt, x = case
    assume(x.ndim == 2 and can_be_written(fmt))
    stored = pith.compress(x, fmt)
    for a, b in ((stored, RNG.integers(-9, 9, (x.shape[1], 3))), (RNG.integers(-9, 9, (3, x.shape[0])), stored)):
        a, b = (v if isinstance(v, SparseTensor) else v.astype(x.dtype) for v in (a, b))
        ref = np.float64(x) @ b if a is stored else a @ np.float64(x)
        out = np.float64(pith.matmul(a, b))
        assert np.linalg.norm(out - ref) <= 1e-5 * max(np.linalg.norm(ref), 1)


@pytest.mark.parametrize("text", FORMATS)
@pytest.mark.parametrize("dtype", ["int32", "float32", "float64"])
def test_what_lies_beyond_the_edge_is_not_read(text, dtype):
    """NaN and infinity next to the operand's last rows would show; the destination is poisoned."""
    w = prune_array(random_tensor(RNG, (9, 13), dtype, 0.8), pith.compress(np.zeros((1, 1)), text).format)
    backing = np.full((16, 5), np.nan if dtype != "int32" else 2**30, dtype)
    backing[:13] = RNG.integers(-9, 9, (13, 5))
    out = np.full((12, 5), 77, dtype)
    pith.matmul(pith.compress(w, text), backing[:13], out=out[:9])
    ref = np.float64(w) @ np.float64(backing[:13])
    assert np.linalg.norm(np.float64(out[:9]) - ref) <= 1e-5 * np.linalg.norm(ref)
    assert (out[9:] == 77).all()


def test_an_edge_of_unknown_size_keeps_the_register_tiles():
    kernel = pith.compile(
        """#pad = #pith.padded<#pith.format<affine_map<(i, j) -> (i, j floordiv 4, j mod 4)>,
  [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<2, 4>], 0, 0, 0>>
func.func @f(%a: tensor<?x?xf32, #pad>, %x: tensor<?x?xf32>, %y: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %r = linalg.matmul ins(%a, %x : tensor<?x?xf32, #pad>, tensor<?x?xf32>) outs(%y : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}"""
    )
    assert "panel" in kernel.explain()
    w = pith.prune(np.random.default_rng(7).standard_normal((5, 7)).astype(np.float32), "C0(2:4) pad")
    x = np.random.default_rng(8).standard_normal((7, 3)).astype(np.float32)
    out = kernel(pith.compress(w, "C0(2:4) pad"), x, np.zeros((5, 3), np.float32))
    np.testing.assert_allclose(out, w @ x, rtol=1e-5, atol=1e-5)


def test_a_shape_without_an_edge_takes_the_kernel_of_the_plain_format():
    from pith.tuning.problem import Problem

    for size, padded in ((16, False), (15, True)):
        stored = pith.compress(prune_array(np.eye(8, size), pith.HSS.parse("C0(2:4) pad").to_format()), "C0(2:4) pad")
        assert stored.format.padded and Problem.of(stored, 8).format.padded == padded
