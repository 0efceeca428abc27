"""``pith-collapse-batch``: one loop for batch and sequence in contractions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from pith._mlir import arith, ir, tensor
from pith.dialect import shape_of
from pith.formats import DYNAMIC

from .analysis.products import is_dense_product, is_widened_product
from .analysis.structured import Structured, dim_positions, structured_ops
from .core import Pass
from .fold_copies import reads_encoded


@dataclasses.dataclass(frozen=True)
class CollapseBatchPass(Pass):
    """Merge neighbouring loops of one kind that every operand of a contraction walks together.

    Before::

        %y = linalg.generic {maps = [(b, t, o, k) -> (b, t, k), (b, t, o, k) -> (o, k), (b, t, o, k) -> (b, t, o)]}
             ins(%x, %w : tensor<?x?x8xf32>, tensor<16x8xf32, #fmt>) outs(%c : tensor<?x?x16xf32>)

    After::

        %x2 = tensor.collapse_shape %x [[0, 1], [2]] : tensor<?x?x8xf32> into tensor<?x8xf32>
        %c2 = tensor.collapse_shape %c [[0, 1], [2]] : tensor<?x?x16xf32> into tensor<?x16xf32>
        %y2 = linalg.generic {maps = [(n, o, k) -> (n, k), (n, o, k) -> (o, k), (n, o, k) -> (n, o)]}
              ins(%x2, %w) outs(%c2)
        %y = tensor.expand_shape %y2 [[0, 1], [2]] output_shape [%b, %t, 16]

    Both reshapes are views. What is left is a matrix product, which the fast templates know. With ``narrow`` products
    of integers and of floats below 32 bits are merged, too, as those of GPUs take them.

    Requires: ``pith-fold-copies`` before it; operands may be encoded or ``pith.decompress``-ed. Preserves: bodies of
    ``pith.pit_tile``; results bit by bit. Does not do: dense ops but products, loops of an encoded operand, operands
    with a layout of their own; sizes of 0 beside one known at run time: their product is 0 to upstream's tensors
    and unknown to its buffers. Cost: linear.
    """

    name: ClassVar[str] = "pith-collapse-batch"
    narrow: bool = False

    def run(self, module: ir.Module) -> None:
        with module.context:
            for op in structured_ops(module):
                if op.op.operation.parent.name == "pith.pit_tile":
                    continue  # its loops are those of the tiling
                groups = collapsible(op, self.narrow)
                if len(groups) < len(op.iterators):
                    _collapse(op, groups)


def collapsible(op: Structured, narrow: bool = False) -> list[list[int]]:
    """Loops of ``op`` grouped into runs that can become one; only for ops with an encoded input and dense products."""
    product = is_dense_product(op) or (narrow and is_widened_product(op))
    if len(op.inits) != 1 or not (any(reads_encoded(v) for v in op.inputs) or product):
        return [[d] for d in range(len(op.iterators))]
    if any(o.operation.name == "linalg.index" for o in op.body.operations):
        return [[d] for d in range(len(op.iterators))]
    groups = [[0]]
    for d in range(1, len(op.iterators)):
        if _walk_together(op, d - 1, d):
            groups[-1].append(d)
        else:
            groups.append([d])
    return groups


def _walk_together(op: Structured, a: int, b: int) -> bool:
    """Loops ``a`` and ``b`` are of one kind, and every operand has both side by side or neither."""
    if op.iterators[a] != op.iterators[b]:
        return False
    for value, map_ in zip((*op.inputs, *op.inits), op.maps):
        dims = dim_positions(map_)
        if None in dims:
            return False
        if not {a, b} & set(dims):
            continue
        if reads_encoded(value) or dims.count(a) != 1 or dims.count(b) != 1:
            return False
        if dims.index(b) != dims.index(a) + 1 or {0, DYNAMIC} <= set(shape_of(value.type)):
            return False
    return True


def _collapse(op: Structured, groups: list[list[int]]) -> None:
    loop_of = {d: g for g, group in enumerate(groups) for d in group}
    values, maps, runs = [], [], []
    with op.op.operation.context, ir.InsertionPoint(op.op), op.op.operation.location:
        for value, map_ in zip((*op.inputs, *op.inits), op.maps):
            runs = _runs(dim_positions(map_), loop_of)
            values.append(_collapse_value(value, runs))
            maps.append(_collapse_map(map_, runs, loop_of, len(groups)))
        iterators = [op.iterators[group[0]] for group in groups]
        old = op.op.operation.results[0]
        sizes = _sizes(op.inits[0])
        (new,) = op.rebuild(values[:-1], maps, inits=values[-1:], iterators=iterators)
        old.replace_all_uses_with(_expand_value(new, old.type, runs, sizes))
    op.op.operation.erase()


def _collapse_map(map_: ir.AffineMap, runs: list[list[int]], loop_of: dict[int, int], loops: int) -> ir.AffineMap:
    """``map_`` over the collapsed loops, one result per run; results that are no bare loop are renumbered."""
    renumbered = [ir.AffineExpr.get_dim(loop_of[d]) for d in range(map_.n_dims)]
    results = [map_.results[run[0]].compose(ir.AffineMap.get(loops, 0, renumbered)) for run in runs]
    return ir.AffineMap.get(loops, 0, results)


def _runs(dims: Sequence[int | None], loop_of: dict[int, int]) -> list[list[int]]:
    """Operand dimensions grouped by the collapsed loop that walks them: ``(b, t, k) -> [[0, 1], [2]]``."""
    out: list[list[int]] = []
    for position, loop in enumerate(dims):
        before = dims[position - 1] if position else None
        if loop is not None and before is not None and before != loop and loop_of[before] == loop_of[loop]:
            out[-1].append(position)
        else:
            out.append([position])
    return out


def _collapse_value(value: ir.Value, runs: list[list[int]]) -> ir.Value:
    if all(len(run) == 1 for run in runs):
        return value
    shape = shape_of(value.type)
    sizes = []
    for run in runs:
        size = 1
        for d in run:
            size = DYNAMIC if DYNAMIC in (size, shape[d]) else size * shape[d]
        sizes.append(ir.ShapedType.get_dynamic_size() if size == DYNAMIC else size)
    type_ = ir.RankedTensorType.get(sizes, value.type.element_type)
    return tensor.collapse_shape(type_, value, runs)


def _sizes(value: ir.Value) -> list[ir.Value]:
    """Run-time sizes of the dynamic dimensions of ``value``."""
    index = ir.IndexType.get()
    dynamic = [d for d, size in enumerate(shape_of(value.type)) if size == DYNAMIC]
    return [tensor.dim(value, arith.constant(index, d)) for d in dynamic]


def _expand_value(value: ir.Value, type_: ir.Type, runs: list[list[int]], sizes: list[ir.Value]) -> ir.Value:
    static = [ir.ShapedType.get_dynamic_size() if s == DYNAMIC else s for s in shape_of(type_)]
    return tensor.expand_shape(type_, value, runs, sizes, static)
