"""Infinities and NaNs of the dense operand: they must not meet elements that are not stored.

A tile multiplies everything in it, and ``0 * inf`` is NaN. So the packed operand has zeros in their
place, and in the rare case that there were any, their products with stored elements are added at the end.
"""

import dataclasses
import functools
from collections.abc import Sequence

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..sparse.levels import Cursor, Storage, descend, load_value, start, walk
from .pack import Panels

#: The exponent of a bf16: all ones in infinities and NaNs, and in nothing else.
EXPONENT = 0x7F80


def clear_special(p: Panels, flags: ir.Value, panel: ir.Value) -> None:
    """Replace infinities and NaNs in a packed panel by zeros; ``flags[panel]`` says whether there were any."""
    bits = ir.VectorType.get(p.unit.panel_row.shape, ir.IntegerType.get_signless(16))
    exponent = vector.broadcast(bits, arith.constant(bits.element_type, EXPONENT))
    zero = vector.broadcast(p.unit.panel_row, b.zero_of(p.unit.element))

    def row(r: Index, seen: ir.Value) -> list[ir.Value]:
        at = [panel, b.value(r), b.value(0)]
        values = vector.load(p.unit.panel_row, p.buffer, at)
        special = _is(exponent, vector.bitcast(bits, values))
        vector.store(arith.select(special, zero, values), p.buffer, at)
        return [arith.ori(seen, arith.extui(bits, special))]

    none = vector.broadcast(bits, b.zero_of(bits.element_type))
    (seen,) = b.for_loop(0, b.mul(p.tiles, p.unit.panel_rows), row, [none])
    memref.store(vector.reduction(bits.element_type, vector.CombiningKind.OR, seen), flags, [panel])


def had_special(flags: ir.Value, panels: Sequence[Index]) -> ir.Value:
    """True when one of the panels had infinities or NaNs."""
    zero = b.zero_of(flags.type.element_type)
    found = [arith.cmpi(arith.CmpIPredicate.ne, memref.load(flags, [b.value(n)]), zero) for n in panels]
    return functools.reduce(arith.ori, found)


@dataclasses.dataclass(frozen=True)
class Corrected:
    """A piece of the output whose sums lack the products with infinities and NaNs.

    Attributes:
        sums: the piece, ``(rows, columns)``.
        corner: where it begins.
        columns: how many of its columns the output has.
    """

    sums: ir.Value
    corner: tuple[Index, Index]
    columns: Index


def add_special(p: Panels, storage: Storage, row_dim: int, piece: Corrected) -> None:
    """Add the products of stored elements with infinities and NaNs to a piece of the output."""
    first, height, div = piece.corner[0], piece.sums.type.shape[0], storage.format.exprs[0].div
    lo = b.div(first, div)
    hi = b.minimum(b.ceildiv(b.add(first, height), div), storage.level_sizes[0])

    def leaf(at: Cursor, carried: list[ir.Value]) -> list[ir.Value]:
        row = b.value(b.sub(at.coords[row_dim], first))
        inside = arith.cmpi(arith.CmpIPredicate.ult, row, b.value(height))
        b.if_else(inside, lambda: _add_row(p, storage, piece, at, row, at.coords[1 - row_dim]))
        return carried

    b.for_loop(lo, hi, lambda c: walk(storage, descend(storage, start(storage.format), c, c), leaf))


def _add_row(p: Panels, storage: Storage, piece: Corrected, at: Cursor, row: ir.Value, red: Index) -> None:
    """Add the products of one stored element."""
    k = b.value(red)

    def column(j: Index) -> None:
        col = b.value(b.add(piece.corner[1], j))
        value = memref.load(p.source, [col, k] if p.transposed else [k, col])
        bits = arith.bitcast(ir.IntegerType.get_signless(16), value)
        b.if_else(_is(arith.constant(bits.type, EXPONENT), bits), lambda: add(value, [row, b.value(j)]))

    def add(value: ir.Value, where: list[ir.Value]) -> None:
        stored = load_value(storage, at.position)
        product = arith.mulf(*(arith.extf(p.unit.acc, v) for v in (stored, value)))
        memref.store(arith.addf(memref.load(piece.sums, where), product), piece.sums, where)

    less = arith.cmpi(arith.CmpIPredicate.ult, k, b.value(p.reds))
    b.if_else(less, lambda: b.for_loop(0, piece.columns, column))


def _is(exponent: ir.Value, bits: ir.Value) -> ir.Value:
    return arith.cmpi(arith.CmpIPredicate.eq, arith.andi(bits, exponent), exponent)
