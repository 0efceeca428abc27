"""The dense rival of :func:`pith.linear`: the same kernel, epilogue included, on the unpacked weight."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...formats import Format
from ...runtime import dtype_name, num_threads
from ...runtime.arrays import as_array
from ...sparse import SparseTensor
from ...tuning.problem import Problem
from ...tuning.select import DENSE_GAIN, MOST_DENSE_BYTES, choose, dense_bytes
from ...tuning.variants import OWN
from ..matmul.dense import products_of
from ..matmul.plan import rounded_columns

#: Seconds per element of looking whether the input is finite: a sum of 4 MB takes 0.15 ms (Zen 3, 2026-11).
_LOOK = 1.5e-10


def faster_weight(a: SparseTensor, x: Any, rows: int) -> SparseTensor:
    """The weight that ``rows`` rows of ``x`` are multiplied with: ``a``, or a copy that stores every element.

    Semantics: the copy where it is predicted to gain more than 2 %, and ``x`` is finite: elements that are not stored
        count as exact zeros, which infinities would make NaN of.
    """
    element = dtype_name(a.values.dtype)
    if "f" not in element:
        return a
    rows = rounded_columns(rows) if rows > 64 else rows
    products, key = products_of(a), ("linear", rows, num_threads())
    if key not in products.plans:
        products.plans[key] = _gains(a, rows)
    if not products.plans[key] or not _is_finite(x):
        return a
    return SparseTensor(a.shape, Format.dense(2), (products.unpacked(a, element).reshape(-1),))


def _gains(a: SparseTensor, rows: int) -> bool:
    """Whether the copy is predicted to be faster than the best kernel on what is stored."""
    problem = Problem.of(a, rows)
    if problem.is_plain or not rows or not a.shape[0] * a.shape[1]:
        return False
    dense = choose(problem, OWN)
    fits = dense_bytes(problem, dense.variant) <= MOST_DENSE_BYTES
    return fits and choose(problem, "sparse").seconds > DENSE_GAIN * (dense.seconds + _LOOK * rows * a.shape[1])


def _is_finite(x: Any) -> bool:
    """Whether a sum of all elements is finite: one that overflows is taken as not."""
    array = as_array(x, "pith.linear: x")
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(array.sum(dtype=np.float64 if array.dtype.itemsize == 8 else np.float32))
