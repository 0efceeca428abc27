"""Analysis: formats whose rows are small groups, several of which fill a row of a tile."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

from pith.formats import Format

#: Most choices of slots: beyond, one element at a time is less work.
MOST_CHOICES = 16


@dataclasses.dataclass(frozen=True)
class GroupLevel:
    """An ``nm`` level: ``g`` of ``h`` children of ``div`` coordinates each, coordinates of ``width`` bits."""

    number: int
    g: int
    h: int
    div: int
    width: int

    @property
    def is_dense(self) -> bool:
        """True when every coordinate is kept."""
        return self.g == self.h


@dataclasses.dataclass(frozen=True)
class GroupLayout:
    """Groups of contracted coordinates, as many in a row of a tile as fit.

    Attributes:
        span: coordinates of one group.
        groups: groups in a row of a tile.
        levels: the levels of a group, outermost first.
    """

    span: int
    groups: int
    levels: tuple[GroupLevel, ...]

    @classmethod
    def of(cls, fmt: Format, row_dim: int, depth: int, dword: int) -> "GroupLayout | None":
        """The layout of a format whose rows are groups of ``nm`` levels; None for others and for unwieldy ones.

        Args:
            depth, dword: contracted coordinates in a row of a tile, and in a dword of it.
        """
        red_dim = 1 - row_dim
        if [e.dim for e in fmt.exprs] != [row_dim] + [red_dim] * (len(fmt.exprs) - 1) or len(fmt.exprs) < 3:
            return None
        span, below = fmt.exprs[1].div, range(2, len(fmt.levels))
        counts = [n for n in range(1, depth // span + 1) if n * span % dword == 0]
        if fmt.exprs[0].div != 1 or fmt.exprs[-1].div != 1 or not all(level.is_dense for level in fmt.levels[:2]):
            return None
        if not counts or any(fmt.levels[i].kind != "nm" for i in below):
            return None
        levels = tuple(
            GroupLevel(i, fmt.levels[i].g, fmt.levels[i].h, fmt.exprs[i].div, fmt.coord_bits(i)) for i in below
        )
        layout = cls(span, counts[-1], levels)
        return layout if layout.is_handy else None

    @property
    def is_handy(self) -> bool:
        """True when there are few choices, and coordinates of a tile's row begin on bytes."""
        sparse = [(n, level) for n, level in enumerate(self.levels) if not level.is_dense]
        if not sparse or math.prod(level.g for _, level in sparse) > MOST_CHOICES:
            return False
        return all(level.width <= 8 and _begins_handy(self.entries(n) * level.width) for n, level in sparse)

    @property
    def pitch(self) -> int:
        """Contracted coordinates in a row of a tile; the lanes from there on are zero."""
        return self.span * self.groups

    def entries(self, n: int) -> int:
        """Positions of level ``n`` in a row of a tile."""
        return self.groups * math.prod(level.g for level in self.levels[: n + 1])

    def choices(self) -> itertools.product:
        """All choices of a slot per level; in dense levels the lane decides."""
        return itertools.product(*([None] if level.is_dense else range(level.g) for level in self.levels))

    def path(self, lane: int, slots: Sequence[int | None]) -> list[tuple[int, int]]:
        """Per level, the position that a lane looks at for a choice of slots, and its own coordinate there."""
        position, rest = divmod(lane, self.span)
        out = []
        for level, slot in zip(self.levels, slots):
            coordinate, rest = divmod(rest, level.div)
            position = position * level.g + (coordinate if slot is None else slot)
            out.append((position, coordinate))
        return out


def _begins_handy(bits: int) -> bool:
    """True for whole bytes, and for parts of one byte."""
    return bits % 8 == 0 or 8 % bits == 0
