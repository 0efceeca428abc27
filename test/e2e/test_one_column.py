"""Products with one column against float64: rows in groups, windows of every group size, runs of several registers."""

import numpy as np
import pith
import pytest

SEED = 20261121

#: Relative error ||out - ref|| / ||ref|| allowed: the rounding of sums of up to a few thousand f32 terms.
TOLERANCE = 2e-6

#: Group sizes below, at and between the widths of permutations; ranks above them, whose windows depend on the data.
FORMATS = (
    *(f"C0({g}:{h})" for h in range(2, 10) for g in sorted({1, 2, h - 1}) if g < h),
    "C1(2:4)->C0(2:4)",
    "C1(1:3)->C0(3:8)",
    "C2(1:2)->C1(2:3)->C0(1:4)",
    "B(16x32)C0(1:2)",
    "B(3x24)C0(2:3)",
    "B(2x72)C0(1:2)",
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


@pytest.mark.parametrize("rows", [1, 2, 4, 8])
def test_rows_of_the_tile(rows: int) -> None:
    """Any number of rows may share windows."""
    rng = np.random.default_rng(SEED)
    w = pith.prune(rng.standard_normal((21, 192)).astype(np.float32), "C0(2:4)")
    x = rng.standard_normal((192, 1)).astype(np.float32)
    out = pith.matmul(pith.compress(w, "C0(2:4)"), x, variant=f"lanes=1,rows={rows}")
    assert np.linalg.norm(out - w.astype(np.float64) @ x) <= TOLERANCE * np.linalg.norm(out)


def test_not_a_number_stays_where_it_is_not_chosen() -> None:
    """Neighbours in a window that no stored element chooses are loaded, not multiplied."""
    w = np.zeros((8, 64), np.float32)
    w[:, ::4] = 1
    x = np.full((64, 1), np.nan, np.float32)
    x[::4] = 2
    assert np.array_equal(pith.matmul(pith.compress(w, "C0(1:4)"), x, variant="sparse"), np.full((8, 1), 32))
