"""Products with a stack of sparse matrices: one of ``pith.matmul`` for each, as ``numpy.matmul`` pairs them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ...errors import DeviceError, ShapeError
from ...formats.format import Format, LevelExpr
from ...formats.pack import pack_coordinates
from ...generation import generation
from ...runtime.arrays import empty_array
from ...sparse import SparseTensor

_Index = tuple[int, ...]


def matrices_of(a: SparseTensor) -> np.ndarray:
    """The matrices of a tensor of rank 3 or more, an array of :class:`pith.SparseTensor` in the shape of its stack.

    Their format is what the tensor's says below its leading dimensions where those are its outermost dense levels, else
    CSR. They are copies, made once and again after :func:`pith.repack` in place.

    Example:
        >>> dense = np.eye(4, dtype=np.float32).reshape(2, 2, 4)
        >>> A = SparseTensor.from_dense(dense, "d0 : dense, d1 : dense, d2 : compressed")
        >>> matrices_of(A)[1].to_dense().tolist()
        [[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """
    kept, made = a.__dict__.get("_matrices", (-1, None))
    if made is None or kept != generation():
        made = _split(a)
        a.__dict__["_matrices"] = generation(), made
    return made


def _split(a: SparseTensor) -> np.ndarray:
    lead, shape = a.shape[:-2], a.shape[-2:]
    fmt = _below(a.format, len(lead))
    coords, values = a.coordinates()
    strides = np.cumprod([1, *lead[:0:-1]])[::-1]
    numbers = strides @ coords[: len(lead)]
    order = np.argsort(numbers, kind="stable")
    ends = np.searchsorted(numbers[order], np.arange(math.prod(lead) + 1))
    made = np.empty(math.prod(lead), object)
    for i in range(made.size):
        here = order[ends[i] : ends[i + 1]]
        made[i] = SparseTensor(shape, fmt, tuple(pack_coordinates(coords[len(lead) :, here], values[here], shape, fmt)))
    return made.reshape(lead)


def _below(fmt: Format, lead: int) -> Format:
    """The format of one matrix of a stack stored in ``fmt``."""
    outer, inner = (list(zip(fmt.exprs, fmt.levels))[part] for part in (slice(lead), slice(lead, None)))
    stacked = all(e == LevelExpr(d) and level.is_dense for d, (e, level) in enumerate(outer))
    if not stacked or len(outer) < lead or any(e.dim < lead for e, _ in inner) or fmt.diagonal is not None:
        return Format.csr()
    exprs = tuple(LevelExpr(e.dim - lead, e.div, e.mod) for e, _ in inner)
    return dataclasses.replace(fmt, rank=2, exprs=exprs, levels=tuple(level for _, level in inner))


def multiply_stack(a: SparseTensor, x: Any, out: Any, right: bool, variant: str) -> Any:
    """``a @ x`` (``right``: ``x @ a``) of a stack of matrices ``a``; ``x`` is a vector, a matrix or a stack."""
    from .matmul import as_kind_of, checked_destination, dense_operand, multiply, result_shape
    from .plan import result_dtype

    x = dense_operand(x, "the dense operand")
    if getattr(x, "is_cuda", False):
        raise DeviceError("stacks of sparse matrices are multiplied on the CPU", where="pith.matmul", hint="x.cpu()")
    shape = tuple(x.shape)
    try:
        batch = np.broadcast_shapes(a.shape[:-2], shape[:-2])
    except ValueError:
        left, other = (shape, a.shape) if right else (a.shape, shape)
        raise ShapeError(f"cannot multiply {left} by {other}: stacks differ", where="pith.matmul") from None
    dtype, stack = result_dtype(a), matrices_of(a)
    full = (*batch, *result_shape(a.shape[-2:], shape[-2:], right)[1])
    if out is not None:
        x = checked_destination(out, full, x)
    result = empty_array(full, dtype) if out is None else out
    for index in np.ndindex(batch):
        multiply(stack[_at(index, stack.shape)], x[_at(index, shape[:-2])], result[index], right, variant)
    return as_kind_of(result, x) if out is None else out


def _at(index: _Index, stack: _Index) -> _Index:
    """Where a stack of this shape has what element ``index`` of the result is made of."""
    return tuple(0 if size == 1 else i for i, size in zip(index[len(index) - len(stack) :], stack))
