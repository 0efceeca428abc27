"""Run-time sparsity as an SSA value: the type ``!pith.pattern``."""

import dataclasses
from collections.abc import Sequence

from pith._mlir import ir
from pith.errors import FormatError
from pith.formats import DYNAMIC

from .fields import read_ints
from .pith import Pith


@dataclasses.dataclass(frozen=True)
class PatternShape:
    """What a pattern type says: the axes' sizes and the extents of a micro-tile along them.

    Attributes:
        sizes: elements along every axis, :data:`pith.formats.DYNAMIC` when known at run time only.
        granularity: elements of a micro-tile along every axis.

    Errors: :class:`pith.FormatError` for no axes, unequal lengths, a negative size other than
        DYNAMIC, or a granularity below 1.

    Example:
        >>> PatternShape((100, -1), (32, 1)).grid
        (4, -1)
    """

    sizes: tuple[int, ...]
    granularity: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.sizes:
            raise FormatError("pattern expects at least one axis")
        if len(self.sizes) != len(self.granularity):
            raise FormatError(
                f"pattern expects one granularity per axis, got {len(self.granularity)} for {len(self.sizes)}"
            )
        for i, (size, gran) in enumerate(zip(self.sizes, self.granularity)):
            if size < 0 and size != DYNAMIC:
                raise FormatError(f"pattern axis {i} expects a size >= 0, or -1 for dynamic, got {size}")
            if gran < 1:
                raise FormatError(f"pattern axis {i} expects a granularity >= 1, got {gran}")

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.sizes)

    @property
    def grid(self) -> tuple[int, ...]:
        """Micro-tiles along every axis (the last may be partial); DYNAMIC stays DYNAMIC."""
        return tuple(s if s == DYNAMIC else -(-s // g) for s, g in zip(self.sizes, self.granularity))


class PatternType(Pith.Type, name="pattern"):
    """``!pith.pattern<[sizes], [granularity]>``: which micro-tiles of some axes are present, known at run time.

    Semantics: a value is an unordered list of distinct micro-tile coordinates and their count.
        A coordinate has one entry per axis, in units of the granularity; the elements it names
        along axis i are ``c * granularity[i]`` up to (excluding) ``(c + 1) * granularity[i]``,
        cut off at the axis size. One pattern may serve any number of ops.
    Shapes: one size (-1: dynamic) and one granularity per axis. The count is never in the type,
        so a change of the pattern never recompiles; on a GPU it never leaves the device.
    Errors: "pattern expects at least one axis", "one granularity per axis", "a size >= 0",
        "a granularity >= 1".
    Source: Zheng et al., PIT, SOSP 2023 (micro-tiles and their unordered index).
    Example: ``!pith.pattern<[4096, -1], [1, 64]>`` lists (row, 64-column block) pairs.
    """

    sizes: ir.ArrayAttr
    granularity: ir.ArrayAttr

    @classmethod
    def from_shape(cls, sizes: Sequence[int], granularity: Sequence[int]) -> "PatternType":
        """The type over axes of ``sizes`` with micro-tiles of ``granularity`` (in the current context)."""
        shape = PatternShape(tuple(sizes), tuple(granularity))
        i64 = ir.IntegerType.get_signless(64)
        lists = ([ir.IntegerAttr.get(i64, v) for v in values] for values in (shape.sizes, shape.granularity))
        return cls.get(*(ir.ArrayAttr.get(items) for items in lists))

    def to_shape(self) -> PatternShape:
        """The checked sizes and granularity. Errors: :class:`pith.FormatError`."""
        return PatternShape(
            read_ints(self.sizes, "sizes of a pattern"), read_ints(self.granularity, "granularity of a pattern")
        )
