"""The ways to run a linear layer: on what is stored, on an unpacked copy by pith's kernel, or by the library's product.

Which one is the fastest is predicted. Where rows are few predictions are off, and the first calls time those that may
be: of bf16 weights in 16x32 blocks of 50 %, 1024x1024, 8 rows were predicted to take 139 us and 145 on a copy, and take
220 and 142, torch's 153; 24 rows 210, 420 and 450, and take 380, 370 and 320 (one core of Zen 4, 2026-11).
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ...compiler.kernel import Kernel, compile_source
from ...errors import DTypeError
from ...formats import Format
from ...runtime import dtype_name, num_threads, numpy_dtype
from ...runtime.arrays import empty_array
from ...sparse import SparseTensor
from ...tuning.problem import Problem
from ...tuning.select import DENSE_GAIN, MOST_DENSE_BYTES, Candidate, choose, dense_bytes
from ...tuning.variants import LIBRARY, OWN, dense_variants
from ..matmul.copies import WHOLE, Products, products_of
from ..matmul.dense import all_finite, finite_rows, library_rows
from ..matmul.plan import rounded_columns
from ..turns import Turns
from .choice import FEW_ROWS, choice_for, dense_tile, is_few, rivals, whole_weight
from .ir import COMPUTED_IN, linear_source

#: The way that multiplies what is stored.
STORED = "stored"

#: Up to how many times the least predicted time a way is timed; the library's, whose calls were measured with the
#: operands the other way round, up to more.
_DOUBTED, _DOUBTED_OF_LIBRARY = 2.0, 4.0

#: Elements of a weight from which ways are timed: below, a call takes as long as any.
_LEAST_ELEMENTS = 1 << 16

#: Calls after which all ways are timed anew: at first, and at most. A copy that was dropped takes five calls to make.
_SOON, _MOST = 256, 8192

#: Calls of a way in a row, and how often. What is measured of the first few is where the weight was: of 1024x1024 f32,
#: three rows by a copy take 318, 255, 159, 98, 87, 80 and from then on 77 us (one core of Zen 4, 2026-11).
_ROW, _TURNS = 6, 2

#: Ways of dense weights, which are other objects in every call, by what calls have in common; so many are kept.
_dense: dict[Any, Ways] = {}
_KEPT = 1024


class Ways:
    """What calls with a weight, a number of rows and an epilogue run.

    Attributes:
        order: the ways that are timed, the one that is predicted to be the fastest first; one is not timed.
        turns: their times; None for one.
        dtype: of the result.
    """

    __slots__ = ("_activation", "_best", "_epilogue", "_is_dense", "_kernels", "_rows", "dtype", "order", "turns")

    def __init__(self, a: SparseTensor, rows: int, epilogue: tuple[bool, str | None, bool]):
        require_floats(a.values.dtype)
        self.dtype = numpy_dtype(dtype_name(a.values.dtype))
        self._rows, self._epilogue, self._activation = rows, epilogue, epilogue[1]
        self._is_dense = a.format.is_dense
        self._kernels: dict[str, Kernel] = {}
        self._best: str | None = None  # of the turns, when it was looked at last
        self.order = ways_of(a, rows, epilogue)
        handicaps = {way: DENSE_GAIN for way in self.order if way is not STORED}
        self.turns = Turns(self.order, _SOON, _MOST, _ROW, _TURNS, handicaps) if len(self.order) > 1 else None
        if self.order == (OWN,):
            products_of(a).users.add(self)

    def run(self, a: SparseTensor, x: Any, extras: list[Any], stored: bool) -> Any:
        """The layer, as an array or a tensor.

        Shapes: x, the result and the residual among ``extras``: matrices.
        Args:
            extras: bias and residual, those that there are.
            stored: what is stored is to be multiplied.
        """
        turns = self.turns
        if stored:
            return self._multiply(STORED, a, x, extras)
        if turns is None:
            return self._take(self.order[0], a, x, extras)
        result = turns.run(lambda way: self._take(way, a, x, extras))
        best = turns.best
        if best is not self._best:
            self._best = best
            if best is not None and not self._is_dense:
                self._keep(products_of(a), best is not STORED)
        return result

    def _keep(self, products: Products, copy: bool) -> None:
        """The ways are timed: without a use for its copy, the weight loses it."""
        if copy:
            products.users.add(self)
            return
        products.users.discard(self)
        if not products.users:
            products.drop()

    def _take(self, way: str, a: SparseTensor, x: Any, extras: list[Any]) -> Any:
        result = None if way is STORED else self._densely(way, a, x, extras)
        return self._multiply(STORED, a, x, extras) if result is None else result

    def _densely(self, way: str, a: SparseTensor, x: Any, extras: list[Any]) -> Any:
        """Multiply every element, if that is allowed: what is not stored counts as exact zeros, of which infinities
        would make NaN. Then each row of the result has some, unless an activation hides them. None: it is not."""
        if self._is_dense:
            return library_rows(a, x, extras)
        products, hidden = products_of(a), self._activation is not None
        if not products.may_copy(a.shape, dtype_name(a.values.dtype)) or (hidden and not all_finite(x)):
            return None
        if way is OWN:
            result = self._multiply(OWN, products.whole(a), x, extras)
        else:
            result = library_rows(a, x, extras)
        return result if hidden or result is None or finite_rows(result) else None

    def _multiply(self, way: str, a: SparseTensor, x: Any, extras: list[Any]) -> np.ndarray:
        kernel = self._kernels.get(way)
        if kernel is None:
            kernel = self._kernels[way] = _kernel_for(a, self._rows, self._epilogue)
        out = empty_array((x.shape[0], a.shape[0]), self.dtype)
        kernel.native(*a.buffers, *a.shape, x, *extras, out)
        return out


def ways_for(a: SparseTensor, rows: int, bias: bool, activation: str | None, residual: bool) -> Ways:
    """The ways for ``rows`` rows; decided once per tensor, of dense weights once per shape."""
    key: tuple[Any, ...] = (rounded_columns(rows), bias, activation, residual, num_threads())
    if a.format is not WHOLE:
        plans = products_of(a).plans
        key = ("ways", *key)
    else:
        plans = _dense
        key = (*key, a.shape, a.values.dtype)
    ways = plans.get(key)
    if ways is None:
        if plans is _dense and len(plans) >= _KEPT:
            plans.clear()
        ways = plans[key] = Ways(a, rows, (bias, activation, residual))
    return ways


def forget_ways() -> None:
    """Decide anew what dense weights run."""
    _dense.clear()


def ways_of(a: SparseTensor, rows: int, epilogue: tuple[bool, str | None, bool]) -> tuple[str, ...]:
    """The ways that may be the fastest, the one that is predicted to be first.

    >>> import pith
    >>> ways_of(pith.compress(np.eye(8), "csr"), 4, (False, None, False))
    ('stored',)
    """
    first = STORED if a.format.is_dense or not choice_for(a, rows).dense else OWN
    few = 0 < rows <= FEW_ROWS and math.prod(a.shape) >= _LEAST_ELEMENTS
    if not few or dtype_name(a.values.dtype) not in COMPUTED_IN:
        return (first,)
    problem = Problem.of(a, rows)
    if a.format.is_dense:
        times = {STORED: whole_weight(problem).seconds}
    else:
        own, copy = rivals(problem)
        times = {STORED: own.seconds, **({OWN: copy.seconds} if copy.eligible else {})}
    least = min(times.values())
    ways = [way for way, seconds in times.items() if way is first or seconds <= _DOUBTED * least]
    library = library_candidate(problem, epilogue)
    if library and (OWN in ways or a.format.is_dense) and library.seconds <= _DOUBTED_OF_LIBRARY * least:
        ways.append(LIBRARY)
    return tuple(sorted(ways, key=lambda way: way is not first))


def library_candidate(problem: Problem, epilogue: tuple[bool, str | None, bool]) -> Candidate | None:
    """The library's product: torch's, with a bias and nothing else, which would take it a pass, and of narrow types
    another rounding."""
    if epilogue[1] or epilogue[2] or not problem.torch or LIBRARY not in {v.name for v in dense_variants(problem)}:
        return None
    found = choose(problem, LIBRARY)
    return found if dense_bytes(problem, found.variant) <= MOST_DENSE_BYTES else None


def _kernel_for(a: SparseTensor, rows: int, epilogue: tuple[bool, str | None, bool]) -> Kernel:
    """The kernel on what ``a`` stores, for so many rows."""
    variant = dense_tile(a.values.dtype, rows) if a.format.is_dense else choice_for(a, rows).variant
    multiple = _size_class(a.format, a.shape[1])
    known = rows if rows == 1 or (a.format.is_dense and is_few(a.values.dtype, rows)) else None
    return _kernel(a.format, a.values.dtype, *epilogue, variant, multiple, known)


@functools.cache
def _size_class(fmt: Format, contracted: int) -> int:
    """The divisor of the contracted size that a kernel is specialised on."""
    from pith.lowering.panel.variant import Roles, size_class

    return size_class(Roles.of(fmt, 0), contracted)


@functools.cache
def _kernel(
    fmt: Format,
    dtype: np.dtype,
    bias: bool,
    activation: str | None,
    residual: bool,
    variant: str | None,
    multiple: int,
    rows: int | None,
) -> Kernel:
    """The kernel of a format, element type and epilogue."""
    source = linear_source(fmt, dtype_name(dtype), bias, activation, residual, variant, multiple, rows)
    return compile_source(source, "linear")


def require_floats(dtype: np.dtype) -> None:
    """Raise :class:`pith.DTypeError` unless there are kernels for weights of a type."""
    if dtype_name(dtype) in COMPUTED_IN:
        return
    floats = "weights of type " + ", ".join(COMPUTED_IN)
    quantised = f"{floats}; pith.quantize(w, fmt) makes 8-bit weights, which know their scales"
    raise DTypeError(
        f"no linear kernel for {dtype}", where="pith.linear", hint=quantised if dtype.kind in "iu" else floats
    )
