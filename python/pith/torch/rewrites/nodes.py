"""Nodes of FX graphs: what they call, and the sizes of their values."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch._guards import detect_fake_mode
from torch.fx import Graph, Node, map_arg
from torch.utils import _pytree as pytree


def is_call(node: Any, *targets: Any) -> bool:
    """Whether a node calls one of the targets."""
    return isinstance(node, Node) and node.op == "call_function" and node.target in targets


def add_call(graph: Graph, like: Node, target: Any, *args: Any, **kwargs: Any) -> Node:
    """A new call at the graph's insertion point, with its value and what else is known of ``like``."""
    new = graph.call_function(target, args, kwargs)
    values, named = map_arg((args, kwargs), value_of)
    known = {key: value for key, value in like.meta.items() if key != "tensor_meta"}
    with detect_fake_mode(pytree.tree_leaves((values, named))) or contextlib.nullcontext():
        new.meta = {**known, "val": target(*values, **named)}
    return new


def shape_of(node: Any) -> list[Any]:
    """Sizes of a node's value; none where it is no tensor."""
    value = node.meta.get("val") if isinstance(node, Node) else None
    return list(value.shape) if isinstance(value, torch.Tensor) else []


def value_of(node: Any) -> Any:
    """What the export has in the place of a node's value."""
    return node.meta["val"]


def is_unknown(value: Any) -> bool:
    """Whether a size or a statement about one depends on a size that only values tell."""
    known = value.meta.get("val") if isinstance(value, Node) else value
    symbols = getattr(getattr(getattr(known, "node", None), "expr", None), "free_symbols", ())
    return any(str(s).startswith("u") for s in symbols) or any(map(is_unknown, getattr(known, "shape", ())))


def unknown_dim(node: Any) -> int | None:
    """The one dimension whose size only values tell; that of the first of several results."""
    value = node.meta.get("val")
    value = value[0] if isinstance(value, (list, tuple)) else value
    dims = [d for d, n in enumerate(getattr(value, "shape", ())) if is_unknown(n)]
    return dims[0] if len(dims) == 1 else None
