"""What a product with a sparse operand runs: the kernel or the dense product that is predicted to be fastest."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from pith.lowering.panel.roles import Roles
from pith.lowering.panel.variant import size_class

from ...compiler.kernel import Kernel, compile_source
from ...errors import DTypeError
from ...formats import Format
from ...runtime import dtype_name, num_threads, numpy_dtype
from ...sparse import SparseTensor
from ...tuning.problem import Problem
from ...tuning.select import choose
from ...tuning.variants import Variant, no_name
from .copies import products_of
from .dense import library_product, own_product
from .ir import ACCUMULATORS, RESULTS, matmul_source
from .row_order import may_reorder

#: Numbers of columns above 64 are rounded to this many significant bits before a variant is chosen, so
#: that a call with one more token decides nothing anew.
_COLUMN_BITS = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What a product of one operand does.

    Attributes:
        kernel: on the stored operand; the fall-back of a dense product.
        dtype: of the result.
        dense: kernel on the unpacked operand, or the element type of the library's product; None: neither runs.
        transposed: the kernel reads the dense operand by columns.
        reorders: repeated, it is faster on a copy of the operand in row order.
    """

    kernel: Kernel
    dtype: np.dtype
    dense: Kernel | str | None
    transposed: bool
    reorders: bool

    def run(self, a: SparseTensor, x: Any, result: Any, right: bool) -> None:
        """Write the product of ``a`` and a matrix to ``result``."""
        read = x.T if self.transposed else x
        if not self._ran_dense(a, x, read, result, right):
            self.kernel.native(*a.buffers, *a.shape, read, result)

    def _ran_dense(self, a: SparseTensor, x: Any, read: Any, result: Any, right: bool) -> bool:
        if self.dense is None or 0 in result.shape:
            return False
        if isinstance(self.dense, Kernel):
            return own_product(a, read, result, right, self.dense)
        return library_product(a, x, result, right, self.dense)


#: Element types of dense storage whose products with one column are dot products of rows as they lie
#: (``lowering/panel/dense/column.py``).
_COLUMN_ELEMENTS = ("f32", "f64", "f16", "bf16", "i8")


def plan_of(a: SparseTensor, columns: int, right: bool, variant: str, transposed: bool) -> Plan:
    """The plan for a number of columns, decided once per tensor."""
    columns = rounded_columns(columns)
    plans = products_of(a).plans
    key = (columns, right, variant, num_threads(), transposed)
    try:
        plan = plans.get(key)
    except TypeError:  # no hash
        raise no_name(variant) from None
    if plan is None:
        plan = plans[key] = _decide(a, columns, right, variant, transposed)
    return plan


def rounded_columns(columns: int) -> int:
    """``columns``, above 64 with the last bits rounded away.

    >>> [rounded_columns(n) for n in (9, 63, 100, 101, 1000)]
    [9, 63, 104, 104, 1024]
    """
    if columns <= 64:
        return columns
    unit = 1 << max(0, columns.bit_length() - _COLUMN_BITS)
    return (columns + unit // 2) // unit * unit


def _decide(a: SparseTensor, columns: int, right: bool, variant: str, transposed: bool) -> Plan:
    element, dtype = dtype_name(a.values.dtype), result_dtype(a)
    problem = Problem.of(a, columns, side="right" if right else "left")
    chosen = choose(problem, variant).variant
    stored = choose(problem, "sparse").variant if chosen.is_dense else chosen
    dense = None
    if chosen.is_dense:
        products_of(a).users.add("matmul")
    if chosen.is_library:
        dense = chosen.family.partition(":")[2] or element
    elif chosen.is_dense:
        dense = _kernel_for(problem.unpacked, choose(problem.unpacked, "sparse").variant, transposed)
    reorders = variant in ("auto", "sparse") and may_reorder(problem.format, problem.kept_dim)
    return Plan(_kernel_for(problem, stored, transposed), dtype, dense, transposed, reorders)


def _kernel_for(problem: Problem, variant: Variant, transposed: bool) -> Kernel:
    """The kernel that runs a problem by a variant of pith's own."""
    multiple = size_class(Roles.of(problem.format, problem.kept_dim), problem.contracted)
    right = problem.side == "right"
    column = problem.columns == 1 and not right and problem.format.is_dense and problem.element in _COLUMN_ELEMENTS
    return _kernel(problem.format, problem.element, right, variant.attribute, multiple, transposed, column)


def result_dtype(a: SparseTensor) -> np.dtype:
    """The dtype of a product with ``a``, whose elements have to be of a type that there are kernels for."""
    element = dtype_name(a.values.dtype)
    if element not in ACCUMULATORS or a.values.dtype.kind == "u":
        hint = "A.astype(...) to one of " + ", ".join(ACCUMULATORS)
        raise DTypeError(f"no matmul kernel for {a.values.dtype}", where="pith.matmul", hint=hint)
    return numpy_dtype(RESULTS.get(element, ACCUMULATORS[element]))


@functools.cache
def _kernel(
    fmt: Format, element: str, right: bool, variant: str | None, multiple: int, transposed: bool, column: bool
) -> Kernel:
    """The kernel for sparse operands of a format."""
    return compile_source(matmul_source(fmt, element, right, variant, multiple, transposed, column), "matmul")
