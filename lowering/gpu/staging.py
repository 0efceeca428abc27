"""Fill a tile in shared memory from a tensor: dense, gathered through a pattern, or expanded from a format.

All threads of a block take part: thread ``t`` of ``T`` handles entries ``t, t + T, t + 2T, ...``.
What lies outside of the tensor or is not stored is zero, so bodies need no masks.
"""

import dataclasses
import math
from collections.abc import Mapping

from pith._mlir import arith, ir, memref
from pith.formats import Format

from .. import builder as b
from .. import levels
from ..builder import Index
from .tiles import Axis, SharedTile, is_below, remainder


@dataclasses.dataclass(frozen=True)
class Threads:
    """The threads of a block: how many, and this thread's number."""

    count: int
    number: ir.Value

    def share(self, entries: int, body) -> None:
        """Run ``body(i)`` for this thread's share of ``range(entries)``."""
        b.for_loop(self.number, entries, lambda i: body(i), step=self.count)


@dataclasses.dataclass(frozen=True)
class DenseSource:
    """A row-major matrix ``buffer`` whose dimensions have ``roles``."""

    buffer: ir.Value
    roles: tuple[str, str]

    needs_clearing = False

    def fill(self, tile: SharedTile, axes: Mapping[str, Axis], threads: Threads) -> None:
        """Copy, places past the end as zeros; neighbouring threads read neighbouring elements."""
        fast, slow = self.roles[1], self.roles[0]
        extent = dict(zip(tile.roles, tile.extents))

        def one(i: Index) -> None:
            place = {slow: b.div(i, extent[fast]), fast: remainder(i, extent[fast])}
            where = {role: axes[role].at(place[role]) for role in self.roles}
            exists = arith.andi(*(where[role][1] for role in self.roles))
            element = self.buffer.type.element_type
            loaded = b.if_else(
                exists,
                lambda: [memref.load(self.buffer, [b.value(where[role][0]) for role in self.roles])],
                lambda: [b.zero_of(element)],
                [element],
            )
            tile.store(loaded[0], *(place[role] for role in tile.roles))

        threads.share(math.prod(tile.extents), one)


@dataclasses.dataclass(frozen=True)
class EncodedSource:
    """A matrix stored in a static format (dense and ``nm`` levels, any depth): load sparse, compute dense.

    The tile is cleared, then every stored entry whose coordinates fall into it is scattered to its
    place. Only the outermost digit of each dimension is windowed to the tile; when the tile is a
    multiple of the format's groups each value is read exactly once, from consecutive addresses.
    """

    storage: levels.Storage
    roles: tuple[str, str]

    needs_clearing = True

    def clear(self, tile: SharedTile, threads: Threads) -> None:
        """Zero the tile; the caller puts a barrier between this and :meth:`fill`."""
        zero = b.zero_of(tile.memory.type.element_type)
        columns = tile.extents[1]
        threads.share(math.prod(tile.extents), lambda i: tile.store(zero, b.div(i, columns), remainder(i, columns)))

    def fill(self, tile: SharedTile, axes: Mapping[str, Axis], threads: Threads) -> None:
        """Scatter the stored entries of the tile's window."""
        fmt = self.storage.format
        slots = [self._slots(level, axes) for level in range(len(fmt.levels))]

        def one(i: Index) -> None:
            digits = _digits(i, slots)
            for level, expr in enumerate(fmt.exprs):
                if not expr.mod:
                    digits[level] = b.add(digits[level], b.div(axes[self.roles[expr.dim]].base, expr.div))
            inside = [
                is_below(digits[level], self.storage.level_sizes[level])
                for level, expr in enumerate(fmt.exprs)
                if not expr.mod
            ]
            b.if_else(_all(inside), lambda: self._scatter(tile, axes, digits))

        threads.share(math.prod(slots), one)

    def _slots(self, level: int, axes: Mapping[str, Axis]) -> int:
        """Entries of ``level`` below one parent that can fall into a tile."""
        expr, kind = self.storage.format.exprs[level], self.storage.format.levels[level]
        if expr.mod:
            return kind.g if kind.kind == "nm" else expr.mod
        extent = axes[self.roles[expr.dim]].extent
        if extent % expr.div == 0:
            return extent // expr.div
        return 1 if expr.div % extent == 0 else extent // expr.div + 2

    def _scatter(self, tile: SharedTile, axes: Mapping[str, Axis], digits: list[Index]) -> None:
        cursor = levels.start(self.storage.format)
        for digit in digits:
            cursor = _descend(self.storage, cursor, digit)
        place = {role: b.sub(cursor.coords[d], axes[role].base) for d, role in enumerate(self.roles)}
        within = [is_below(place[role], extent) for role, extent in zip(tile.roles, tile.extents)]

        def store() -> None:
            tile.store(levels.load_value(self.storage, cursor.position), *(place[role] for role in tile.roles))

        b.if_else(_all(within), store)


def _descend(storage: levels.Storage, cursor: levels.Cursor, digit: Index) -> levels.Cursor:
    level = storage.format.levels[cursor.level]
    if level.is_dense:
        size = storage.level_sizes[cursor.level]
        return levels.descend(storage, cursor, b.add(b.mul(cursor.position, size), digit), digit)
    position = b.add(b.mul(cursor.position, level.g), digit)
    return levels.descend(storage, cursor, position, levels.load_coordinate(storage, cursor.level, position))


def _digits(i: Index, radices: list[int]) -> list[Index]:
    """Mixed-radix digits of ``i``, most significant first."""
    out: list[Index] = []
    for radix in reversed(radices):
        out.append(remainder(i, radix))
        i = b.div(i, radix)
    return out[::-1]


def _all(conditions: list[ir.Value]) -> ir.Value:
    first, *rest = conditions
    for condition in rest:
        first = arith.andi(first, condition)
    return first


def unsupported_level(fmt: Format) -> str | None:
    """The first level of ``fmt`` that the GPU lowering cannot expand, or None."""
    return next((str(level) for level in fmt.levels if not level.is_static or level.kind == "band"), None)
