"""Emulated tile and dot instructions against a NumPy model of the processor's manual, bit for bit."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pith
import pytest
from pith.lowering.isa import ISAS
from pith.runtime.cpu import cpu_features

BF16 = ml_dtypes.bfloat16
SMALLEST_NORMAL = np.float32(2.0**-126)

#: Emulated everywhere; on the machine itself where there is one.
TARGETS = ["emulate:amx", *(["cpu:amx"] if ISAS["amx"].runs_on(cpu_features()) else [])]

TILES = """
func.func @f(%a: memref<{m}x{k}x{t}>, %b: memref<{kg}x{row}x{t}>, %c: memref<{m}x{n}x{acc}>) {{
  %c0 = arith.constant 0 : index
  %acc = x86.amx.tile_load %c[%c0, %c0] : memref<{m}x{n}x{acc}> into !x86.amx.tile<{m}x{n}x{acc}>
  %x = x86.amx.tile_load %a[%c0, %c0] : memref<{m}x{k}x{t}> into !x86.amx.tile<{m}x{k}x{t}>
  %y = x86.amx.tile_load %b[%c0, %c0] : memref<{kg}x{row}x{t}> into !x86.amx.tile<{kg}x{row}x{t}>
  %sum = x86.amx.{op} %x{zl}, %y{zr}, %acc
      : !x86.amx.tile<{m}x{k}x{t}>, !x86.amx.tile<{kg}x{row}x{t}>, !x86.amx.tile<{m}x{n}x{acc}>
  x86.amx.tile_store %c[%c0, %c0], %sum : memref<{m}x{n}x{acc}>, !x86.amx.tile<{m}x{n}x{acc}>
  return
}}
"""

DOT = """
func.func @f(%a: memref<32xbf16>, %b: memref<32xbf16>, %c: memref<16xf32>) {
  %c0 = arith.constant 0 : index
  %x = vector.load %a[%c0] : memref<32xbf16>, vector<32xbf16>
  %y = vector.load %b[%c0] : memref<32xbf16>, vector<32xbf16>
  %s = vector.load %c[%c0] : memref<16xf32>, vector<16xf32>
  %d = x86.avx512.dot %s, %x, %y : vector<32xbf16> -> vector<16xf32>
  vector.store %d, %c[%c0] : memref<16xf32>, vector<16xf32>
  return
}
"""


def flush(x):
    return np.where(np.abs(x) < SMALLEST_NORMAL, np.copysign(np.float32(0), x), x).astype(np.float32)


def fma(a, b, c):
    """Fused in f32: a product of bf16 is exact in f64, and so is the sum where a rounding could differ."""
    exact = a.astype(np.longdouble) * b.astype(np.longdouble) + c.astype(np.longdouble)
    return flush(exact.astype(np.float32))


def tdpbf16ps(a, packed, c):
    """``a[m, 2k]``, ``packed[k, 2n]``, ``c[m, n]`` as in the manual."""
    a, packed = flush(a.astype(np.float32)), flush(packed.astype(np.float32))
    partial = [np.zeros_like(c), np.zeros_like(c)]
    for k in range(packed.shape[0]):
        for g in range(2):
            partial[g] = fma(a[:, 2 * k + g, None], packed[None, k, g::2], partial[g])
    return flush(flush(c) + flush(partial[0] + partial[1]))


def bfloats(rng, shape):
    """Values over many magnitudes, denormals and zeros among them."""
    x = rng.standard_normal(shape) * 2.0 ** rng.integers(-140, 30, shape)
    return np.where(rng.random(shape) < 0.1, 0, x).astype(BF16)


def tile_source(m, n, k, t, acc, op, zext=(False, False)):
    group = 4 if t == "i8" else 2
    zl, zr = (" zext" if z else "" for z in zext)
    return TILES.format(m=m, n=n, k=k, kg=k // group, row=n * group, t=t, acc=acc, op=op, zl=zl, zr=zr)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("m", "n", "k"), [(16, 16, 32), (3, 5, 6), (1, 16, 2), (16, 1, 32)])
def test_bf16_tiles_round_as_the_manual_says(target, m, n, k):
    rng = np.random.default_rng(m * n + k)
    kernel = pith.compile(tile_source(m, n, k, "bf16", "f32", "tile_mulf"), target=target)
    for _ in range(5):
        a, b = bfloats(rng, (m, k)), bfloats(rng, (k // 2, 2 * n))
        c = bfloats(rng, (m, n)).astype(np.float32)
        wanted = tdpbf16ps(a, b, c)
        kernel(a, b, c)
        np.testing.assert_array_equal(c.view(np.int32), wanted.view(np.int32))


def test_denormals_and_order_show():
    """The model itself is not what plain f32 arithmetic gives: the test above could fail."""
    rng = np.random.default_rng(0)
    a, b = bfloats(rng, (16, 32)), bfloats(rng, (16, 32))
    c = np.full((16, 16), 2.0**-130, np.float32)
    plain = c + a.astype(np.float32) @ b.astype(np.float32).reshape(16, 16, 2).transpose(0, 2, 1).reshape(32, 16)
    assert (plain != tdpbf16ps(a, b, c)).any()
    assert not tdpbf16ps(0 * a, b, c).any()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("zext", [(False, False), (True, False), (False, True), (True, True)])
def test_int8_tiles_are_exact_and_wrap(target, zext):
    rng = np.random.default_rng(sum(zext))
    kernel = pith.compile(tile_source(16, 16, 64, "i8", "i32", "tile_muli", zext), target=target)
    a, b = (rng.integers(-128, 128, shape, np.int8) for shape in ((16, 64), (16, 64)))
    c = rng.integers(2**31 - 2**17, 2**31, (16, 16)).astype(np.int32)
    wide = [v.view(np.uint8 if z else np.int8).astype(np.int64) for v, z in zip((a, b), zext)]
    product = wide[0] @ wide[1].reshape(16, 16, 4).transpose(0, 2, 1).reshape(64, 16)
    wanted = (c.astype(np.int64) + product).astype(np.int32)
    assert (wanted < 0).any(), "some sums wrap"
    kernel(a, b, c)
    np.testing.assert_array_equal(c, wanted)


def test_avx512_dot_adds_the_odd_product_first():
    rng = np.random.default_rng(7)
    kernel = pith.compile(DOT, target="emulate:avx512-bf16")
    a, b, c = bfloats(rng, 32), bfloats(rng, 32), bfloats(rng, 16).astype(np.float32)
    x, y = (flush(v.astype(np.float32)) for v in (a, b))
    wanted = fma(x[0::2], y[0::2], fma(x[1::2], y[1::2], flush(c)))
    kernel(a, b, c)
    np.testing.assert_array_equal(c.view(np.int32), wanted.view(np.int32))


def test_code_the_processor_does_not_execute_is_refused():
    if TARGETS[1:]:
        pytest.skip("this processor has AMX")
    with pytest.raises(pith.UnsupportedError, match=r"(?s)does not execute 'amx'.*emulate:amx"):
        pith.compile(DOT, target="cpu:amx")
    with pytest.raises(pith.UnsupportedError, match="does not execute 'amx'"):
        pith.compile('module attributes {pith.isa = "amx"} {' + DOT + "}")


def test_tiles_that_the_system_does_not_grant_are_refused():
    from pith.runtime.artifact import Artifact

    if TARGETS[1:]:
        pytest.skip("this processor has AMX")
    with pytest.raises(pith.Error, match=r"(?s)does not grant AMX tiles.*PITH_ISA=avx512-bf16"):
        Artifact(b"", (), {"tiles": True}).functions  # noqa: B018


def test_the_instruction_set_is_kept_with_the_kernel():
    kernel = pith.compile(DOT, target="emulate:avx512-bf16")
    assert kernel.isa == "emulate:avx512-bf16"
    assert "x86.avx512.dot" in kernel.ir("pith") and 'pith.isa = "emulate:avx512-bf16"' in kernel.ir("vector")
    assert "x86" not in kernel.ir("llvm").replace("x86_64", "")
