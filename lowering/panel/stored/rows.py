"""Passing over the rows of a chunk, a register tile at a time, strip after strip."""

import dataclasses

from pith._mlir import ir, memref

from ... import builder as b
from ...builder import Index
from ..pack import Panel
from ..parts import chunk_rows
from ..variant import CHUNK_ROWS, MOST_CHUNK_ROWS
from .members import Cursors
from .results import Results, clear
from .rows_ahead import ask_entries, ask_rows
from .tile import Extent, Place, RegisterTile
from .widen import Widening, widening

#: How many rows ahead values are asked for, by width of registers. A strip of a row is too short for the
#: hardware to see a stream in it: from the last-level cache its latency is as long as the work on it. On a Zen 3 core
#: 2:4 goes from 28-66 to 64-68 GF/s with 2 (3 shapes, 2026-11). Wider registers take half as long for a tile: on
#: Emerald Rapids, 4096x4096x32 after other work, 1:4 takes 4.3, 3.65, 3.65 and 3.6 ms with 2, 4, 6 and 8; V(4) and V(1)
#: of C1(2:4)->C0(2:4) 3.36 and 3.60 with 4, 3.26 and 3.49 with 8 (2026-11-22).
AHEAD = {32: 2, 64: 8}


def most_units(tile: RegisterTile) -> int | None:
    """Coordinates of the first level in one task at most; None where that level does not cut the rows."""
    return _units(tile, MOST_CHUNK_ROWS if tile.roles.has_strips else CHUNK_ROWS)


def task_units(tile: RegisterTile) -> Index | None:
    """Coordinates of the first level per task: known when the kernel runs where contracted ones are cut into strips."""
    least, most = _units(tile, CHUNK_ROWS), most_units(tile)
    if least is None or most is None or least == most:
        return most
    return chunk_rows(tile.storage.level_sizes[0], least, most, tile.group)


