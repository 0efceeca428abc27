"""Graphs that call the ops of layers with stored or masked weights, as graphs that call the layers."""

from __future__ import annotations

import json
import operator
from collections.abc import Sequence
from typing import Any, cast

import torch

from ...errors import UnsupportedError
from ..autograd.stored import stored
from ..calls import CALL
from ..pattern_ops import MASKED_LINEAR
from ..stored_ops import QUANTIZED_LINEAR, SPARSE_LINEAR
from .masked_linear import MaskedLinear
from .quantized_linear import QuantizedLinear
from .sparse_linear import SparseLinear


def with_layers(module: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """``module`` with a :class:`SparseLinear`, :class:`QuantizedLinear` or :class:`MaskedLinear` in the place of every
    op of one, under the name the layer had where that can be told.

    Errors: :class:`pith.UnsupportedError` where an op's weight is no parameter or buffer of the module, and for calls
        of pith's functions.

    Example:
        >>> layers = torch.nn.Sequential(SparseLinear("C0(2:4)", 16, 8), torch.nn.ReLU())
        >>> program = torch.export.export(layers, (torch.ones(2, 16),))
        >>> type(with_layers(program.module()).get_submodule("0")).__name__
        'SparseLinear'
    """
    _refuse_calls(module.graph)
    calls, made = stored_calls(module.graph), dict[tuple[str, ...], str]()
    for node in calls:
        x, sources, how = _arguments(node)
        own = tuple(_target(source, node) for source in sources if source is not None)
        if own not in made:
            made[own] = _place(module, own, _layer(module, sources, how, node.target))
        with module.graph.inserting_before(node):
            called = module.graph.call_module(made[own], (x,))
        called.meta = dict(node.meta)
        node.replace_all_uses_with(called)
        module.graph.erase_node(node)
        for source in filter(None, sources):
            if not source.users:
                module.graph.erase_node(source)
    if calls:
        module.recompile()
    return module


def stored_calls(graph: torch.fx.Graph) -> list[torch.fx.Node]:
    """The calls of ops of layers with stored or masked weights, in order.

    >>> stored_calls(torch.fx.symbolic_trace(torch.nn.ReLU()).graph)
    []
    """
    ops = SPARSE_LINEAR, QUANTIZED_LINEAR, MASKED_LINEAR
    return [n for op in ops for n in graph.find_nodes(op="call_function", target=op)]


def _refuse_calls(graph: torch.fx.Graph) -> None:
    """Raise for a call of one of pith's functions: the import takes torch's own ops, and layers."""
    for node in graph.find_nodes(op="call_function", target=CALL):
        name = json.loads(str(node.args[1]))[0].replace(":", ".")
        hint = "torch runs the program as it is; for one kernel, export torch's own op, or pith.torch.SparseLinear"
        raise UnsupportedError(f"the program calls {name}, which runs kernels of its own", where=str(node), hint=hint)


def _arguments(node: torch.fx.Node) -> tuple[Any, list[Any], Any]:
    """The input of a layer; its bias and then the buffers of its weight; what these are."""
    if node.target is MASKED_LINEAR:
        x, weight, bias, kept, *how = cast(tuple[Any, ...], node.args)
        return x, [bias, kept, weight], how
    x, *given, text = cast(tuple[Any, ...], node.args)
    if node.target is SPARSE_LINEAR:
        values, bias, metadata = given
        return x, [bias, *metadata, values], text
    bias, weight = given
    return x, [bias, *weight], text


def _target(source: Any, node: torch.fx.Node) -> str:
    if isinstance(source, torch.fx.Node) and source.op == "get_attr":
        return str(source.target)
    raise UnsupportedError(
        "the weight of a stored layer is computed, or an argument of the program",
        where=str(node),
        hint="export the model in evaluation, outside of torch.autocast, with its layers inside",
    )


def _layer(module: torch.nn.Module, sources: Sequence[Any], how: Any, op: Any) -> torch.nn.Module:
    tensors: list[Any] = [None if s is None else operator.attrgetter(str(s.target))(module) for s in sources]
    bias, *weight = tensors
    with torch.no_grad():
        if op is MASKED_LINEAR:
            return MaskedLinear.holding(weight[1], bias, weight[0], *how)
        packed = stored([t.detach() for t in weight], how)
        if op is SPARSE_LINEAR:
            return SparseLinear.holding(packed, weight[-1], bias)
        return QuantizedLinear.holding(packed, bias)


def _place(module: torch.fx.GraphModule, own: Sequence[str], layer: torch.nn.Module) -> str:
    """Put the layer where its parameters are, if nothing else is there that the graph reads; returns its name."""
    prefix = own[-1].rpartition(".")[0]
    others = {str(n.target) for n in module.graph.nodes if n.op == "get_attr"} - set(own)
    if not prefix or any(name.startswith(f"{prefix}.") for name in others):
        prefix = f"{prefix}.stored".lstrip(".")
        while prefix in dict(module.named_modules()):
            prefix += "_"
    parent, _, child = prefix.rpartition(".")
    module.get_submodule(parent).add_module(child, layer.train(False))
    return prefix
