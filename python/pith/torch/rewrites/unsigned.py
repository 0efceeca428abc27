"""Arithmetic on bytes in 32 bits: torch-mlir gives uint8 a sign, and some ops on int8 end the process."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Graph, Node, map_arg

_CONVERT = torch.ops.aten._to_copy.default

#: Types of arguments that numbers are computed with.
_OPERANDS = ("Tensor", "number")

#: Products, which torch-mlir has of int8 with results of int32 only.
_PRODUCTS = frozenset(
    {"mm", "bmm", "matmul", "mv", "dot", "addmm", "addmv", "baddbmm", "linear", "convolution", "conv2d"}
)


def widen_bytes(graph: Graph) -> None:
    """Give ops that compute on bytes their operands as int32, and convert what they make of them back.

    Semantics: every op on uint8; of int8 products, and ops that take a number. Results are the model's: bytes and
    their sums, differences, products, ... fit, or wrap in the same way when they are converted back. Views and
    conversions stay as they are.
    """
    wide: dict[Node, Node] = {}
    for node in list(graph.nodes):
        if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload) or _moves(node.target):
            continue
        narrow = {torch.uint8, torch.int8} if _ends_the_process(node) else {torch.uint8}
        sources = [source for source in node.all_input_nodes if _dtype_of(source) in narrow]
        if not sources:
            continue
        with graph.inserting_before(node):
            for source in sources:
                wide[source] = wide.get(source) or _converted(graph, source, torch.int32)
        node.args, node.kwargs = map_arg((node.args, node.kwargs), lambda n: wide.get(n, n))
        _convert_back(graph, node)


def _moves(op: torch._ops.OpOverload) -> bool:
    """Views, and conversions, which see to the sign themselves."""
    return op is _CONVERT or any(argument.alias_info for argument in op._schema.arguments)


def _ends_the_process(node: Node) -> bool:
    """Products of int8, and ops one of whose operands is a number, as in ``x * 2``; sizes and dimensions are none."""
    op: Any = node.target
    if op.overloadpacket.__name__ in _PRODUCTS:
        return True
    operands = (given for given, argument in zip(node.args, op._schema.arguments) if str(argument.type) in _OPERANDS)
    return any(isinstance(given, int | float) for given in operands)


def _dtype_of(node: Node) -> torch.dtype | None:
    value = node.meta.get("val")
    return value.dtype if isinstance(value, torch.Tensor) else None


def _converted(graph: Graph, node: Node, dtype: torch.dtype) -> Node:
    new = graph.call_function(_CONVERT, (node,), {"dtype": dtype})
    new.meta = _meta(node, node.meta["val"].to(dtype))
    return new


def _convert_back(graph: Graph, node: Node) -> None:
    """Readers of ``node`` get the element types they had; of several results each by itself."""
    args, kwargs = map_arg((node.args, node.kwargs), lambda n: n.meta["val"])
    op: Any = node.target
    old, new = node.meta["val"], op(*args, **kwargs)
    node.meta = _meta(node, new)
    if isinstance(new, torch.Tensor):
        _convert_result(graph, node, old)
        return
    for part in list(node.users):
        part.meta = _meta(part, new[part.args[1]])
        _convert_result(graph, part, old[part.args[1]])


def _convert_result(graph: Graph, node: Node, old: Any) -> None:
    if not isinstance(old, torch.Tensor) or old.dtype == node.meta["val"].dtype:
        return
    with graph.inserting_after(node):
        back = _converted(graph, node, old.dtype)
    node.replace_all_uses_with(back, delete_user_cb=lambda user: user is not back)


def _meta(node: Node, value: Any) -> dict[str, Any]:
    """What is known of ``node``, with another value; ``tensor_meta``, which the importer prefers, is of the old one."""
    return {**{key: known for key, known in node.meta.items() if key != "tensor_meta"}, "val": value}
