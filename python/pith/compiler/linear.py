"""``pith.linear``: a product with a sparse weight, bias, activation and residual in one kernel."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from ..formats import Format
from ..formats.attribute import format_attribute
from ..formats.pack_buffers import aligned_empty
from ..quantization import QuantizedTensor
from ..runtime import dtype_name
from ..runtime.arrays import as_array
from ..sparse import SparseTensor
from .kernel import Kernel, as_torch, compile_source, is_torch

#: Element type of the operands and of the result -> the type everything is computed in.
COMPUTED_IN = {"f16": "f32", "bf16": "f32", "f32": "f32", "f64": "f64"}

#: Activation -> ops that make ``%y`` from ``%{z}``, all of type ``{t}``.
ACTIVATIONS = {
    "relu": """    %floor = arith.constant 0.0 : {t}
    %y = arith.maximumf %{z}, %floor : {t}
""",
    "gelu": """    %half = arith.constant 0.5 : {t}
    %one = arith.constant 1.0 : {t}
    %rsqrt2 = arith.constant 0.70710678118654752 : {t}
    %g0 = arith.mulf %{z}, %rsqrt2 : {t}
    %g1 = math.erf %g0 : {t}
    %g2 = arith.addf %g1, %one : {t}
    %g3 = arith.mulf %{z}, %half : {t}
    %y = arith.mulf %g3, %g2 : {t}
""",
    "gelu_tanh": """    %half = arith.constant 0.5 : {t}
    %one = arith.constant 1.0 : {t}
    %root = arith.constant 0.79788456080286536 : {t}
    %cubic = arith.constant 0.044715 : {t}
    %g0 = arith.mulf %{z}, %{z} : {t}
    %g1 = arith.mulf %g0, %cubic : {t}
    %g2 = arith.addf %g1, %one : {t}
    %g3 = arith.mulf %{z}, %root : {t}
    %g4 = arith.mulf %g3, %g2 : {t}
    %g5 = math.tanh %g4 : {t}
    %g6 = arith.addf %g5, %one : {t}
    %g7 = arith.mulf %{z}, %half : {t}
    %y = arith.mulf %g7, %g6 : {t}
""",
    "silu": """    %one = arith.constant 1.0 : {t}
    %g0 = arith.negf %{z} : {t}
    %g1 = math.exp %g0 : {t}
    %g2 = arith.addf %g1, %one : {t}
    %y = arith.divf %{z}, %g2 : {t}
