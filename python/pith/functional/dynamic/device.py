"""``pith.matmul`` of a :func:`pith.dynamic` operand on a GPU: detection, choice and both products are one program."""

from __future__ import annotations

import functools
import math
from typing import Any

from ...compiler.gpu import GpuKernel
from ...errors import ArgumentError, DeviceError, DTypeError, ShapeError, UnsupportedError
from ...runtime.arrays import is_torch
from ...runtime.cuda import chip_of

_WHERE = "pith.matmul of a dynamic operand"

#: Element types with a kernel, by the names of torch and of NumPy.
_ELEMENTS = {"float16": "f16", "bfloat16": "bf16", "float32": "f32"}

#: Extents of a micro-tile that a word declares; 0 is the whole dimension. Nothing is sampled: the host would wait.
_DECLARED = {"rows": (1, 0), "columns": (0, 1), "auto": (32, 1)}


def dynamic_on_device(
    x: Any,
    y: Any,
    left: bool,
    granularity: Any,
    threshold: float,
    shape: tuple[int, ...],
    out: Any = None,
    variant: str = "auto",
    target: str | None = None,
) -> Any:
    """The product of torch tensors on a GPU, or with ``target="emulate:sm_90"`` of arrays of the host.

    Args:
        x: the dynamic operand, on the ``left`` or the right; ``y``: the other one.
        shape: of the result.
    Semantics: the chip's times for these sizes say from which share of empty micro-tiles on packing is faster; the
        device counts them and takes a branch, and the host waits for nothing. One program is compiled per pair of
        shapes, granularity and threshold; ``auto`` stands for ``(32, 1)``.
    Errors: :class:`pith.DTypeError`, :class:`pith.ShapeError`, :class:`pith.DeviceError`, :class:`pith.ArgumentError`;
        :class:`pith.UnsupportedError` for variants, which are the CPU's.
    """
    if variant != "auto":
        hint = "variant='auto', or torch's product of the operands"
        raise UnsupportedError(f"no variant {variant!r} on a GPU", where=_WHERE, hint=hint)
    element = _element(x, y)
    matrix = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    other = y.reshape(y.shape[0], -1) if left else y.reshape(-1, y.shape[-1])
    extents = _DECLARED[granularity] if isinstance(granularity, str) else tuple(granularity)
    operands = (matrix, other) if left else (other, matrix)
    sizes = (*operands[0].shape, operands[1].shape[1])
    made = _kernel(sizes, element, left, extents, threshold, target or chip_of(x))(*map(_row_major, operands))
    made = made.reshape(shape)
    if out is None:
        return made
    if tuple(out.shape) != shape or out.dtype != x.dtype:
        raise ShapeError(
            f"expects {x.dtype} of shape {shape}, got {out.dtype} of shape {tuple(out.shape)}", where=f"{_WHERE}: out"
        )
    out[...] = made
    return out


def _element(x: Any, y: Any) -> str:
    places = sorted({str(getattr(v, "device", "cpu")) for v in (x, y)})
    if len(places) > 1:
        raise DeviceError(f"expects both operands on one device, got {' and '.join(places)}", where=_WHERE)
    if any(getattr(v, "requires_grad", False) for v in (x, y)):
        hint = "pass tensor.detach()"
        raise ArgumentError("a tensor requires a gradient, which a kernel does not compute", where=_WHERE, hint=hint)
    names = [str(v.dtype).removeprefix("torch.") for v in (x, y)]
    if names[0] != names[1] or names[0] not in _ELEMENTS:
        raise DTypeError(f"expects two operands of f16, bf16 or f32, got {' and '.join(names)}", where=_WHERE)
    return _ELEMENTS[names[0]]


def _row_major(x: Any) -> Any:
    return x.contiguous() if is_torch(x) else x


@functools.lru_cache(maxsize=256)
def _kernel(
    sizes: tuple[int, int, int],
    element: str,
    left: bool,
    granularity: tuple[int, ...],
    threshold: float,
    target: str,
) -> GpuKernel:
    from ...compiler.compile import compile as compile_program

    return compile_program(product_source(sizes, element, left, granularity, threshold), target=target)


def product_source(
    sizes: tuple[int, int, int], element: str, left: bool, granularity: tuple[int, ...], threshold: float
) -> str:
    """Pith-level IR of ``a @ b`` with one operand marked; ``sizes``: m, k, n."""
    m, k, n = sizes
    a, b, c = (f"tensor<{rows}x{columns}x{element}>" for rows, columns in ((m, k), (k, n), (m, n)))
    mark = f"operand = {int(not left)} : i64, granularity = array<i64: {', '.join(map(str, granularity))}>"
    return f"""func.func @product(%a: {a} {{pith.name = "a"}}, %b: {b} {{pith.name = "b"}}) -> {c} {{
  %zero = arith.constant 0.0 : {element}
  %e = tensor.empty() : {c}
  %i = linalg.fill ins(%zero : {element}) outs(%e : {c}) -> {c}
  %r = linalg.matmul {{pith.dynamic = [{{{mark}, threshold = {threshold:.17e} : f64}}]}}
      ins(%a, %b : {a}, {b}) outs(%i : {c}) -> {c}
  return %r : {c}
}}
"""
