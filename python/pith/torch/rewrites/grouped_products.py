"""``torch.nn.functional.grouped_mm``: each expert times the rows that are its own, as transformers spells it."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Graph

from ..ops import GROUPED_MM
from .nodes import add_call, is_call, shape_of, value_of

_aten = torch.ops.aten

#: The op of torch, and what transformers calls where torch has none for the element type.
_NAMES = ("aten::_grouped_mm", "transformers::grouped_mm_fallback")


def recognise_grouped_products(graph: Graph) -> None:
    """Rewrite products of sorted rows with a matrix per group, which is read as it is stored.

    Semantics: ``out[s] = x[s] @ weight[e]`` for the group e with ``offs[e - 1] <= s < offs[e]``, zero behind the last
        group; f16 and bf16 are summed in f32. Grouped products of another kind (one of two matrices) stay as they are.
    """
    for node in list(graph.nodes):
        if not _is_grouped(node):
            continue
        x, weight, offs = node.args[:3]
        transposed = is_call(weight, _aten.transpose.int) and {d % 3 for d in weight.args[1:3]} == {1, 2}
        with graph.inserting_before(node):
            new = add_call(graph, node, GROUPED_MM, x, weight.args[0] if transposed else weight, offs, transposed)
            if value_of(new).dtype != value_of(node).dtype:
                new = add_call(graph, node, _aten.to.dtype, new, value_of(node).dtype)
        node.replace_all_uses_with(new)
        graph.erase_node(node)
    graph.eliminate_dead_code()


def histc(x: torch.Tensor, bins: int = 100, min: float = 0, max: float = 0) -> torch.Tensor:
    """How many elements are in each of ``bins`` intervals of one width, from the least to the largest where ``min`` is
    ``max``; those outside are in none.

    >>> histc(torch.tensor([0.0, 1, 1, 2, 9]), 3, 0, 2)
    tensor([1., 2., 1.])
    """
    low: Any = x.min() if min == max else min
    high: Any = x.max() if min == max else max
    widened = 1 * (low == high)  # one value alone is in the middle
    low, high = low - widened, high + widened
    place = ((x - low) * bins / (high - low)).floor().clamp(max=bins - 1)  # in torch's order: edges are rounded alike
    place = torch.where((x >= low) & (x <= high), place, -1)
    return (place.reshape(-1, 1) == torch.arange(bins, device=x.device)).sum(0).to(x.dtype)


def _is_grouped(node: Any) -> bool:
    """One matrix per group, rows sorted by group; nothing asked beside."""
    if (
        node.op != "call_function"
        or not isinstance(node.target, torch._ops.OpOverload)
        or node.target.name() not in _NAMES
    ):
        return False
    plain = len(node.args) >= 3 and not any(a is not None for a in node.args[3:]) and not node.kwargs
    return plain and [len(shape_of(a)) for a in node.args[:3]] == [2, 3, 1]
