"""``pith.sddmm``: dense products computed where a sparse tensor stores, through kernels cached per format."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ...compiler.kernel import Kernel, compile_source
from ...errors import ArgumentError, DTypeError, FormatError, ShapeError
from ...formats import Format
from ...formats.pack_buffers import aligned_empty
from ...formats.parse import format_name
from ...runtime import dtype_name, numpy_dtype
from ...runtime.arrays import as_array, is_torch
from ...sparse import SparseTensor, taken_over
from ..matmul.copies import products_of
from .ir import SUMS, sddmm_source


def sddmm(a: Any, b: Any, pattern_of: Any, *, out: Any = None, accumulate: bool = False) -> Any:
    """``a @ b`` at the positions another matrix stores, and nowhere else (SDDMM).

    Shapes: a: (M, K); b: (K, N); pattern_of: (M, N).
    Semantics: every stored position of ``pattern_of`` gets its element of the product, also where
        the stored value is a zero that fills up a group or block; the values are not read. f16 and
        bf16 are summed in f32 and rounded once. The dense product is never made: work and memory
        follow the number of stored elements. Operands may be row- or column-major (``y.T`` costs no
        copy). One kernel is compiled per format, element type and orientation.
    Args:
        a, b: NumPy arrays, torch CPU tensors, or anything with DLPack, of one element type.
        pattern_of: a :class:`pith.SparseTensor`; a sparse matrix of SciPy or torch is taken over in every call.
        out: a contiguous 1-D array of ``pattern_of.nse`` elements for the values.
        accumulate: add to what ``out`` holds instead of overwriting it.
    Returns: a :class:`pith.SparseTensor` with the metadata buffers of ``pattern_of`` (shared) and new
        values (``out``, when it is given). For torch tensors on a GPU a :class:`pith.runtime.cuda.DeviceSparse`
        whose ``values`` are a tensor there.
    Errors: :class:`pith.FormatError`, :class:`pith.ShapeError`, :class:`pith.DTypeError`,
        :class:`pith.DeviceError`, :class:`pith.ArgumentError` (among others for tensors that require a gradient:
        detach them, or train with :func:`pith.torch.sparse_linear`); nothing is written then.
    Source: structurally masked product of GraphBLAS, ``C<M> = A * B``.

    Example:
        >>> import numpy as np
        >>> import pith
        >>> S = pith.compress(np.eye(3, dtype=np.float32)[[1, 0, 2]], "csr")
        >>> y, x = np.arange(6, dtype=np.float32).reshape(3, 2), np.ones((2, 3), np.float32)
        >>> pith.sddmm(y, x, S).to_dense()
        array([[0., 1., 0.],
               [5., 0., 0.],
               [0., 0., 9.]], dtype=float32)
    """
    pattern_of = taken_over(pattern_of)
    if any(getattr(x, "is_cuda", False) for x in (a, b)):
        from .device import sampled_on_device

        _check_sizes(a, b, pattern_of)
        return sampled_on_device(a, b, pattern_of, out, accumulate)
    left, right = _operands(a, b, pattern_of)
    values = _values(out, pattern_of.nse, left.dtype, accumulate)
    left, right = (x.copy() if np.may_share_memory(x, values) else x for x in (left, right))
    transposed = (_is_transposed(left), _is_transposed(right))
    kernel = _kernel(pattern_of.format, left.dtype, *transposed, accumulate)
    left, right = (x.T if t else x for x, t in zip((left, right), transposed))
    kernel.native(*pattern_of.buffers[:-1], *pattern_of.shape, left, right, values)
    return SparseTensor(pattern_of.shape, pattern_of.format, (*pattern_of.buffers[:-1], values), pattern_of.hss)


def sample(rows: Any, inputs: Any, pattern: SparseTensor, out: Any) -> None:
    """``out[:] = rows.T @ inputs`` at what a pattern stores: :func:`sddmm` of operands that are known to fit.

    Shapes: rows: ``(K, M)``, inputs: ``(K, N)``, row by row in memory; pattern: ``(M, N)``; out: ``(pattern.nse,)``.
    Semantics: nothing is checked but what kernels check themselves. The checks and a result take 15 us of small ones.

    >>> import pith
    >>> out = np.empty(2, np.float32)
    >>> sample(np.float32([[1, 2]]), np.float32([[3, 4]]), pith.compress(np.eye(2, dtype=np.float32), "csr"), out)
    >>> out.tolist()
    [3.0, 8.0]
    """
    plans, key = products_of(pattern).plans, ("sddmm", out.dtype)
    native = plans.get(key)
    if native is None:
        native = plans[key] = _kernel(pattern.format, numpy_dtype(_element_of(out)), True, False, False).native
    native(*pattern.buffers[:-1], *pattern.shape, rows, inputs, out)


def explain_sddmm(a: Any, b: Any, pattern_of: Any, *, out: Any = None, accumulate: bool = False) -> str:
    """What ``pith.sddmm`` of these operands runs, and beside what."""
    from ...tuning.problem import Problem
    from ...tuning.report import seconds_text, stored_text
    from ...tuning.select import rank

    pattern_of = taken_over(pattern_of)
    left, right = _operands(a, b, pattern_of)
    (rows, depth), columns = left.shape, right.shape[1]
    kernel = _kernel(pattern_of.format, left.dtype, _is_transposed(left), _is_transposed(right), accumulate)
    whole = rank(Problem.of_format(Format.dense(2), (rows, depth), columns, dtype_name(left.dtype)), "dense")[0]
    name = str(pattern_of.hss or format_name(pattern_of.format))
    sampled = stored_text(Problem.of(pattern_of, depth), name)
    return "\n".join(
        [
            f"{rows}x{depth} times {depth}x{columns}, where {sampled}",
            f"runs one kernel, whose time is not predicted; the whole product: {seconds_text(whole.seconds)}",
            kernel.explain(),
        ]
    )


def _operands(a: Any, b: Any, pattern_of: Any) -> tuple[np.ndarray, np.ndarray]:
    left, right = _operand(a, "a"), _operand(b, "b")
    _check(left, right, pattern_of)
    return left, right


def _operand(value: Any, name: str) -> np.ndarray:
    array = as_array(value, f"pith.sddmm: {name}")
    if array.ndim != 2:
        raise ShapeError(f"expects a matrix, got shape {array.shape}", where=f"pith.sddmm: {name}")
    return array


def _check(a: np.ndarray, b: np.ndarray, pattern: Any) -> None:
    if a.dtype != b.dtype or dtype_name(a.dtype) not in SUMS:
        raise DTypeError(
            f"no sddmm kernel for {a.dtype} and {b.dtype}",
            where="pith.sddmm",
            hint="convert both to one of " + ", ".join(SUMS),
        )
    _check_sizes(a, b, pattern)


def _check_sizes(a: Any, b: Any, pattern: Any) -> None:
    """Errors: :class:`pith.FormatError`, :class:`pith.ShapeError`."""
    if not isinstance(pattern, SparseTensor):
        raise FormatError(
            f"expects a pith.SparseTensor, got {type(pattern).__name__}",
            where="pith.sddmm: pattern_of",
            hint="pith.compress(mask, fmt)",
        )
    left, right = tuple(a.shape), tuple(b.shape)
    matrices = len(left) == len(right) == len(pattern.shape) == 2
    if not matrices or left[1] != right[0] or (left[0], right[1]) != tuple(pattern.shape):
        raise ShapeError(
            f"cannot sample {left} @ {right} at the positions of a tensor of shape {pattern.shape}",
            where="pith.sddmm",
            hint="a: (M, K), b: (K, N), pattern_of: (M, N); pass transposes where sizes are swapped",
        )


def _values(out: Any, count: int, dtype: np.dtype, accumulate: bool) -> np.ndarray:
    """The array for the values."""
    if out is None:
        if accumulate:
            raise ArgumentError("accumulate=True adds to out, which is missing", where="pith.sddmm", hint="pass out=")
        return aligned_empty(count, dtype)
    array = as_array(out.detach() if is_torch(out) else out, "pith.sddmm: out")
    if array.shape != (count,) or not array.flags.c_contiguous:
        raise ShapeError(
            f"expects a contiguous array of shape ({count},), got shape {array.shape} and strides {array.strides}",
            where="pith.sddmm: out",
        )
    if array.dtype != dtype:
        raise DTypeError(f"expects {dtype}, got {array.dtype}", where="pith.sddmm: out")
    if not array.flags.writeable:
        raise ArgumentError("the array is read-only", where="pith.sddmm: out", hint="pass a writable copy")
    return array


def _element_of(array: Any) -> str:
    return dtype_name(as_array(array, "pith.sddmm: out").dtype)


def _is_transposed(array: np.ndarray) -> bool:
    """True when the transposed array is the one in row-major order."""
    return array.T.flags.c_contiguous and not array.flags.c_contiguous


@functools.cache
def _kernel(fmt: Format, dtype: np.dtype, left: bool, right: bool, accumulate: bool) -> Kernel:
    """The kernel for results of a format; ``left``, ``right``: that factor is stored transposed."""
    return compile_source(sddmm_source(fmt, dtype_name(dtype), left, right, accumulate), "sddmm")
