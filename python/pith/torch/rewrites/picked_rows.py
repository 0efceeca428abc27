"""Rows that a mask picks, computed on and put back, as ops on all rows: how models spell mixtures of experts.

``rows = torch.where(chosen == e)[0]; out.index_add_(0, rows, f(x[rows]) * gates[rows])`` has sizes that only values
tell, and no importer takes those. Where every op in between treats rows apart, ``f`` of all rows and a mask on what is
put back are the same, and the products of ``f`` can leave out rows that the mask does not pick.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Graph, Node

from ..ops import LINEAR_OF_ROWS
from .nodes import add_call, is_call, is_unknown, shape_of, unknown_dim, value_of
from .routing_masks import axes_of
from .rowwise import keeps_rows

_aten = torch.ops.aten

_RESHAPES = (_aten.reshape.default, _aten.view.default, _aten._unsafe_view.default)

_FINDS = (_aten.nonzero.default, _aten.where.default)
_ADDS = (_aten.index_add.default, _aten.index_add_.default)
_PUTS = (_aten.index_put.default, _aten.index_put_.default)

#: What the export says about sizes that it does not know, and of what has them.
_SAID_OF_SIZES = (
    _aten._assert_scalar.default,
    _aten.sym_constrain_range_for_size.default,
    _aten._assert_tensor_metadata.default,
)


def widen_picked_rows(graph: Graph) -> None:
    """Rewrite what is computed on rows that masks pick, and put back, as ops on all rows.

    Semantics: results are those of the model. What is not understood, and what reads it, stays as it is.
    """
    found = [n for n in graph.nodes if is_call(n, *_FINDS) or (is_call(n, _aten.index.Tensor) and _mask_in(n.args[1]))]
    if not found:
        return
    rewriter = _Rewriter(graph)
    for node in list(graph.nodes):
        rewriter.visit(node)
    for node in list(graph.nodes):
        if is_call(node, *_SAID_OF_SIZES) and is_unknown(node.args[0]):
            graph.erase_node(node)
    graph.eliminate_dead_code()


@dataclasses.dataclass(frozen=True)
class _Picked:
    """The rows that a mask picks.

    Attributes:
        source: flags; ``slot``: their axis along which no row has more than one, or None.
        mask: a flag per row.
    """

    source: Node
    slot: int | None
    mask: Node

    @property
    def size(self) -> str:
        """Rows in all."""
        return str(shape_of(self.mask)[0])


class _Rewriter:
    """Visits the nodes of a graph in order.

    Attributes:
        axes: nodes that hold coordinates of what is picked -> along which axis of the mask.
        wide: nodes with a row per picked row -> the same for all rows.
    """

    def __init__(self, graph: Graph):
        self.graph = graph
        self.node: Any = None
        self.axes: dict[Any, tuple[_Picked, int]] = {}
        self.wide: dict[Any, tuple[Node, _Picked]] = {}
        self._masks: dict[Node, _Picked] = {}

    def visit(self, node: Any) -> None:
        """Widen a node, or what it puts back, where all it reads of picked rows is understood."""
        self.node = node
        if node.op != "call_function":
            return
        if is_call(node, _aten.index.Tensor, _aten.index_select.default):
            self._gather(node)
        elif is_call(node, *_ADDS, *_PUTS):
            self._put_back(node)
        elif any(a in self.wide for a in node.all_input_nodes):
            self._apply(node)
        else:
            self._coordinates(node)

    def _coordinates(self, node: Any) -> None:
        """What ``nonzero`` and ``where`` find, and one axis of it."""
        if is_call(node, *_FINDS):
            return
        source = node.args[0] if node.args else None
        if not isinstance(source, Node):
            return
        if is_call(node, operator.getitem) and is_call(source, _aten.where.default):
            axis = node.args[1]
        elif is_call(source, _aten.nonzero.default) and is_call(node, _aten.select.int) and node.args[1] in (1, -1):
            axis = node.args[2]
        elif is_call(source, _aten.nonzero.default) and _flattens(node) and len(shape_of(source.args[0])) == 1:
            axis = 0
        else:
            return
        picked = self._picked(source.args[0])
        if picked is not None:
            self.axes[node] = (picked, axis)

    def _picked(self, source: Any) -> _Picked | None:
        """The rows that ``source`` picks, each at most once."""
        if source not in self._masks:
            axes = axes_of(source)
            if axes is None:
                return None
            flags = source if value_of(source).dtype is torch.bool else self._emit(_aten.ne.Scalar, source, 0)
            slot = axes.index("slot") if "slot" in axes else None
            mask = flags if slot is None else self._emit(_aten.any.dim, flags, slot)
            self._masks[source] = _Picked(flags, slot, mask)
        return self._masks[source]

    def _gather(self, node: Any) -> None:
        """Picked rows of a tensor are all of it; what is picked per row and slot is a sum over slots."""
        source, first, coordinates = node.args[0], *self._places(node)
        if not coordinates:
            return
        picked, axes = coordinates[0][0], [axis for _, axis in coordinates]
        sizes = list(map(str, shape_of(source)[first : first + len(axes)]))
        rows = [axis for axis in axes if axis != picked.slot]
        if any(p is not picked for p, _ in coordinates) or len(rows) != 1 or len(set(axes)) < len(axes):
            return
        if sizes != [str(shape_of(picked.source)[axis]) for axis in axes]:
            return
        if len(axes) == 1:
            self.wide[node] = (source, picked)
        elif first == 0 and picked.slot is not None:
            flags = picked.source if axes == [0, 1] else self._emit(_aten.permute.default, picked.source, axes)
            flags = self._columns(flags, len(shape_of(source)) - 2)
            chosen = self._emit(_aten.where.ScalarOther, flags, source, 0)
            self.wide[node] = (self._emit(_aten.sum.dim_IntList, chosen, [axes.index(picked.slot)]), picked)

    def _places(self, node: Any) -> tuple[int, list[tuple[_Picked, int]]]:
        """The first dimension that a gather or scatter goes along, and the coordinates; none if not understood."""
        if is_call(node, _aten.index_select.default, *_ADDS):
            dim, index = node.args[1] % max(len(shape_of(node.args[0])), 1), node.args[2]
            return dim, [self.axes[index]] if index in self.axes else []
        indices = list(node.args[1])
        first = next((d for d, i in enumerate(indices) if i is not None), 0)
        if (mask := _mask_in(indices)) is not None:
            picked = self._picked(mask) if len(indices) == first + 1 and len(shape_of(mask)) == 1 else None
            return first, [] if picked is None else [(picked, 0)]
        known = all(i in self.axes for i in indices[first:])
        return first, [self.axes[i] for i in indices[first:]] if known else []

    def _put_back(self, node: Any) -> None:
        """A masked sum, or a choice between what is there and what is put there."""
        out, first, coordinates = node.args[0], *self._places(node)
        values = node.args[3] if is_call(node, *_ADDS) else node.args[2]
        if len(coordinates) != 1 or coordinates[0][1] == coordinates[0][0].slot or node.kwargs:
            return
        picked, shape = coordinates[0][0], shape_of(out)
        if str(shape[first]) != picked.size or not self._fits(values, picked, shape, first):
            return
        new = self.wide[values][0] if values in self.wide else values
        mask = self._columns(picked.mask, len(shape) - first - 1)
        if is_call(node, *_ADDS) or (len(node.args) > 3 and node.args[3]):
            result = self._emit(_aten.add.Tensor, out, self._emit(_aten.where.ScalarOther, mask, new, 0))
        else:
            result = self._emit(_aten.where.self, mask, new, out)
        node.replace_all_uses_with(result)
        if node.target._schema.is_mutable:
            out.replace_all_uses_with(result, lambda user: user > node)
        self.graph.erase_node(node)

    def _fits(self, values: Any, picked: _Picked, shape: list[Any], first: int) -> bool:
        """Values are of the picked rows, in the place that they are put to, or one for all."""
        if values not in self.wide:
            return not shape_of(values)
        wide, own = self.wide[values]
        return own is picked and list(map(str, shape_of(wide))) == list(map(str, shape))

    def _apply(self, node: Any) -> None:
        """The same op on all rows."""
        reads = [a for a in node.all_input_nodes if a in self.wide]
        picked = self.wide[reads[0]][1]
        if any(self.wide[a][1] is not picked for a in reads):
            return
        dim = unknown_dim(reads[0])
        if is_call(node, *_RESHAPES):
            args = self._reshaped(node, dim)
        else:
            args = node.args if keeps_rows(node, reads, dim) else None
        target = _functional(node)
        if args is None or target is None:
            return

        def widened(a: Any) -> Any:
            return self.wide[a][0] if a in self.wide else a

        args, kwargs = torch.fx.map_arg((args, node.kwargs), widened)
        wide = self._linear(picked, *args) if is_call(node, _aten.linear.default) and not kwargs else None
        self.wide[node] = (wide or self._emit(target, *args, **kwargs), picked)

    def _linear(self, picked: _Picked, x: Any, weight: Any, bias: Any = None) -> Node | None:
        """A linear layer on the rows that are picked alone, of a matrix in a type that is summed in itself."""
        if len(shape_of(x)) != 2 or value_of(x).dtype not in (torch.float32, torch.float64):
            return None
        product = self._emit(LINEAR_OF_ROWS, x, weight, picked.mask)
        return product if bias is None else self._emit(_aten.add.Tensor, product, bias)

    def _reshaped(self, node: Any, dim: int | None) -> tuple[Any, ...] | None:
        """Arguments of a reshape that leaves as much before and behind the rows as there was."""
        before, after, to = shape_of(node.args[0]), shape_of(node), unknown_dim(node)
        if dim is None or to is None or any(not isinstance(n, int) for n in (*after[:to], *after[to + 1 :])):
            return None
        parts = ((after[:to], before[:dim]), (after[to + 1 :], before[dim + 1 :]))
        if any(math.prod(new) != math.prod(old) for new, old in parts):
            return None
        return (node.args[0], [*after[:to], -1, *after[to + 1 :]])

    def _columns(self, flags: Any, count: int) -> Node:
        """``flags`` with so many dimensions behind its own."""
        for _ in range(count):
            flags = self._emit(_aten.unsqueeze.default, flags, -1)
        return flags

    def _emit(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> Node:
        """A new node before the one that is visited."""
        with self.graph.inserting_before(self.node):
            return add_call(self.graph, self.node, target, *args, **kwargs)


def _functional(node: Any) -> Any:
    """What computes the result of an op; of one in place, its other form, where nothing else reads the operand."""
    target = node.target
    if not (isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable):
        return target
    packet = getattr(_aten, target._opname.removesuffix("_"), None)
    return getattr(packet, target._overloadname, None) if len(node.args[0].users) == 1 else None


def _mask_in(indices: Any) -> Node | None:
    """The mask among indices, where there is one."""
    return next((i for i in indices if i is not None and value_of(i).dtype is torch.bool), None)


def _flattens(node: Any) -> bool:
    flat = len(shape_of(node)) == 1
    return flat and is_call(node, _aten.squeeze.dim, _aten.squeeze.default, _aten.flatten.using_ints, *_RESHAPES)
