"""Ops on complex tensors that torch-mlir does not lower, as ops on their parts."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch.fx import Graph, Node, map_arg

from ...errors import ImportProgramError
from .nodes import add_call, value_of

_ATEN: Any = torch.ops.aten

#: Ops that treat real and imaginary parts alike, each for itself.
_BY_PARTS = frozenset({"add", "sub", "rsub", "neg", "sum", "mean"})

#: Ops of two operands that torch-mlir takes only where both are complex, or neither is.
_OF_TWO = frozenset({"add", "sub"})

#: Ops that a number makes complex: of real tensors and complex numbers.
_PROMOTED = _OF_TWO | {"mul"}

#: Ops on complex tensors that end the process in torch-mlir, and have no parts.
_REFUSED = frozenset({"prod"})


def split_complex(graph: Graph) -> None:
    """Compute sums and differences of complex tensors part by part: ``complex(op(real(z)), op(imag(z)))``.

    Semantics: real operands of sums and differences with complex ones have zeros for imaginary parts, and so have
        numbers that complex tensors are multiplied by.
    Errors: :class:`pith.ImportProgramError` naming an op that torch-mlir cannot take.
    """
    for node in list(graph.nodes):
        if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
            continue
        kinds = {value_of(n).is_complex() for n in node.all_input_nodes if _is_tensor(n)}
        name = node.target.overloadpacket.__name__
        if True in kinds and name in _REFUSED:
            raise ImportProgramError(
                f"aten.{name} of complex tensors is not supported",
                where=name,
                hint="write it with products and sums, or on torch.view_as_real",
            )
        promoted = kinds == {False} and name in _PROMOTED and _is_tensor(node) and value_of(node).is_complex()
        if promoted or (kinds == {True, False} and name in _OF_TWO):
            _make_complex(graph, node)
            kinds = {True}
        if kinds == {True} and name == "mul":
            _make_tensors(graph, node)
        if kinds == {True} and name in _BY_PARTS and node.kwargs.get("dtype") is None:
            _by_parts(graph, node)


def _is_tensor(node: Node) -> bool:
    return isinstance(node.meta.get("val"), torch.Tensor)


def _make_tensors(graph: Graph, node: Node) -> None:
    """Complex tensors in the place of the numbers among the factors, which torch-mlir takes for real ones."""
    part, tensor = value_of(node).real.dtype, node.all_input_nodes[0]
    call = functools.partial(add_call, graph, node)
    with graph.inserting_before(node):
        for i, x in enumerate(node.args):
            if isinstance(x, bool | int | float | complex):
                parts = (call(_ATEN.new_full.default, tensor, [], v, dtype=part) for v in (x.real, x.imag))
                node.update_arg(i, call(_ATEN.complex.default, *parts))


def _make_complex(graph: Graph, node: Node) -> None:
    """Give the real operands of ``node`` imaginary parts."""
    part = value_of(node).real.dtype
    call = functools.partial(add_call, graph, node)
    with graph.inserting_before(node):
        for x in node.all_input_nodes:
            if _is_tensor(x) and not value_of(x).is_complex():
                real = x if value_of(x).dtype == part else call(_ATEN.to.dtype, x, part)
                node.replace_input_with(x, call(_ATEN.complex.default, real, call(_ATEN.zeros_like.default, real)))


def _by_parts(graph: Graph, node: Node) -> None:
    call = functools.partial(add_call, graph, node)
    with graph.inserting_before(node):
        parts = []
        for name, part in (("real", _ATEN.real.default), ("imag", _ATEN.imag.default)):
            args, kwargs = map_arg((node.args, node.kwargs), lambda n, part=part: call(part, n))
            numbers = (getattr(complex(v), name) if isinstance(v, int | float | complex) else v for v in args[:2])
            parts_of = (*numbers, *args[2:])
            parts.append(call(node.target, *parts_of, **kwargs))
        whole = call(_ATEN.complex.default, *parts)
    node.replace_all_uses_with(whole)
    graph.erase_node(node)
