"""``pith-fold-copies``: read through transposes and broadcasts instead of making them."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pith._mlir import ir, linalg
from pith.dialect import encoding_of

from .analysis.products import is_batch, is_dense_product
from .analysis.structured import Structured, dim_positions, erase_if_unused, structured_ops
from .analysis.traversal import defining_op
from .core import Pass

_RESHAPES = ("tensor.expand_shape", "tensor.collapse_shape")


@dataclasses.dataclass(frozen=True)
class FoldCopiesPass(Pass):
    """Fold copies that only permute or repeat dimensions into the indexing maps of their readers.

    Before::

        %t = linalg.transpose ins(%w) outs(%e) permutation = [1, 0]       // (o, k) -> (k, o)
        %b = linalg.generic {maps = [(b, k, o) -> (k, o), (b, k, o) -> (b, k, o)]} ins(%t) ... yield %in
        %y = linalg.batch_matmul ins(%x, %b) outs(%c)

    After::

        %y = linalg.generic {maps = [(b, t, o, k) -> (b, t, k), (b, t, o, k) -> (o, k), (b, t, o, k) -> (b, t, o)]}
             ins(%x, %w) outs(%c) { mulf, addf }

    Copies are ``linalg.transpose``, ``linalg.broadcast``, any ``linalg.generic`` that yields its
    only input, and reshapes that keep the shape. Readers are ``linalg.generic`` and named
    contractions; a named reader that changes becomes a ``linalg.generic``. Copies without readers
    left are erased.

    Options: ``only-encoded`` (default true) folds only what reads a tensor with a pith encoding,
    directly or through ``pith.decompress``, and operands of dense products, which are packed from any
    order of dimensions; false folds every copy.
    Requires: tensors, not buffers. Preserves: results bit by bit. Does not do: other reshapes; a copy
    that is the only operand to tell the size of a loop stays. Cost: linear in the number of ops.
    """

    name: ClassVar[str] = "pith-fold-copies"
    only_encoded: bool = True

    def run(self, module: ir.Module) -> None:
        with module.context:
            for op in structured_ops(module):
                self._fold_into(op)

    def _fold_into(self, op: Structured) -> None:
        inputs, maps = list(op.inputs), list(op.maps)
        for i in range(len(inputs)):
            source, map_ = _trace(inputs[i], maps[i])
            if source == inputs[i]:
                continue
            if self.only_encoded and not reads_encoded(source) and not _suits_product(op, map_):
                continue
            if _loops_covered([*maps[:i], map_, *maps[i + 1 :]]):
                inputs[i], maps[i] = source, map_
        if inputs == list(op.inputs):
            return
        for old, new in zip(list(op.op.operation.results), op.rebuild(inputs, maps)):
            old.replace_all_uses_with(new)
        op.op.operation.erase()
        for value in op.inputs:
            _erase_copies(value)


@dataclasses.dataclass(frozen=True)
class Copy:
    """``result[i0, i1, ...] = source[...]``: per source dimension the result dimension it is read at.

    Attributes:
        dims: result dimension, or None where the source is always read at index 0.
    """

    source: ir.Value
    dims: tuple[int | None, ...]


def match_copy(value: ir.Value) -> Copy | None:
    """The copy that makes ``value``, or None."""
    producer = defining_op(value)
    if producer is None:
        return None
    view = producer.opview
    if isinstance(view, linalg.TransposeOp):
        order = list(ir.DenseI64ArrayAttr(producer.attributes["permutation"]))
        return Copy(producer.operands[0], tuple(order.index(d) for d in range(len(order))))
    if isinstance(view, linalg.BroadcastOp):
        added = set(ir.DenseI64ArrayAttr(producer.attributes["dimensions"]))
        return Copy(producer.operands[0], tuple(d for d in range(value.type.rank) if d not in added))
    if producer.name in _RESHAPES and producer.operands[0].type.rank == value.type.rank:
        # One dimension into one dimension: upstream's fusion makes these of an encoded operand, to drop its encoding.
        return Copy(producer.operands[0], tuple(range(value.type.rank)))
    return _match_generic_copy(view) if isinstance(view, linalg.GenericOp) else None


def reads_encoded(value: ir.Value) -> bool:
    """True when ``value`` has a pith encoding or is the dense copy of a tensor that has one."""
    return encoding_of(value.type) is not None or defining_op(value, "pith.decompress") is not None


def _match_generic_copy(view: linalg.GenericOp) -> Copy | None:
    op = Structured.of(view)
    if op is None or len(op.inputs) != 1 or len(op.inits) != 1 or "reduction" in op.iterators:
        return None
    body = list(op.body.operations)
    if len(body) != 1 or body[0].operands[0] != op.body.arguments[0]:
        return None
    read, written = op.maps
    result_dim = {loop: dim for dim, loop in enumerate(dim_positions(written))}
    if None in result_dim or len(result_dim) != written.n_dims:
        return None
    dims: list[int | None] = []
    for expr in read.results:
        if isinstance(expr, ir.AffineDimExpr):
            dims.append(result_dim[expr.position])
        elif expr == ir.AffineConstantExpr.get(0):
            dims.append(None)
        else:
            return None
    return Copy(op.inputs[0], tuple(dims))


def _trace(value: ir.Value, map_: ir.AffineMap) -> tuple[ir.Value, ir.AffineMap]:
    """What ``value`` read through ``map_`` is a copy of, and the map that reads it there."""
    while (copy := match_copy(value)) is not None:
        zero = ir.AffineConstantExpr.get(0)
        results = [zero if d is None else map_.results[d] for d in copy.dims]
        value, map_ = copy.source, ir.AffineMap.get(map_.n_dims, map_.n_symbols, results)
    return value, map_


def _loops_covered(maps: list[ir.AffineMap]) -> bool:
    """Every loop is still the bare index of some operand, which is what tells its size."""
    return {d for m in maps for d in dim_positions(m) if d is not None} == set(range(maps[0].n_dims))


def _suits_product(op: Structured, map_: ir.AffineMap) -> bool:
    """``op`` is a dense product whose lowering may read an operand through ``map_``.

    It packs its operands, from any order of dimensions as long as the last one is of one matrix. Several
    contracted loops must stay side by side: then they become one.
    """
    dims = dim_positions(map_)
    if not is_dense_product(op) or not dims or None in dims or len(set(dims)) < len(dims):
        return False
    reductions = [d for d, kind in enumerate(op.iterators) if kind == "reduction"]
    first = dims.index(reductions[0])
    return list(dims[first : first + len(reductions)]) == reductions and not is_batch(op, dims[-1] or 0)


def _erase_copies(value: ir.Value) -> None:
    """Erase the chain of copies above ``value`` as far as nothing else reads it."""
    while (copy := match_copy(value)) is not None and erase_if_unused(value.owner):
        value = copy.source
