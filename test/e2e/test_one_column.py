"""Products with one column against float64: rows in groups, windows of every group size, runs of several registers."""

from collections.abc import Callable

import numpy as np
import pith
import pytest
from pith.compiler.kernel import compile_source
from pith.formats import Format
from pith.formats.level_expr import LevelExpr
from pith.functional.matmul.ir import matmul_source

SEED = 20261121

#: Relative error ||out - ref|| / ||ref|| allowed: the rounding of sums of up to a few thousand f32 terms.
TOLERANCE = 2e-6

#: Group sizes below, at and between the widths of permutations; ranks above them, whose windows depend on the data.
FORMATS = (
    *(f"C0({g}:{h})" for h in range(2, 10) for g in sorted({1, 2, h - 1}) if g < h),
    "C1(2:4)->C0(2:4)",
    "C1(1:3)->C0(3:8)",
    "C1(3:4)->C0(2:4)",
    "C1(2:4)->C0(3:4)",
    "C2(1:2)->C1(2:3)->C0(1:4)",
    "B(16x32)C0(1:2)",
    "B(3x24)C0(2:3)",
    "B(2x72)C0(1:2)",
)

#: Rows that choose from the same groups: as many elements as a register has lanes, more, fewer, a number that divides
#: nothing, coordinates that begin inside a byte, and no groups above.
SHARING = (
    "V(4)C1(2:4)->C0(2:4)",
    "V(16)C1(2:4)->C0(2:4)",
    "V(32)C1(1:2)->C0(2:4)",
    "V(4)C1(2:4)->C0(1:4)",
    "V(2)C1(2:4)->C0(2:4)",
    "V(8)C1(1:2)->C0(3:8)",
    "V(6)C1(1:3)->C0(2:5)",
    "V(2)C1(1:2)->C0(1:2)",
    "V(4)C2(1:2)->C1(2:4)->C0(2:4)",
    "V(4)C1(*)->C0(2:4)",
    "V(4)C0(2:4)",
    "V(4)C0(3:8)",
    "V(4)C0(3:32)",
    "B(4x1)C0(3:10)",
    "B(4x1)C0(1:3)",
)


@pytest.mark.parametrize("fmt", FORMATS)
def test_one_column(fmt: str) -> None:
    """Rows that no group of rows divides, and contracted sizes with and without a large divisor."""
    rng = np.random.default_rng(SEED)
    hss = pith.HSS.parse(fmt)
    rows, columns = hss.to_format().divisors()
    for m, k in ((1, 16), (5, 1), (67, 11), (130, 64)):
        w = pith.prune(rng.standard_normal((m * rows, k * columns)).astype(np.float32), hss)
        x = rng.standard_normal((w.shape[1], 1)).astype(np.float32)
        out = np.full((w.shape[0], 1), np.nan, np.float32)
        pith.matmul(pith.compress(w, hss), x, out=out, variant="sparse")
        reference = w.astype(np.float64) @ x
        assert np.linalg.norm(out - reference) <= TOLERANCE * np.linalg.norm(reference)


