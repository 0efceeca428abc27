"""Attention that a model spells out, ``softmax(q @ k^T * scale + mask) @ v``, as ``scaled_dot_product_attention``."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

import torch
from torch.fx import Graph, Node

_aten = torch.ops.aten

#: What changes nothing between the softmax and the second product, or is checked by :func:`_is_neutral`.
_BETWEEN = (_aten.dropout.default, _aten.to.dtype, _aten._to_copy.default, _aten.type_as.default)


def recognise_attention(graph: Graph) -> None:
    """Replace attention that an exported graph spells out by the op that the import knows.

    Semantics: a query whose mask is -inf for every key gives zeros, where the spelled form gives NaN. What anything
        else reads (scores or weights that the model returns) stays as it is.
    """
    for node in list(graph.nodes):
        if node.target is _aten._assert_tensor_metadata.default:
            graph.erase_node(node)  # of no effect, but it reads what attention should alone: the export has checked it
    for node in list(graph.nodes):
        found = _Spelled.of(node)
        if found is not None:
            with graph.inserting_before(node):
                new = found.emit(graph)
            new.meta = dict(node.meta)
            node.replace_all_uses_with(new)
    graph.eliminate_dead_code()


@dataclasses.dataclass(frozen=True)
class _Spelled:
    """The operands of an attention; ``hidden``: the mask says which keys are not seen."""

    query: Node
    key_transposed: Node
    value: Node
    mask: Node | None
    hidden: bool
    scale: float

    @classmethod
    def of(cls, node: Node) -> _Spelled | None:
        """The attention whose second product ``node`` is; None when it is none, or read in between."""
        if node.target is not _aten.matmul.default:
            return None
        weights, value = cast(tuple[Any, Any], node.args)
        while _is_neutral(weights) and _has_one_reader(weights):
            weights = weights.args[0]
        if not _is(weights, _aten.softmax.int) or not _has_one_reader(weights) or not _is_last(weights):
            return None
        scores, mask, hidden = _masked(weights.args[0])
        scores, scale = _scaled(scores)
        if not _is(scores, _aten.matmul.default) or not _has_one_reader(scores):
            return None
        found = cls(scores.args[0], scores.args[1], value, mask, hidden, scale)
        return found if found._fits() else None

    def _fits(self) -> bool:
        """Whether query, key and value are of one float type and of the same batches and heads."""
        shapes = [tuple(map(str, x.meta["val"].shape)) for x in (self.query, self.key_transposed, self.value)]
        types = {x.meta["val"].dtype for x in (self.query, self.key_transposed, self.value)}
        if self.mask is not None and not self.hidden:
            types.add(self.mask.meta["val"].dtype)
        ranks = {len(s) for s in shapes}
        return len(types) == 1 and ranks <= {3, 4} and len(ranks) == 1 and len({s[:-2] for s in shapes}) == 1

    def emit(self, graph: Graph) -> Node:
        """The op, at the graph's insertion point."""
        key = graph.call_function(_aten.transpose.int, (self.key_transposed, -2, -1))
        mask = graph.call_function(_aten.logical_not.default, (self.mask,)) if self.hidden else self.mask
        operands = (self.query, key, self.value, mask)
        return graph.call_function(_aten.scaled_dot_product_attention.default, operands, {"scale": self.scale})


def _masked(scores: Any) -> tuple[Any, Node | None, bool]:
    """(scores without their mask, the mask, whether it is true where keys are hidden)."""
    if not _has_one_reader(scores):
        return scores, None, False
    if _is(scores, _aten.add.Tensor) and not scores.kwargs and all(isinstance(a, Node) for a in scores.args):
        first, second = scores.args
        if _leads_to_product(first):
            return first, second, False
        if _leads_to_product(second):
            return second, first, False
    if _is(scores, _aten.masked_fill.Scalar) and scores.args[2] == -math.inf:
        return scores.args[0], scores.args[1], True
    return scores, None, False


def _scaled(scores: Any) -> tuple[Any, float]:
    """(scores without their factor, the factor)."""
    if _has_one_reader(scores) and len(scores.args) == 2:
        source, number = scores.args
        if isinstance(number, int | float) and _is(scores, _aten.mul.Tensor):
            return source, float(number)
        if isinstance(number, int | float) and _is(scores, _aten.div.Tensor) and number and not scores.kwargs:
            return source, 1.0 / number
    return scores, 1.0


def _leads_to_product(node: Any) -> bool:
    source, _ = _scaled(node)
    return _is(source, _aten.matmul.default)


def _is(node: Any, target: Any) -> bool:
    return isinstance(node, Node) and node.target is target


def _has_one_reader(node: Any) -> bool:
    return isinstance(node, Node) and len(node.users) == 1


def _is_neutral(node: Any) -> bool:
    """Dropout outside of training, or a conversion to the type of the query, which the kernel rounds to anyway."""
    if getattr(node, "target", None) not in _BETWEEN:
        return False
    return node.target is not _aten.dropout.default or not node.args[2] or node.args[1] == 0


def _is_last(softmax: Node) -> bool:
    dim, rank = softmax.args[1], softmax.meta["val"].dim()
    return dim in (-1, rank - 1)
