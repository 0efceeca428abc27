"""Asking for what rows store some rows before they are visited."""

import math
from collections.abc import Callable, Sequence

from pith._mlir import ir, memref

from ... import builder as b
from ...builder import Index
from ..arithmetic import CACHE_LINE, whole_bytes
from .tile import RegisterTile

#: Cache lines that are asked for one by one; more take a loop. Narrow panels have strips of 96, a fifth of all ops.
MOST_LINES = 8

#: ``memref.prefetch`` counts caches from memory on: 3 is the first level, 2 the second.
LOCALITIES = 4


def ask_rows(tile: RegisterTile, units: Sequence[Index], lo: Index, count: int, part: tuple[Index, int, int]) -> None:
    """Ask for what is stored of ``count`` coordinates of the second level from ``lo`` on, one unit's after another.

    Args:
        part: which share of them: a window's number, how many there are, and the turn in it. Who asks for the lines
            of many rows at once waits for them: 4096x4096x32 of V(16)C1(2:4)->C0(2:4) takes 3.77 ms, by and by 3.01
            (one core of Emerald Rapids, 2026-11-22).

    Coordinates too: on Emerald Rapids 1:4 of 4096 contracted coordinates goes from 82 to 92 GF/s (64 columns,
    2026-11).
    """
    storage = tile.storage
    fmt = storage.format
    if not fmt.is_static or tile.variant.lanes == 1:
        return  # one column: rows are read in one go, and the hardware sees the stream
    below = [lvl.g if lvl.kind == "nm" else size for lvl, size in zip(fmt.levels[2:], storage.level_sizes[2:])]
    if not all(isinstance(size, int) for size in below):
        return  # the outermost rank of the contracted dimension is stored further in
    for unit in units:
        first, entries = b.add(b.mul(unit, storage.level_sizes[1]), lo), 1
        for level, size in enumerate(below, 2):
            entries *= size
            if fmt.levels[level].has_coordinates:
                coordinates, bits = storage.metadata[level, "coordinates"], fmt.coord_bits(level)
                _ask_part(tile, part, coordinates, first, count, (entries, bits))
        values, quantized = storage.values, storage.quantized
        bits = quantized.bits if quantized else values.type.element_type.width
        _ask_part(tile, part, values, first, count, (entries, bits), quantized.byte if quantized else None)


def _ask_part(
    tile: RegisterTile,
    part: tuple[Index, int, int],
    buffer: ir.Value,
    first: Index,
    count: int,
    of: tuple[int, int],
    *place,
) -> None:
    """Ask for some of the lines: every turn for its own, or the first of a window for the window's.

    Args:
        of: elements of ``buffer`` per coordinate, and their bits.
    """
    (window, windows, turn), (entries, bits) = part, of
    line, aligned = CACHE_LINE * 8 // bits, math.gcd(tile.divisor, count) * entries * bits
    # Rows that begin inside of a line end inside of one more: with it and strips of one block, 2048x1680x256 of 2:4 and
    # of 1:4 take 8.8 to 7.4 and 5.3 to 4.6 ms (Emerald Rapids), 11.1 to 9.9 and 6.0 to 5.4 (Zen 4, 2026-11).
    first, count = b.mul(first, entries), count * entries + line - math.gcd(aligned, CACHE_LINE * 8) // bits
    lines = -(-count // line)
    turns = tile.turns if lines >= windows * tile.turns else 1
    if turn < turns:
        parts = windows * turns
        begin = b.div(b.mul(b.add(b.mul(window, turns), turn), lines), parts)
        first, count = b.add(first, b.mul(begin, line)), min(-(-lines // parts) * line, count)
        _ask(buffer, first, count, bits, LOCALITIES - tile.near, *place)


def ask_entries(tile: RegisterTile, first: ir.Value) -> None:
    """Ask for what a strip reads of a row's entries from position ``first`` on, if every second one is stored.

    4096 x 4096 x 32 in CSR, half of it zeros, on a core of Emerald Rapids: 25 to 51 GF/s (strips of 256, 2026-11).
    """
    for buffer in (tile.storage.values, tile.storage.metadata[1, "coordinates"]):
        bits = b.bits_of(buffer.type.element_type)
        for line in range(-(-tile.variant.strip * bits // (2 * 8 * CACHE_LINE))):
            at = b.value(b.add(first, line * CACHE_LINE * 8 // bits))
            memref.prefetch(buffer, [at], False, 3, True)


def _ask(
    buffer: ir.Value,
    first: Index,
    count: int,
    bits: int,
    locality: int,
    place: Callable[[Index], Index] | None = None,
) -> None:
    """Ask for ``count`` elements of ``bits`` bits from element ``first`` on; ``place`` says where an element is."""
    line = CACHE_LINE * 8 // bits
    place = place or (lambda at: at if bits >= 8 else whole_bytes(at, bits))

    def line_of(at: Index) -> None:
        memref.prefetch(buffer, [b.value(place(b.add(first, at)))], False, locality, True)

    if count > MOST_LINES * line:
        b.for_loop(0, count, line_of, step=line, rolled=True)
        return
    for at in range(0, count, line):
        line_of(at)
