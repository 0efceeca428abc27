"""Where a register tile stands in stored data: positions, its rows on their way down, rows left and resumed."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

from pith._mlir import ir, memref

from ... import builder as b
from ...builder import Index


@dataclasses.dataclass(frozen=True)
class Position:
    """The position ``base * scale + offset``: ``base`` is known at run time, the rest now.

    Attributes:
        align: a number known to divide ``base``.
        count: how many bases, from ``base`` on, the block around covers.
    """

    base: Index
    align: int = 1
    count: int = 1
    scale: int = 1
    offset: int = 0

    @property
    def value(self) -> Index:
        """As an index."""
        return b.add(b.mul(self.base, self.scale), self.offset)

    def child(self, size: int, slot: int) -> "Position":
        """Child number ``slot`` of ``size`` in the level below."""
        return dataclasses.replace(self, scale=self.scale * size, offset=self.offset * size + slot)


@dataclasses.dataclass(frozen=True)
class Member:
    """One row of the register tile on its way down the levels.

    Attributes:
        row: its accumulators' place in the tile.
        position: where it is in the level above.
        red, red_offset: contracted coordinate, the part known at run time and the part known now.
        picked: what the coordinates of groups around add to it, outermost first. They differ from one element to the
            next.
        chosen: levels and positions of the coordinates that are still to be added, where lanes do that (lanes.py).
    """

    row: int
    position: Position
    red: Index = 0
    red_offset: int = 0
    picked: tuple[Index, ...] = ()
    chosen: tuple[tuple[int, Position], ...] = ()

    @property
    def run_time_red(self) -> Index:
        """All of the contracted coordinate that is known at run time."""
        return functools.reduce(b.add, self.picked, self.red)

    def at(self, position: Position, red: Index | None = None, step: int = 0) -> "Member":
        """The same row further down."""
        red = self.red if red is None else red
        return dataclasses.replace(self, position=position, red=red, red_offset=self.red_offset + step)

    def pick(self, position: Position, coordinate: Index) -> "Member":
        """The same row in a group, at one of its elements."""
        return dataclasses.replace(self, position=position, picked=(*self.picked, coordinate))

    def choose(self, level: int, position: Position) -> "Member":
        """The same row in a group of ``level``, at an element whose coordinate nobody has read yet."""
        return dataclasses.replace(self, position=position, chosen=(*self.chosen, (level, position)))


@dataclasses.dataclass(frozen=True)
class Cursors:
    """Where each row of a chunk stands in its entries: ``positions[row]`` between strips."""

    positions: ir.Value
    row: Index

    def load(self) -> ir.Value:
        """The row's next position."""
        return memref.load(self.positions, [b.value(self.row)])

    def store(self, position: ir.Value) -> None:
        """Keep it for the next strip."""
        memref.store(position, self.positions, [b.value(self.row)])


def identity(x: Index) -> object:
    """Equal for one and the same index only (SSA values compare by content of their wrapper)."""
    return ("int", x) if isinstance(x, int) else ("value", id(x))


def shared(members: Sequence[Member], make: Callable[[Index], Index]) -> list[Index]:
    """``make(member.red)``, made once for members with one and the same coordinate."""
    made: dict[object, Index] = {}
    out = []
    for m in members:
        key = identity(m.red)
        if key not in made:
            made[key] = make(m.red)
        out.append(made[key])
    return out


def by_position(members: Sequence[Member]) -> list[tuple[Member, list[Member]]]:
    """Members grouped by position, in order of first appearance."""
    groups: dict[object, list[Member]] = {}
    for m in members:
        p = m.position
        groups.setdefault((identity(p.base), p.scale, p.offset), []).append(m)
    return [(g[0], g) for g in groups.values()]
