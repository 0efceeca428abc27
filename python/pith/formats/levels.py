"""Levels: what one storage level of a format says about the coordinates it holds.

A level is a node of the fibertree view: given a parent position it enumerates
(coordinate, child position) pairs. The vocabulary is that of ``sparse_tensor`` plus
``nm<G,H>``, which may stand at any depth and any number of times, and ``band(l:u)`` of diagonals.
"""

from __future__ import annotations

import dataclasses
import re

from ..errors import FormatError
from .level_expr import DYNAMIC
from .whole import settle_whole

#: Kinds of level, spelled as in IR (``#pith.level<"kind">``); ``nm`` is ``#pith.nm<G, H>``.
KINDS = ("dense", "compressed", "loose_compressed", "singleton", "bitmask", "nm", "band")


@dataclasses.dataclass(frozen=True)
class Level:
    """One storage level.

    Attributes:
        kind: one of :data:`KINDS`.
        g, h: for ``nm``: at most ``g`` of every ``h`` coordinates are stored. Zero otherwise.
        lower, upper: for ``band``: the diagonals from ``-lower`` to ``upper`` are stored, all of them.
        unique: False when a coordinate may repeat below one parent (the leading level of COO).
        ordered: False when coordinates below one parent may come in any order.

    Example:
        >>> Level.nm(2, 4).density
        0.5
        >>> str(Level("compressed", unique=False))
        'compressed(nonunique)'
    """

    kind: str
    g: int = 0
    h: int = 0
    unique: bool = True
    ordered: bool = True
    lower: int = 0
    upper: int = 0

    def __post_init__(self) -> None:
        settle_whole(self, "a level", "g", "h", "lower", "upper")
        if not isinstance(self.kind, str) or self.kind not in KINDS:
            raise FormatError(f"unknown level {self.kind!r}", hint="one of " + ", ".join(KINDS))
        if self.kind == "nm":
            if not 1 <= self.g <= self.h:
                raise FormatError(f"nm level expects 1 <= G <= H, got {self.g}:{self.h}")
            if self.h > 2**31:
                raise FormatError(f"nm level expects H <= 2^31, got {self.h}", hint="use a compressed level")
        elif self.g or self.h:
            raise FormatError(f"level {self.kind!r} takes no G:H")
        if self.kind != "band" and (self.lower or self.upper):
            raise FormatError(f"level {self.kind!r} takes no diagonals l:u")
        if self.lower < 0 or self.upper < 0:
            raise FormatError(
                f"band(l:u) expects l >= 0 and u >= 0, got {self.lower}:{self.upper}",
                hint="band(1:2) holds the main diagonal, one below it and two above it",
            )
        if self.kind in ("dense", "bitmask", "nm", "band") and not (self.unique and self.ordered):
            raise FormatError(f"level {self.kind!r} is always unique and ordered")

    @classmethod
    def nm(cls, g: int, h: int) -> Level:
        """The level that keeps at most ``g`` of every ``h`` coordinates."""
        return cls("nm", g, h)

    @classmethod
    def band(cls, lower: int, upper: int) -> Level:
        """The level of the diagonals from ``lower`` below to ``upper`` above the main one."""
        return cls("band", lower=lower, upper=upper)

    @classmethod
    def parse(cls, text: str) -> Level:
        """Parse ``dense``, ``compressed(nonunique, nonordered)``, ``nm(2:4)``, ..."""
        match = re.fullmatch(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*", text)
        if not match:
            raise FormatError(f"cannot parse level {text!r}", hint="e.g. dense, compressed(nonunique), nm(2:4)")
        kind, inner = match[1], (match[2] or "").strip()
        if kind in ("nm", "band"):
            numbers = re.fullmatch(r"(-?\d+)\s*:\s*(-?\d+)", inner)
            if not numbers:
                write = "nm(G:H), e.g. nm(2:4)" if kind == "nm" else "band(lower:upper), e.g. band(1:1)"
                raise FormatError(f"cannot parse level {text!r}", hint=f"write {write}")
            return (cls.nm if kind == "nm" else cls.band)(int(numbers[1]), int(numbers[2]))
        flags = [f.strip() for f in inner.split(",") if f.strip()]
        for flag in flags:
            if flag not in ("nonunique", "nonordered"):
                raise FormatError(f"unknown level property {flag!r} in {text!r}", hint="nonunique, nonordered")
        return cls(kind, unique="nonunique" not in flags, ordered="nonordered" not in flags)

    @property
    def is_dense(self) -> bool:
        """True when every coordinate is stored, so no metadata is kept (also ``nm`` with G == H)."""
        return self.kind == "dense" or (self.kind == "nm" and self.g == self.h)

    @property
    def is_static(self) -> bool:
        """True when the number of children per parent is known from the format alone."""
        return self.kind in ("dense", "nm", "band")

    @property
    def has_positions(self) -> bool:
        """True when the level stores a positions buffer."""
        return self.kind in ("compressed", "loose_compressed", "bitmask")

    @property
    def has_coordinates(self) -> bool:
        """True when the level stores a coordinates buffer (for ``bitmask``: the bit words)."""
        return self.kind in ("compressed", "loose_compressed", "singleton", "bitmask") or (
            self.kind == "nm" and not self.is_dense
        )

    def diagonals(self, rows: int, columns: int) -> int:
        """Number of coordinates, where they are the diagonals of a matrix."""
        if self.kind == "band":
            return self.lower + self.upper + 1
        return DYNAMIC if DYNAMIC in (rows, columns) else max(0, rows + columns - 1)

    @property
    def density(self) -> float:
        """Largest share of coordinates this level can hold, as far as the format alone tells."""
        return self.g / self.h if self.kind == "nm" else 1.0

    def __str__(self) -> str:
        if self.kind == "nm":
            return f"nm({self.g}:{self.h})"
        if self.kind == "band":
            return f"band({self.lower}:{self.upper})"
        flags = [n for n, on in (("nonunique", not self.unique), ("nonordered", not self.ordered)) if on]
        return self.kind + (f"({', '.join(flags)})" if flags else "")
