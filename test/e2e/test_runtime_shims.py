"""The support functions compiled code calls: printing as upstream's integration tests expect, copies, 16-bit floats."""

from __future__ import annotations

import ctypes
import re

import ml_dtypes
import numpy as np
import pytest
from pith.runtime import MemRefSpec, ScalarSpec, Signature, numpy_dtype
from pith.runtime.native import lib

from test_runtime_call import ENTRY, build, random_array  # isort: skip

PRINT_MEMREF = f"""
func.func private @printMemrefF32(memref<*xf32>) attributes {{llvm.emit_c_interface}}
func.func private @printMemrefI32(memref<*xi32>) attributes {{llvm.emit_c_interface}}
func.func private @printMemrefF64(memref<*xf64>)
func.func @main() {ENTRY} {{
  %a = memref.get_global @a : memref<2x3xf32>
  %A = memref.cast %a : memref<2x3xf32> to memref<*xf32>
  call @printMemrefF32(%A) : (memref<*xf32>) -> ()
  %t = memref.transpose %a (i, j) -> (j, i) : memref<2x3xf32> to memref<3x2xf32, strided<[1, 3]>>
  %T = memref.cast %t : memref<3x2xf32, strided<[1, 3]>> to memref<*xf32>
  call @printMemrefF32(%T) : (memref<*xf32>) -> ()
  %b = memref.get_global @b : memref<2x1x2xi32>
  %B = memref.cast %b : memref<2x1x2xi32> to memref<*xi32>
  call @printMemrefI32(%B) : (memref<*xi32>) -> ()
  %c = memref.get_global @c : memref<f64>
  %C = memref.cast %c : memref<f64> to memref<*xf64>
  call @printMemrefF64(%C) : (memref<*xf64>) -> ()
  return
}}
memref.global "private" constant @a : memref<2x3xf32> = dense<[[1.0, 2.5, -3.0], [4.0, 1.0e-7, 6.0]]>
memref.global "private" constant @b : memref<2x1x2xi32> = dense<[[[1, 2]], [[3, 4]]]>
memref.global "private" constant @c : memref<f64> = dense<0.5>
"""

#: As printed by mlir-runner with libmlir_runner_utils; the base address is replaced.
PRINTED = """\
Unranked Memref base@ = X rank = 2 offset = 0 sizes = [2, 3] strides = [3, 1] data =\x20
[[1,   2.5,   -3],\x20
 [4,   1e-07,   6]]
Unranked Memref base@ = X rank = 2 offset = 0 sizes = [3, 2] strides = [1, 3] data =\x20
[[1,   4],\x20
 [2.5,   1e-07],\x20
 [-3,   6]]
Unranked Memref base@ = X rank = 3 offset = 0 sizes = [2, 1, 2] strides = [2, 2, 1] data =\x20
[[[1,    2]],\x20
 [[3,    4]]]
Unranked Memref base@ = X rank = 0 offset = 0 sizes = [] strides = [] data =\x20
[0.5]
"""


def test_memrefs_print_as_upstream(capfd):
    (main,) = build(PRINT_MEMREF, Signature("main", ()))
    main()
    assert re.sub(r"0x[0-9a-f]+", "X", capfd.readouterr().out) == PRINTED


def test_vectors_and_numbers_print_as_upstream(capfd):
    text = f"""
    func.func @main(%f: f32, %u: i8) {ENTRY} {{
      %v = arith.constant dense<[[1.0, 2.0], [3.0, 4.5]]> : vector<2x2xf32>
      vector.print %v : vector<2x2xf32>
      %i = arith.constant dense<[-1, 7]> : vector<2xi64>
      vector.print %i : vector<2xi64>
      vector.print %f : f32
      %h = arith.truncf %f : f32 to f16
      vector.print %h : f16
      %b = arith.truncf %f : f32 to bf16
      vector.print %b : bf16
      vector.print %u : i8
      vector.print str "end"
      return
    }}"""
    signature = Signature("main", (ScalarSpec("f32", "f"), ScalarSpec("i8", "u")))
    (main,) = build(text, signature, before="convert-vector-to-scf,")
    main(1.001, -3)
    assert capfd.readouterr().out == "( ( 1, 2 ), ( 3, 4.5 ) )\n( -1, 7 )\n1.001\n1.00098\n1\n-3\nend"


