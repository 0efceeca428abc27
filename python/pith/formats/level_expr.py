"""What a level's coordinate is of a tensor's coordinates: a digit of one, or the difference of two."""

from __future__ import annotations

import dataclasses

from .whole import settle_whole

#: Marks a dimension whose size is known only at run time.
DYNAMIC = -1


@dataclasses.dataclass(frozen=True)
class LevelExpr:
    """Coordinate of a level: ``(d floordiv div) mod mod`` of dimension ``dim`` (``mod`` 0: none), or a diagonal.

    Attributes:
        minus: the dimension that is subtracted from ``dim``; None for digits. ``d1 - d0`` numbers the diagonals of
            a matrix: 0 the main one, 1 the one above it.

    Example:
        >>> print(LevelExpr(1, 4, 2), "|", LevelExpr(1, minus=0))
        (d1 floordiv 4) mod 2 | d1 - d0
    """

    dim: int
    div: int = 1
    mod: int = 0
    minus: int | None = None

    def __post_init__(self) -> None:
        settle_whole(self, "a level's expression", "dim", "div", "mod")

    def size(self, dim_size: int) -> int:
        """Number of coordinates of a digit, for a dimension of ``dim_size`` (DYNAMIC stays DYNAMIC)."""
        if self.mod:
            return self.mod
        return DYNAMIC if dim_size == DYNAMIC else -(-dim_size // self.div)

    def __str__(self) -> str:
        if self.minus is not None:
            return f"d{self.dim} - d{self.minus}"
        text = f"d{self.dim}" if self.div == 1 else f"d{self.dim} floordiv {self.div}"
        if not self.mod:
            return text
        return f"({text}) mod {self.mod}" if self.div > 1 else f"{text} mod {self.mod}"
