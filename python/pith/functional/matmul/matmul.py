"""``pith.matmul``: products with a sparse operand, through kernels cached per format, element type and tile."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...compiler.kernel import as_torch
from ...errors import DTypeError, ShapeError, UnsupportedError
from ...quantization import QuantizedTensor
from ...runtime.arrays import array_or_tensor, as_array, empty_array, is_torch
from ...sparse import SparseTensor, taken_over
from ...sparse_interop import is_foreign
from ...traceable import traceable
from ..dynamic.dynamic import Dynamic, multiply_dynamic
from .plan import Plan, plan_of
from .quantized_plan import transposed
from .row_order import in_row_order


@traceable
def matmul(a: Any, b: Any, *, out: Any = None, variant: str = "auto") -> Any:
    """Matrix product in which one or both operands are sparse.

    Shapes: as ``numpy.matmul``: vectors, matrices, and stacks of them, whose leading dimensions broadcast.
    Semantics: elements that are not stored count as exact zeros, whatever they meet; zeros that fill
        up groups and blocks are stored, so NaN and infinities they meet give NaN. f16 and bf16
        accumulate in f32; i8 and i16 give i32; unsigned integers are an error. New patterns
        never recompile; a few kernels per format and element type serve all shapes: they differ in the
        register tile, a divisor of the contracted size and the order the dense operand is stored in. Two
        sparse operands: the second is unpacked first. Two dense operands: NumPy's (torch's) own product,
        with its errors.
        What runs is decided by predicted time (:func:`pith.explain` shows it). Where that is the dense
        product, the sparse operand is unpacked once and the copy kept with it. A stack of sparse matrices is
        taken apart once, and multiplied matrix by matrix.
    Args:
        a, b: :class:`pith.SparseTensor`, NumPy array, torch tensor, or anything with DLPack on the CPU; a sparse
            matrix of SciPy or torch, taken over in every call (:meth:`pith.SparseTensor.from_scipy` once is faster).
            ``a`` may be a :class:`pith.QuantizedTensor`, ``b`` one with groups. One may be marked with
            :func:`pith.dynamic`. With a torch tensor on a GPU a :class:`pith.SparseTensor` is copied there once, and
            the kernels run there.
        out: a C-contiguous array (tensor) for the result; its content is overwritten.
        variant: ``auto``, ``dense`` (the best product of an unpacked copy, the library's or pith's own), ``sparse``
            (pith's best kernel on what is stored), or the name of one variant. ``sparse`` is bitwise repeatable for
            any number of threads. It is for stored operands: one marked with :func:`pith.dynamic` takes ``auto``,
            ``dense`` or a micro-tile. A quantised matrix takes ``auto``, ``sparse`` and ``dense``.
    Returns: a NumPy array, or a torch tensor when the dense operand is one.
    Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`, :class:`pith.DeviceError`,
        :class:`pith.ArgumentError` (read-only ``out``, not an array), :class:`pith.UnsupportedError` (no such
        variant); nothing is written then.

    Example:
        >>> import numpy as np
        >>> import pith
        >>> A = pith.compress(np.eye(4, dtype=np.float32)[[1, 0, 3, 2]], "csr")
        >>> pith.matmul(A, np.arange(8, dtype=np.float32).reshape(4, 2))
        array([[2., 3.],
               [0., 1.],
               [6., 7.],
               [4., 5.]], dtype=float32)
    """
    if isinstance(a, Dynamic) or isinstance(b, Dynamic):
        return multiply_dynamic(a, b, out, variant)
    if isinstance(a, QuantizedTensor) or isinstance(b, QuantizedTensor):
        return _multiply_quantized(a, b, out, variant)
    if isinstance(a, SparseTensor):
        other = taken_over(b)
        dense = as_kind_of(other.to_dense(), b) if isinstance(other, SparseTensor) else other
        return multiply(a, dense, out, False, variant)
    if isinstance(b, SparseTensor) and not is_foreign(a):
        return multiply(b, a, out, True, variant)
    if is_foreign(a) or is_foreign(b):
        once = "sparse" if variant == "auto" else variant  # a dense copy would not outlive the call
        return matmul(taken_over(a), taken_over(b), out=out, variant=once)
    if variant not in _DENSE:
        hint = f"one of {', '.join(_DENSE)}: two dense operands"
        raise UnsupportedError(f"no variant {variant!r}", where="pith.matmul", hint=hint)
    return np.matmul(a, b) if out is None else np.matmul(a, b, out=out)


#: Variants of two dense operands: there is one product.
_DENSE = ("auto", "dense", "dense:library")


def _multiply_quantized(a: Any, b: Any, out: Any, variant: str) -> Any:
    if out is not None:
        raise UnsupportedError("out does not apply to a quantised matrix", where="pith.matmul")
    right = isinstance(b, QuantizedTensor)
    if isinstance(a if right else b, (SparseTensor, QuantizedTensor)) or (right and b.group is None):
        raise UnsupportedError(
            "a quantised matrix multiplies a dense operand, from the left where it has a scale per row",
            where="pith.matmul",
            hint="quantize in groups, or the transposed matrix and use pith.linear, or dequantize()",
        )
    return transposed(b).linear(a, variant=variant) if right else a.matmul(b, variant=variant)


def multiply(a: SparseTensor, x: Any, out: Any, right: bool, variant: str) -> Any:
    """``a @ x``, or ``x @ a`` when ``right``, of any ranks."""
    if len(a.shape) > 2:
        from .stacks import multiply_stack

        return multiply_stack(a, x, out, right, variant)
    x = dense_operand(x, "the dense operand")
    shape, full = result_shape(a.shape, tuple(x.shape), right)
    if getattr(x, "is_cuda", False):
        from .device import matmul_on_device

        return matmul_on_device(a, x, out, right, variant, (shape, full))
    if out is not None:
        result = dense_operand(out, "out")
        x = checked_destination(result, full, x)
    transposed = len(shape) == 2 == len(full) and _is_column_major(x)
    columns = shape[0] if right else shape[-1]
    plan = plan_of(a, columns, right, variant, transposed)
    if plan.reorders and (ordered := in_row_order(a, right, columns)) is not None:
        a, plan = ordered, plan_of(ordered, columns, right, variant, transposed)
    if out is None:
        result = empty_array(full, plan.dtype)
    if len(shape) == 2 == len(full):
        if plan.dense is None:  # the common case, without another call
            plan.kernel.native(*a.buffers, *a.shape, x.T if transposed else x, result)
        else:
            plan.run(a, x, result, right)
    else:
        _run_batch(plan, a, x.reshape(shape), result.reshape(_flat_shape(full, shape, right)), right)
    return as_kind_of(result, x) if out is None else out


def _is_column_major(x: Any) -> bool:
    """True for a matrix stored by columns: kernels read it as it is."""
    if isinstance(x, np.ndarray):
        return x.flags.f_contiguous and not x.flags.c_contiguous
    return not x.is_contiguous() and x.T.is_contiguous()


def result_shape(
    stored: tuple[int, ...], shape: tuple[int, ...], right: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The dense operand's shape as kernels see it (rank 2, or 3 with a batch), and the result's shape.

    Shapes: ``stored``: of the sparse matrix; ``shape``: of the dense operand.
    """
    if len(stored) != 2:
        raise ShapeError(
            f"expects a sparse matrix, got shape {stored}",
            where="pith.matmul",
            hint="compress it as a matrix: pith.compress(w.reshape(m, k), fmt)",
        )
    if not shape:
        raise ShapeError("cannot multiply by a scalar", where="pith.matmul", hint="A * number")
    inner, outer = stored if right else stored[::-1]
    if shape[-1 if right or len(shape) == 1 else -2] != inner:
        left, other = (shape, stored) if right else (stored, shape)
        transposed = len(shape) == 2 and shape[0 if right else 1] == inner
        fits = "the dense operand's other size fits: pass its transpose" if transposed else None
        hint = fits or f"the dense operand has size {inner} where it meets the sparse one"
        raise ShapeError(f"cannot multiply {left} by {other}: inner sizes differ", where="pith.matmul", hint=hint)
    if right:
        return (math.prod(shape[:-1]), inner), (*shape[:-1], outer)
    if len(shape) == 1:
        return (inner, 1), (outer,)
    flat = shape if len(shape) == 2 else (math.prod(shape[:-2]), *shape[-2:])
    return flat, (*shape[:-2], outer, shape[-1])


def _flat_shape(result: tuple[int, ...], x: tuple[int, ...], right: bool) -> tuple[int, ...]:
    """The result's shape as kernels see it."""
    if right:
        return x[0], result[-1]
    return (result[0], 1) if len(x) == 2 else (x[0], *result[-2:])


def _run_batch(plan: Plan, a: SparseTensor, x: Any, result: Any, right: bool) -> None:
    """One call, or one per matrix of a batch."""
    if len(x.shape) == 2:
        plan.run(a, x, result, right)
        return
    for i in range(x.shape[0]):
        plan.run(a, x[i], result[i], right)


def dense_operand(value: Any, name: str) -> Any:
    """A NumPy array or torch tensor as it is; a view of anything else that is an array."""
    array = array_or_tensor(value, f"pith.matmul: {name}")
    if array.dtype.kind == "u" if isinstance(array, np.ndarray) else not array.dtype.is_signed:
        raise DTypeError(
            f"no product of {array.dtype}: integers are signed",
            where=f"pith.matmul: {name}",
            hint="convert to int16 or wider",
        )
    return array


def checked_destination(out: Any, shape: tuple[int, ...], x: Any) -> Any:
    """Check ``out`` against the shape of the result; returns ``x``, copied when the two share memory."""
    if tuple(out.shape) != shape:
        raise ShapeError(
            f"the result has shape {shape}, got {tuple(out.shape)}",
            where="pith.matmul: out",
            hint="numpy.empty(shape, dtype), or leave it out",
        )
    view = as_array(out, "pith.matmul: out")
    if not view.flags.c_contiguous:
        raise ShapeError(
            f"expects row-major storage, got strides of {view.strides} bytes",
            where="pith.matmul: out",
            hint="pass a contiguous array and copy the result into place",
        )
    operand = as_array(x, "pith.matmul: the dense operand")
    return operand.copy() if np.may_share_memory(operand, view) else x


def as_kind_of(result: np.ndarray, x: Any) -> Any:
    """A torch tensor over ``result`` when ``x`` is one."""
    return as_torch(result) if is_torch(x) else result
