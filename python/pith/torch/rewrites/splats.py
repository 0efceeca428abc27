"""Tensors of one value, computed from such tensors alone: PyTorch says which value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Graph, Node
from torch.fx.node import map_arg

from .nodes import is_call

_aten = torch.ops.aten

#: A node whose tensor holds one value everywhere -> that value, a tensor of one element.
_Values = dict[Node, torch.Tensor]


def fold_splats(graph: Graph) -> None:
    """Write what is computed elementwise from tensors of one known value (``zeros``, ``full``) as ``full``.

    torch-mlir folds these, too, but ``zeros(3) < 1`` to false (it reads the integer as a float of other bits),
    quotients of integers as if they had no sign, and some of bytes with a crash.
    """
    values: _Values = {}
    for node in list(graph.nodes):
        value = _value(node, values)
        if value is not None:
            values[_replaced(graph, node, value)] = value
    graph.eliminate_dead_code()


def _value(node: Node, values: _Values) -> torch.Tensor | None:
    """What a node's tensor holds everywhere, as a tensor of its rank with one element."""
    made = node.meta.get("val")
    target = node.target
    if not isinstance(target, torch._ops.OpOverload) or not isinstance(made, torch.Tensor):
        return None
    if made.is_complex() or not all(isinstance(n, int) for n in made.shape):
        return None
    filled = _fills(node)
    if filled is not None:
        return torch.full([1] * made.dim(), filled, dtype=made.dtype)
    inputs = node.all_input_nodes
    if not inputs or any(n not in values for n in inputs):
        return None
    if (target.is_view and target is not _aten.view.dtype) or target is _aten._to_copy.default:
        return values[inputs[0]].reshape([1] * made.dim()).to(made.dtype) if len(inputs) == 1 else None
    return _computed(node, target, values) if torch.Tag.pointwise in target.tags else None


def _fills(node: Node) -> Any:
    """The number a constructor puts everywhere."""
    if is_call(node, _aten.zeros.default, _aten.zeros_like.default, _aten.new_zeros.default):
        return 0
    if is_call(node, _aten.ones.default, _aten.ones_like.default, _aten.new_ones.default):
        return 1
    if is_call(node, _aten.scalar_tensor.default):
        return node.args[0] if isinstance(node.args[0], (bool, int, float)) else None
    if is_call(node, _aten.full.default, _aten.full_like.default, _aten.new_full.default):
        value = node.args[2 if is_call(node, _aten.new_full.default) else 1]
        return value if isinstance(value, (bool, int, float)) else None
    return None


def _computed(node: Node, target: Callable[..., Any], values: _Values) -> torch.Tensor | None:
    """A call on one element of each operand; nothing where PyTorch refuses it."""
    args, kwargs = map_arg((node.args, node.kwargs), values.__getitem__)
    try:
        found = target(*args, **kwargs)
    except (RuntimeError, ValueError, NotImplementedError):
        return None
    same = isinstance(found, torch.Tensor) and found.numel() == 1 and found.dtype == node.meta["val"].dtype
    return found.reshape([1] * node.meta["val"].dim()) if same else None


def _replaced(graph: Graph, node: Node, value: torch.Tensor) -> Node:
    """``full`` in the place of ``node``, which stays where it makes its value of nothing, or no number."""
    number = value.item()
    if not node.all_input_nodes or not math.isfinite(number):
        return node
    made = node.meta["val"]
    with graph.inserting_before(node):
        options = {"dtype": made.dtype, "device": made.device}
        new = graph.call_function(_aten.full.default, (list(made.shape), number), options)
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new)
    return new