@pytest.mark.parametrize("fmt", SHARING)
def test_rows_that_share(fmt: str) -> None:
    """Padded: no number of rows or contracted coordinates divides anything."""
    hss = pith.HSS.parse(f"{fmt} pad")
    for m, k in ((1, 1), (67, 93), (64, 257)):
        check_sharing(hss, m, k, lambda a, x, out: pith.matmul(a, x, out=out, variant="sparse"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("fmt", SHARING[1::3])
def test_rows_that_share_wide_registers(fmt: str, dtype: type) -> None:
    """Registers of 512 bits, emulated; elements of which they hold eight have no permutation."""
    hss = pith.HSS.parse(f"{fmt} pad")
    text = matmul_source(hss.to_format(), np.dtype(dtype).name.replace("loat", ""), False, column=True)
    kernel = compile_source(text, "matmul", isa="emulate:avx512")
    check_sharing(hss, 67, 193, lambda a, x, out: kernel.native(*a.buffers, *a.shape, x, out), dtype)


def check_sharing(hss: pith.HSS, m: int, k: int, multiply: Callable, dtype: type = np.float32) -> None:
    """Compare ``multiply(a, x, out)`` of a pruned matrix with float64."""
    rng = np.random.default_rng(SEED)
    w = pith.prune(rng.standard_normal((m, k)).astype(dtype), hss)
    x, out = rng.standard_normal((k, 1)).astype(dtype), np.full((m, 1), np.nan, dtype)
    multiply(pith.compress(w, hss), x, out)
    reference = w.astype(np.float64) @ x
    assert np.linalg.norm(out - reference) <= TOLERANCE * np.linalg.norm(reference)


@pytest.mark.parametrize("rows", [1, 2, 4, 8])
def test_rows_of_the_tile(rows: int) -> None:
    """Any number of rows may share windows."""
    rng = np.random.default_rng(SEED)
    w = pith.prune(rng.standard_normal((21, 192)).astype(np.float32), "C0(2:4)")
    x = rng.standard_normal((192, 1)).astype(np.float32)
    out = pith.matmul(pith.compress(w, "C0(2:4)"), x, variant=f"lanes=1,rows={rows}")
    assert np.linalg.norm(out - w.astype(np.float64) @ x) <= TOLERANCE * np.linalg.norm(out)


@pytest.mark.parametrize("fmt", ["C0(2:4)", "V(16)C0(2:16)", "B(4x4)C0(1:2)"])
def test_values_from_memory(fmt: str) -> None:
    """So many values that lines far behind are asked for, past the end of the buffer at last."""
    rng, hss = np.random.default_rng(SEED), pith.HSS.parse(fmt)
    w = pith.prune(rng.standard_normal((2064, int(1040 / hss.density))).astype(np.float32), f"{fmt} pad")
    x, out = rng.standard_normal((w.shape[1], 1)).astype(np.float32), np.full((len(w), 1), np.nan, np.float32)
    a = pith.compress(w, f"{fmt} pad")
    assert a.buffers[-1].nbytes > 8 << 20
    pith.matmul(a, x, out=out, variant="sparse")
    reference = w.astype(np.float64) @ x
    assert np.linalg.norm(out - reference) <= TOLERANCE * np.linalg.norm(reference)


def test_not_a_number_stays_where_it_is_not_chosen() -> None:
    """Neighbours in a window that no stored element chooses are loaded, not multiplied."""
    w = np.zeros((8, 64), np.float32)
    w[:, ::4] = 1
    x = np.full((64, 1), np.nan, np.float32)
    x[::4] = 2
    assert np.array_equal(pith.matmul(pith.compress(w, "C0(1:4)"), x, variant="sparse"), np.full((8, 1), 32))


#: Entries of a compressed last level: rows one after the other, apart, and cut into tiles with coordinates of a byte.
GATHERED = (
    Format.csr(),
    Format.csr(16),
    Format.csr(0),
    Format.make(2, (0, "dense"), (1, "loose_compressed")),
    Format.make(
        2,
        (LevelExpr(0, 4), "dense"),
        (LevelExpr(1, 32), "dense"),
        (LevelExpr(0, 1, 4), "dense"),
        (LevelExpr(1, 1, 32), "compressed"),
        pos_width=32,
        crd_width=8,
        padded=True,
    ),
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("fmt", GATHERED, ids=str)
def test_entries_are_gathered(fmt: Format, dtype: type) -> None:
    """Rows of no entries, of fewer than a register has lanes, of several registers; what is not stored meets NaN."""
    rng = np.random.default_rng(SEED)
    text = matmul_source(fmt, np.dtype(dtype).name.replace("loat", ""), False, "lanes=1,rows=1")
    kernel = compile_source(text, "matmul", isa="emulate:avx512")
    for m, k in ((1, 1), (37, 41), (6, 128)):
        w = rng.standard_normal((m, k)).astype(dtype) * (rng.random((m, k)) < np.linspace(0, 1, m)[:, None])
        w[:, 0] = 0
        x = rng.standard_normal((k, 1)).astype(dtype)
        a, out = pith.compress(w, fmt), np.full((m, 1), np.nan, dtype)
        reference = w.astype(np.float64) @ x
        x[0] = np.nan
        kernel.native(*a.buffers, *a.shape, x, out)
        tolerance = 1e-3 if dtype is np.float16 else TOLERANCE
        assert np.linalg.norm(out - reference) <= tolerance * np.linalg.norm(reference)
