"""A format in words: what each level keeps, and what is stored for it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .buffers import buffer_specs
from .format import Format

if TYPE_CHECKING:
    from .hss import HSS

_LISTED = {
    "compressed": "any, as a list of coordinates",
    "loose_compressed": "any, as a list of coordinates with room to grow",
    "singleton": "one per coordinate of the level above",
    "bitmask": "any, as one bit per coordinate",
}


def explain(named: HSS | Format) -> str:
    """A table of the levels of a format, under one line of its totals.

    Units: metadata in bits per stored value where the format alone tells, else per what they are counted by.

    Example:
        >>> from pith.formats import HSS
        >>> print(explain(HSS.parse("C1(3:4)->C0(2:4)")))
        C1(3:4)->C0(2:4): at most 37.5 % of the elements are kept, 62.5 % sparse
          level                             keeps                     metadata
          d0 : dense                        all                       none
          d1 floordiv 16 : dense            all                       none
          (d1 floordiv 4) mod 4 : nm(3:4)   3 of 4 groups of 4        1 bit per value
          d1 mod 4 : nm(2:4)                2 of 4 elements           2 bits per value
          metadata: 3 bits per value; shapes: multiples of 1 x 16
    """
    fmt = named if isinstance(named, Format) else named.to_format()
    rows = [("level", "keeps", "metadata")]
    for i, (e, level) in enumerate(zip(fmt.exprs, fmt.levels)):
        rows.append((f"{e} : {level}", _keeps(fmt, i), _metadata(fmt, i)))
    first, second = (max(len(row[i]) for row in rows) + 3 for i in (0, 1))
    lines = [f"  {a:<{first}}{b:<{max(second, 26)}}{c}" for a, b, c in rows]
    return "\n".join([_totals(named, fmt), *lines, "  " + _storage(fmt)])


def _totals(named: HSS | Format, fmt: Format) -> str:
    if fmt.diagonal is not None and (band := fmt.levels[fmt.diagonal]).kind == "band":
        return f"{named}: every element of {band.lower + band.upper + 1} diagonals is kept"
    if fmt.density == 1:
        kept = "every element is kept" if fmt.is_dense else "any elements are kept; how many depends on the tensor"
        return f"{named}: {kept}"
    return f"{named}: at most {_percent(fmt.density)} of the elements are kept, {_percent(1 - fmt.density)} sparse"


def _keeps(fmt: Format, i: int) -> str:
    """What level ``i`` keeps, and of what."""
    e, level = fmt.exprs[i], fmt.levels[i]
    if level.kind == "band":
        return f"diagonals {-level.lower} to {level.upper}"
    if level.kind in _LISTED:
        listed = _LISTED[level.kind].replace("coordinates", "coordinates" if e.minus is None else "diagonals")
        return f"{listed}{f', of {e.mod}' if e.mod else ''}"
    if level.is_dense:
        return f"all {e.mod}" if e.mod else "all"
    return f"{level.g} of {level.h} {_unit(fmt, i)}"


def _unit(fmt: Format, i: int) -> str:
    """What one coordinate of level ``i`` stands for."""
    extents = [math.prod(e.mod for e in fmt.exprs[i + 1 :] if e.dim == d) for d in range(fmt.rank)]
    if not all(extents):
        return "groups"  # how large depends on the tensor
    if math.prod(extents) == max(extents):
        return "elements" if max(extents) == 1 else f"groups of {max(extents)}"
    return "blocks of " + " x ".join(map(str, extents))


def _values_below(fmt: Format, i: int) -> int:
    """Values stored below one coordinate of level ``i``; 0 when that depends on the tensor."""
    return math.prod(
        (level.g or e.mod) if level.is_static else 0 for e, level in zip(fmt.exprs[i + 1 :], fmt.levels[i + 1 :])
    )


def _metadata(fmt: Format, i: int) -> str:
    level, parts = fmt.levels[i], []
    for spec in buffer_specs(fmt):
        if spec.level != i:
            continue
        if spec.role == "positions":
            parts.append(f"{_bits(spec.bits)} per position")
        elif spec.role == "bits":
            parts.append("1 bit per coordinate")
        elif below := _values_below(fmt, i):
            parts.append(f"{_bits(spec.bits / below)} per value")
        else:
            parts.append(f"{_bits(spec.bits)} per {'entry' if level.kind != 'nm' else 'coordinate kept'}")
    return ", ".join(parts) or "none"


def _storage(fmt: Format) -> str:
    shapes = "any, stored as" if fmt.padded else ""
    multiples = f"shapes: {shapes} multiples of {' x '.join(map(str, fmt.divisors()))}".replace(":  ", ": ")
    if not fmt.is_static:
        return f"metadata: depends on the tensor; {multiples}"
    coordinates = [i for i, level in enumerate(fmt.levels) if level.has_coordinates]
    if any(not _values_below(fmt, i) for i in coordinates):
        return f"metadata: depends on the shape; {multiples}"
    total = sum(fmt.coord_bits(i) / _values_below(fmt, i) for i in coordinates)
    return f"metadata: {_bits(total) if total else 'none'}{' per value' if total else ''}; {multiples}"


def _bits(count: float) -> str:
    return f"{count:.4g} bit{'' if count == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
