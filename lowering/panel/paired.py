"""Which stored elements are multiplied in pairs, by dot instructions. Needs no MLIR, as variant.py."""

from __future__ import annotations

import dataclasses
import math

from ..isa import Isa
from .roles import Roles
from .variant import MOST_OPERATIONS, Variant

#: Types of stored and of dense elements and of sums, where a dot instruction does two products of one sum.
PAIRED = ("bf16", "bf16", "f32")

#: Columns that two shuffles interleave.
COLUMNS = 32


def in_pairs(roles: Roles, elements: tuple[str, str, str], lanes: int, multiple: int, isa: Isa) -> bool:
    """True where tiles of ``lanes`` columns multiply neighbours of a row together (``stored/pairs.py``).

    Rows have to be groups ``G:H`` all along: then neighbours are known now. Of those that one step of the loop visits,
    none may be left over.

    Args:
        elements: types of stored and of dense elements and of sums.
        multiple: a number known to divide the contracted size.

    >>> from pith.formats import HSS
    >>> from pith.lowering.isa import ISAS
    >>> two, one = (Roles.of(HSS.parse(text).to_format(), 0) for text in ("C0(2:4)", "C0(1:4)"))
    >>> [in_pairs(two, PAIRED, lanes, 64, ISAS["avx512-bf16"]) for lanes in (16, 32, 64)]
    [False, True, True]
    >>> [in_pairs(one, PAIRED, 64, multiple, ISAS["avx512-bf16"]) for multiple in (4, 16)]
    [False, True]
    >>> odd = Roles.of(HSS.parse("C1(7:8)->C0(15:16)").to_format(), 0)
    >>> in_pairs(odd, PAIRED, 64, 1024, ISAS["avx512-bf16"])
    False
    """
    if elements != PAIRED or not isa.shuffles_beside_dots or lanes % COLUMNS or not roles.gathers:
        return False
    levels, step = roles.format.levels, roles.format.exprs[1].div
    if any(level.kind != "nm" for level in levels[2:]):
        return False
    entries, bits = 1, []
    for i, level in enumerate(levels[2:], 2):
        entries *= level.g
        bits.append(entries * roles.format.coord_bits(i) if level.has_coordinates else 8)
    unit = math.lcm(*(8 // math.gcd(8, count) for count in bits))  # groups whose coordinates are whole bytes
    unrolled = unit * entries * (lanes // COLUMNS) <= MOST_OPERATIONS  # else the stream's loops take single groups
    whole = unrolled and multiple % (step * unit) == 0
    return entries * (unit if whole else 1) % 2 == 0


def paired_variant(variant: Variant, roles: Roles, elements: tuple[str, str, str], multiple: int, isa: Isa) -> Variant:
    """The same register tile, or one of whole :data:`COLUMNS` where that makes pairs of what it multiplies.

    >>> from pith.formats import HSS
    >>> from pith.lowering.isa import ISAS
    >>> two = Roles.of(HSS.parse("C0(2:4)").to_format(), 0)
    >>> [paired_variant(Variant(n, 1), two, PAIRED, 64, ISAS["avx512-bf16"]).lanes for n in (1, 16, 24, 48, 64)]
    [1, 16, 32, 64, 64]
    """
    lanes = -(-variant.lanes // COLUMNS) * COLUMNS
    if variant.lanes <= COLUMNS // 2 or not in_pairs(roles, elements, lanes, multiple, isa):
        return variant
    return dataclasses.replace(variant, lanes=lanes)
