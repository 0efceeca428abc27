"""Equal shares of a sparse matrix, whatever its rows look like: the merge path.

The work is a list of items: the entries, and after the entries of each row the row's end. Every team of threads
takes the same number of consecutive items; where its share begins follows from the positions by a binary search, so
nothing is prepared on the host. Row r ends at item ``r + positions[r + 1]``. A row whose items are all in one share
is finished there. The parts of other rows are carried out to memory: ``carries[0]`` by teams that the row goes on
beyond, ``carries[1]`` by the team that has its end; a second kernel adds them up in order. So every row is written
once, and sums do not depend on which team comes first.

Source: Merrill & Garland, Merge-based parallel sparse matrix-vector multiplication, SC 2016.
"""

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, ir

from ... import builder as b
from ...builder import Index
from ...numbers import plus
from .climb import first_not

#: carries[GOES_ON] and carries[ENDS].
GOES_ON, ENDS = 0, 1


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of entries: ``positions[r]`` to ``positions[r + 1]`` are the entries of row ``r``.

    Attributes:
        positions: in memory.
        count: rows.
        entries: entries of all rows.
    """

    positions: ir.Value
    count: Index
    entries: Index

    @classmethod
    def of(cls, positions: ir.Value, count: Index) -> "Rows":
        """All of ``count`` rows."""
        return cls(positions, count, b.load_index(positions, count))

    @property
    def items(self) -> Index:
        """Entries and ends of rows."""
        return b.add(self.count, self.entries)

    def begin(self, row: Index) -> ir.Value:
        """The first entry of a row."""
        return b.load_index(self.positions, row)

    def end(self, row: Index) -> ir.Value:
        """The entry after a row's last."""
        return b.load_index(self.positions, b.add(row, 1))

    def row_at(self, item: Index, lo: Index, hi: Index) -> ir.Value:
        """The row that item number ``item`` belongs to, known to be in ``[lo, hi]``."""
        return first_not(lo, hi, lambda r: b.less(b.add(r, self.end(r)), item))


@dataclasses.dataclass(frozen=True)
class Share:
    """The items of one team: entries ``[begin, end)`` in rows ``[first, last]``, of which ``last`` does not end here.

    Attributes:
        goes_on: whether row ``last`` has entries up to the end of the share.
    """

    rows: Rows
    first: ir.Value
    last: ir.Value
    begin: Index
    end: Index
    goes_on: ir.Value

    @classmethod
    def of(cls, rows: Rows, number: Index, items: Index) -> "Share":
        """Share ``number`` of ``items`` items each; empty past the end."""
        low = b.minimum(b.mul(number, items), rows.items)
        high = b.minimum(b.add(low, items), rows.items)
        first = rows.row_at(low, _over(low, rows.entries), b.minimum(low, rows.count))
        last = rows.row_at(high, first, b.minimum(b.add(first, items), rows.count))
        begin, end = b.sub(low, first), b.sub(high, last)
        exists = b.less(last, rows.count)
        started = b.if_else(
            exists, lambda: [b.less(rows.begin(last), end)], lambda: [exists], [ir.IntegerType.get_signless(1)]
        )
        return cls(rows, first, last, begin, end, started[0])

    def for_each_row(self, visit: Callable[[ir.Value, Index, Index, ir.Value], None]) -> None:
        """Emit ``visit(row, begin, end, whole)`` for the entries of every row; ``whole``: none are elsewhere."""
        stop = arith.select(self.goes_on, b.value(b.add(self.last, 1)), self.last)

        def row(r: Index) -> None:
            start = self.rows.begin(r)
            begin, end = b.maximum(start, self.begin), b.minimum(self.rows.end(r), self.end)
            here = arith.cmpi(arith.CmpIPredicate.uge, start, b.value(self.begin))
            visit(b.value(r), begin, end, arith.andi(here, b.less(r, self.last)))

        b.for_loop(self.first, stop, row)

    def carry_slot(self, row: Index) -> ir.Value:
        """Which of the carries takes this share's part of a row that is not whole."""
        return arith.select(b.less(row, self.last), b.value(ENDS), b.value(GOES_ON))

    def begins_long_row(self) -> ir.Value:
        """Whether the row that goes on beyond this share begins in it."""
        flag = ir.IntegerType.get_signless(1)

        def inside() -> list[ir.Value]:
            return [arith.cmpi(arith.CmpIPredicate.uge, self.rows.begin(self.last), b.value(self.begin))]

        return b.if_else(self.goes_on, inside, lambda: [self.goes_on], [flag])[0]

    def share_of_end(self, items: Index) -> Index:
        """The share in which the row that goes on ends."""
        return b.div(b.add(self.last, self.rows.end(self.last)), items)


def _over(x: Index, y: Index) -> Index:
    """``max(x - y, 0)``."""
    return b.sub(b.maximum(x, y), y)


def sum_of(acc: list[ir.Value], more: list[ir.Value]) -> list[ir.Value]:
    """Element by element."""
    return [plus(x, y) for x, y in zip(acc, more)]
