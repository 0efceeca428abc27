"""Levels: what one storage level of a format says about the coordinates it holds.

A level is a node of the fibertree view: given a parent position it enumerates
(coordinate, child position) pairs. The vocabulary is that of ``sparse_tensor`` plus
``nm<G,H>``, which may stand at any depth and any number of times.
"""

from __future__ import annotations

import dataclasses
import re

from ..errors import FormatError

#: Kinds of level, spelled as in IR (``#pith.level<"kind">``); ``nm`` is ``#pith.nm<G, H>``.
KINDS = ("dense", "compressed", "loose_compressed", "singleton", "bitmask", "nm")


@dataclasses.dataclass(frozen=True)
class Level:
    """One storage level.

    Attributes:
        kind: one of :data:`KINDS`.
        g, h: for ``nm``: at most ``g`` of every ``h`` coordinates are stored. Zero otherwise.
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

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise FormatError(f"unknown level {self.kind!r}", hint="one of " + ", ".join(KINDS))
        if self.kind == "nm":
            if not 1 <= self.g <= self.h:
                raise FormatError(f"nm level expects 1 <= G <= H, got {self.g}:{self.h}")
            if self.h > 2**31:
                raise FormatError(f"nm level expects H <= 2^31, got {self.h}", hint="use a compressed level")
        elif self.g or self.h:
            raise FormatError(f"level {self.kind!r} takes no G:H")
        if self.kind in ("dense", "bitmask", "nm") and not (self.unique and self.ordered):
            raise FormatError(f"level {self.kind!r} is always unique and ordered")

    @classmethod
    def nm(cls, g: int, h: int) -> Level:
        """The level that keeps at most ``g`` of every ``h`` coordinates."""
        return cls("nm", g, h)

    @classmethod
    def parse(cls, text: str) -> Level:
        """Parse ``dense``, ``compressed(nonunique, nonordered)``, ``nm(2:4)``, ..."""
        match = re.fullmatch(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*", text)
        if not match:
            raise FormatError(f"cannot parse level {text!r}", hint="e.g. dense, compressed(nonunique), nm(2:4)")
        kind, inner = match[1], (match[2] or "").strip()
        if kind == "nm":
            gh = re.fullmatch(r"(\d+)\s*:\s*(\d+)", inner)
            if not gh:
                raise FormatError(f"cannot parse level {text!r}", hint="write nm(G:H), e.g. nm(2:4)")
            return cls.nm(int(gh[1]), int(gh[2]))
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
        return self.kind in ("dense", "nm")

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

    @property
    def density(self) -> float:
        """Largest share of coordinates this level can hold, as far as the format alone tells."""
        return self.g / self.h if self.kind == "nm" else 1.0

    def __str__(self) -> str:
        if self.kind == "nm":
            return f"nm({self.g}:{self.h})"
        flags = [n for n, on in (("nonunique", not self.unique), ("nonordered", not self.ordered)) if on]
        return self.kind + (f"({', '.join(flags)})" if flags else "")
