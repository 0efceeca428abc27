"""Reshapes that torch-mlir gets wrong, resolved while symbolic sizes are still known: of dynamic shapes, of nothing.

``x.view(b * s, 384)`` says which dimensions merge only through the symbols b and s. MLIR has no
symbols, so torch-mlir guesses from "?" and, for two dynamic dimensions, casts one of them to 1.
Here the products are compared symbolically and the grouping is written down. Where a shape has no elements, torch-mlir
divides by their number, which ends the process; no reshape is needed there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch

from ..ops import RESHAPE

_VIEWS = (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default, torch.ops.aten.reshape.default)

#: One group: these source dimensions hold the same elements as these result dimensions.
Group = tuple[list[int], list[int]]


def resolve_views(graph: torch.fx.Graph) -> None:
    """Replace every view of, or to, a dynamic shape by ``pith.reshape``, and of no elements by other ones of none."""
    for node in list(graph.nodes):
        if node.op != "call_function" or node.target not in _VIEWS:
            continue
        source, result = node.args[0].meta["val"].shape, node.meta["val"].shape
        sizes = [expression(s) for s in result]
        with graph.inserting_before(node):
            if 0 in sizes:
                options = {"dtype": node.meta["val"].dtype}
                new = graph.call_function(torch.ops.aten.full.default, (list(node.args[1]), 0), options)
            elif any(isinstance(s, torch.SymInt) for s in (*source, *result)):
                groups = json.dumps(reshape_groups([expression(s) for s in source], sizes))
                new = graph.call_function(RESHAPE, (node.args[0], node.args[1], groups))
            else:
                continue
        new.meta = dict(node.meta)
        node.replace_all_uses_with(new)
        graph.erase_node(node)


def reshape_groups(source: Sequence[Any], result: Sequence[Any]) -> list[Group]:
    """Smallest groups of consecutive dimensions with equal products (ints or sympy expressions).

    Where products cannot be compared, everything left becomes one group, which is always right.

    >>> reshape_groups([2, 3, 8], [6, 8])
    [([0, 1], [0]), ([2], [1])]
    >>> import sympy
    >>> b, s = sympy.symbols("b s", positive=True, integer=True)
    >>> reshape_groups([b, s, 12, 32], [b, s, 384])
    [([0], [0]), ([1], [1]), ([2, 3], [2])]
    >>> reshape_groups([b * s, 8], [b, s, 8])
    [([0], [0, 1]), ([1], [2])]
    """
    groups: list[Group] = []
    i = j = 0
    while i < len(source) and j < len(result):
        left, right = [i], [j]
        p, q = source[i], result[j]
        while p != q:
            behind = _behind(p, q)
            if behind == "source" and left[-1] + 1 < len(source):
                left.append(left[-1] + 1)
                p = p * source[left[-1]]
            elif behind == "result" and right[-1] + 1 < len(result):
                right.append(right[-1] + 1)
                q = q * result[right[-1]]
            else:
                return [*groups, (list(range(i, len(source))), list(range(j, len(result))))]
        groups.append((left, right))
        i, j = left[-1] + 1, right[-1] + 1
    if groups:
        groups[-1][0].extend(range(i, len(source)))
        groups[-1][1].extend(range(j, len(result)))
    return groups


def expression(size: Any) -> Any:
    """The sympy expression of a symbolic size; an int stays an int."""
    return size.node.expr if isinstance(size, torch.SymInt) else int(size)


def _behind(p: Any, q: Any) -> str | None:
    """Which of two different products lacks factors, or None when the symbols do not tell."""
    if isinstance(p, int) and isinstance(q, int):
        return "source" if p < q else "result"
    import sympy

    if p == 0 or q == 0:
        return None
    ratio = sympy.cancel(sympy.sympify(q) / p)
    if ratio.is_number:
        return "source" if ratio > 1 else "result"
    over, under = sympy.fraction(ratio)
    if not under.free_symbols:
        return "source"
    return None if over.free_symbols else "result"
