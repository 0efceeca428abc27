"""``pith.detect`` on a CPU: flag the micro-tiles that hold anything, then list the flags."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from pith._mlir import arith, ir, tensor
from pith._mlir import math as math_dialect
from pith.dialect.fields import read_i64s

from ..builder import Index, add, ceildiv, dim_size, for_loop, minimum, mul, sub, value
from .lists import list_type
from .slices import Span, cut, zeros


def lower_detect(op: ir.OpView) -> ir.Value:
    """The sorted list of the micro-tiles of ``op`` that hold anything, as :func:`list_type`.

    Costs one pass over the source in storage order and one over the grid, and memory for a flag
    and a coordinate per cell of the grid.
    """
    source, axes, granularity = op.source, read_i64s(op, "axes"), read_i64s(op, "granularity")
    sizes = [dim_size(source, d) for d in range(source.type.rank)]
    grid = [ceildiv(sizes[a], g) for a, g in zip(axes, granularity)]
    present = presence_test(source.type.element_type, op.threshold.value)
    flags = _flag(source, sizes, dict(zip(axes, granularity)), axes, grid, present)
    return _list_flags(flags, grid)


def presence_test(element: ir.Type, threshold: float) -> Callable[[ir.Value], ir.Value]:
    """``x -> i1``: the magnitude of x is not below or equal to ``threshold`` (true for NaN)."""
    if isinstance(element, ir.F64Type):
        return _above(arith.constant(element, threshold))
    if isinstance(element, ir.FloatType):
        above = _above(arith.constant(ir.F32Type.get(), _round_down(threshold)))
        return lambda x: above(x if element.width == 32 else arith.extf(ir.F32Type.get(), x))
    # The magnitude of the smallest integer is only right as an unsigned number.
    largest = (1 << element.width) - 1
    whole = int(min(math.floor(min(threshold, 2.0**element.width)), largest))
    limit = ir.IntegerAttr.get(element, whole - (1 << element.width) if whole > largest // 2 else whole)
    bound = arith.ConstantOp(element, limit).result
    if element.width == 1:
        return lambda x: arith.cmpi(arith.CmpIPredicate.ugt, x, bound)
    return lambda x: arith.cmpi(arith.CmpIPredicate.ugt, math_dialect.absi(x), bound)


def _above(limit: ir.Value) -> Callable[[ir.Value], ir.Value]:
    return lambda x: arith.cmpf(arith.CmpFPredicate.UGT, math_dialect.absf(x), limit)


def _round_down(threshold: float) -> float:
    """The largest float32 up to ``threshold``: a float32 lies above the one exactly when it lies above the other."""
    with np.errstate(over="ignore"):
        rounded = np.float32(threshold)
    return float(np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > threshold else rounded)


def _flag(
    source: ir.Value,
    sizes: Sequence[Index],
    blocks: dict[int, int],
    axes: Sequence[int],
    grid: Sequence[Index],
    present: Callable[[ir.Value], ir.Value],
) -> ir.Value:
    """One byte per cell of the grid, 1 where the micro-tile holds anything.

    Walks the source in storage order. Once every axis is placed, what is left of the walk
    stays inside one micro-tile, so its verdict is kept in a register and stored once.
    """
    i8 = ir.IntegerType.get_signless(8)
    rank, last_axis = len(sizes), max(axes)

    def inside(dim: int, at: tuple, verdict: ir.Value) -> ir.Value:
        if dim == rank:
            return arith.ori(verdict, present(tensor.extract(source, [value(i) for i in at])))
        (verdict,) = for_loop(0, sizes[dim], lambda i, v: [inside(dim + 1, (*at, i), v)], [verdict])
        return verdict

    def settle(at: tuple, cell: dict[int, Index], flags: ir.Value, block: Span) -> ir.Value:
        """Test the elements ``block`` of the last axis (and everything below them) and note the verdict."""
        place = [value(cell[a]) for a in axes]
        verdict = arith.trunci(ir.IntegerType.get_signless(1), tensor.extract(flags, place))
        hi = add(block.offset, block.size)
        (verdict,) = for_loop(block.offset, hi, lambda i, v: [inside(last_axis + 1, (*at, i), v)], [verdict])
        return tensor.insert(arith.extui(i8, verdict), flags, place)

    def walk(dim: int, at: tuple, cell: dict[int, Index], flags: ir.Value) -> ir.Value:
        if dim not in blocks:
            return _loop(sizes[dim], lambda i, f: walk(dim + 1, (*at, i), cell, f), flags)

        def block(b: Index, flags: ir.Value) -> ir.Value:
            start = mul(b, blocks[dim])
            span = Span(start, minimum(blocks[dim], sub(sizes[dim], start)))
            placed = {**cell, dim: b}
            if dim == last_axis:
                return settle(at, placed, flags, span)
            return _loop(span.size, lambda i, f: walk(dim + 1, (*at, add(start, i)), placed, f), flags)

        return _loop(ceildiv(sizes[dim], blocks[dim]), block, flags)

    return walk(0, (), {}, zeros(grid, i8))


def _loop(extent: Index, body: Callable[[Index, ir.Value], ir.Value], carried: ir.Value) -> ir.Value:
    (out,) = for_loop(0, extent, lambda i, c: [body(i, c)], [carried])
    return out


def _list_flags(flags: ir.Value, grid: Sequence[Index]) -> ir.Value:
    """Coordinates of the flagged cells, in row-major order.

    The next coordinate is always stored and kept only when its cell is flagged: no branch.
    """
    rank, index = len(grid), ir.IndexType.get()
    capacity: Index = 1
    for n in grid:
        capacity = mul(capacity, n)
    i32 = list_type(rank).element_type
    coordinates = tensor.EmptyOp([capacity] if rank == 1 else [capacity, rank], i32).result

    def visit(axis: int, cell: tuple, coordinates: ir.Value, count: ir.Value) -> list[ir.Value]:
        if axis < rank:
            return for_loop(0, grid[axis], lambda c, *state: visit(axis + 1, (*cell, c), *state), [coordinates, count])
        for a, c in enumerate(cell):
            at = [count] if rank == 1 else [count, value(a)]
            coordinates = tensor.insert(arith.index_castui(i32, value(c)), coordinates, at)
        flag = arith.index_castui(index, tensor.extract(flags, [value(c) for c in cell]))
        return [coordinates, arith.addi(count, flag)]

    coordinates, count = visit(0, (), coordinates, value(0))
    return cut(coordinates, [Span(0, count)] + ([Span(0, rank)] if rank > 1 else []))
