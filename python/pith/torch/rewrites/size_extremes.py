"""The larger and the smaller of two sizes, in the arithmetic that torch-mlir imports."""

from __future__ import annotations

import functools
import operator

import torch
from torch.fx import Graph, Node

from .nodes import add_call

#: More than any two sizes differ by: arrays of 2^40 bytes have no place in memory.
_FAR = 1 << 40


def spell_out_extremes(graph: Graph) -> None:
    """Write ``sym_max(a, b)`` as ``a + (b - a) * later`` and ``sym_min(a, b)`` as ``b - (b - a) * later``.

    ``later``, which is ``(b - a + far) // far``, is 1 where ``b >= a`` and 0 elsewhere. torch-mlir's importer refuses
    the functions themselves.
    """
    for node in list(graph.nodes):
        if node.op == "call_function" and node.target in (torch.sym_max, torch.sym_min):
            _spell_out(graph, node)
    graph.eliminate_dead_code()


def _spell_out(graph: Graph, node: Node) -> None:
    first, second = node.args

    made = functools.partial(add_call, graph, node)
    with graph.inserting_before(node):
        apart = made(operator.sub, second, first)
        later = made(operator.floordiv, made(operator.add, apart, _FAR), _FAR)
        base, sign = (first, operator.add) if node.target is torch.sym_max else (second, operator.sub)
        chosen = made(sign, base, made(operator.mul, apart, later))
    chosen.meta["val"] = node.meta["val"]
    node.replace_all_uses_with(chosen)
