"""Decompositions of elementwise ops that torch-mlir does not lower, or not for numbers in the place of tensors."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch

_aten = torch.ops.aten


def rules() -> dict[Any, Callable[..., Any]]:
    """Op -> its decomposition."""
    table: dict[Any, Callable[..., Any]] = {
        _aten.div.Tensor: div,
        _aten.fmod.Scalar: fmod,
        _aten.hypot.default: hypot,
        _aten.fmax.default: fmax,
        _aten.fmin.default: fmin,
        _aten.copysign.Tensor: copysign,
        _aten.copysign.Scalar: copysign,
        _aten.signbit.default: signbit,
        _aten.reciprocal.default: reciprocal,
        _aten.maximum.default: maximum,
        _aten.minimum.default: minimum,
        _aten.hardtanh.default: hardtanh,
        _aten.isfinite.default: isfinite,
        _aten.xlogy.Scalar_Self: functools.partial(_of_tensors, _aten.xlogy.Tensor),
        _aten.xlogy.Scalar_Other: functools.partial(_of_tensors, _aten.xlogy.Tensor),
    }
    table |= dict.fromkeys(
        (_aten.clamp.default, _aten.clamp.Tensor, _aten.clamp_min.default, _aten.clamp_min.Tensor), clamp
    )
    table |= dict.fromkeys((_aten.clamp_max.default, _aten.clamp_max.Tensor), clamp_max)
    for name, short in (
        ("and", "and"),
        ("or", "or"),
        ("xor", "xor"),
        ("left_shift", "lshift"),
        ("right_shift", "rshift"),
    ):
        bitwise, operator = getattr(_aten, f"bitwise_{name}"), getattr(_aten, f"__{short}__")
        rule = functools.partial(_of_tensors, bitwise.Tensor)
        named = (bitwise.Tensor_Scalar if "shift" in short else bitwise.Scalar, bitwise.Scalar_Tensor)
        table |= dict.fromkeys((*named, operator.Scalar, operator.Tensor), rule)
    return table


def _of_tensors(op: Callable[..., torch.Tensor], x: Any, y: Any) -> torch.Tensor:
    """``op`` with a tensor in the place of a number, in the type that both have together.

    >>> _of_tensors(_aten.bitwise_or.Tensor, torch.tensor([4, 8]), 1).tolist()
    [5, 9]
    """
    dtype = torch.result_type(x, y)
    return op(*(v.to(dtype) if isinstance(v, torch.Tensor) else torch.full((), v, dtype=dtype) for v in (x, y)))


def div(x: Any, y: Any) -> torch.Tensor:
    """Quotients of complex numbers, which the host does not lower; the divisor is scaled, so that its square is finite.

    >>> div(torch.tensor([1 + 1j]), torch.tensor([2j])).tolist()
    [(0.5-0.5j)]
    """
    if not torch.result_type(x, y).is_complex:
        return NotImplemented
    if not (y.is_complex() if isinstance(y, torch.Tensor) else isinstance(y, complex)):
        return torch.complex(x.real / y, x.imag / y)
    c, d = (v if isinstance(v, torch.Tensor) else torch.full((), v) for v in (y.real, y.imag))
    large = torch.maximum(c.abs(), d.abs())
    c, d = c / large, d / large
    a, b = (x.real, x.imag) if isinstance(x, torch.Tensor) and x.is_complex() else (x, 0)
    square = c * c + d * d
    return torch.complex((a * c + b * d) / square / large, (b * c - a * d) / square / large)


def fmod(x: torch.Tensor, other: float) -> torch.Tensor:
    """The remainder of dividing by a number, as that of dividing by a tensor; the host lowers no integer here.

    >>> fmod(torch.tensor([-3.0, 5.0]), 2).tolist()
    [-1.0, 1.0]
    """
    return _of_tensors(_aten.fmod.Tensor, x, other)


def hypot(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """``sqrt(x^2 + y^2)``, of numbers whose squares overflow, too.

    >>> hypot(torch.tensor([3.0, 0.0, float("inf")]), torch.tensor([4.0, 0.0, float("nan")])).tolist()
    [5.0, 0.0, inf]
    """
    dtype = torch.result_type(x, y)
    a, b = x.to(dtype).abs(), y.to(dtype).abs()
    large = torch.maximum(a, b)
    ratio = torch.minimum(a, b) / torch.where(large == 0, 1, large)
    endless = (a == float("inf")) | (b == float("inf"))
    return torch.where(endless, float("inf"), large * torch.sqrt(1 + ratio * ratio)).to(dtype)


def fmax(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The larger one; of a number and a NaN the number.

    >>> fmax(torch.tensor([1.0, float("nan")]), torch.tensor([float("nan"), 2.0])).tolist()
    [1.0, 2.0]
    """
    return torch.where((x >= y) | (y != y), x, y)


