"""Masks of routing: along which axis rows lie, and whether a row has a flag set at most once."""

from __future__ import annotations

import operator
from typing import Any

import torch

from .nodes import is_call, shape_of

_aten = torch.ops.aten

#: Ops whose result holds what their operand does.
_SAME = (_aten.to.dtype, _aten._to_copy.default, _aten.detach.default, _aten.clone.default)


def axes_of(source: Any) -> tuple[str, ...] | None:
    """What the axes of a mask are: ``row``, and ``slot`` where no row has two; None when that is not known."""
    if len(shape_of(source)) == 1:
        return ("row",)
    if is_call(source, _aten.ne.Scalar) and source.args[1] == 0:
        return axes_of(source.args[0])
    if is_call(source, *_SAME):
        return axes_of(source.args[0])
    if is_call(source, _aten.eq.Scalar):
        return _axes_of_choice(source.args[0])
    if is_call(source, _aten.select.int):
        axes = _axes_of_classes(source.args[0])
        dim = source.args[1]
        if axes is not None and axes[dim] == "class":
            dim %= len(axes)
            return axes[:dim] + axes[dim + 1 :]
    return None


def _axes_of_choice(choice: Any) -> tuple[str, ...] | None:
    """Axes of a tensor of numbers, of which no row has one twice: what ``topk`` finds along the last axis."""
    while is_call(choice, *_SAME):
        choice = choice.args[0]
    if not (is_call(choice, operator.getitem) and choice.args[1] == 1 and is_call(choice.args[0], _aten.topk.default)):
        return None
    found = choice.args[0]
    along = found.args[2] if len(found.args) > 2 else found.kwargs.get("dim", -1)
    return ("row", "slot") if len(shape_of(choice)) == 2 and along in (1, -1) else None


def _axes_of_classes(node: Any) -> tuple[str, ...] | None:
    """Axes of a ``one_hot``, permuted or not."""
    if is_call(node, _aten.one_hot.default):
        choice = ("row",) if len(shape_of(node.args[0])) == 1 else _axes_of_choice(node.args[0])
        return None if choice is None else (*choice, "class")
    if is_call(node, _aten.permute.default):
        axes = _axes_of_classes(node.args[0])
        return None if axes is None else tuple(axes[d] for d in node.args[1])
    if is_call(node, *_SAME):
        return _axes_of_classes(node.args[0])
    return None
