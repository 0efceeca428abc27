"""What the levels of a format are to a matrix product: rows of its result, contracted coordinates, what rows share.

Needs no MLIR, as variant.py.
"""

from __future__ import annotations

import dataclasses
import math

from pith.formats import Format
from pith.formats.masks import mask_level

#: Rows of a window that are visited in turns: as many unrolled blocks. Against rows told apart at run time, V(4) and
#: V(16) of C1(2:4)->C0(2:4) go from 51 to 60 and from 44 to 56 GF/s with 64 columns (Zen 3, 2026-11).
_KNOWN_ROWS = 4


@dataclasses.dataclass(frozen=True)
class Roles:
    """How the levels of a format serve a product that keeps ``row_dim`` and contracts ``red_dim``.

    Attributes:
        format, row_dim, red_dim: the operand.
        unit: rows per coordinate of the first level, when that level is dense over rows; else 0.
        inner: the levels of the row dimension below the first, outermost first.
        direct: every row is visited once, by loops that know it: the first level cuts the rows and the
            levels of ``inner`` are dense, or masks. Only then can a row's results stay in registers.
    """

    format: Format
    row_dim: int
    red_dim: int
    unit: int
    inner: tuple[int, ...]
    direct: bool

    @classmethod
    def of(cls, fmt: Format, row_dim: int) -> Roles:
        """Roles of the levels of a matrix format."""
        first, level = fmt.exprs[0], fmt.levels[0]
        unit = first.div if first.dim == row_dim and level.kind == "dense" and not first.mod else 0
        inner = tuple(i for i, e in enumerate(fmt.exprs) if i and e.dim == row_dim)
        masked = inner == (mask_level(fmt),)
        direct = bool(unit) and (masked or all(fmt.levels[i].is_dense and fmt.exprs[i].mod for i in inner))
        if fmt.diagonal is not None and (len(fmt.levels) > 2 or fmt.levels[fmt.diagonal].kind != "band"):
            direct = False  # where a row's diagonals are is known only below the levels of other rows
        return cls(fmt, row_dim, 1 - row_dim, unit, inner, direct)

    @property
    def masked(self) -> int:
        """The level of bits that say which rows of a group have a column (masks.py); 0: there is none."""
        masked = mask_level(self.format)
        return masked if self.direct and self.inner == (masked,) else 0

    @property
    def rows_differ(self) -> bool:
        """True when rows inside the first level choose coordinates of their own: then they share no panel rows."""
        last = max((i for i, level in enumerate(self.format.levels) if level.has_coordinates), default=0)
        return bool(self.inner) and self.inner[-1] < last

    @property
    def whole_bytes(self) -> int:
        """Neighbouring rows whose packed coordinates below the innermost row level begin and end on bytes."""
        rows, entries = 1, 1
        for i in range(self.inner[-1] + 1, len(self.format.levels)):
            level = self.format.levels[i]
            entries *= level.g if level.kind == "nm" else self.format.exprs[i].mod or 1
            if level.kind == "nm" and level.has_coordinates:
                rows = math.lcm(rows, 8 // math.gcd(8, entries * self.format.coord_bits(i)))
        return rows

    @property
    def shares_widely(self) -> bool:
        """True when more rows than a tile of 16 registers holds have the same coordinates."""
        return bool(self.inner) and not self.rows_differ and max(self.format.exprs[i].mod for i in self.inner) > 4

    @property
    def blocks(self) -> bool:
        """True when the innermost level counts contracted coordinates: values of one row lie side by side."""
        return self.format.exprs[-1].dim == self.red_dim

    @property
    def gathers(self) -> bool:
        """True when a row is groups ``G:H`` all along: of one column, vectors of elements can be taken at once."""
        levels = self.format.levels
        static = self.direct and not self.inner and all(level.is_static for level in levels)
        return static and not self.is_dense and len(levels) > 2 and levels[1].is_dense and levels[-1].kind == "nm"

    @property
    def shares_groups(self) -> bool:
        """True when rows side by side choose from the same groups ``G:H``: of one column, from one window of it."""
        levels, last = self.format.levels, len(self.format.levels) - 1
        return (
            self.direct
            and self.inner == (last - 1,)
            and self.format.exprs[last - 1].div == 1
            and levels[last].kind == "nm"
        )

    @property
    def reach(self) -> int:
        """Contracted coordinates that the groups ``G:H`` around an element choose from, from the first to the last."""
        levels = zip(self.format.levels, self.format.exprs)
        return 1 + sum((level.h - 1) * expr.div for level, expr in levels if level.kind == "nm")

    @property
    def is_dense(self) -> bool:
        """True when no coordinate depends on the data: all rows read the same panel rows."""
        return self.format.is_dense

    @property
    def has_strips(self) -> bool:
        """True when contracted coordinates can be cut into strips: the second level is dense over them."""
        return self.direct and len(self.format.levels) > 1 and 1 not in self.inner and self.format.levels[1].is_dense

    @property
    def has_cursors(self) -> bool:
        """True when the second level is compressed over contracted coordinates in order: a row can be resumed.

        Rows of a block are visited in several windows, which would all start where the first one stopped.
        """
        if not self.direct or len(self.format.levels) < 2 or self.inner:
            return False
        level = self.format.levels[1]
        return level.kind == "compressed" and level.ordered and level.unique

    def windows(self, rows: int) -> dict[int, int]:
        """Per inner row level, outermost first, how many of its coordinates are in the register tile at once."""
        out: dict[int, int] = {}
        for i in reversed(self.inner):
            size = self.format.exprs[i].mod
            whole = size if i == self.masked else min(size, rows)
            out[i] = next(w for w in range(whole, 0, -1) if size % w == 0)
            rows //= out[i]
        return dict(sorted(out.items()))

    def turns(self, rows: int) -> int:
        """How many tiles of ``rows`` rows with coordinates of their own are visited by code that knows which they are.

        Where a row is known, so are the bits of its coordinates in the words that it shares with its neighbours.
        """
        if not self.direct or not self.rows_differ or len(self.inner) != 1:
            return 1
        window = math.prod(self.windows(_KNOWN_ROWS).values())
        return window // rows if window % math.lcm(rows, self.whole_bytes) == 0 else 1

    def group(self, rows: int) -> int:
        """How many units of the first level are in the register tile at once: 1 unless loops over them are alike."""
        return max(1, rows // self.unit) if self.is_dense or self.gathers else 1
