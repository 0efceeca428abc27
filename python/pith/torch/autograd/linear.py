"""Linear layers with sparse weights that torch differentiates: the gradients are sparse products too."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch.autograd import forward_ad

from ...compiler.kernel import as_torch
from ...errors import ArgumentError, DeviceError, DTypeError, ShapeError
from ...functional.linear.linear import linear
from ...functional.linear.ways import ways_for
from ...functional.matmul.copies import products_of
from ...functional.matmul.matmul import matmul
from ...functional.matmul.plan import plan_of
from ...functional.matmul.transposed import Transposed, row_order_pays
from ...functional.sddmm.sddmm import sample, sddmm
from ...sparse import SparseTensor
from ...sparse_interop import numpy_of
from ...traceable import traceable
from ...untraced import whole_call
from .autocast import autocast
from .dense_rival import Densely, densely, is_finite, taken, unpacked
from .first_order import first_order
from .transforms import refuse_transforms

#: Pattern -> (element type, what its values are multiplied as) -> choices of its products. Values do not change them,
#: and deciding takes longer than a small layer: 110 of 140 us forward, 64 x 64 (Emerald Rapids, 2026-11-23).
_plans: weakref.WeakKeyDictionary[SparseTensor, dict[Any, dict[Any, Any]]] = weakref.WeakKeyDictionary()

#: Patterns whose transpose was asked for; an entry lives as long as its pattern.
_transposes: weakref.WeakKeyDictionary[SparseTensor, Transposed] = weakref.WeakKeyDictionary()


@whole_call
def sparse_linear(
    x: torch.Tensor, values: torch.Tensor, pattern: SparseTensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """``x @ W.T + bias`` for the matrix ``W`` that stores ``values`` in the pattern of another; differentiable.

    Shapes: x: ``(..., in)``; values: ``(pattern.nse,)``; pattern: ``(out, in)``; bias: ``(out,)``;
        result: ``(..., out)``.
    Semantics: gradients are with respect to ``x``, the stored values and the bias. ``dx`` multiplies by ``W``, in
        column order where that is faster: its index is made once per pattern object. ``dvalues`` is
        :func:`pith.sddmm`. On CPUs, each of the three products that is predicted to be faster dense is torch's, on a
        copy of ``W`` (or of its gradient) that lives as long as the product. Few rows hardly pay for that: of 1024x1024
        with half of it stored (CSR), a step of 1 / 8 / 32 / 128 rows takes 2.0 / 0.8 / 1.0 / 0.9 times dense torch's,
        2:4 1.4 / 0.8 / 0.9 / 0.9, a tenth 0.9 / 0.3 / 0.3 / 0.3 (one core of Zen 4). Gradients of gradients are not
        available.
        On a GPU all three products run there: the pattern's metadata is copied to it once.
        In a ``torch.autocast`` region everything is computed in its type.
    Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`, :class:`pith.DeviceError`;
        :class:`pith.UnsupportedError` when a gradient is differentiated.

    Example:
        >>> import pith
        >>> W = pith.compress(torch.tensor([[0.0, 2.0, 0.0, 3.0]]), "C0(2:4)")
        >>> values = torch.from_numpy(W.values).requires_grad_()
        >>> y = sparse_linear(torch.tensor([[1.0, 10.0, 100.0, 1000.0]]), values, W)
        >>> y.sum().backward()
        >>> y.item(), values.grad.tolist()
        (3020.0, [10.0, 1000.0])
    """
    if not isinstance(pattern, SparseTensor):
        raise ArgumentError(
            f"expects a pith.SparseTensor, got {type(pattern).__name__}", where="sparse_linear: pattern"
        )
    for name, tensor in (("values", values), ("x", x), ("bias", bias)):
        if name != "bias" or bias is not None:
            _require_tensor(tensor, name)
    x, values, bias = autocast(x, values, bias)
    if len(pattern.shape) != 2 or tuple(values.shape) != (pattern.nse,):
        raise ShapeError(
            f"expects {pattern.nse} values for {pattern}, got {tuple(values.shape)}",
            where="sparse_linear",
            hint="a vector of the stored values: pattern.values",
        )
    require_fitting(x, values, bias, pattern.shape)
    return stored_product(x, values, pattern, bias)


@traceable
def stored_product(
    x: torch.Tensor, values: torch.Tensor, pattern: SparseTensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """:func:`sparse_linear` of operands that fit each other.

    >>> import pith
    >>> W = pith.compress(torch.eye(4), "csr")
    >>> stored_product(torch.ones(1, 4), torch.ones(4), W, None).tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """
    refuse_transforms("pith.torch.sparse_linear")
    if torch.is_grad_enabled() or forward_ad._current_level >= 0:
        return cast(torch.Tensor, _SparseLinear.apply(x, values, pattern, bias))
    return product(x, values, pattern, bias)  # 9 us earlier, which read what products then have to read again


def _require_tensor(tensor: Any, name: str) -> None:
    if not isinstance(tensor, torch.Tensor):
        raise ArgumentError(
            f"expects a tensor, got {type(tensor).__name__}", where=f"sparse_linear: {name}", hint="torch.from_numpy(x)"
        )


def require_fitting(x: torch.Tensor, values: torch.Tensor, bias: torch.Tensor | None, shape: Sequence[int]) -> None:
    """Raise unless the operands belong together; looks at no values. Errors: as :func:`sparse_linear`.

    >>> require_fitting(torch.ones(2, 4), torch.ones(3), None, (8, 4))
    """
    for name, tensor in (("x", x), ("bias", values if bias is None else bias)):
        if tensor.dtype != values.dtype:
            raise DTypeError(
                f"expects {values.dtype}, the type of the values, got {tensor.dtype}",
                where=f"sparse_linear: {name}",
                hint=f"x.to({values.dtype}), or layer.to({tensor.dtype})",
            )
    if x.dim() == 0 or x.shape[-1] != shape[1]:
        raise ShapeError(
            f"expects inputs of {shape[1]} features, got shape {tuple(x.shape)}",
            where="sparse_linear: x",
            hint="the weight is stored out x in",
        )
    if bias is not None and tuple(bias.shape) != (shape[0],):
        raise ShapeError(f"expects shape ({shape[0]},), got {tuple(bias.shape)}", where="sparse_linear: bias")
    if x.device != values.device or (bias is not None and bias.device != values.device):
        places = sorted({str(t.device) for t in (x, values, bias) if t is not None})
        raise DeviceError(f"expects all tensors on one device, got {' and '.join(places)}", where="sparse_linear")


class _SparseLinear(torch.autograd.Function):
    """The layer and its three gradients."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, values: torch.Tensor, pattern: SparseTensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        ctx.save_for_backward(x, values)
        ctx.pattern = pattern
        return product(x, values, pattern, bias)

    @staticmethod
    @first_order("pith.torch.sparse_linear")
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, values = ctx.saved_tensors
        wants_x, wants_values, _, wants_bias = ctx.needs_input_grad
        dx, dvalues, dbias = gradients(grads[0], x, values, ctx.pattern, (wants_x, wants_values, wants_bias))
        return dx, dvalues, None, dbias


def product(x: torch.Tensor, values: torch.Tensor, pattern: SparseTensor, bias: torch.Tensor | None) -> torch.Tensor:
    """``x @ W.T + bias``, without gradients."""
    if not x.is_cuda and densely(pattern, math.prod(x.shape[:-1]), x.dtype).forward and is_finite(x):
        return torch.nn.functional.linear(x.detach(), unpacked(pattern, values), bias)
    weight = _weight(pattern, values)
    # A copy is of the values that it was made of: it needs those of the layer itself, which are frozen, and to which
    # nobody has long written. Of others it could be old: ``values.data[mask] = 0`` counts nowhere.
    kept = weight is pattern and not values.requires_grad and not values.is_inference()
    kept = kept and products_of(pattern).settled(pattern, (values.data_ptr(), values._version))
    x, bias = x.detach(), None if bias is None else bias.detach()
    if x.is_cuda or kept:
        return linear(x, weight, bias, variant="auto" if kept else "sparse")
    shape = x.shape
    rows = x if len(shape) == 2 else x.reshape(math.prod(shape[:-1]), shape[-1])
    ways = ways_for(weight, rows.shape[0], bias is not None, None, False)
    out = as_torch(ways.run(weight, rows, [] if bias is None else [bias], True))
    return out if len(shape) == 2 else out.reshape(*shape[:-1], pattern.shape[0])


def gradients(
    grad: torch.Tensor, x: torch.Tensor, values: torch.Tensor, pattern: SparseTensor, wants: Sequence[bool]
) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
    """Those of x, of the values and of the bias, where they are wanted."""
    count = math.prod(x.shape[:-1])
    rows = grad.reshape(count, pattern.shape[0]).contiguous()
    dense = Densely() if rows.is_cuda else densely(pattern, count, rows.dtype)
    dx = dvalues = dbias = None
    if wants[0] and dense.input and is_finite(rows):
        dx = torch.mm(rows, unpacked(pattern, values)).reshape(x.shape)
    elif wants[0]:
        dx = _input_gradient(rows, pattern, values, dense.as_stored).reshape(x.shape)
    if wants[1]:
        inputs = x.detach().reshape(count, pattern.shape[1]).contiguous()
        dvalues = _value_gradient(rows, inputs, pattern, dense.values)
    if wants[2]:
        dbias = rows.sum(0)
    return dx, dvalues, dbias


def _weight(pattern: SparseTensor, values: torch.Tensor) -> Any:
    """The matrix of a pattern that stores ``values``, where they are."""
    if values.is_cuda:
        from ...functional.sddmm.device import on_device_of

        return on_device_of(values, pattern)
    if _is_own(pattern, values):
        return pattern  # making another takes as long as a small product, 30 us
    weight = SparseTensor(pattern.shape, pattern.format, (*pattern.buffers[:-1], numpy_of(values)))
    return _decided(weight, pattern, "rows")


def _is_own(pattern: SparseTensor, values: torch.Tensor) -> bool:
    """Whether ``values`` lie in the memory of a pattern's own, as a layer's do."""
    products = products_of(pattern)
    if products.address is None:
        products.address = pattern.values.ctypes.data
    return values.data_ptr() == products.address and values.is_contiguous()


def _decided(tensor: SparseTensor, pattern: SparseTensor, role: str) -> SparseTensor:
    """``tensor``, which has other values in every call, with the choices that were made for its pattern."""
    products_of(tensor).plans = _plans.setdefault(pattern, {}).setdefault((tensor.values.dtype, role), {})
    return tensor


def _value_gradient(rows: torch.Tensor, inputs: torch.Tensor, pattern: SparseTensor, dense: bool) -> torch.Tensor:
    """``rows.T @ inputs`` at what is stored."""
    if dense:
        return taken(pattern, torch.mm(rows.T, inputs))
    out = rows.new_empty(pattern.nse)
    if rows.is_cuda:
        sddmm(rows.T, inputs, pattern, out=out)
    else:
        sample(rows, inputs, pattern, out)
    return out


def _input_gradient(
    rows: torch.Tensor, pattern: SparseTensor, values: torch.Tensor, as_stored: bool = False
) -> torch.Tensor:
    """``rows @ W``."""
    if values.is_cuda:
        from ...functional.matmul.device import rows_times

        return rows_times(rows, _weight(pattern, values))
    if (as_stored or not row_order_pays(pattern.format)) and _is_own(pattern, values):
        plan = plan_of(pattern, rows.shape[0], True, "sparse", False)
        if pattern.values.dtype == plan.dtype:  # the kernel alone: of few rows the calls around it take as long
            out = rows.new_empty(rows.shape[0], pattern.shape[1])
            plan.kernel.native(*pattern.buffers[:-1], values.detach(), *pattern.shape, rows, out)
            return out
    return matmul(rows, _for_columns(pattern, numpy_of(values), as_stored), variant="sparse")


def _for_columns(pattern: SparseTensor, values: np.ndarray, as_stored: bool) -> SparseTensor:
    """The matrix of a pattern, stored for products from the left: by columns where that is faster.

    The index of the columns is made once per pattern object.
    """
    if as_stored or not row_order_pays(pattern.format):
        return _decided(SparseTensor(pattern.shape, pattern.format, (*pattern.buffers[:-1], values)), pattern, "rows")
    index = _transposes.get(pattern)
    if index is None:
        index = _transposes[pattern] = Transposed(pattern)
    return _decided(index.tensor(values).T, pattern, "columns")
