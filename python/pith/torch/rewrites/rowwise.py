"""Ops that treat the rows of their operands apart."""

from __future__ import annotations

import operator
from typing import Any

import torch

from .nodes import is_call, shape_of, unknown_dim

_aten = torch.ops.aten

#: Ops that change no row and do not move it, beside those that torch calls pointwise.
_SAME_ROWS = (
    _aten.to.dtype,
    _aten._to_copy.default,
    _aten.type_as.default,
    _aten.dropout.default,
    _aten.clone.default,
    _aten.contiguous.default,
    _aten.detach.default,
    _aten.alias.default,
)

#: Ops along one dimension, their second argument unless they say otherwise, that must not be that of the rows.
_ALONG = {
    _aten.softmax.int: 1,
    _aten.chunk.default: 2,
    _aten.split.Tensor: 2,
    _aten.slice.Tensor: 1,
    _aten.select.int: 1,
}


def keeps_rows(node: Any, reads: list[Any], dim: int | None) -> bool:
    """Whether an op treats the rows of its operands, which lie along ``dim``, apart."""
    target, first = node.target, node.args[0]
    if dim is None or any(unknown_dim(a) is None for a in reads):
        return False
    if is_call(node, *_SAME_ROWS, _aten.unsqueeze.default, operator.getitem):
        return True
    rank = len(shape_of(first)) if first in reads else 0
    if target in _ALONG:
        at = _ALONG[target]
        along = node.args[at] if len(node.args) > at else node.kwargs.get("dim", 0)
        return bool(rank) and along % rank != dim
    if is_call(node, _aten.layer_norm.default, _aten.rms_norm.default):
        return rank - len(node.args[1]) > dim and reads == [first]
    if is_call(node, _aten.linear.default, _aten.matmul.default, _aten.mm.default):
        return reads == [first] and dim != rank - 1 and len(shape_of(node.args[1])) == 2
    if is_call(node, _aten.addmm.default):
        return reads == [node.args[1]] and dim == 0 and len(shape_of(first)) == 1
    return torch.Tag.pointwise in getattr(target, "tags", ())
