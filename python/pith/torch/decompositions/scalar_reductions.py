"""Reductions along a dimension of a scalar, which PyTorch allows and torch-mlir does not: those of a row of one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch

_aten = torch.ops.aten

_REDUCTIONS = (
    *(_aten.softmax.int, _aten._softmax.default, _aten.log_softmax.int, _aten._log_softmax.default),
    *(_aten.logsumexp.default, _aten.amax.default, _aten.amin.default, _aten.argmax.default, _aten.argmin.default),
    *(_aten.max.dim, _aten.min.dim, _aten.var.correction, _aten.std.correction, _aten.mean.dim, _aten.prod.dim_int),
)


def with_scalars(table: Mapping[Any, Callable[..., Any]]) -> dict[Any, Callable[..., Any]]:
    """Rules for reductions that take a scalar for a row, and go by ``table`` otherwise."""
    return {op: functools.partial(_reduced, op, table.get(op)) for op in _REDUCTIONS}


def _reduced(op: Any, rule: Callable[..., Any] | None, x: torch.Tensor, *args: Any, **options: Any) -> Any:
    """``op(x, ...)``; NotImplemented leaves tensors with dimensions to whatever comes next.

    >>> _reduced(_aten.softmax.int, None, torch.tensor(3.0), -1)
    tensor(1.)
    """
    if x.dim():
        return NotImplemented if rule is None else rule(x, *args, **options)
    result = op(x.unsqueeze(0), *args, **options)
    return tuple(r.reshape(()) for r in result) if isinstance(result, tuple) else result.reshape(())
