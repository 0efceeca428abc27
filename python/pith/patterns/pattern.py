"""A run-time pattern as a value: :class:`Pattern`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..foreign_names import INSTEAD_OF_PATTERNS, ForeignNames
from ..untraced import whole
from . import algebra, build, cells
from .check import coordinates_of, granularity_of, grid_of, sizes_of


@whole
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Pattern(ForeignNames):
    """Which micro-tiles of some axes are present: an unordered list of distinct coordinates.

    One pattern can serve any number of operations, and a new pattern compiles nothing.

    Shapes: one size and one granularity per axis; ``coordinates``: int32, ``(count,)`` over one axis, else
        ``(count, axes)``, in units of the granularity; a read-only copy of what was given.
    Semantics: coordinate c of an axis names its elements ``c * granularity`` up to (excluding)
        ``(c + 1) * granularity``, cut off at the size. The order of the list means nothing; two patterns are
        equal when they name the same micro-tiles of the same grid. ``|``, ``&`` and ``~`` are union,
        intersection and complement.
    Errors: :class:`pith.CheckError` for a coordinate past the grid or listed twice; :class:`pith.ShapeError`
        for coordinates of another shape, for set operations on different grids, and for a complement of 2^31
        micro-tiles or more; :class:`pith.FormatError` for a granularity below 1; :class:`pith.DTypeError` for
        indices that are no integers.
    Source: Zheng et al., PIT, SOSP 2023 (micro-tiles and their unordered index).

    Example:
        >>> p = Pattern.from_indices([3, 1], sizes=5)
        >>> p, p.mask()
        (<pith pattern: 2 of 5 over [5]>, array([False,  True, False,  True, False]))
        >>> (~p).indices()[0]
        array([0, 2, 4])
        >>> Pattern.from_mask(np.eye(4) > 0, (1, 2)).coordinates.tolist()
        [[0, 0], [1, 0], [2, 1], [3, 1]]
    """

    sizes: tuple[int, ...]
    granularity: tuple[int, ...]
    coordinates: np.ndarray

    INSTEAD = INSTEAD_OF_PATTERNS

    def __post_init__(self) -> None:
        sizes = sizes_of(self.sizes)
        granularity = granularity_of(self.granularity, len(sizes))
        grid = grid_of(sizes, granularity)
        coordinates = coordinates_of(self.coordinates, grid, "pattern")
        cells.require_distinct(coordinates, grid, "pattern")
        self._set(sizes, granularity, coordinates)

    @classmethod
    def trusted(cls, sizes: tuple[int, ...], granularity: tuple[int, ...], coordinates: np.ndarray) -> Pattern:
        """A pattern whose parts are known to be right (a kernel's result): nothing is checked or copied.

        The coordinates become read-only.
        """
        made = object.__new__(cls)
        made._set(sizes, granularity, coordinates)
        return made

    def _set(self, sizes: tuple[int, ...], granularity: tuple[int, ...], coordinates: np.ndarray) -> None:
        coordinates.flags.writeable = False
        self.__dict__.update(sizes=sizes, granularity=granularity, coordinates=coordinates)

    # -- building -----------------------------------------------------------------------

    @classmethod
    def from_indices(
        cls, indices: Any, sizes: int | Sequence[int], granularity: int | Sequence[int] = 1, *, unique: bool = False
    ) -> Pattern:
        """The micro-tiles with the coordinates ``indices`` (array, tensor or list).

        Shapes: indices: ``(count,)`` for one axis, else ``(count, axes)``, in units of the granularity.
        Errors: as :class:`Pattern`; ``unique=True`` removes repetitions instead of refusing them.

        Example:
            >>> Pattern.from_indices([[0, 1], [0, 1]], sizes=(2, 8), granularity=(1, 4), unique=True).count
            1
        """
        axes = sizes_of(sizes)
        extents = granularity_of(granularity, len(axes))
        if not unique:
            return cls(axes, extents, indices)
        grid = grid_of(axes, extents)
        numbers = cells.number(coordinates_of(indices, grid, "indices"), grid)
        return cls.trusted(axes, extents, cells.locate(cells.distinct(numbers, math.prod(grid)), grid))

    @classmethod
    def from_list(cls, listed: Any, sizes: int | Sequence[int], granularity: int | Sequence[int] = 1) -> Pattern:
        """The pattern of a list that a GPU program made: how many micro-tiles it found, then their coordinates.

        Shapes: listed: int32, ``(1 + room * axes,)``, copied from the device (which waits for the program).
        Errors: :class:`pith.CheckError` when more was found than the list has room for (``pith.buffer``), and as
            :class:`Pattern`.

        Example:
            >>> Pattern.from_list(np.int32([2, 0, 1, 2, 3, 9, 9]), (4, 8), (1, 2)).coordinates.tolist()
            [[0, 1], [2, 3]]
        """
        return cls(*build.from_list(listed, sizes, granularity))

    @classmethod
    def from_mask(cls, mask: Any, granularity: int | Sequence[int] = 1) -> Pattern:
        """The micro-tiles of ``mask`` that hold anything but False or zero; one axis per dimension.

        Example:
            >>> Pattern.from_mask([False, False, True], 2).coordinates
            array([1], dtype=int32)
        """
        return cls.trusted(*build.from_mask(mask, granularity))

    @classmethod
    def from_lengths(cls, lengths: Any, size: int, granularity: int = 1) -> Pattern:
        """The first ``lengths[b]`` of the ``size`` positions of every sequence b; axes (batch, position).

        Semantics: with a granularity g, blocks of g positions of which the first is used.
        Errors: :class:`pith.CheckError` for a length below 0 or above ``size``.

        Example:
            >>> Pattern.from_lengths([2, 0, 1], size=4).coordinates.tolist()
            [[0, 0], [0, 1], [2, 0]]
        """
        return cls.trusted(*build.from_lengths(lengths, size, granularity))

    @classmethod
    def from_routing(cls, experts: Any, n_experts: int) -> Pattern:
        """Which expert each token goes to; axes (token, expert).

        Shapes: experts: ``(tokens,)``, or ``(tokens, k)`` for k experts per token.
        Errors: :class:`pith.CheckError` for an expert outside of ``[0, n_experts)`` or named twice by a token.

        Example:
            >>> Pattern.from_routing([[1, 0], [1, 2]], n_experts=3).coordinates.tolist()
            [[0, 1], [0, 0], [1, 1], [1, 2]]
        """
        return cls.trusted(*build.from_routing(experts, n_experts))

    @classmethod
    def top_k(cls, scores: Any, k: int) -> Pattern:
        """The ``k`` largest of every row of ``scores``; one axis per dimension (at most two).

        Semantics: NaN is larger than all numbers; of equal scores the first are taken.
        Errors: :class:`pith.ShapeError` for k below 0 or above the length of a row.

        Example:
            >>> Pattern.top_k(np.array([[1.0, 5.0, 3.0], [2.0, 2.0, 2.0]]), 2).mask()
            array([[False,  True,  True],
                   [ True,  True, False]])
        """
        return cls.trusted(*build.top_k(scores, k))

    # -- looking ------------------------------------------------------------------------

    @property
    def grid(self) -> tuple[int, ...]:
        """Micro-tiles along every axis; the last of an axis may be partial."""
        return tuple(-(-s // g) for s, g in zip(self.sizes, self.granularity))

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.sizes)

    @property
    def count(self) -> int:
        """How many micro-tiles are listed."""
        return len(self.coordinates)

    @property
    def density(self) -> float:
        """Share of the micro-tiles that are listed (0.0 of an empty grid)."""
        total = math.prod(self.grid)
        return self.count / total if total else 0.0

    def mask(self) -> np.ndarray:
        """True for the listed micro-tiles; of the shape of :attr:`grid`."""
        return algebra.mask_of(self.coordinates, self.grid)

    def indices(self) -> tuple[np.ndarray, ...]:
        """The named elements in row-major order, one array per axis: ``x[pattern.indices()]`` are their values.

        Example:
            >>> Pattern.from_indices([1], sizes=3, granularity=2).indices()
            (array([2]),)
        """
        keep = self.mask()
        for axis, (size, extent) in enumerate(zip(self.sizes, self.granularity)):
            keep = np.repeat(keep, extent, axis)[(slice(None),) * axis + (slice(size),)] if extent > 1 else keep
        return np.nonzero(keep)

    def __repr__(self) -> str:
        total = "x".join(map(str, self.grid))
        plain = all(g == 1 for g in self.granularity)
        blocks = "" if plain else f" in micro-tiles of {list(self.granularity)}"
        return f"<pith pattern: {self.count} of {total} over {list(self.sizes)}{blocks}>"

    def __len__(self) -> int:
        return self.count

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pattern):
            return NotImplemented
        if (self.sizes, self.granularity, self.count) != (other.sizes, other.granularity, other.count):
            return False
        mine, theirs = (np.sort(cells.number(p.coordinates, p.grid)) for p in (self, other))
        return bool(np.array_equal(mine, theirs))

    def __hash__(self) -> int:
        return hash((self.sizes, self.granularity, self.count))

    # -- deriving -----------------------------------------------------------------------

    def __or__(self, other: Pattern) -> Pattern:
        """The micro-tiles that either names."""
        return self._combined("union", self, self._same_grid(other, "|"))

    def __and__(self, other: Pattern) -> Pattern:
        """The micro-tiles that both name."""
        return self._combined("intersection", self, self._same_grid(other, "&"))

    def __invert__(self) -> Pattern:
        """The micro-tiles that are not named."""
        return self._combined("complement", self)

    def sorted(self) -> Pattern:
        """This pattern with its coordinates in row-major order."""
        return self.trusted(
            self.sizes, self.granularity, cells.locate(np.sort(cells.number(self.coordinates, self.grid)), self.grid)
        )

    def coarsen(self, granularity: int | Sequence[int]) -> Pattern:
        """The larger micro-tiles that hold any of these.

        Errors: :class:`pith.ShapeError` when an extent is no multiple of the present one.

        Example:
            >>> Pattern.from_indices([0, 1, 5], sizes=8).coarsen(2).coordinates
            array([0, 2], dtype=int32)
        """
        wider = granularity_of(granularity, self.rank)
        for axis, (new, old) in enumerate(zip(wider, self.granularity)):
            if new % old:
                raise ShapeError(
                    f"axis {axis} expects a multiple of {old}, got {new}",
                    where="coarsen",
                    hint="detect at the new granularity instead",
                )
        ratio = [new // old for new, old in zip(wider, self.granularity)]
        wide = self.coordinates // np.array(ratio if self.rank > 1 else ratio[0], np.int32)
        return self.from_indices(wide, self.sizes, wider, unique=True)

    def flatten(self) -> Pattern:
        """The same elements of the axes taken as one, in row-major order: (batch, position) becomes token.

        Errors: :class:`pith.ShapeError` when micro-tiles are no runs of that axis: they must be 1 element wide
            along all axes but the last, and divide that one.

        Example:
            >>> Pattern.from_lengths([2, 1], size=3).flatten().coordinates
            array([0, 1, 3], dtype=int32)
        """
        *outer, extent = self.granularity
        if any(g != 1 for g in outer) or self.sizes[-1] % extent:
            raise ShapeError(
                f"micro-tiles of {list(self.granularity)} over {list(self.sizes)} are no runs of the flattened axis",
                where="flatten",
                hint="granularity 1 on all axes but the last, and a divisor of that one",
            )
        size = math.prod(self.sizes)
        grid_of((size,), (extent,))
        flat = cells.number(self.coordinates, self.grid).astype(np.int32)
        return self.trusted((size,), (extent,), flat)

    def _combined(self, name: str, *patterns: Pattern) -> Pattern:
        listed = algebra.combine(name, self.sizes, self.granularity, *(p.coordinates for p in patterns))
        return self.trusted(self.sizes, self.granularity, listed)

    def _same_grid(self, other: Any, operator: str) -> Pattern:
        if not isinstance(other, Pattern):
            hint = "pith.Pattern.from_mask(mask, granularity)"
            raise ArgumentError(f"expects two patterns, got {type(other).__name__}", where=operator, hint=hint)
        if (self.sizes, self.granularity) != (other.sizes, other.granularity):
            raise ShapeError(
                f"patterns of different grids: {other!r} and {self!r}",
                where=operator,
                hint="coarsen() the finer one, or detect both at one granularity",
            )
        return other