def fmin(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The smaller one; of a number and a NaN the number."""
    return torch.where((x <= y) | (y != y), x, y)


def signbit(x: torch.Tensor) -> torch.Tensor:
    """Whether the sign is set, also that of zeros; NaN count as positive.

    >>> signbit(torch.tensor([-1.0, -0.0, 0.0])).tolist()
    [True, True, False]
    """
    return (x < 0) | ((x == 0) & (reciprocal(x) < 0)) if x.is_floating_point() else x < 0


def reciprocal(x: torch.Tensor) -> torch.Tensor:
    """``1 / x``, infinite for zeros, which the host takes for an error.

    >>> reciprocal(torch.tensor([2.0, -0.0])).tolist()
    [0.5, -inf]
    """
    return torch.ones_like(x) / x


def copysign(x: torch.Tensor, y: Any) -> torch.Tensor:
    """Magnitudes of one operand with the signs of the other.

    >>> copysign(torch.tensor([1.0, -2.0]), torch.tensor([-0.0, 3.0])).tolist()
    [-1.0, 2.0]
    """
    dtype = torch.result_type(x, y)
    magnitude = x.to(dtype if dtype.is_floating_point else torch.get_default_dtype()).abs()
    if not isinstance(y, torch.Tensor):
        return -magnitude if math.copysign(1, y) < 0 else magnitude
    return torch.where(signbit(y), -magnitude, magnitude)


def maximum(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The larger one, or NaN where one is NaN; the host would give the second.

    >>> maximum(torch.tensor([1.0, float("nan")]), torch.tensor([float("nan"), 2.0])).tolist()
    [nan, nan]
    """
    return torch.where((x > y) | (x != x) if x.is_floating_point() else x > y, x, y)


def minimum(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The smaller one, or NaN where one is NaN."""
    return torch.where((x < y) | (x != x) if x.is_floating_point() else x < y, x, y)


def clamp(x: torch.Tensor, low: Any = None, high: Any = None) -> torch.Tensor:
    """No less than ``low``, then no more than ``high``. NaN stay, which the host would replace by a bound.

    >>> clamp(torch.tensor([-2.0, 0.5, 2.0, float("nan")]), 0.0, 1.0).tolist()
    [0.0, 0.5, 1.0, nan]
    """
    for bound, beyond, within in ((low, torch.lt, maximum), (high, torch.gt, minimum)):
        if isinstance(bound, torch.Tensor):
            x = within(x, bound)
        elif bound is not None:
            x = torch.where(beyond(x, bound), bound, x)
    return x


def clamp_max(x: torch.Tensor, high: Any) -> torch.Tensor:
    """No more than ``high``."""
    return clamp(x, None, high)


def hardtanh(x: torch.Tensor, low: float = -1, high: float = 1) -> torch.Tensor:
    """Between ``low`` and ``high``, in the type of ``x``.

    >>> hardtanh(torch.tensor([-3, 0, 2]), -1.0, 1.0).tolist()
    [-1, 0, 1]
    """
    return clamp(x, low, high) if x.is_floating_point() else clamp(x, int(low), int(high))


def isfinite(x: torch.Tensor) -> torch.Tensor:
    """Neither an infinity nor NaN.

    >>> isfinite(torch.tensor([1.0, float("inf"), float("nan")])).tolist()
    [True, False, False]
    """
    return x.abs() < float("inf") if x.is_floating_point() else torch.ones_like(x, dtype=torch.bool)
