"""``pith.linear`` on a GPU: the layer is one program, its epilogue part of the product."""

from __future__ import annotations

import functools
import math
from typing import Any

from ...compiler.compile import compile as compile_program
from ...compiler.gpu import GpuKernel
from ...errors import ArgumentError, DTypeError, ShapeError
from ...formats import Format
from ...patterns.device import ELEMENTS
from ...runtime import dtype_name
from ...runtime.cuda import DeviceSparse, chip_of
from ...sparse import SparseTensor
from .ir import COMPUTED_IN, device_source
from .linear import result_shape_of

_WHERE = "pith.linear"


def linear_on_device(
    x: Any, a: Any, bias: Any = None, activation: str | None = None, residual: Any = None, target: str | None = None
) -> Any:
    """:func:`pith.linear` for torch tensors on a GPU, or with ``target="emulate:sm_90"`` for arrays of the host.

    Args:
        a: a :class:`pith.SparseTensor`, copied to the device once, its copy there, or a dense matrix on the device.

    Semantics: one program is compiled per shape and format of ``a``, element type and epilogue; the rows are an
        argument. Operands that are not contiguous are copied.
    Errors: those of :func:`pith.linear`; :class:`pith.PassError` for formats without a GPU lowering.
    """
    stored = a.tensor if isinstance(a, DeviceSparse) else a
    if len(getattr(stored, "shape", ())) != 2:
        what = getattr(stored, "shape", type(stored).__name__)
        raise ArgumentError(f"expects a matrix as weight, got {what}", where=_WHERE, hint="pith.compress(w, fmt)")
    if not hasattr(x, "shape"):
        raise ArgumentError(f"expects an array, got {type(x).__name__}", where=f"{_WHERE}: x")
    shape, result = tuple(map(int, stored.shape)), result_shape_of(x, stored)
    fmt = stored.format if isinstance(stored, SparseTensor) else None
    element = _element(stored)
    extras = []
    for name, value, sizes in (("bias", bias, (shape[0],)), ("residual", residual, result)):
        if value is None:
            continue
        if tuple(value.shape) != sizes:
            raise ShapeError(f"expects {name} of shape {sizes}, got {tuple(value.shape)}", where=_WHERE)
        extras.append(_rows(value, shape[0]) if name == "residual" else _contiguous(value))
    chip = target or chip_of(x if getattr(x, "is_cuda", False) else stored)
    kernel = _kernel(fmt, element, shape, bias is not None, activation, residual is not None, chip)
    return kernel(a if fmt is not None else _contiguous(a), _rows(x, shape[1]), *extras).reshape(result)


def _element(stored: Any) -> str:
    if isinstance(stored, SparseTensor):
        element: str | None = dtype_name(stored.values.dtype)
    else:
        element = ELEMENTS.get(str(stored.dtype).removeprefix("torch."))
    if element not in COMPUTED_IN:
        given = stored.values.dtype if isinstance(stored, SparseTensor) else stored.dtype
        hint = "weights of type " + ", ".join(COMPUTED_IN)
        raise DTypeError(f"no linear kernel for {given}", where=_WHERE, hint=hint)
    return element


def _rows(x: Any, features: int) -> Any:
    return _contiguous(x.reshape(math.prod(x.shape[:-1]), features))


def _contiguous(x: Any) -> Any:
    return x.contiguous() if hasattr(x, "contiguous") else x


@functools.lru_cache(maxsize=256)
def _kernel(
    fmt: Format | None,
    element: str,
    shape: tuple[int, int],
    bias: bool,
    activation: str | None,
    residual: bool,
    target: str,
) -> GpuKernel:
    return compile_program(device_source(fmt, element, shape, bias, activation, residual), target=target)
