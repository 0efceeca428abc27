"""Which panels the first tile of rows packs as it meets them, and how."""

from pith._mlir import arith, ir

from ... import builder as b
from ...builder import Index
from ..pack import Panel, pack_walked
from ..walk import Walk
from .product import DenseProduct
from .unpacked import Unpacked

#: Bytes of a panel's row from which on: two cache lines. One thread, 16, 24 and 48 rows times 1024x1024 f32 packed
#: along and before: 0.35 and 0.45, 0.41 and 0.77, 0.69 and 0.93 ms (torch 0.31, 0.40, 0.73; Emerald Rapids, 2026-11).
LEAST_BYTES = 128

#: With those, rows for which panels are not worth packing. One, two and three rows times 1024x4096 f32 take 0.73, 0.76
#: and 0.78 ms on panels, 0.66, 0.85 and 1.06 without (Emerald Rapids, 2026-11).
FEW_UNPACKED_ROWS = 1


def pack_along(
    product: DenseProduct,
    panel: Panel,
    first_col: Index,
    chunk: Index,
    source: ir.Value,
    reds: Walk,
    sums: ir.Value | None,
) -> Index:
    """Pack a panel before its first chunk; returns how many rows were multiplied with it by that.

    Args:
        source: ``(reds, cols)``.
        sums: from :meth:`DenseProduct.room`.
    """
    cols, lanes = product.cols, product.lanes

    def whole() -> list[ir.Value]:
        height = product.tile.variant.rows
        count, first = product.rows.count, b.add(cols.first, first_col)
        met = b.less(height, count) if not isinstance(count, int) else None  # again, by other rows
        alone = isinstance(count, int) and count <= height
        besides = product.besides_packing(first_col)
        row = Unpacked(source, reds, first, product.element, None if alone else panel, met, lanes, besides)
        product.pack(row, first_col, sums)
        return [b.value(height)]

    def ragged() -> list[ir.Value]:
        lo, hi = product.span
        part = reds.part(lo, b.sub(hi, lo)) if product.block else reds
        pack_walked(source, False, panel.panels, b.div(first_col, lanes), part, cols, lanes, panel.number)
        return [b.value(0)]

    def pack() -> list[ir.Value]:
        if product.is_whole:
            return whole()
        if isinstance(cols.count, int) and cols.count < lanes:
            return ragged()
        fits = b.less(b.add(first_col, lanes - 1), cols.count)
        return b.if_else(fits, whole, ragged, [ir.IndexType.get()])

    if isinstance(chunk, int) and (product.following is None or chunk > 0):
        return pack()[0] if chunk == 0 else 0
    is_first = arith.cmpi(arith.CmpIPredicate.eq, b.value(chunk), b.value(0))
    if product.following is not None:
        is_packed = product.following.is_packed(first_col)
        is_first = arith.andi(is_first, arith.xori(is_packed, arith.constant(is_packed.type, True)))
    return b.if_else(is_first, pack, lambda: [b.value(0)], [ir.IndexType.get()])[0]
