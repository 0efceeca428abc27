"""What a linear layer multiplies by: what is stored, by the fastest register tile, or an unpacked copy."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from pith.lowering.isa import parse_isa

from ...runtime import dtype_name, num_threads
from ...sparse import SparseTensor
from ...tuning.problem import Problem
from ...tuning.roofline import CLOCK
from ...tuning.select import DENSE_GAIN, MOST_DENSE_BYTES, Candidate, choose, dense_bytes
from ...tuning.variants import OWN, PANEL_ELEMENTS
from ..matmul.copies import products_of
from ..matmul.dense import LOOK
from ..matmul.plan import rounded_columns
from .ir import COMPUTED_IN

#: Rows up to which dense weights have a register tile for their number.
FEW_ROWS = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """What is predicted to be fastest for a weight and a number of rows.

    Attributes:
        variant: register tile of the kernel on what is stored (the text of ``pith.variant``); None: the compiler's.
        dense: the kernel on an unpacked copy is faster than that one.
    """

    variant: str | None = None
    dense: bool = False


def choice_for(a: SparseTensor, rows: int) -> Choice:
    """The choice for ``rows`` rows, decided once per tensor.

    Of CSR with half of its elements stored, 512x768x3072 takes 27.8 ms by the compiler's register tile, which knows no
    density, and 14.6 by the one that is chosen (one thread of Emerald Rapids, 2026-11-23).
    """
    if dtype_name(a.values.dtype) not in COMPUTED_IN:
        return Choice()
    rows = rounded_columns(rows)
    plans, key = products_of(a).plans, ("linear", rows, num_threads())
    if key not in plans:
        plans[key] = _choose(a, rows)
    return plans[key]


def dense_tile(dtype: np.dtype, rows: int) -> str | None:
    """The register tile of a weight that stores every element, for ``rows`` rows; None: the compiler's.

    That is of many rows, or where they are few (:func:`is_few`) none, or where dot instructions multiply bf16 theirs.

    That of many rows takes as long for 4 rows as for 64: of 1024 x 1024, 16 rows take 864 us by it and 278 by their
    own, 32 rows 885 and 460, torch 678 and 908 (one thread of Emerald Rapids, 2026-11-23).
    """
    computed = COMPUTED_IN.get(dtype_name(dtype))
    if not computed or not 1 < rows <= FEW_ROWS or is_few(dtype, rows) or _dot_gain(dtype_name(dtype)):
        return None
    return _dense_tile(computed, rows)


def is_few(dtype: np.dtype, rows: int) -> bool:
    """Rows that are dot products with a dense weight as it lies; kernels know how many they are.

    2, 4, 8 and 12 rows of 1024x1024 f32 take 88, 116, 204 and 264 us so, by tiles of their own 328, 296, 258 and 348,
    torch 139, 290, 364 and 447; of bf16 83, 97, 137 and 174, 343, 327, 325 and 258, torch 97, 113, 150 and 186 (one
    thread of Zen 4, 2026-11-23).
    """
    return 1 < rows <= _few(dtype_name(dtype))


@functools.cache
def _few(element: str) -> int:
    from pith.lowering.isa import host_isa
    from pith.lowering.panel.dense.few_dots import few_dots_of

    return few_dots_of(element, host_isa()) if element in COMPUTED_IN else 0


@functools.cache
def _dot_gain(element: str) -> float:
    from pith.lowering.isa import host_isa

    return host_isa().dot_gain(element)


@functools.cache
def _dense_tile(computed: str, rows: int) -> str:
    """The tile, decided once: that takes 45 us."""
    from pith.lowering.isa import host_isa
    from pith.lowering.panel.variant import dense_variant

    return str(dense_variant(rows, PANEL_ELEMENTS[computed], host_isa()))


def _choose(a: SparseTensor, rows: int) -> Choice:
    problem = Problem.of(a, rows)
    if problem.is_plain or not rows or not a.shape[0] * a.shape[1]:
        return Choice()
    own, dense = rivals(problem)
    gains = dense.eligible and own.seconds > DENSE_GAIN * dense.seconds
    return Choice(None if rows == 1 else own.variant.attribute, gains)


def rivals(problem: Problem) -> tuple[Candidate, Candidate]:
    """The kernel on what is stored, and the one on an unpacked copy, which waits until the input was looked at."""
    own, dense = choose(problem, "sparse"), whole_weight(problem)
    looked = dense.seconds + LOOK * problem.columns * problem.contracted
    return own, dataclasses.replace(
        dense, seconds=looked, eligible=dense_bytes(problem, dense.variant) <= MOST_DENSE_BYTES
    )


def whole_weight(problem: Problem) -> Candidate:
    """The kernel on a weight that stores every element; of few rows one that no calibration measures.

    It takes what one row takes, and multiply-adds for every further one: of 1024x1024, 2, 4, 8 and 12 rows are
    predicted to take 85, 129, 217 and 305 us in f32, and take 88, 116, 204 and 264; of bf16 77, 99, 143 and 188, and
    83, 97, 137 and 174 (one thread of Zen 4, 2026-11-23).
    """
    dense = choose(problem, OWN)
    if not 1 < problem.columns <= _few(problem.element):
        return dense
    one = choose(dataclasses.replace(problem, columns=1), OWN)
    isa = parse_isa(problem.isa)
    lanes = isa.vector_bytes // PANEL_ELEMENTS[problem.element] * (_dot_gain(problem.element) or 1)
    products = (problem.columns - 1) * problem.rows * problem.contracted / problem.threads
    more = products / (lanes * isa.multiply_adds * CLOCK)
    reason = f"one row {one.seconds / (one.seconds + more):.0%}, multiply {more / (one.seconds + more):.0%}"
    return dataclasses.replace(dense, seconds=one.seconds + more, reason=reason)
