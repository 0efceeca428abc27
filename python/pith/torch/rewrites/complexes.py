"""Ops on complex tensors that torch-mlir does not lower, as ops on their parts."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch.fx import Graph, Node, map_arg

from ...errors import ImportProgramError
from .nodes import add_call

_ATEN: Any = torch.ops.aten

#: Ops that treat real and imaginary parts alike, each for itself.
_BY_PARTS = frozenset({"add", "sub", "neg", "sum", "mean"})

#: Ops on complex tensors that end the process in torch-mlir, and have no parts.
_REFUSED = frozenset({"prod"})


def split_complex(graph: Graph) -> None:
    """Compute sums and differences of complex tensors part by part: ``complex(op(real(z)), op(imag(z)))``.

    Errors: :class:`pith.ImportProgramError` naming an op that torch-mlir cannot take.
    """
    for node in list(graph.nodes):
        if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
            continue
        kinds = {n.meta["val"].is_complex() for n in node.all_input_nodes if _is_tensor(n)}
        name = node.target.overloadpacket.__name__
        if True in kinds and name in _REFUSED:
            raise ImportProgramError(
                f"aten.{name} of complex tensors is not supported",
                where=name,
                hint="write it with products and sums, or on torch.view_as_real",
            )
        numbers = any(isinstance(given, complex) for given in node.args) or node.kwargs.get("dtype") is not None
        if kinds == {True} and name in _BY_PARTS and not numbers:
            _by_parts(graph, node)


def _is_tensor(node: Node) -> bool:
    return isinstance(node.meta.get("val"), torch.Tensor)


def _by_parts(graph: Graph, node: Node) -> None:
    call = functools.partial(add_call, graph, node)
    with graph.inserting_before(node):
        parts = []
        for part in (_ATEN.real.default, _ATEN.imag.default):
            args, kwargs = map_arg((node.args, node.kwargs), lambda n, part=part: call(part, n))
            parts.append(call(node.target, *args, **kwargs))
        whole = call(_ATEN.complex.default, *parts)
    node.replace_all_uses_with(whole)
    graph.erase_node(node)