def test_rtclock_goes_forward():
    text = f"""
    func.func private @rtclock() -> f64
    func.func @elapsed() -> f64 {ENTRY} {{
      %a = call @rtclock() : () -> f64
      %b = call @rtclock() : () -> f64
      %d = arith.subf %b, %a : f64
      return %d : f64
    }}"""
    (elapsed,) = build(text, Signature("elapsed", (), (ScalarSpec("f64"),)))
    assert 0 <= elapsed() < 1


@pytest.mark.parametrize("dtype", ["i8", "f16", "f32", "f64", "complex128"])
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (3, 4), (2, 3, 5)])
def test_copies_between_layouts(dtype, shape):
    rank = len(shape)
    sizes, element = "?x" * rank, {"complex128": "complex<f64>"}.get(dtype, dtype)
    strided = f"memref<{sizes}{element}, strided<[{', '.join('?' * rank)}], offset: ?>>"
    text = f"""
    func.func @copy(%x: {strided}, %y: {strided}) {ENTRY} {{
      memref.copy %x, %y : {strided} to {strided}
      return
    }}"""
    specs = [MemRefSpec(dtype, (-1,) * rank, n, writable=n == "y", layout="strided") for n in "xy"]
    (copy,) = build(text, Signature("copy", tuple(specs)))
    x = random_array(shape, numpy_dtype(dtype))
    base = np.full([3 * n for n in shape], 111, x.dtype)
    target = base[tuple(slice(None, None, 3) for _ in shape)] if rank else base
    for source in (x, x.copy(order="F")):
        target[...] = 111
        copy(source, target)
        np.testing.assert_array_equal(target, x)
    assert (base == 111).sum() >= base.size - x.size


def bits_through_library(name: str, values: np.ndarray) -> np.ndarray:
    """Low 16 bits of the register a narrowing function returns."""
    function = getattr(lib(), name)
    function.restype = ctypes.c_float
    function.argtypes = [ctypes.c_double if "df" in name else ctypes.c_float]
    out = np.array([function(v) for v in values.tolist()], np.float32)
    return out.view(np.uint32).astype(np.uint16)


def interesting(dtype: type) -> np.ndarray:
    """The finite values of a 16-bit float type, numbers just beside them, and the midpoints between them."""
    with np.errstate(invalid="ignore"):
        values = np.arange(1 << 16, dtype=np.uint16).view(dtype).astype(np.float64)
    exact = np.sort(values[np.isfinite(values)])
    middle = (exact[1:] + exact[:-1]) / 2
    extra = np.array(
        [0.0, -0.0, np.inf, -np.inf, 65504, 65519, 65520, 65536, 1e300, -1e300, 3.39e38, 2.0**-24, 2.0**-25]
    )
    return np.concatenate([exact, middle, exact * (1 + 2.0**-20), extra])


@pytest.mark.parametrize("name, dtype", [("hf2", np.float16), ("bf2", ml_dtypes.bfloat16)])
@pytest.mark.parametrize("source", ["sf", "df"])
def test_narrowing_rounds_to_nearest_even(name, dtype, source):
    values = interesting(dtype)
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
        if source == "sf":
            values = single
        elif dtype is ml_dtypes.bfloat16:  # ml_dtypes goes through float32 and would round twice
            values = values[single == values]
        want = values.astype(dtype)
    np.testing.assert_array_equal(bits_through_library(f"__trunc{source}{name}", values), want.view(np.uint16))


def test_widening_is_exact():
    widen = lib().__gnu_h2f_ieee
    widen.restype, widen.argtypes = ctypes.c_float, [ctypes.c_uint16]
    halves = np.arange(1 << 16, dtype=np.uint16)
    got = np.array([widen(h) for h in halves.tolist()], np.float32)
    np.testing.assert_array_equal(got, halves.view(np.float16).astype(np.float32))
