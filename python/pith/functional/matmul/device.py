"""``pith.matmul`` of a sparse matrix and a torch tensor on a GPU."""

from __future__ import annotations

import functools
from typing import Any

from ...compiler.compile import compile as compile_program
from ...errors import ArgumentError, DeviceError, DTypeError, ShapeError, UnsupportedError
from ...formats import Format
from ...formats.attribute import format_attribute
from ...runtime import dtype_name
from ...runtime.cuda import DeviceSparse, chip_of
from ...sparse import SparseTensor
from .ir import ACCUMULATORS, RESULTS

_WHERE = "pith.matmul"


def matmul_on_device(
    a: SparseTensor, x: Any, out: Any, right: bool, variant: str, shapes: tuple[Any, Any], target: str | None = None
) -> Any:
    """``a @ x`` (``right``: ``x @ a``) for a torch tensor on a GPU, or with ``target="emulate:sm_90"`` for an array.

    Args:
        shapes: of ``x`` as kernels see it (rank 2, or 3 with a batch), and of the result.

    Semantics: the kernels are those of GPU programs (:func:`pith.compile`), made once per shape and format of ``a``,
        which is copied to the device once; the columns are an argument.
    Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`, :class:`pith.DeviceError`, :class:`pith.ArgumentError`;
        :class:`pith.UnsupportedError` for variants, which are the CPU's; :class:`pith.PassError` for formats without a
        GPU lowering.
    """
    if variant not in ("auto", "sparse"):
        raise UnsupportedError(
            f"no variant {variant!r} on a GPU", where=_WHERE, hint="variant='auto', or torch's product of a.to_dense()"
        )
    element = dtype_name(a.values.dtype)
    if element not in RESULTS and element not in ACCUMULATORS:
        raise DTypeError(f"no matmul kernel for {a.values.dtype}", where=_WHERE, hint="A.astype(...)")
    if str(x.dtype).removeprefix("torch.") != str(a.values.dtype):
        raise DTypeError(f"expects {a.values.dtype} like the sparse operand, got {x.dtype}", where=_WHERE)
    if getattr(x, "requires_grad", False) and _records_gradients():
        raise ArgumentError(
            "the tensor requires a gradient, which a kernel does not compute", where=_WHERE, hint="pass tensor.detach()"
        )
    seen, full = shapes
    matrix = _as_matrix(x.reshape(seen), right)
    made = _kernel(a.format, element, a.shape, right, target or chip_of(x))(*((matrix, a) if right else (a, matrix)))
    result = _as_result(made, seen, full, right)
    return result if out is None else _copied(result, out)


def rows_times(x: Any, a: DeviceSparse) -> Any:
    """``x @ a`` for a matrix whose values are on the device."""
    stored = a.tensor
    element = dtype_name(stored.values.dtype)
    return _kernel(stored.format, element, stored.shape, True, chip_of(x))(x, a)


def _as_matrix(x: Any, right: bool) -> Any:
    """A row-major matrix of all columns: those of a batch side by side."""
    if len(x.shape) == 3 and not right:
        x = x.swapaxes(0, 1).reshape(x.shape[1], x.shape[0] * x.shape[2])
    return x.contiguous() if hasattr(x, "contiguous") else x


def _as_result(made: Any, seen: tuple[int, ...], full: tuple[int, ...], right: bool) -> Any:
    if len(seen) == 2 or right:
        return made.reshape(full)
    return made.reshape(made.shape[0], seen[0], seen[2]).swapaxes(0, 1).reshape(full)


def _copied(result: Any, out: Any) -> Any:
    """``out`` with the result in it."""
    where = f"{_WHERE}: out"
    if str(getattr(out, "device", None)) != str(getattr(result, "device", None)):
        raise DeviceError(
            f"expects a tensor on {result.device}, got {getattr(out, 'device', type(out).__name__)}", where=where
        )
    if tuple(out.shape) != tuple(result.shape):
        raise ShapeError(f"the result has shape {tuple(result.shape)}, got {tuple(out.shape)}", where=where)
    if out.dtype != result.dtype:
        raise DTypeError(f"the result is {result.dtype}, got {out.dtype}", where=where)
    out[...] = result
    return out


def _records_gradients() -> bool:
    import torch

    return torch.is_grad_enabled()


@functools.lru_cache(maxsize=256)
def _kernel(fmt: Format, element: str, shape: tuple[int, int], right: bool, target: str) -> Any:
    return compile_program(product_source(fmt, element, shape, right), target=target)


def product_source(fmt: Format, element: str, shape: tuple[int, int], right: bool) -> str:
    """Pith-level IR of ``a @ x`` (``right``: ``x @ a``) for any number of columns (rows) of ``x``."""
    (rows, columns), result = shape, RESULTS.get(element, ACCUMULATORS[element])
    zero = "0.0" if "f" in result else "0"
    encoded = f"tensor<{rows}x{columns}x{element}, {format_attribute(fmt)}>"
    x = f"tensor<?x{rows}x{element}>" if right else f"tensor<{columns}x?x{element}>"
    y = f"tensor<?x{columns}x{result}>" if right else f"tensor<{rows}x?x{result}>"
    operands = f"%x, %a : {x}, {encoded}" if right else f"%a, %x : {encoded}, {x}"
    a_given, x_given = f'%a: {encoded} {{pith.name = "a"}}', f'%x: {x} {{pith.name = "x"}}'
    given = ", ".join((x_given, a_given) if right else (a_given, x_given))
    return f"""func.func @matmul({given}) -> {y} {{
  %c = arith.constant {0 if right else 1} : index
  %n = tensor.dim %x, %c : {x}
  %zero = arith.constant {zero} : {result}
  %e = tensor.empty(%n) : {y}
  %i = linalg.fill ins(%zero : {result}) outs(%e : {y}) -> {y}
  %r = linalg.matmul ins({operands}) outs(%i : {y}) -> {y}
  return %r : {y}
}}
"""
