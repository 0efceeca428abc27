"""From the position of a stored element up to its coordinates: how threads that share a tensor's entries find theirs.

Loops over levels (:mod:`pith.lowering.sparse.levels`) go down and visit entries in order, one after the other. A thread
that is given entry number q goes up instead: every level tells its coordinate at q and the position above it.
"""

from collections.abc import Callable

from pith._mlir import arith, ir
from pith.formats import Format

from ... import builder as b
from ...builder import Index
from ...sparse import levels

#: Levels whose coordinate and parent follow from a position.
_CLIMBED = ("dense", "nm", "compressed", "singleton")


def unclimbed_level(fmt: Format) -> str | None:
    """The first level of ``fmt`` that :func:`locate` cannot climb, or None."""
    if fmt.diagonal is not None:
        return str(fmt.levels[fmt.diagonal])
    return next((str(level) for level in fmt.levels if level.kind not in _CLIMBED), None)


def stored_count(storage: levels.Storage) -> Index:
    """How many positions the last level has, by the metadata."""
    count: Index = 1
    for number, level in enumerate(storage.format.levels):
        if level.is_dense:
            count = b.mul(count, storage.level_sizes[number])
        elif level.kind == "nm":
            count = b.mul(count, level.g)
        elif level.kind == "compressed":
            count = b.load_index(storage.metadata[number, "positions"], count)
    return count


def locate(storage: levels.Storage, position: Index) -> tuple[Index, ...]:
    """Coordinates, per dimension, of what is stored at ``position`` of the last level."""
    fmt = storage.format
    coords: list[Index] = [0] * fmt.rank
    for number in reversed(range(len(fmt.levels))):
        level, expr = fmt.levels[number], fmt.exprs[number]
        if level.is_dense:
            size = storage.level_sizes[number]
            digit, position = (b.mod(position, size), b.div(position, size)) if number else (position, 0)
        else:
            digit = levels.load_coordinate(storage, number, position)
            if level.kind == "nm":
                position = b.div(position, level.g)
            elif level.kind == "compressed":
                position = parent_of(storage.metadata[number, "positions"], position) if number else 0
        coords[expr.dim] = b.add(coords[expr.dim], b.mul(digit, expr.div))
    return tuple(coords)


def parent_of(positions: ir.Value, child: Index) -> Index:
    """The p with ``positions[p] <= child < positions[p + 1]``."""
    last = b.sub(b.dim_size(positions, 0), 1)
    return first_not(0, last, lambda p: _at_most(b.load_index(positions, b.add(p, 1)), child))


def first_not(lo: Index, hi: Index, holds: Callable[[Index], ir.Value]) -> ir.Value:
    """The first i of ``[lo, hi)`` for which ``holds`` no more does, or hi; it must not hold again after that."""

    def step(low: ir.Value, high: ir.Value) -> list[ir.Value]:
        middle = arith.shrui(b.value(b.add(low, high)), b.value(1))
        held = holds(middle)
        return [arith.select(held, b.value(b.add(middle, 1)), low), arith.select(held, high, middle)]

    return b.while_loop([b.value(lo), b.value(hi)], b.less, step)[0]


def _at_most(x: Index, y: Index) -> ir.Value:
    return arith.cmpi(arith.CmpIPredicate.ule, b.value(x), b.value(y))
