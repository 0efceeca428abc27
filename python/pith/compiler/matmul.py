"""``pith.matmul``: products with a sparse operand, through kernels cached per format and element type."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from ..formats import Format
from ..formats.attribute import format_attribute
from ..formats.pack_buffers import aligned_empty
from ..runtime import dtype_name
from ..runtime.arrays import as_array
from ..sparse import SparseTensor
from .kernel import Kernel, as_torch, compile_source, is_torch

#: Element type of the operands -> element type the sum is kept in and the result has.
ACCUMULATORS = {
    "f16": "f32",
    "bf16": "f32",
    "f32": "f32",
    "f64": "f64",
    "i8": "i32",
    "i16": "i32",
    "i32": "i32",
    "i64": "i64",
}

#: Element type of the result, where it is not the accumulator's.
RESULTS = {"f16": "f16", "bf16": "bf16"}


def matmul(a: Any, b: Any, *, out: Any = None) -> Any:
    """Matrix product in which one or both operands are sparse.

    Shapes: as ``numpy.matmul`` for operands of rank 1 and 2; the dense operand may also have leading
        batch dimensions, ``(..., K) @ (K, N)`` and ``(M, K) @ (..., K, N)``.
    Semantics: elements that are not stored count as exact zeros, whatever they meet; zeros that fill
        up groups and blocks are stored, so NaN and infinities they meet give NaN. f16 and bf16
        accumulate in f32; i8 and i16 give i32. The kernel depends on the format and the element type
        alone: new patterns and new shapes never recompile. Two sparse operands: the second is
        unpacked first. Two dense operands: NumPy's (torch's) own product, with its errors.
    Args:
        a, b: :class:`pith.SparseTensor`, NumPy array, torch CPU tensor, or anything with DLPack.
        out: a C-contiguous array (tensor) for the result; its content is overwritten.
    Returns: a NumPy array, or a torch tensor when the dense operand is one.
    Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`, :class:`pith.DeviceError`,
        :class:`pith.ArgumentError` (read-only ``out``, not an array); nothing is written then.

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
    if isinstance(a, SparseTensor):
        return _multiply(a, b.to_dense() if isinstance(b, SparseTensor) else b, out, right=False)
    if isinstance(b, SparseTensor):
        return _multiply(b, a, out, right=True)
    return np.matmul(a, b) if out is None else np.matmul(a, b, out=out)


def _multiply(a: SparseTensor, x: Any, out: Any, right: bool) -> Any:
    """``a @ x``, or ``x @ a`` when ``right``, of any rank of ``x``."""
    x = _array(x, "the dense operand")
    shape, result_shape = _result_shape(a, tuple(x.shape), right)
    kernel, dtype = _kernel(a.format, a.values.dtype, right)
    if out is None:
        result = aligned_empty(math.prod(result_shape), dtype).reshape(result_shape)
    else:
        result = _array(out, "out")
        x = _destination(result, result_shape, x)
    if len(shape) == 2 == len(result_shape):
        kernel.native(*a.buffers, *a.shape, x, result)
    else:
        _run_batch(kernel, a, x.reshape(shape), result.reshape(_flat_shape(result_shape, shape, right)))
    return _as_kind_of(result, x) if out is None else out


def _result_shape(a: SparseTensor, shape: tuple[int, ...], right: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The dense operand's shape as kernels see it (rank 2, or 3 with a batch), and the result's shape."""
    if len(a.shape) != 2:
        raise ShapeError(f"expects a sparse matrix, got shape {a.shape}", where="pith.matmul")
    if not shape:
        raise ShapeError("cannot multiply by a scalar", where="pith.matmul", hint="use * on A.values")
    inner, outer = a.shape if right else a.shape[::-1]
    if shape[-1 if right or len(shape) == 1 else -2] != inner:
        left, other = (shape, a.shape) if right else (a.shape, shape)
        raise ShapeError(f"cannot multiply {left} by {other}: inner sizes differ", where="pith.matmul")
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


def _run_batch(kernel: Kernel, a: SparseTensor, x: Any, result: Any) -> None:
    """One call, or one per matrix of a batch."""
    if len(x.shape) == 2:
        kernel.native(*a.buffers, *a.shape, x, result)
        return
    for i in range(x.shape[0]):
        kernel.native(*a.buffers, *a.shape, x[i], result[i])


def _array(value: Any, name: str) -> Any:
    """A NumPy array or torch tensor as it is; a view of anything else that is an array."""
    if isinstance(value, np.ndarray) or is_torch(value):
        return value
    return as_array(value, f"pith.matmul: {name}")


def _destination(out: Any, shape: tuple[int, ...], x: Any) -> Any:
    """Check ``out`` against the shape of the result; returns ``x``, copied when the two share memory."""
    if tuple(out.shape) != shape:
        raise ShapeError(f"the result has shape {shape}, got {tuple(out.shape)}", where="pith.matmul: out")
    view = as_array(out, "pith.matmul: out")
    if not view.flags.c_contiguous:
        raise ShapeError(
            f"expects row-major storage, got strides of {view.strides} bytes",
            where="pith.matmul: out",
            hint="pass a contiguous array and copy the result into place",
        )
    operand = as_array(x, "pith.matmul: the dense operand")
    return operand.copy() if np.may_share_memory(operand, view) else x


@functools.cache
def _kernel(fmt: Format, dtype: np.dtype, right: bool) -> tuple[Kernel, np.dtype]:
    """The kernel for sparse operands of a format, and the dtype of its result."""
    from ..runtime import numpy_dtype

    element = dtype_name(dtype)
    if element not in ACCUMULATORS:
        raise DTypeError(
            f"no matmul kernel for {dtype}",
            where="pith.matmul",
            hint="A.astype(...) to one of " + ", ".join(ACCUMULATORS),
        )
    kernel = compile_source(matmul_source(fmt, element, right), "matmul")
    return kernel, numpy_dtype(RESULTS.get(element, ACCUMULATORS[element]))


def matmul_source(fmt: Format, element: str, right: bool) -> str:
    """Pith-level IR of ``out = A @ x`` (``right``: ``out = x @ A``) with dynamic shapes."""
    acc = ACCUMULATORS[element]
    result = RESULTS.get(element, acc)
    dense, encoded = f"tensor<?x?x{element}>", f"tensor<?x?x{element}, #fmt>"
    sums, outs, buffer = f"tensor<?x?x{acc}>", f"tensor<?x?x{result}>", f"memref<?x?x{result}>"
    maps = ("(k, j)", "(i, k)") if right else ("(i, k)", "(k, j)")
    mul, add, zero = ("mulf", "addf", "0.0") if acc.startswith("f") else ("muli", "addi", "0")
    into, allocate = ("dst", "") if acc == result else ("wide", _EMPTY.format(sums=sums, outs=outs))
    product, narrow = ("y", "") if acc == result else ("sum", _NARROW.format(**locals()))
    v, w, widen = ("v", "w", "") if element == acc else ("v1", "w1", _widen(element, acc))
    return f"""#fmt = {format_attribute(fmt)}
#a = affine_map<(i, j, k) -> {maps[0]}>
#x = affine_map<(i, j, k) -> {maps[1]}>
#y = affine_map<(i, j, k) -> (i, j)>
#id = affine_map<(i, j) -> (i, j)>
func.func @matmul(%a: {encoded} {{pith.name = "a"}},
                  %x: {dense} {{pith.name = "x"}},
                  %out: {buffer} {{pith.name = "out"}}) {{
  %zero = arith.constant {zero} : {acc}
  %dst = bufferization.to_tensor %out restrict writable : {buffer} to {outs}
{allocate}  %init = linalg.fill ins(%zero : {acc}) outs(%{into} : {sums}) -> {sums}
  %{product} = linalg.generic {{indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%a, %x : {encoded}, {dense}) outs(%init : {sums}) {{
  ^bb0(%v: {element}, %w: {element}, %s: {acc}):
{widen}    %p = arith.{mul} %{v}, %{w} : {acc}
    %t = arith.{add} %s, %p : {acc}
    linalg.yield %t : {acc}
  }} -> {sums}
{narrow}  bufferization.materialize_in_destination %y in restrict writable %out : ({outs}, {buffer}) -> ()
  return
}}
"""


_EMPTY = """  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %dst, %c0 : {outs}
  %n = tensor.dim %dst, %c1 : {outs}
  %wide = tensor.empty(%m, %n) : {sums}
"""

_NARROW = """  %y = linalg.generic {{indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}}
      ins(%sum : {sums}) outs(%dst : {outs}) {{
  ^bb0(%s: {acc}, %o: {result}):
    %r = arith.truncf %s : {acc} to {result}
    linalg.yield %r : {result}
  }} -> {outs}
"""


def _widen(element: str, acc: str) -> str:
    extend = "extf" if acc.startswith("f") else "extsi"
    return "".join(f"    %{x}1 = arith.{extend} %{x} : {element} to {acc}\n" for x in "vw")


def _as_kind_of(result: np.ndarray, x: Any) -> Any:
    """A torch tensor over ``result`` when ``x`` is one."""
    return as_torch(result) if is_torch(x) else result
