"""Rows that a pattern does not name become zero while others are multiplied, whatever is left of tiles and panels."""

import numpy as np
import pytest
from pith.functional.dynamic.run import Product, in_place

#: Rows, contracted dimension, columns: whole and ragged panels, narrower than a vector, several chunks of rows.
SHAPES = [
    (20, 30, 64),
    (200, 100, 130),
    (300, 70, 50),
    (1, 5, 7),
    (100, 300, 520),
    (700, 40, 96),
    (40, 3, 200),
    (1020, 67, 330),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)))
def test_rows_that_are_not_named_are_zero(shape: tuple[int, int, int], dtype: type) -> None:
    m, k, n = shape
    rng = np.random.default_rng(0)
    y = rng.standard_normal((k, n)).astype(dtype)
    for count in sorted({0, 1, 2, 4, 9, m // 10, m // 2, 3 * m // 4, m - 1, m} & set(range(m + 1))):
        x, out = np.zeros((m, k), dtype), np.full((m, n), np.nan, dtype)
        x[rng.permutation(m)[:count]] = rng.standard_normal((count, k))
        assert in_place(Product(x, y, "left"), (1, 0))(x, y, m, out) == count
        reference = x.astype(np.float64) @ y
        assert np.linalg.norm(out - reference) <= 1e-5 * np.linalg.norm(reference)
        assert not out[~x.any(axis=1)].any()