""",
}


def linear(
    x: Any,
    a: Any,
    bias: Any = None,
    activation: str | None = None,
    residual: Any = None,
    *,
    where: Any = None,
    out: Any = None,
) -> Any:
    """``activation(x @ a.T + bias) + residual``, a linear layer.

    Shapes: x: ``(..., in)``; a: ``(out, in)``, the weight as ``torch.nn.Linear`` stores it: a
        :class:`pith.SparseTensor`, a :class:`pith.QuantizedTensor` or a dense array; bias: ``(out,)``; residual and
        result: ``(..., out)``.
    Semantics: as :func:`pith.matmul`; bias, activation and residual are computed on the product's tile before it is
        stored. f16 and bf16 are computed in f32 and rounded once. NaN stays NaN, also through ``relu``.
    Args:
        activation: ``relu``, ``gelu`` (with erf), ``gelu_tanh``, ``silu`` or None.
        where: a :class:`pith.Pattern` of rows of x (over its leading dimensions, or all of them as one axis): only
            those are read, multiplied and written, where they lie. For dense weights, and without ``residual``.
        out: with ``where``: memory for the result, whose other rows are kept; without it they are zero.
    Returns: a NumPy array, or a torch tensor when ``x`` is one. All operands have the element type of ``a``.
    Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`, :class:`pith.DeviceError`, :class:`pith.ArgumentError`.

    Example:
        >>> import numpy as np, pith
        >>> A = pith.compress(np.array([[0, 2, 0, 0], [0, 0, 0, -3]], np.float32), "csr")
        >>> pith.linear(np.ones((1, 4), np.float32), A, bias=np.float32([1, 1]), activation="relu")
        array([[3., 0.]], dtype=float32)
    """
    if isinstance(a, QuantizedTensor):
        return a.linear(x, bias, activation, residual)
    if activation is not None and activation not in ACTIVATIONS:
        raise ArgumentError(
            f"unknown activation {activation!r}", where=_WHERE, hint="one of " + ", ".join(ACTIVATIONS) + ", or None"
        )
    if where is not None:
        return _linear_where(x, a, bias, activation, residual, where, out)
    if out is not None:
        raise ArgumentError("expects out only together with where", where=_WHERE)
    a = _weight(a)
    x = _array(x, "x")
    shape = tuple(x.shape)
    if not shape or shape[-1] != a.shape[1]:
        hint = "weights are stored out x in: pass a.T" if shape and shape[-1] == a.shape[0] else _SHAPES
        raise ShapeError(f"expects x of shape (..., {a.shape[1]}), got {shape}", where=_WHERE, hint=hint)
    result_shape = (*shape[:-1], a.shape[0])
    rows = math.prod(shape[:-1])
    extras = []
    if bias is not None:
        extras.append(_shaped(bias, "bias", (a.shape[0],)))
    if residual is not None:
        extras.append(_shaped(residual, "residual", result_shape).reshape(rows, a.shape[0]))
    multiple = _size_class(a.format, a.shape[1])
    kernel, dtype = _kernel(
        a.format, a.values.dtype, bias is not None, activation, residual is not None, multiple, rows == 1
    )
    out = aligned_empty(rows * a.shape[0], dtype).reshape(result_shape)
    kernel.native(*a.buffers, *a.shape, x.reshape(rows, shape[-1]), *extras, out.reshape(rows, a.shape[0]))
    return as_torch(out) if is_torch(x) else out


_WHERE = "pith.linear"
_SHAPES = "x: (..., in), weight: (out, in), bias: (out,), residual: (..., out)"


def _linear_where(x: Any, a: Any, bias: Any, activation: str | None, residual: Any, where: Any, out: Any) -> Any:
    if isinstance(a, SparseTensor) or residual is not None:
        raise UnsupportedError(
            "where takes a dense weight and no residual",
            where=_WHERE,
            hint="pack the rows: pith.Ragged(...).linear(a, residual=...) takes both",
        )
    from ..workloads.dropping import linear_where

    return linear_where(x, a, where, bias, activation, out)


def _weight(a: Any) -> SparseTensor:
    """A sparse matrix as it is; a dense one as a tensor that stores every element, on the same memory."""
    if isinstance(a, np.ndarray) or is_torch(a):
        array = np.ascontiguousarray(as_array(a, f"{_WHERE}: weight"))
        if array.ndim != 2:
            raise ShapeError(f"expects a matrix as weight, got shape {array.shape}", where=_WHERE)
        return SparseTensor(array.shape, Format.dense(2), (array.reshape(-1),))
    if not isinstance(a, SparseTensor) or len(a.shape) != 2:
        what = f"shape {a.shape}" if isinstance(a, SparseTensor) else type(a).__name__
        raise ArgumentError(
            f"expects a matrix as weight, got {what}", where=_WHERE, hint="pith.compress(w, fmt), or a dense array"
        )
    return a


def _array(value: Any, name: str) -> Any:
    """A NumPy array or torch tensor as it is; a view of anything else that is an array."""
    return value if isinstance(value, np.ndarray) or is_torch(value) else as_array(value, f"{_WHERE}: {name}")


def _shaped(value: Any, name: str, shape: tuple[int, ...]) -> Any:
    array = _array(value, name)
    if tuple(array.shape) != shape:
        raise ShapeError(f"expects {name} of shape {shape}, got {tuple(array.shape)}", where=_WHERE, hint=_SHAPES)
    return array


@functools.cache
def _size_class(fmt: Format, contracted: int) -> int:
    """The divisor of the contracted size that a kernel is specialised on."""
    from pith.lowering.panel.variant import Roles, size_class

    return size_class(Roles.of(fmt, 0), contracted)


@functools.cache
def _kernel(
    fmt: Format, dtype: np.dtype, bias: bool, activation: str | None, residual: bool, multiple: int, one_row: bool
) -> tuple[Kernel, np.dtype]:
    """The kernel of a format, element type and epilogue, and the dtype of its result."""
    from ..runtime import numpy_dtype

    element = dtype_name(dtype)
    if element not in COMPUTED_IN:
        floats = "weights of type " + ", ".join(COMPUTED_IN)
        quantised = f"{floats}; pith.quantize(w, fmt) makes 8-bit weights, which know their scales"
        raise DTypeError(
            f"no linear kernel for {dtype}", where=_WHERE, hint=quantised if dtype.kind in "iu" else floats
        )
    source = linear_source(fmt, element, bias, activation, residual, multiple, one_row)
    return compile_source(source, "linear"), numpy_dtype(element)


def linear_source(
    fmt: Format,
    element: str,
    bias: bool = False,
    activation: str | None = None,
    residual: bool = False,
    multiple: int = 1,
    one_row: bool = False,
) -> str:
    """Pith-level IR of ``out = activation(x @ a.T + bias) + residual`` with dynamic shapes, ``in`` a multiple of some.

    ``one_row``: ``x`` has one row, and the kernel knows it.

    A product and one elementwise op: the lowering computes the second where the first stores its tiles.
    """
    t = COMPUTED_IN[element]
    m = 1 if one_row else "?"
    matrix, sums = f"tensor<{m}x?x{element}>", f"tensor<{m}x?x{t}>"
    extras = [("bias", f"tensor<?x{element}>", "#j")] * bias + [("residual", matrix, "#y2")] * residual
    parameters = "".join(f'%{name}: {type_} {{pith.name = "{name}"}}, ' for name, type_, _ in extras)
    maps = ", ".join(["#y2", *(m for _, _, m in extras), "#y2"])
    inputs = ", ".join(["%sum", *(f"%{name}" for name, _, _ in extras)])
    types = ", ".join([sums, *(type_ for _, type_, _ in extras)])
    scalars = "".join(f"%{name}_in: {element}, " for name, _, _ in extras)
    (widen_v, v), (widen_w, w) = _widen("v", element, t), _widen("w", element, t)
    return f"""#fmt = {format_attribute(fmt)}
#x = affine_map<(i, j, k) -> (i, k)>
#a = affine_map<(i, j, k) -> (j, k)>
#y = affine_map<(i, j, k) -> (i, j)>
#y2 = affine_map<(i, j) -> (i, j)>
#j = affine_map<(i, j) -> (j)>
func.func @linear(%a: tensor<?x?x{element}, #fmt> {{pith.name = "a"}},
                  %x: {matrix} {{pith.name = "x"}}, {parameters}
                  %out: memref<{m}x?x{element}> {{pith.name = "out"}}) {{
  %zero = arith.constant 0.0 : {t}
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %dst = bufferization.to_tensor %out restrict writable : memref<{m}x?x{element}> to {matrix}
  %m = memref.dim %out, %c0 : memref<{m}x?x{element}>
  %n = memref.dim %out, %c1 : memref<{m}x?x{element}>
  %wide = tensor.empty({"%n" if one_row else "%m, %n"}) : {sums}
  %init = linalg.fill ins(%zero : {t}) outs(%wide : {sums}) -> {sums}
  %sum = linalg.generic {{indexing_maps = [#x, #a, #y], iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%x, %a : {matrix}, tensor<?x?x{element}, #fmt>) outs(%init : {sums})
      attrs = {{"pith.multiple" = {multiple} : i64}} {{
  ^bb0(%v: {element}, %w: {element}, %s: {t}):
{widen_v}{widen_w}    %p = arith.mulf %{v}, %{w} : {t}
    %q = arith.addf %s, %p : {t}
    linalg.yield %q : {t}
  }} -> {sums}
  %res = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel", "parallel"]}}
      ins({inputs} : {types}) outs(%dst : {matrix}) {{
  ^bb0(%s: {t}, {scalars}%o: {element}):
{_epilogue(element, t, bias, activation, residual)}
  }} -> {matrix}
  bufferization.materialize_in_destination %res in restrict writable %out : ({matrix}, memref<{m}x?x{element}>) -> ()
  return
}}
"""


def _epilogue(element: str, t: str, bias: bool, activation: str | None, residual: bool) -> str:
    """The body of the elementwise op, from ``%s`` to the yield."""
    lines, value = "", "s"
    if bias:
        widen, operand = _widen("bias_in", element, t)
        lines += f"{widen}    %biased = arith.addf %s, %{operand} : {t}\n"
        value = "biased"
    if activation is not None:
        lines += ACTIVATIONS[activation].format(z=value, t=t)
        value = "y"
    if residual:
        widen, operand = _widen("residual_in", element, t)
        lines += f"{widen}    %added = arith.addf %{value}, %{operand} : {t}\n"
        value = "added"
    if element != t:
        lines += f"    %narrow = arith.truncf %{value} : {t} to {element}\n"
        value = "narrow"
    return f"{lines}    linalg.yield %{value} : {element}"


def _widen(name: str, element: str, t: str) -> tuple[str, str]:
    """Ops that bring ``%name`` to type ``t``, and the name of what they make."""
    if element == t:
        return "", name
    return f"    %{name}_{t} = arith.extf %{name} : {element} to {t}\n", f"{name}_{t}"
