"""Sums, means and maxima of the rows of a table that bags name, as one op of linalg: ``embedding_bag``.

A bag is a row of a CSR matrix of ones, or of weights: begins and ends are its positions, indices its coordinates.
"""

from __future__ import annotations

from ..._mlir import arith, cf, ir, linalg, tensor
from ...lowering.builder import for_loop
from ...passes.generic import generic

#: What an index past the end is told as, a :class:`pith.CheckError`; row 0 is read for it.
_MESSAGE = "an index into a table of bags is out of range"

#: What torch's ``mode`` counts.
_MEAN, _MAX = 1, 2


def bags_of_rows(
    table: ir.Value,
    indices: ir.Value,
    ends: tuple[ir.Value, ir.Value],
    weights: ir.Value | None,
    mode: int,
    padding: int,
    type_: ir.RankedTensorType,
) -> ir.Value:
    """``pith.bags``: see :data:`pith.torch.ops.BAGS`.

    Args:
        ends: where bags begin and end among the indices.

    After::

        linalg.generic ins(%begins, %ends) outs(%out : tensor<?x64xf32>) {
          %sum, %count, %valid = scf.for %p = %begin to %end {
            %row = tensor.extract %indices[%p]
            %x = tensor.extract %table[%row, %column]
            ...
          cf.assert %valid
    """
    index, element = ir.IndexType.get(), type_.element_type
    sizes = [
        tensor.dim(source, arith.constant(index, d)) if type_.is_dynamic_dim(d) else type_.get_dim_size(d)
        for d, source in enumerate((ends[0], table))
    ]
    bag, every = ir.AffineMap.get(2, 0, [ir.AffineDimExpr.get(0)]), ir.AffineMap.get_identity(2)

    def of_bag(begin: ir.Value, end: ir.Value, _: ir.Value) -> ir.Value:
        column = linalg.IndexOp(1).result
        first = arith.constant(element, float("-inf") if mode == _MAX else 0.0)
        zero, one = arith.constant(element, 0.0), arith.constant(element, 1.0)

        def add(at: ir.Value, total: ir.Value, count: ir.Value, valid: ir.Value) -> tuple[ir.Value, ...]:
            row, fits = _row(indices, at, table)
            x = _wide(tensor.extract(table, [arith.index_cast(index, row), column]), element)
            if weights is not None:
                x = arith.mulf(x, _wide(tensor.extract(weights, [at]), element))
            more = arith.maximumf(total, x) if mode == _MAX else arith.addf(total, x)
            counted, valid = arith.addf(count, one), arith.andi(valid, fits)
            if padding < 0:
                return more, counted, valid
            kept = arith.cmpi(arith.CmpIPredicate.ne, row, arith.constant(row.type, padding))
            return arith.select(kept, more, total), arith.select(kept, counted, count), valid

        low, high = (arith.index_cast(index, v) for v in (begin, end))
        valid = arith.constant(ir.IntegerType.get_signless(1), 1)
        total, count, valid = for_loop(low, high, add, [first, zero, valid])
        cf.assert_(valid, _MESSAGE)  # not for every row: the call would put the sums into memory
        if mode == _MEAN:
            return arith.divf(total, arith.maximumf(count, one))
        return total if mode != _MAX else arith.select(arith.cmpf(arith.CmpFPredicate.OGT, count, zero), total, zero)

    return generic(list(ends), tensor.empty(sizes, element), [bag, bag, every], ["parallel"] * 2, of_bag)


def _row(indices: ir.Value, at: ir.Value, table: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The row that is named ``at`` a place, 0 for one that the table has not; and whether it has."""
    number = ir.IntegerType.get_signless(64)
    row = tensor.extract(indices, [at])
    row = row if row.type == number else arith.extsi(number, row)
    rows = arith.index_cast(number, tensor.dim(table, arith.constant(ir.IndexType.get(), 0)))
    fits = arith.cmpi(arith.CmpIPredicate.ult, row, rows)
    return arith.select(fits, row, arith.constant(number, 0)), fits


def _wide(x: ir.Value, element: ir.Type) -> ir.Value:
    return x if x.type == element else arith.extf(element, x)
