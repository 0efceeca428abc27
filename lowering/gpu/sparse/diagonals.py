"""Products with formats of diagonals: bands and lists of diagonals, as they are stored.

A *line* is a coordinate of the dimension that is stored by digits (of ``d1 - d0``, a row), and diagonals are what
lies on it. A team adds up one row of the result, over the diagonals that reach into the matrix there; they follow each
other, so nothing is compared on the way::

    by lines      out[p]      = sum over diagonals d of line p         values[p, d] * dense[p + d]
    across lines  out[r]      = sum over diagonals d through column r  values[r - d, d] * dense[r - d]
    scattered     out[p + d] += values[p, d] * dense[p]                atomic: where lines list their own diagonals

Neighbouring rows read almost the same rows of the dense operand, which caches hold.
"""

import dataclasses
from collections.abc import Callable

from pith._mlir import ir, memref

from ... import builder as b
from ...builder import Index
from ...numbers import converted, times
from ...sparse import levels
from ..host import Host
from ..warp import WARP
from .climb import first_not
from .gather import Gather, columns_of, finish
from .lanes import THREADS, Lane, Rows, Team
from .match import SparseProduct
from .scatter import add_to, places_of

#: First and end of entries, and what an entry is: a coordinate and a value.
_Entries = tuple[Index, Index, Callable[[Index], tuple[Index, ir.Value]]]


def launch_diagonals(
    host: Host,
    op: ir.OpView,
    product: SparseProduct,
    storage: levels.Storage,
    gather: Gather,
    dense: ir.Value,
    out: ir.Value,
) -> None:
    """Emit and launch the kernel; without ``product.gathers``, sums are added to ``out``."""
    columns = columns_of(out)
    team = Team.of(columns)
    metadata, sizes = list(storage.metadata.values()), [b.value(s) for s in storage.sizes]
    arguments = [*metadata, storage.values, dense, out, *sizes]
    with host.kernel("diagonals", [v.type for v in arguments], THREADS) as (name, block):
        *held, values, read, write, rows, cols = block.arguments
        known = tuple(s if isinstance(s, int) else v for s, v in zip(storage.sizes, (rows, cols)))
        inner = levels.Storage(
            product.format, levels.level_sizes(product.format, known), dict(zip(storage.metadata, held)), values, known
        )
        _emit(product, gather, team, _Diagonals(inner), read, write)
    lines = storage.sizes[product.row if product.gathers else product.red]
    host.launch(op, name, [b.ceildiv(lines, team.teams), b.ceildiv(columns, team.columns)], THREADS, 0, arguments)


def _emit(
    product: SparseProduct, gather: Gather, team: Team, diagonals: "_Diagonals", read: ir.Value, write: ir.Value
) -> None:
    lane = Lane.here(team, columns_of(write), gather.sums)
    dense, storage = Rows(read, gather.sums), diagonals.storage
    line = product.row == diagonals.line_dim

    def loaded(entries: _Entries) -> _Entries:
        first, end, entry = entries

        def widen(e: Index) -> tuple[Index, ir.Value]:
            coordinate, value = entry(e)
            return coordinate, converted(value, gather.sums)

        return first, end, widen

    def gathered() -> None:
        entries = loaded((diagonals.of_line if line else diagonals.across)(lane.share))
        finish(gather, lane, write, lane.share, lane.dot(*entries, dense))

    def scattered() -> None:
        first, end, entry = loaded(diagonals.of_line(lane.share))
        factors = [dense.load(lane.share, c, team.width) for c in lane.clamped()]

        def add(e: Index) -> None:
            row, value = entry(e)
            for (c, exists), factor in zip(places_of(lane), factors):
                term = times(lane.spread(value), factor)
                b.if_else(exists, lambda c=c, term=term: add_to(Rows(write, gather.sums), term, row, c))

        start, step = (b.add(first, lane.number), WARP) if team.by_entries else (first, 1)
        b.for_loop(start, end, add, step=step)

    lines = storage.sizes[product.row if product.gathers else product.red]
    b.if_else(b.less(lane.share, lines), gathered if product.gathers else scattered)


@dataclasses.dataclass(frozen=True)
class _Diagonals:
    """The entries of a matrix stored by diagonals, in a kernel."""

    storage: levels.Storage

    @property
    def _at(self) -> int:
        return self.storage.format.diagonal or 0

    @property
    def line_dim(self) -> int:
        """The dimension of lines."""
        return self.storage.format.exprs[self._at].minus or 0

    @property
    def _listed(self) -> bool:
        return self.storage.format.levels[self._at].kind == "compressed"

    def of_line(self, line: Index) -> _Entries:
        """The diagonals on a line: coordinates are those of the other dimension."""
        first = b.add(line, levels.lowest_diagonal(self.storage))
        size = self.storage.sizes[1 - self.line_dim]
        above = self._descend(0, line, range(self._at))
        low, high = b.overlap(first, self.storage.level_sizes[self._at], size)

        def entry(e: Index) -> tuple[Index, ir.Value]:
            diagonal, position = self._entry(above, e)
            return b.add(first, diagonal), self._value(position, line)

        return *self._bounds(above, low, high), entry

    def across(self, place: Index) -> _Entries:
        """The diagonals through a coordinate of the other dimension: coordinates are lines.

        The list of diagonals, if it is one, is that of the whole matrix.
        """
        from_lowest = b.sub(place, levels.lowest_diagonal(self.storage))
        lines = self.storage.sizes[self.line_dim]
        before = b.sub(b.sub(lines, 1), from_lowest)
        low, high = b.overlap(before, self.storage.level_sizes[self._at], lines)

        def entry(e: Index) -> tuple[Index, ir.Value]:
            above: Index = 0
            diagonal = levels.load_coordinate(self.storage, self._at, e) if self._listed else e
            line = b.sub(from_lowest, diagonal)
            if not self._listed:
                above = self._descend(0, line, range(self._at))
            return line, self._value(self._entry(above, e)[1], line)

        return *self._bounds(0, low, high), entry

    def _bounds(self, above: Index, low: Index, high: Index) -> tuple[Index, Index]:
        """First and end of the entries with diagonals from ``low`` up to ``high``."""
        if not self._listed:
            return low, high
        positions = self.storage.metadata[self._at, "positions"]
        first, end = b.load_index(positions, above), b.load_index(positions, b.add(above, 1))

        def begin_at(limit: Index) -> ir.Value:
            return first_not(first, end, lambda e: b.less(levels.load_coordinate(self.storage, self._at, e), limit))

        return begin_at(low), begin_at(high)

    def _entry(self, above: Index, e: Index) -> tuple[Index, Index]:
        """(diagonal, counted from the lowest, position) of an entry below position ``above``."""
        if self._listed:
            return levels.load_coordinate(self.storage, self._at, e), e
        return e, b.add(b.mul(above, self.storage.level_sizes[self._at]), e)

    def _value(self, position: Index, line: Index) -> ir.Value:
        below = range(self._at + 1, len(self.storage.format.levels))
        return memref.load(self.storage.values, [b.value(self._descend(position, line, below))])

    def _descend(self, position: Index, line: Index, through: range) -> Index:
        """The position of a line's digits, level by level."""
        for i in through:
            expr = self.storage.format.exprs[i]
            digit = b.div(line, expr.div)
            digit = b.mod(digit, expr.mod) if expr.mod else digit
            position = b.add(b.mul(position, self.storage.level_sizes[i]), digit)
        return position
