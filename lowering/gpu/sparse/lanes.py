"""What the threads of a team do with the entries of a row: lanes along the columns of the result, or along entries."""

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, gpu, ir, memref, vector

from ... import builder as b
from ...builder import Index
from ...numbers import converted, plus, times_plus
from ..warp import WARP, reduce_warp

THREADS = 256

#: Least items of a team's share. The part of a row that is carried costs a write and a read of a row of the result, the
#: search some 25 loads in a row: both small beside this many entries. Not measured yet.
ITEMS_BY_COLUMNS, ITEMS_BY_ENTRIES = 128, 512

#: Columns a thread adds up when their number is not known: loads in flight per entry.
COLUMNS_PER_LANE = 4


@dataclasses.dataclass(frozen=True)
class Team:
    """Threads that work on one share of the items.

    Attributes:
        lanes: how many, a power of two up to a warp.
        width: columns of a vector.
        count: vectors per thread.
        by_entries: True when the lanes take entries in turn and the result has one column.
    """

    lanes: int
    width: int = 1
    count: int = 1
    by_entries: bool = False

    @classmethod
    def of(cls, columns: Index) -> "Team":
        """The team for so many columns: all along entries for one, else along columns.

        >>> Team.of(1).by_entries, Team.of(64), Team.of(7)
        (True, Team(lanes=16, width=4, count=1, by_entries=False), Team(lanes=8, width=1, count=1, by_entries=False))
        """
        if columns == 1:
            return cls(WARP, by_entries=True)
        if not isinstance(columns, int):
            return cls(WARP, 1, COLUMNS_PER_LANE)
        if columns % 4 == 0:
            return cls(_power_of_two(columns // 4), 4, 1)
        count = min(COLUMNS_PER_LANE, b.ceildiv(columns, WARP))
        return cls(_power_of_two(b.ceildiv(columns, count)), 1, int(count))

    @property
    def items(self) -> int:
        """Items of a share, at least."""
        return ITEMS_BY_ENTRIES if self.by_entries else ITEMS_BY_COLUMNS

    @property
    def teams(self) -> int:
        """Teams of a block."""
        return THREADS // self.lanes

    @property
    def columns(self) -> int:
        """Columns of a block."""
        return 1 if self.by_entries else self.lanes * self.width * self.count


def _power_of_two(n: Index) -> int:
    """The least power of two that is at least ``n``, up to a warp."""
    lanes = 1
    while lanes < WARP and lanes < n:
        lanes *= 2
    return lanes


@dataclasses.dataclass(frozen=True)
class Lane:
    """One thread of a team, in a kernel.

    Attributes:
        team: its team.
        share: number of the team in the grid.
        number: of the thread in the team.
        columns: of the result.
        sums: type products are added up in.
    """

    team: Team
    share: Index
    number: Index
    columns: Index
    sums: ir.Type

    @classmethod
    def here(cls, team: Team, columns: Index, sums: ir.Type) -> "Lane":
        """This thread: shares along x, blocks of columns along y."""
        thread = gpu.thread_id(gpu.Dimension.x)
        share = b.add(b.mul(gpu.block_id(gpu.Dimension.x), team.teams), b.div(thread, team.lanes))
        return cls(team, share, b.mod(thread, team.lanes), columns, sums)

    def places(self) -> list[tuple[Index, ir.Value]]:
        """(first column, whether it exists) of every vector of this thread."""
        if self.team.by_entries:
            return [(0, b.less(self.number, 1))]
        start = b.mul(gpu.block_id(gpu.Dimension.y), self.team.columns)
        out = []
        for i in range(self.team.count):
            inside = b.mul(b.add(self.number, i * self.team.lanes), self.team.width)
            column = b.add(start, inside)
            out.append((column, b.less(column, self.columns)))
        return out

    def zeros(self) -> list[ir.Value]:
        """Sums of nothing."""
        zero = b.zero_of(self.sums)
        return [self.spread(zero)] * self.team.count

    def spread(self, value: ir.Value) -> ir.Value:
        """A number in every column of a vector."""
        if self.team.width == 1:
            return value
        return vector.broadcast(ir.VectorType.get([self.team.width], value.type), value)

    def dot(
        self, begin: Index, end: Index, entry: Callable[[Index], tuple[Index, ir.Value]], dense: "Rows"
    ) -> list[ir.Value]:
        """Sums of ``value * dense[coordinate]`` over entries; ``entry(e)`` gives coordinate and value."""
        first, step = (b.add(begin, self.number), WARP) if self.team.by_entries else (begin, 1)
        columns = self.clamped()

        def body(e: Index, *acc: ir.Value) -> list[ir.Value]:
            coordinate, value = entry(e)
            factor = self.spread(value)
            loaded = [dense.load(coordinate, c, self.team.width) for c in columns]
            return [times_plus(factor, x, old) for x, old in zip(loaded, acc)]

        sums = b.for_loop(first, end, body, self.zeros(), step=step)
        return [reduce_warp(v, plus) for v in sums] if self.team.by_entries else sums

    def clamped(self) -> list[Index]:
        """Columns to load: those that do not exist read column 0 instead, which every operand has."""
        if self.team.by_entries:
            return [0]
        return [arith.select(exists, b.value(c), b.value(0)) for c, exists in self.places()]


@dataclasses.dataclass(frozen=True)
class Rows:
    """A dense matrix, or a vector as one of a single column, read and written in vectors of ``sums``."""

    buffer: ir.Value
    sums: ir.Type

    def at(self, row: Index, column: Index) -> list[ir.Value]:
        """Indices of an element."""
        return [b.value(i) for i in ((row, column) if self.buffer.type.rank == 2 else (row,))]

    def load(self, row: Index, column: Index, width: int) -> ir.Value:
        """``width`` columns from ``column`` on, widened."""
        return converted(load_columns(self.buffer, self.at(row, column), width), self.sums)

    def store(self, value: ir.Value, row: Index, column: Index) -> None:
        """Write what :meth:`load` would read, rounded once."""
        store_columns(converted(value, self.buffer.type.element_type), self.buffer, self.at(row, column))


def load_columns(memory: ir.Value, at: list[ir.Value], width: int) -> ir.Value:
    """``width`` neighbours, from one of them on that is at a multiple of their size: a number, or a vector."""
    if width == 1:
        return memref.load(memory, at)
    element = memory.type.element_type
    return vector.load(ir.VectorType.get([width], element), memory, at, alignment=width * element.width // 8)


def store_columns(value: ir.Value, memory: ir.Value, at: list[ir.Value]) -> None:
    """Write what :func:`load_columns` reads."""
    if isinstance(value.type, ir.VectorType):
        vector.store(value, memory, at, alignment=value.type.shape[0] * value.type.element_type.width // 8)
    else:
        memref.store(value, memory, at)