def _units(tile: RegisterTile, rows: int) -> int | None:
    """As many as make ``rows`` rows in whole groups, or all where those are fewer."""
    if not tile.roles.unit:
        return None
    groups, size = max(1, rows // (tile.roles.unit * tile.group)), tile.storage.level_sizes[0]
    if isinstance(size, int):
        groups = min(groups, max(1, -(-size // tile.group)))
    return groups * tile.group


def visit_rows(tile: RegisterTile, panel: Panel, results: Results, lo: Index, units: Index, strip: int | None) -> None:
    """Compute the chunk of ``units`` coordinates of the first level from ``lo`` on.

    Args:
        strip: coordinates of the second level per pass over the rows, None to pass over them once.
    """
    wide = widening(tile.storage, tile.values, tile.group, lo, units, strip) if tile.widens else None
    if strip is None:
        _pass(tile, wide, panel, (results.once, results.once), lo, units, None)
        return
    size = tile.storage.level_sizes[1]
    positions = None if tile.storage.format.levels[1].is_dense else _begin(tile, lo, units)

    def one_strip(first: Index, extent: Extent) -> None:
        end = b.add(first, strip)
        span = first, end if extent is Extent.BLOCK else b.minimum(end, size)
        _pass(tile, wide, panel, results.of_strip(*span, size), lo, units, span, strip, positions, extent)

    if not _are_blocks(tile, strip):  # without coordinates, one strip stores zeros
        b.for_loop(0, b.maximum(size, 1), lambda first: one_strip(first, Extent.ANY), step=strip)
        return
    whole = b.mul(b.div(size, strip), strip)
    b.for_loop(0, whole, lambda first: one_strip(first, Extent.BLOCK), step=strip)
    if tile.divisor % strip:
        b.only_if(b.less(whole, size), lambda: one_strip(whole, Extent.REST))
    if not isinstance(size, int):
        b.only_if(b.less(size, 1), lambda: clear(results.once, _rows(tile, lo, units)))


def _pass(
    tile: RegisterTile,
    wide: Widening | None,
    panel: Panel,
    results: tuple[ir.Value, ir.Value],
    lo: Index,
    units: Index,
    span: tuple[Index, Index] | None,
    strip: int = 0,
    positions: ir.Value | None = None,
    extent: Extent = Extent.ANY,
) -> None:
    distance = -(-AHEAD.get(tile.register_bytes, AHEAD[32]) // (tile.roles.unit * tile.group))
    total, (begun, target) = tile.storage.level_sizes[0], results

    def some_rows(u: Index) -> None:
        if tile.group == 1:
            members = [b.add(lo, u)]
        else:  # past the last row, the last one again: its results land in rows that nobody reads
            last = b.sub(total, 1)
            members = [b.minimum(b.add(b.add(lo, u), g), last) for g in range(tile.group)]
        if positions is not None:
            ahead = b.minimum(b.add(u, distance), b.sub(b.dim_size(positions, 0), 1))
            ask_entries(tile, memref.load(positions, [b.value(ahead)]))
        reader = dataclasses.replace(tile, values=wide.fill(members, span)) if wide else tile

        def window(at: dict[int, Index]) -> None:
            first = b.mul(u, tile.roles.unit)
            for level, w in at.items():
                first = b.add(first, b.mul(w, tile.windows[level] * tile.roles.format.exprs[level].div))
            cursors = Cursors(positions, b.value(u)) if positions is not None else None
            for turn in range(tile.turns):
                if span is not None:
                    ahead = [b.add(unit, distance * tile.group) for unit in members]
                    ask_rows(tile, ahead, span[0], strip, (*_number(tile, at), turn))
                place = Place(members, first, panel, target, begun, cursors, extent)
                reader.visit(place, at, span, turn)

        _nest_windows(tile, window)

    b.for_loop(0, b.minimum(units, b.sub(total, lo)), some_rows, step=tile.group)


def _are_blocks(tile: RegisterTile, strip: int) -> bool:
    """True when each strip of ``strip`` coordinates is one unrolled block: then a row of it takes no loop.

    The loop over rows is the innermost one then, and LLVM advances pointers in place of computing places anew. Units of
    multiply-adds and of loads are near their limits, so what else a row does costs: on a core of Emerald Rapids 2:4 and
    1:4 take 1.07 to 1.12 times less, C1(2:4)->C0(2:4) 1.03 (64 and 128 columns, 3 shapes, 2026-11-23). Rows that share
    a group lose up to 1.05 times: LLVM merges their turns, and spills.
    """
    size, shared = tile.storage.level_sizes[1], tile.rows > 1 or tile.turns > 1
    if shared or size == 0 or tile.variant.lanes == 1 or tile.roles.format.levels[1].kind != "dense":
        return False
    return strip == tile.block


def _rows(tile: RegisterTile, lo: Index, units: Index) -> Index:
    """Rows of a chunk."""
    return b.mul(b.minimum(units, b.sub(tile.storage.level_sizes[0], lo)), tile.roles.unit)


def _begin(tile: RegisterTile, lo: Index, units: Index) -> ir.Value:
    """Where the entries of each unit's row begin in the compressed second level."""
    begin = tile.storage.metadata[1, "positions"]
    cursors = memref.alloca(ir.MemRefType.get([most_units(tile)], ir.IndexType.get()), [], [])
    local = b.minimum(units, b.sub(tile.storage.level_sizes[0], lo))

    def one(u: Index) -> None:
        memref.store(b.load_index(begin, b.add(lo, u)), cursors, [b.value(u)])

    b.for_loop(0, local, one)
    return cursors


def _number(tile: RegisterTile, at: dict[int, Index]) -> tuple[Index, int]:
    """Which window ``at`` is, of how many."""
    number, windows = 0, 1
    for level, w in at.items():
        count = tile.roles.format.exprs[level].mod // tile.windows[level]
        number, windows = b.add(b.mul(number, count), w), windows * count
    return number, windows


def _nest_windows(tile: RegisterTile, body) -> None:
    """Loops over the windows of the row levels that the register tile holds only part of."""
    partial = [i for i, w in tile.windows.items() if w < tile.roles.format.exprs[i].mod]

    def nest(levels: list[int], at: dict[int, Index]) -> None:
        if not levels:
            body(at)
            return
        level, *below = levels
        count = tile.roles.format.exprs[level].mod // tile.windows[level]
        b.for_loop(0, count, lambda w: nest(below, {**at, level: w}))

    nest(partial, {})
