"""``pith.tune``: time the candidates of a product instead of predicting them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..progress import PATIENCE, ProgressBar
from ..sparse import SparseTensor, taken_over
from .measured import remember
from .problem import Problem
from .select import forget_ranks

#: Interleaved rounds; times are their medians.
ROUNDS = 9


def tune(a: Any, b: Any, *, rounds: int = ROUNDS) -> dict[str, float]:
    """Time every way to compute ``pith.matmul(a, b)`` and let the fastest run from now on.

    Args:
        a, b: a sparse matrix and a dense operand, in either order, as for :func:`pith.matmul`.
        rounds: each times every candidate once; medians count.
    Returns: name of a candidate -> seconds of a call, fastest first.
    Semantics: times hold for products of this format, shape, number of columns, element type and about this density,
        with this number of threads; they are kept in the user's data directory, for this version of pith and this
        processor, and go before predictions in :func:`pith.matmul`, :func:`pith.linear`, compiled programs and
        :func:`pith.explain`. Every candidate is compiled, which takes a second or two.
    Errors: :class:`pith.ArgumentError` when neither operand is sparse or ``rounds`` is not positive,
        :class:`pith.ShapeError` when they do not fit.

    Example:
        >>> import numpy as np, pith
        >>> A = pith.compress(np.eye(64, dtype=np.float32), "csr")
        >>> x = np.ones((64, 8), np.float32)
        >>> times = pith.tune(A, x, rounds=3)
        >>> "measured" in pith.explain(A, x)
        True
    """
    from ..functional.matmul.copies import products_of
    from .report import columns_of

    if rounds < 1:
        raise ArgumentError(f"expects at least one round, got {rounds}", where="pith.tune: rounds")
    a, b = taken_over(a), taken_over(b)
    tensor, other, side = (a, b, "left") if isinstance(a, SparseTensor) else (b, a, "right")
    if not isinstance(tensor, SparseTensor):
        raise ArgumentError("expects a sparse operand", where="pith.tune", hint="dense products have one way to run")
    times = tune_problem(Problem.of(tensor, columns_of(tensor, other, side), side=side), tensor, rounds)
    products_of(tensor).plans.clear()
    return times


def tune_problem(problem: Problem, tensor: SparseTensor, rounds: int = ROUNDS) -> dict[str, float]:
    """The same for a problem and a matrix that it describes; the dense operand is random."""
    from .calibrate import time_variants
    from .cases import random_dense

    if 0 in (*problem.shape, problem.columns):
        return {}
    n, contracted = problem.columns, problem.contracted
    shape = (contracted, n) if problem.side == "left" else (n, contracted)
    x = random_dense(np.random.default_rng(0), shape, problem.element)
    with ProgressBar(PATIENCE) as progress:
        progress(0.0, "compiling every candidate, then timing them in turn")
        times = time_variants(problem, tensor, x, rounds)
    remember(problem, times)
    forget_ranks()
    return dict(sorted(times.items(), key=lambda item: item[1]))
