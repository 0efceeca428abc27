"""Pruning by kernels, in vectors of groups and node by node: what NumPy keeps, whatever the format, type and score."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pith
import pytest
from format_strategies import can_be_written, formats, random_tensor
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pith.compiler.packing import prune_compiled
from pith.formats.pack_digits import slot_limits
from pith.formats.prune import Ranking, keep_mask
from pith.sparse import as_format

DTYPES = ("float32", "float64", "float16", "bfloat16", "int8")
FORMATS = (
    "C0(2:4)",
    "C0(1:4)",
    "C0(2:8)",
    "C0(3:7)",
    "C1(3:4)->C0(2:4)",
    "C2(1:2)->C1(2:3)->C0(2:4)",
    "C3(1:2)->C2(2:3)->C1(1:2)->C0(1:2)",
    "V(4)C1(2:4)->C0(2:4)",
    "V(16)C1(2:4)->C0(2:4)",  # larger than what is kept in registers: rows become a loop
    "B(4x1)C0(1:4)",
    "B(4x4)C0(1:2)",
    "B(16x32)C0(1:2)",
    "B(3x5)C0(1:2)",
    "C0(9:40)",  # too many pairs for straight-line code
)


def check(x: np.ndarray, fmt: pith.Format, ranking: Ranking, saliency: np.ndarray | None = None) -> None:
    before = x.copy()
    keep = keep_mask(x if saliency is None else saliency, fmt, ranking)
    pruned, has_nan = prune_compiled(x, fmt, ranking, saliency)
    np.testing.assert_array_equal(pruned.view(np.uint8), np.where(keep, x, x.dtype.type(0)).view(np.uint8))
    np.testing.assert_array_equal(x, before)
    assert not has_nan


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_format_score_and_type(data):
    fmt = data.draw(formats(max_rank=3, max_levels=6))
    assume(slot_limits(fmt) and can_be_written(fmt))
    *outer, last = fmt.divisors()
    shape = (*(d * data.draw(st.integers(1, 2)) for d in outer), last * data.draw(st.integers(1, 19)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x = random_tensor(rng, shape, data.draw(st.sampled_from(DTYPES)), data.draw(st.sampled_from((0.2, 1))))
    score = data.draw(st.sampled_from(("l1", "l2", "scaled", "value")))
    floor = data.draw(st.sampled_from((-np.inf, 30.0)))
    saliency = None
    if score == "value":
        saliency = random_tensor(rng, shape, data.draw(st.sampled_from(("float32", "float64", "bfloat16"))), 0.7)
    check(x, fmt, Ranking(score, floor), saliency)


@pytest.mark.parametrize("text", FORMATS)
def test_ties_zeros_and_groups_that_fill_no_vector(text):
    fmt, _ = as_format(text)
    rows, columns = fmt.divisors()
    rng = np.random.default_rng(len(text))
    x = rng.integers(-2, 3, (2 * rows, 21 * columns)).astype(np.float32)
    x[0, 3], x[-1, -1] = -np.inf, -0.0
    check(x, fmt, Ranking())
    check(x, fmt, Ranking("scaled", 1.5))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("text", ["C1(3:4)->C0(2:4)", "V(8)C1(1:3)->C0(2:4)"])
def test_columns_are_groups_too(text, dtype):
    fmt = as_format(text)[0].transposed()  # groups go down the columns: lanes need no shuffles
    x = random_tensor(np.random.default_rng(0), tuple(19 * d if d < 9 else 2 * d for d in fmt.divisors()), dtype, 1)
    check(x, fmt, Ranking("l2"))


@pytest.mark.parametrize("shape", [(1, 4), (3, 28), (3, 32), (1, 4 * 8 * 33), (2, 4 * (8 * 32 + 3)), (0, 8), (5, 0)])
def test_sizes_around_the_chunks(shape):
    fmt, _ = as_format("C0(2:4)")
    check(np.random.default_rng(1).standard_normal(shape).astype(np.float32), fmt, Ranking())


@pytest.mark.parametrize("at", [(0, 0), (2, 67), (7, 75)])  # in a vector; in the last one; in a group left over
@pytest.mark.parametrize("text", ["C0(2:4)", "V(8)C1(1:1)->C0(2:4)", "csr"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_a_nan_anywhere_is_noticed(text, at, dtype):
    fmt, _ = as_format(text)
    if not slot_limits(fmt):
        fmt = pith.Format.make(2, (0, "compressed"), (pith.formats.LevelExpr(1, 4), "dense"), *_nm())
    x = np.ones((8, 76), dtype)
    x[at] = np.nan
    assert prune_compiled(x, fmt, Ranking())[1]
    assert prune_compiled(np.ones_like(x), fmt, Ranking("value"), x)[1]


def _nm():
    return [(pith.formats.LevelExpr(1, 1, 4), "nm(2:4)")]


def test_groups_never_keep_more_than_g_whatever_the_nans():
    fmt, _ = as_format("C1(2:4)->C0(2:4)")
    x = np.random.default_rng(2).standard_normal((64, 256)).astype(np.float32)
    x[np.random.default_rng(3).random(x.shape) < 0.3] = np.nan
    pruned, has_nan = prune_compiled(x, fmt, Ranking())
    assert has_nan and pith.formats.validate.first_violation(pruned, fmt) is None
