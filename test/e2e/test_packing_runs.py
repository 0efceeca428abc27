"""Groups that are packed a vector at a time: any sizes, element types and instruction sets, bit for bit as NumPy's."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pith
import pytest
from pith.formats import Format, LevelExpr
from pith.formats.attribute import format_attribute
from pith.formats.pack import pack
from pith.formats.prune import prune_array
from pith.formats.validate import first_violation
from pith.lowering.isa import parse_isa
from pith.runtime import dtype_name

ISAS = ("cpu", "emulate:avx512")

#: Whether vectors pack them in f32 where there is AVX-512: all but the last four.
FORMATS = (
    "C0(2:4)",
    "C0(3:4)",
    "C0(1:2)",
    "C0(1:4)",
    "C0(2:8)",
    "C0(5:16)",
    "C0(8:16)",
    "C1(3:4)->C0(2:4)",
    "C1(1:2)->C0(5:8)",
    "C1(2:8)->C0(1:2)",
    "C2(1:2)->C1(1:2)->C0(3:4)",
    "C2(2:4)->C1(3:4)->C0(2:4)",
    "B(1x4)C0(2:4)",
    "V(4)C0(2:4)",
    "V(4)C1(2:4)->C0(2:4)",
    "C0(15:16)",
    "C0(3:6)",
    "C0(7:33)",
)


def kernel(fmt: Format, rank: int, dtype: np.dtype, isa: str):
    sizes = "x".join("?" * rank)
    dense, encoded = f"tensor<{sizes}x{dtype_name(dtype)}>", f"tensor<{sizes}x{dtype_name(dtype)}, #fmt>"
    text = f"""#fmt = {format_attribute(fmt)}
func.func @pack(%w: {dense}) -> (index, {encoded}, {encoded}) {{
  %v = "pith.validate"(%w) {{format = #fmt}} : ({dense}) -> index
  %checked = "pith.compress"(%w) : ({dense}) -> {encoded}
  %again = "pith.compress"(%w) : ({dense}) -> {encoded}
  return %v, %checked, %again : index, {encoded}, {encoded}
}}"""
    return pith.compile(text, target=isa)


def group(fmt: Format) -> tuple[int, int]:
    rows, columns = fmt.divisors()
    return rows, columns


def pruned(rng: np.random.Generator, shape, fmt: Format, dtype: np.dtype) -> np.ndarray:
    """A tensor that obeys the format and has empty groups, NaN, both zeros."""
    real = dtype.kind == "f" or dtype == ml_dtypes.bfloat16
    w = (rng.standard_normal(shape) if real else rng.integers(-3, 4, shape)).astype(dtype)
    w = prune_array(w, fmt)
    w[rng.random(shape) < 0.3] = 0
    if real and w.size:
        at = np.flatnonzero(w)
        w.flat[at[: at.size // 20]] = np.nan
        w[(w == 0) & (rng.random(shape) < 0.5)] = -0.0
    return w


def same(got, want: list[np.ndarray]) -> None:
    for g, x in zip(got, want, strict=True):
        np.testing.assert_array_equal(np.ascontiguousarray(g).view(np.uint8), np.ascontiguousarray(x).view(np.uint8))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("text", FORMATS)
def test_any_number_of_groups_in_a_row(text, isa):
    fmt, rng = pith.HSS.parse(text).to_format(), np.random.default_rng(len(text))
    run = kernel(fmt, 2, np.dtype("float32"), isa)
    rows, columns = group(fmt)
    for m, n in ((1, 1), (3, 2), (9, 5), (8, 64 // min(columns, 64)), (17, 23), (5, 37), (0, 3), (3, 0)):
        x = pruned(rng, (m * rows, n * columns), fmt, np.dtype("float32"))
        run(np.ones_like(x))  # leaves ones in the memory that is reused
        violation, *parts = run(x)
        want = pack(x, fmt)
        assert violation == -1
        same(parts[: len(want)], want)
        same(parts[len(want) + 2 : 2 * len(want) + 2], want)


@pytest.mark.parametrize("dtype", ("float64", "float16", "bfloat16", "int8", "int32", "int64"))
@pytest.mark.parametrize("text", ("C0(2:4)", "C0(3:8)", "C1(1:2)->C0(2:4)", "C1(3:4)->C0(2:4)"))
def test_element_types(text, dtype):
    fmt, rng = pith.HSS.parse(text).to_format(), np.random.default_rng(5)
    type_ = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    for isa in ISAS:
        run = kernel(fmt, 2, type_, isa)
        for m, n in ((7, 3), (9, 11), (2, 40)):
            x = pruned(rng, (m, n * group(fmt)[1]), fmt, type_)
            violation, *parts = run(x)
            want = pack(x, fmt)
            assert violation == -1
            same(parts[: len(want)], want)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("text", ("C0(2:4)", "C1(3:4)->C0(2:4)", "C1(2:8)->C0(1:2)", "C0(8:16)"))
def test_too_full_groups_are_found_wherever_they_are(text, isa):
    fmt, rng = pith.HSS.parse(text).to_format(), np.random.default_rng(2)
    run = kernel(fmt, 2, np.dtype("float32"), isa)
    columns = group(fmt)[1]
    for n in (1, 3, 64 // columns, 64 // columns + 1, 13):
        for _ in range(4):
            x = pruned(rng, (5, n * columns), fmt, np.dtype("float32"))
            row, first = rng.integers(5), rng.integers(n) * columns
            x[row, first : first + columns] = 1
            x[(row + 1) % 5] = 0
            assert run(x)[0] == first_violation(x, fmt).linear


@pytest.mark.parametrize("isa", ISAS)
def test_other_ranks_and_orders(isa):
    """Groups side by side in one dimension, behind two, and, which vectors do not pack, below each other."""
    rng = np.random.default_rng(8)
    four, quarter = LevelExpr(0, 1, 4), LevelExpr(0, 4)
    for fmt, shape in (
        (Format.make(1, (quarter, "dense"), (four, "nm(2:4)")), (4 * 29,)),
        (Format.make(2, (quarter, "dense"), (four, "nm(2:4)"), (1, "dense")), (12, 19)),
        (Format.make(2, (quarter, "dense"), (1, "dense"), (four, "nm(2:4)")), (12, 19)),
        (
            Format.make(3, (0, "dense"), (1, "dense"), (LevelExpr(2, 4), "dense"), (LevelExpr(2, 1, 4), "nm(2:4)")),
            (3, 5, 44),
        ),
    ):
        x = pruned(rng, shape, fmt, np.dtype("float32"))
        want = pack(x, fmt)
        same(kernel(fmt, fmt.rank, x.dtype, isa)(x)[1 : 1 + len(want)], want)


def test_vectors_are_compressed_in_registers():
    """Into memory ``vcompressps`` takes 40 times as long on Zen 4."""
    packing = kernel(pith.HSS.parse("C1(3:4)->C0(2:4)").to_format(), 2, np.dtype("float32"), "cpu")
    lines = [line for line in packing.ir("asm").splitlines() if "compressps" in line]
    assert not any("(" in line for line in lines)
    if parse_isa(packing.isa).has_masks:
        assert lines
