"""Routes of a layer's three products: the dense rival runs on an unpacked copy of the weight, which lives for one."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from pith.lowering.isa import parse_isa
from pith.lowering.sampled.few import MOST_BYTES, has_rows
from pith.lowering.sparse.groups import spread_lanes

from ...compiler.packing import repack_compiled, takes, unpack_compiled
from ...formats.pack_digits import may_repeat
from ...functional.matmul.copies import products_of
from ...functional.matmul.plan import rounded_columns
from ...functional.matmul.transposed import row_order_of
from ...runtime import num_threads
from ...sparse import SparseTensor
from ...sparse_interop import numpy_of
from ...tuning.problem import ELEMENT_BYTES, Problem
from ...tuning.select import DENSE_GAIN, MOST_DENSE_BYTES, choose, dense_bytes
from ...tuning.variants import LIBRARY

#: Types whose sums are those of the kernels; torch multiplies 16-bit floats in several ways.
_ELEMENTS = {torch.float32: "f32", torch.float64: "f64"}

#: Elements of a weight from which routes are thought of: where a call takes as long as any.
_LEAST_ELEMENTS = 1 << 16

#: Seconds per element of unpacking a weight; per stored value of gathering it in another order (:class:`Transposed`; as
#: long on two threads: NumPy gathers), and of what its product then takes beyond the prediction. One core of Emerald
#: Rapids, 1024x1024 to 4096x4096 of 2:4 and CSR, 2026-11-23: 0.25 to 0.7, 1.1 to 2.7, 0 to 4 ns.
_UNPACK, _GATHER, _BEYOND = 0.6e-9, 2.5e-9, 2.5e-9

#: Seconds per element of unpacking groups a register at a time. One core of Zen 4, 1024x1024 of 2:4, 2026-11.
_SPREAD = 0.11e-9

#: What products in stored order take of their prediction: 1024x1024 of 2:4 and CSR of 50 %, 1 to 8 rows, 0.7 to 1.1, 32
#: rows 1.4 to 1.55 (likewise).
_SCATTERED = 1.3

#: Seconds per element, and per stored value, of taking what is stored from a dense matrix; threads share it. 1024x1024,
#: 10 % and 50 % of it CSR: 0.20 and 0.50 ms, 2:4 0.58 (likewise).
_LOOKED_AT, _TAKE = 0.12e-9, 0.8e-9

#: What multiply-adds of a dense product take in :func:`pith.sddmm`, by whether four rows or more share coordinates: 48
#: (2:4), 45 (CSR), 43 to 70 (V(4), 16x16 blocks) and 145 GFLOP/s (torch), layers of 512x768x3072 on one core, likewise.
_SAMPLED_RATE, _SHARED_RATE, _SHARED_ROWS = 0.31, 0.44, 4

#: Seconds per stored value that it takes at least, likewise, for 1 to 32 rows: 4.1 to 4.8 ns (2:4, CSR), 2.1 (V(4)).
_SAMPLED, _SHARED = 4.3e-9, 2.1e-9


@dataclasses.dataclass(frozen=True, slots=True)
class Densely:
    """Which products of a layer are predicted to be faster on an unpacked copy.

    Attributes:
        forward: ``x @ W.T``.
        input: the gradient of the input, ``dy @ W``.
        values: that of the values, ``dy.T @ x`` at what is stored.
        as_stored: where ``input`` is not: that product is faster in the order that ``W`` is stored in than on a copy in
            another, which too few rows do not pay for.
    """

    forward: bool = False
    input: bool = False
    values: bool = False
    as_stored: bool = False


def densely(pattern: SparseTensor, rows: int, dtype: torch.dtype) -> Densely:
    """What runs densely of the products of a layer with ``rows`` rows; decided once per pattern.

    >>> import pith
    >>> densely(pith.compress(torch.eye(512), "csr"), 512, torch.float32).forward
    False
    """
    rows, element = rounded_columns(rows), _ELEMENTS.get(dtype)
    large = rows > 0 and pattern.shape[0] * pattern.shape[1] >= _LEAST_ELEMENTS
    if not large or element is None:
        return Densely()
    plans, key = products_of(pattern).plans, ("densely", rows, element, num_threads())
    if key not in plans:
        problem = dataclasses.replace(Problem.of(pattern, rows), element=element)
        plans[key] = _decide(problem) if takes(pattern.values, pattern.format) else Densely()
    return plans[key]


def _decide(problem: Problem) -> Densely:
    dense = choose(problem, LIBRARY)
    as_stored = _SCATTERED * choose(dataclasses.replace(problem, side="right"), "sparse").seconds
    gathered = choose(row_order_of(problem), "sparse").seconds + _GATHER * problem.stored
    route = Densely(as_stored=as_stored < gathered)
    if problem.is_plain or may_repeat(problem.format) or dense_bytes(problem, dense.variant) > MOST_DENSE_BYTES:
        return route
    elements = problem.shape[0] * problem.shape[1]
    bytes_ = ELEMENT_BYTES[problem.element]
    spread = spread_lanes(problem.format, 8 * bytes_, parse_isa(problem.isa).vector_bytes)
    on_copy = dense.seconds + (_SPREAD if spread else _UNPACK) * elements
    taken = dense.seconds + (_LOOKED_AT * elements + _TAKE * problem.stored) / problem.threads
    return dataclasses.replace(
        route,
        forward=choose(problem, "sparse").seconds > DENSE_GAIN * on_copy,
        # What it is compared with makes a copy, too.
        input=min(as_stored, gathered + _BEYOND * problem.stored) > on_copy,
        values=not _by_rows(problem) and _sampled(problem, dense.seconds) > DENSE_GAIN * taken,
    )


def _by_rows(problem: Problem) -> bool:
    """Whether :func:`pith.sddmm` makes rows of the whole product where that is faster: then it need not leave L1."""
    width = problem.shape[1 - problem.format.exprs[0].dim]
    near = problem.columns * width * ELEMENT_BYTES[problem.element] <= MOST_BYTES
    return near and has_rows(problem.format)


def _sampled(problem: Problem, dense: float) -> float:
    """Seconds of :func:`pith.sddmm`, where the dense product takes ``dense``."""
    shared = problem.shared_rows >= _SHARED_ROWS
    rate, least = (_SHARED_RATE, _SHARED) if shared else (_SAMPLED_RATE, _SAMPLED)
    return max(dense * problem.density / rate, least * problem.stored / problem.threads)


def is_finite(x: torch.Tensor) -> bool:
    """Whether a sum of all elements is finite: elements that are not stored count as exact zeros, 0 * inf would not.

    >>> is_finite(torch.ones(3)), is_finite(torch.tensor([1.0, torch.inf, -torch.inf]))
    (True, False)
    """
    return math.isfinite(x.sum().item())


def unpacked(pattern: SparseTensor, values: torch.Tensor) -> torch.Tensor:
    """The dense matrix that stores ``values`` in a pattern.

    >>> import pith
    >>> unpacked(pith.compress(torch.eye(2), "csr"), torch.tensor([3.0, 4.0])).tolist()
    [[3.0, 0.0], [0.0, 4.0]]
    """
    return torch.from_numpy(unpack_compiled((*pattern.buffers[:-1], numpy_of(values)), pattern.format, pattern.shape))


def taken(pattern: SparseTensor, dense: torch.Tensor) -> torch.Tensor:
    """The elements of a dense matrix at what a pattern stores, in storage order.

    >>> import pith
    >>> taken(pith.compress(torch.eye(2), "csr"), torch.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [1.0, 4.0]
    """
    values = np.empty(pattern.nse, numpy_of(dense).dtype)  # how many there are; the pattern's may be of another type
    return torch.from_numpy(repack_compiled((*pattern.buffers[:-1], values), pattern.format, numpy_of(dense)))
