"""Formats whose rows are groups ``G:H`` side by side; no MLIR is needed to ask."""

from pith.formats import Format
from pith.formats.pack_digits import may_repeat

#: Bytes of the registers in which groups are unpacked: narrower ones have no masks.
REGISTER = 64


def spread_lanes(fmt: Format, bits: int, vector_bytes: int) -> int:
    """Elements of ``bits`` bits that are unpacked at once, zeros among them (:mod:`.decompress_groups`); 0: one by one.

    >>> from pith.formats import HSS
    >>> [spread_lanes(HSS.parse(text).to_format(), 32, 64) for text in ("C0(2:4)", "C0(3:5)", "C1(2:4)->C0(2:4)")]
    [16, 0, 0]
    """
    if vector_bytes != REGISTER or bits != 32 or not _are_groups(fmt):
        return 0
    lanes, group, width = 8 * REGISTER // bits, fmt.levels[2], fmt.coord_bits(2)
    values = lanes // group.h * group.g
    fits = lanes % group.h == 0 and lanes % values == 0 and width < 8 and values * width in (8, 16, 32)
    return lanes if fits else 0


def _are_groups(fmt: Format) -> bool:
    if len(fmt.levels) != 3 or fmt.rank != 2 or fmt.padded or fmt.diagonal is not None or may_repeat(fmt):
        return False
    rows, groups, inner = fmt.exprs
    chosen = fmt.levels[2].kind == "nm" and fmt.levels[2].has_coordinates
    plain = fmt.levels[0].is_dense and fmt.levels[1].is_dense and chosen
    whole = (rows.dim, rows.div, rows.mod) == (0, 1, 0) and groups.dim == inner.dim == 1
    return plain and whole and not groups.mod and inner.div == 1 and groups.div == inner.mod
