"""Writes at indices that are data (``scatter``, ``index_put``, ``index_add``, ...): loops that insert into a tensor.

torch-mlir makes ``tm_tensor.scatter`` of them: row n of ``updates`` goes to ``indices[n]``, and its region says
what becomes of an element and its update. The loops run in order, so of several writes to a place the last stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..._mlir import arith, cf, ir, tensor
from ...lowering.builder import Index, dim_size, for_loop, value
from ...lowering.patterns.tile import inline_body
from ...passes.analysis.traversal import ops_named

#: What an index past the end is told as, a :class:`pith.CheckError`; nothing is written for it.
_MESSAGE = "an index to write at is out of range (negative ones do not count from the end)"


def expand_scatters(module: ir.Module) -> None:
    """Rewrite every ``tm_tensor.scatter`` of ``module``.

    Before::

        %r = tm_tensor.scatter {dimension_map = [0]} ins(%updates, %indices) outs(%x) { ^bb0(%new, %old): ... }

    After::

        %r = scf.for %n = ... iter_args(%t = %x) {
          %at = tensor.extract %indices[%n, 0]       // checked
          %new, %old = tensor.extract ...
          ... tensor.insert %made into %t[%at, ...]
    """
    for op in ops_named(module.operation, "tm_tensor.scatter"):
        with ir.InsertionPoint(op), op.location:
            result = _loops(op, op.operands[2], ())
        op.results[0].replace_all_uses_with(result)
        op.erase()


def _loops(op: ir.Operation, target: ir.Value, point: tuple[Index, ...]) -> ir.Value:
    """A loop per dimension of the updates, around the write of one element."""
    updates = op.operands[0]
    if len(point) == updates.type.rank:
        return _write(op, target, point)
    size = dim_size(updates, len(point))
    (result,) = for_loop(0, size, lambda i, t: [_loops(op, t, (*point, i))], [target])
    return result


def _write(op: ir.Operation, target: ir.Value, point: Sequence[Index]) -> ir.Value:
    updates, indices = list(op.operands)[:2]
    places: list[Index] = [0] * (target.type.rank - len(point) + 1) + list(point[1:])
    for column, dim in enumerate(ir.DenseI64ArrayAttr(op.attributes["dimension_map"])):
        start = tensor.extract(indices, [value(point[0]), value(column)])
        places[dim] = _checked(start, places[dim], dim_size(target, dim))
    where = [value(i) for i in places]
    tiles = [tensor.extract(updates, [value(i) for i in point]), tensor.extract(target, where)]
    copy = op.clone()  # an own region: bodies are moved, and a loop of one trip has no body to share
    made = inline_body(copy.regions[0].blocks[0], tiles)
    copy.operation.erase()
    return tensor.insert(made, target, where)


def _checked(start: ir.Value, offset: Index, size: Index) -> ir.Value:
    """``start + offset`` as an index below ``size``."""
    number = ir.IntegerType.get_signless(64)
    start = start if start.type == number else arith.extsi(number, start)
    at = arith.addi(start, arith.index_cast(number, value(offset)))
    cf.assert_(arith.cmpi(arith.CmpIPredicate.ult, at, arith.index_cast(number, value(size))), _MESSAGE)
    return arith.index_cast(ir.IndexType.get(), at)
