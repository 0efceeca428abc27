"""Reductions that PyTorch computes and torch-mlir does not, or not as well: along a dimension of a scalar, which are
those of a row of one, and sums of half precision, which are sums in f32."""

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

#: What adds up many elements, or squares of them: in 16 bits 30000 ones are 16384, and the square of 300 is infinite.
_SUMS = (
    *(_aten.sum.default, _aten.sum.dim_IntList, _aten.nansum.default, _aten.mean.default, _aten.mean.dim),
    *(_aten.prod.default, _aten.prod.dim_int, _aten.linalg_vector_norm.default),
    *(
        _aten.layer_norm.default,
        _aten.rms_norm.default,
        _aten.cosine_similarity.default,
        _aten.pairwise_distance.default,
    ),
)


def with_wide_sums(table: Mapping[Any, Callable[..., Any]]) -> dict[Any, Callable[..., Any]]:
    """Rules for sums that compute those of half precision in f32, and go by ``table`` otherwise."""
    return {op: functools.partial(_wide, op, table.get(op)) for op in _SUMS}


def _wide(op: Any, rule: Callable[..., Any] | None, x: torch.Tensor, *args: Any, **options: Any) -> Any:
    """``op(x, ...)``, rounded once.

    >>> _wide(_aten.sum.default, None, torch.full((4096,), 16.0, dtype=torch.float16))
    tensor(inf, dtype=torch.float16)
    >>> _wide(_aten.mean.default, None, torch.full((4096,), 1.0, dtype=torch.bfloat16))
    tensor(1., dtype=torch.bfloat16)
    """
    if x.dtype not in (torch.float16, torch.bfloat16) or options.get("dtype") is not None:
        return NotImplemented if rule is None else rule(x, *args, **options)
    wide = [a.float() if isinstance(a, torch.Tensor) and a.dtype == x.dtype else a for a in args]
    return op(x.float(), *wide, **options).to(x.dtype)


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
