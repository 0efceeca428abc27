"""The dense rival of a layer's three products: on an unpacked copy of the weight, which lives for one product."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from ...compiler.packing import repack_compiled, takes, unpack_compiled
from ...formats.pack_digits import may_repeat
from ...functional.matmul.dense import products_of
from ...functional.matmul.plan import rounded_columns
from ...functional.matmul.transposed import row_order_of
from ...runtime import num_threads
from ...sparse import SparseTensor
from ...sparse_interop import numpy_of
from ...tuning.problem import Problem
from ...tuning.select import DENSE_GAIN, MOST_DENSE_BYTES, choose, dense_bytes
from ...tuning.variants import LIBRARY

#: Types whose sums are those of the kernels; torch multiplies 16-bit floats in several ways.
_ELEMENTS = {torch.float32: "f32", torch.float64: "f64"}

#: Elements of a weight, and rows, from which the copy is thought of: where a call takes as long as either.
_LEAST_ELEMENTS, _LEAST_ROWS = 1 << 16, 32

#: Seconds per element of unpacking a weight; per stored value of gathering it in another order, and of what its product
#: then takes beyond the prediction (all as long on two threads: pages are new, NumPy gathers); per stored value of
#: taking it from a dense matrix, which threads share. One core of Emerald Rapids, 1024x1024 to 4096x4096 of 2:4 and
#: CSR, 2026-11-23: 0.6 to 1.3, 2.7 to 6.6, 0.7 to 1.3 ns.
_UNPACK, _GATHER, _TAKE = 0.8e-9, 5e-9, 1.0e-9

#: What multiply-adds of a dense product take in :func:`pith.sddmm`, by whether four rows or more share coordinates: 48
#: (2:4), 45 (CSR), 43 to 70 (V(4), 16x16 blocks) and 145 GFLOP/s (torch), layers of 512x768x3072 on one core, likewise.
_SAMPLED_RATE, _SHARED_RATE, _SHARED_ROWS = 0.31, 0.44, 4


@dataclasses.dataclass(frozen=True, slots=True)
class Densely:
    """Which products of a layer are predicted to be faster on an unpacked copy.

    Attributes:
        forward: ``x @ W.T``.
        input: the gradient of the input, ``dy @ W``.
        values: that of the values, ``dy.T @ x`` at what is stored.
    """

    forward: bool = False
    input: bool = False
    values: bool = False


def densely(pattern: SparseTensor, rows: int, dtype: torch.dtype) -> Densely:
    """What runs densely of the products of a layer with ``rows`` rows; decided once per pattern.

    >>> import pith
    >>> densely(pith.compress(torch.eye(512), "csr"), 512, torch.float32)
    Densely(forward=False, input=False, values=False)
    """
    rows, element = rounded_columns(rows), _ELEMENTS.get(dtype)
    large = rows >= _LEAST_ROWS and pattern.shape[0] * pattern.shape[1] >= _LEAST_ELEMENTS
    if not large or element is None or not takes(pattern.values, pattern.format):
        return Densely()
    plans, key = products_of(pattern).plans, ("densely", rows, element, num_threads())
    if key not in plans:
        plans[key] = _decide(dataclasses.replace(Problem.of(pattern, rows), element=element))
    return plans[key]


def _decide(problem: Problem) -> Densely:
    dense = choose(problem, LIBRARY)
    if problem.is_plain or may_repeat(problem.format) or dense_bytes(problem, dense.variant) > MOST_DENSE_BYTES:
        return Densely()
    on_copy = dense.seconds + _UNPACK * problem.shape[0] * problem.shape[1]
    transposed = choose(row_order_of(problem), "sparse").seconds + _GATHER * problem.stored
    rate = _SHARED_RATE if problem.shared_rows >= _SHARED_ROWS else _SAMPLED_RATE
    taken = dense.seconds + _TAKE * problem.stored / problem.threads
    return Densely(
        forward=choose(problem, "sparse").seconds > DENSE_GAIN * on_copy,
        input=transposed > on_copy,  # what it is compared with makes a copy, too
        values=dense.seconds * problem.density / rate > DENSE_GAIN * taken,
    )


def is_finite(x: torch.Tensor) -> bool:
    """Whether a sum of all elements is finite: elements that are not stored count as exact zeros, 0 * inf would not.

    >>> is_finite(torch.ones(3)), is_finite(torch.tensor([1.0, torch.inf, -torch.inf]))
    (True, False)
    """
    return bool(x.sum().isfinite())


def unpacked(pattern: SparseTensor, values: torch.Tensor) -> torch.Tensor:
    """The dense matrix that stores ``values`` in a pattern.

    >>> import pith
    >>> unpacked(pith.compress(torch.eye(2), "csr"), torch.tensor([3.0, 4.0])).tolist()
    [[3.0, 0.0], [0.0, 4.0]]
    """
    buffers = (*pattern.buffers[:-1], numpy_of(values))
    return torch.from_numpy(unpack_compiled(buffers, pattern.format, pattern.shape))


def taken(pattern: SparseTensor, dense: torch.Tensor) -> torch.Tensor:
    """The elements of a dense matrix at what a pattern stores, in storage order.

    >>> import pith
    >>> taken(pith.compress(torch.eye(2), "csr"), torch.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [1.0, 4.0]
    """
    values = np.empty(pattern.nse, numpy_of(dense).dtype)  # how many there are; the pattern's may be of another type
    return torch.from_numpy(repack_compiled((*pattern.buffers[:-1], values), pattern.format, numpy_of(dense)))
