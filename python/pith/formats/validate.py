"""Does a tensor obey a format? And if not: where does it break it first?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..errors import FormatError
from .diagonals import straight_coordinates
from .format import Format
from .pack_digits import differs, dim_coordinates, level_view, rounded_up, slot_limits

#: Coordinates of a group that an error lists.
_SHOWN = 16


@dataclasses.dataclass(frozen=True)
class Violation:
    """The first element, in row-major order, that a format has no room for.

    Attributes:
        level: the level that is too full (the outermost one when the element breaks several).
        group: first element of the group in the tensor, one coordinate per dimension.
        element: the element that does not fit: its coordinate is the (limit + 1)-th or later of its group.
        linear: row-major linear index of ``element``.
        held: coordinates of the level at which the group holds non-zeros.
        limit: coordinates the level can hold per group.
    """

    level: int
    group: tuple[int, ...]
    element: tuple[int, ...]
    linear: int
    held: tuple[int, ...]
    limit: int

    @property
    def count(self) -> int:
        """Coordinates of the group that hold non-zeros."""
        return len(self.held)

    def error(self, fmt: Format) -> FormatError:
        """The error that tells the user about it."""
        shown = ", ".join(map(str, self.held[:_SHOWN])) + ", ..." * (self.count > _SHOWN)
        return FormatError(
            f"tensor does not obey {fmt}: level {self.level}, {fmt.levels[self.level]}, holds at most {self.limit} "
            f"coordinate(s) per group, the group at {list(self.group)} has {self.count} with non-zeros ({shown})",
            where=f"element {list(self.element)}",
            hint="pith.prune(w, fmt) zeroes what the format cannot keep",
        )


def first_violation(dense: np.ndarray, fmt: Format) -> Violation | None:
    """The first non-zero element of ``dense`` that breaks ``fmt``; None when it obeys.

    Shapes:  dense: any rank, sizes that ``fmt`` divides unless it is padded.
    Semantics: NaN counts as non-zero, -0.0 as zero.
    Errors:  :class:`pith.ShapeError` when ``fmt`` does not divide the shape; :class:`pith.FormatError` for an
        element outside of a band, which no group holds.

    Example:
        >>> from pith.formats import HSS
        >>> v = first_violation(np.array([[1, 0, 2, 3]]), HSS.parse("C0(2:4)").to_format())
        >>> v.element, v.count, v.limit
        ((0, 3), 3, 2)
    """
    fmt.check_shape(dense.shape)
    if fmt.diagonal is not None:
        straight_coordinates(np.nonzero(dense), fmt, dense.shape)
        return None
    levels = level_view(rounded_up(dense, fmt), fmt)
    return find_violation(np.nonzero(levels), fmt, dense.shape)


def find_violation(levels: Sequence[np.ndarray], fmt: Format, shape: Sequence[int]) -> Violation | None:
    """:func:`first_violation` of elements given by lexicographically sorted level coordinates."""
    limits = slot_limits(fmt)
    count = levels[0].size
    if not limits or not count:
        return None
    strides = np.cumprod([1, *shape[:0:-1]])[::-1].tolist()
    best: tuple[int, int, int, int, tuple[int, ...]] | None = None  # linear index, level, element, group: begin, held
    changed = np.zeros(count, bool)
    changed[0] = True
    for i, c in enumerate(levels):
        first = changed | differs(c)
        if i in limits:
            begins = np.flatnonzero(changed)
            group = np.cumsum(changed) - 1
            entry = np.cumsum(first) - 1
            rank = entry - entry[begins][group]
            excess = np.flatnonzero(rank >= limits[i])
            if excess.size:
                dims = dim_coordinates([v[excess] for v in levels], fmt)
                linear = np.sum([d * s for d, s in zip(dims, strides)], axis=0)
                at = int(np.argmin(linear))
                if best is None or linear[at] < best[0]:
                    g = int(group[excess[at]])
                    best = (int(linear[at]), i, int(excess[at]), int(begins[g]), _held(g, begins, c, first))
        changed = first
    if best is None:
        return None
    linear, level, element, begin, held = best
    return Violation(
        level=level,
        group=tuple(int(d) for d in dim_coordinates([c[begin] for c in levels[:level]], fmt)),
        element=tuple(int(d) for d in dim_coordinates([c[element] for c in levels], fmt)),
        linear=linear,
        held=held,
        limit=limits[level],
    )


def _held(group: int, begins: np.ndarray, coordinates: np.ndarray, first: np.ndarray) -> tuple[int, ...]:
    """Distinct coordinates of one group; ``first`` tells where a new one begins."""
    end = begins[group + 1] if group + 1 < begins.size else coordinates.size
    part = slice(begins[group], end)
    return tuple(coordinates[part][first[part]].tolist())
