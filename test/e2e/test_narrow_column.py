"""Dense storage of narrow elements times one column, against float64."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pith
import pytest


@pytest.mark.parametrize("shape", [(37, 131), (1, 5), (5, 1), (64, 256), (0, 4)])
@pytest.mark.parametrize("dtype", [np.int8, np.float16, ml_dtypes.bfloat16])
def test_dense_storage_times_a_column(dtype, shape):
    rng = np.random.default_rng(shape[0])

    def draw(*size):
        return (rng.integers(-128, 128, size) if dtype is np.int8 else rng.standard_normal(size)).astype(dtype)

    w, x = draw(*shape), draw(shape[1], 1)
    wanted = w.astype(np.float64) @ x.astype(np.float64)
    for operand in (x, x[:, 0]):
        got = np.asarray(pith.matmul(pith.compress(w, "dense"), operand, variant="sparse"))
        error = np.linalg.norm(got.astype(np.float64).reshape(wanted.shape) - wanted)
        assert error <= (0 if dtype is np.int8 else 5e-3) * np.linalg.norm(wanted)
