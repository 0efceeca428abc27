"""pith.compress, prune, validate and decompress, compiled: bit for bit what ``pith.formats`` computes."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from format_strategies import broken_elements, can_be_written, formats_and_tensors
from hypothesis import HealthCheck, assume, given, settings
from pith.formats import Format, LevelExpr
from pith.formats.attribute import format_attribute
from pith.formats.pack import pack
from pith.formats.prune import prune_array
from pith.formats.validate import first_violation
from pith.runtime import dtype_name
from pith.sparse import as_format

DTYPES = ("float32", "float64", "float16", "bfloat16", "int8", "int32", "bool")


def text(fmt: Format, shape, dtype: np.dtype, dynamic: bool) -> str:
    """All storage ops on one tensor."""
    sizes = "x".join("?" if dynamic else str(n) for n in shape)
    dense, encoded = f"tensor<{sizes}x{dtype_name(dtype)}>", f"tensor<{sizes}x{dtype_name(dtype)}, #fmt>"
    return f"""#fmt = {format_attribute(fmt)}
func.func @ops(%w: {dense}) -> ({encoded}, {dense}, {dense}, index) {{
  %e = "pith.compress"(%w) : ({dense}) -> {encoded}
  %d = "pith.decompress"(%e) : ({encoded}) -> {dense}
  %p = "pith.prune"(%w) {{format = #fmt}} : ({dense}) -> {dense}
  %i = "pith.validate"(%w) {{format = #fmt}} : ({dense}) -> index
  return %e, %d, %p, %i : {encoded}, {dense}, {dense}, index
}}"""


def bits(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).view(np.uint8)


def check(x: np.ndarray, fmt: Format, dynamic: bool = True, fits: np.ndarray | None = None) -> None:
    """Compile and run; ``fits`` is ``x`` without the elements that break the format."""
    x = np.ascontiguousarray(x)
    fits = x if fits is None else fits
    expected = pack(fits, fmt)
    kernel = pith.compile(text(fmt, x.shape, x.dtype, dynamic))
    kernel(np.ones_like(x))  # leaves garbage in the memory that is reused
    *buffers, dense, pruned, violation = kernel(x)
    sizes = buffers[len(expected) :]
    assert sizes == (list(x.shape) if dynamic else [])
    for i, (got, want) in enumerate(zip(buffers, expected)):
        np.testing.assert_array_equal(bits(got), bits(want), err_msg=f"buffer {i} of {fmt}")
    np.testing.assert_array_equal(np.asarray(dense, x.dtype), fits)
    np.testing.assert_array_equal(bits(pruned), bits(prune_array(x, fmt)))
    first = first_violation(x, fmt)
    assert violation == (-1 if first is None else first.linear)


@pytest.mark.parametrize("dtype", ["float32", "int8", "bool"])
def test_rows_longer_than_a_register(dtype):
    """Rows are cleared by vectors, which store Booleans as bits."""
    x = np.random.default_rng(3).integers(0, 2, (3, 1100))
    check(x.astype(dtype), Format.csr())


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(formats_and_tensors(dtypes=DTYPES, max_rank=3, max_levels=5))
def test_any_format_and_tensor(case):
    fmt, x = case
    assume(can_be_written(fmt))
    fits = x.copy()
    for at in broken_elements(x, fmt):
        fits[at] = 0
    check(x, fmt, dynamic=x.size % 2 == 0, fits=fits)


FORMATS = (
    "C0(2:4)",
    "C1(3:4)->C0(2:4)",
    "V(16)C2(1:2)->V(4)C1(3:4)->C0(2:4)",
    "B(4x4)C0(1:2)",
    "C0(5:63)",  # the largest group whose scores are compared in pairs
    "C0(5:64)",  # the largest that is packed by the bits of a word
    "C0(3:65)",
    "C0(7:4100)",  # scores on the heap
)


@pytest.mark.parametrize(
    ("fmt", "dtype"), [(f, "float32") for f in FORMATS] + [("C1(3:4)->C0(2:4)", d) for d in DTYPES[1:-1]]
)
def test_ties_and_empty_groups(fmt, dtype):
    form, _ = as_format(fmt)
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, [2 * d for d in form.divisors()]).astype(dtype)
    x[rng.random(x.shape) < 0.5] = 0
    x[: len(x) // 2, : x.shape[1] // 2] = 0
    check(prune_array(x, form), form)
    pruned = pith.compile(text(form, x.shape, x.dtype, True))(x)[-2]
    np.testing.assert_array_equal(bits(pruned), bits(prune_array(x, form)))


@pytest.mark.parametrize("fmt", ["C1(3:4)->C0(2:4)", "csr", "csc", "coo", "V(2)C0(2:4)"])
def test_large_tensors_are_packed_by_several_threads(fmt):
    form, _ = as_format(fmt)
    x = prune_array(np.random.default_rng(1).standard_normal((302, 256)).astype(np.float32), form)
    x[np.random.default_rng(2).random(x.shape) < 0.3] = 0
    check(x, form)


def test_rows_that_share_a_byte_of_coordinates():
    form, _ = as_format("C0(2:4)")
    x = prune_array(np.random.default_rng(3).standard_normal((20011, 4)).astype(np.float32), form)
    check(x, form)


def test_signs_of_zero_infinities_and_nan():
    form, _ = as_format("C0(2:4)")
    x = np.array([[-0.0, np.inf, -0.0, -np.inf], [0.0, -0.0, 0.0, 1.0]], np.float32)
    check(x, form)
    nan = np.array([[np.nan, 1.0, np.nan, 0.0]], np.float32)
    *_, pruned, violation = pith.compile(text(form, nan.shape, nan.dtype, False))(nan)
    assert violation == 2
    assert first_violation(pruned, form) is None


def test_sizes_the_format_does_not_divide_are_refused():
    form, _ = as_format("C0(2:4)")
    kernel = pith.compile(text(form, (1, 4), np.dtype(np.float32), True))
    with pytest.raises(pith.CheckError, match="4 must divide dimension 1"):
        kernel(np.zeros((2, 6), np.float32))


def test_positions_that_do_not_fit_are_refused():
    kernel = pith.compile(text(Format.csr(8), (1, 4), np.dtype(np.int8), True))
    kernel(np.ones((15, 17), np.int8))
    with pytest.raises(pith.CheckError, match="positions of 8 bits"):
        kernel(np.ones((16, 16), np.int8))


def test_bit_words_under_packed_coordinates():
    columns = [(LevelExpr(1, 12), "dense"), (LevelExpr(1, 3, 4), "nm(2:4)"), (LevelExpr(1, 1, 3), "bitmask")]
    fmt = Format.make(2, (0, "compressed"), *columns)
    x = np.random.default_rng(4).integers(-3, 4, (37, 48)).astype(np.int32)
    x[np.random.default_rng(5).random(x.shape) < 0.6] = 0
    x[3:9] = 0
    check(prune_array(x, fmt), fmt)


@pytest.mark.parametrize("path", ["auto", "sparsifier", "loops"])
@pytest.mark.parametrize("fmt", ["C1(3:4)->C0(2:4)", "csr", "coo", "V(4)C0(2:4)"])
@pytest.mark.parametrize("sizes", ["16x32", "?x?"])
def test_weights_pruned_and_packed_inside_of_a_program(fmt, sizes, path):
    form, _ = as_format(fmt)
    dense, encoded = f"tensor<{sizes}xf32>", f"tensor<{sizes}xf32, #fmt>"
    kernel = pith.compile(
        f"""#fmt = {format_attribute(form)}
func.func @linear(%w: {dense}, %x: tensor<32x?xf32>, %y: tensor<16x?xf32>) -> tensor<16x?xf32> {{
  %p = "pith.prune"(%w) {{format = #fmt}} : ({dense}) -> {dense}
  %e = "pith.compress"(%p) : ({dense}) -> {encoded}
  %r = linalg.matmul ins(%e, %x : {encoded}, tensor<32x?xf32>) outs(%y : tensor<16x?xf32>) -> tensor<16x?xf32>
  return %r : tensor<16x?xf32>
}}""",
        path=path,
    )
    rng = np.random.default_rng(6)
    w, x = rng.standard_normal((16, 32)).astype(np.float32), rng.standard_normal((32, 5)).astype(np.float32)
    out = kernel(w, x, np.zeros((16, 5), np.float32))
    ref = prune_array(w, form).astype(np.float64) @ x
    assert np.linalg.norm(out - ref) / np.linalg.norm(ref) < 1e-6


def test_a_tensor_that_only_passes_through_keeps_its_buffers():
    form, _ = as_format("C0(2:4)")
    source = f"""#fmt = {format_attribute(form)}
func.func @same(%a: tensor<?x8xf32, #fmt>) -> tensor<?x8xf32, #fmt> {{
  return %a : tensor<?x8xf32, #fmt>
}}"""
    a = pith.compress(pith.prune(np.random.default_rng(7).standard_normal((5, 8)).astype(np.float32), form), form)
    *buffers, rows = pith.compile(source)(a)
    assert rows == 5
    for got, want in zip(buffers, a.buffers):
        np.testing.assert_array_equal(bits(got), bits(want))
