"""The occupancies of a matrix given by coordinates: time in proportion to what it holds, whatever its shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .occupancy import HEIGHTS, LARGEST, Occupancy, fullest

#: Elements per non-zero up to which a Boolean matrix is looked at instead of a list: that takes 20 ns per element, this
#: 840 ns per non-zero (4096x4096, sizes of blocks and groups that are powers of two; Zen 3, one thread, 2026-11).
ELEMENTS_PER_ENTRY = 40

#: The same for blocks of one size: a size of groups takes 0.8 ns per block, or 1.1 to 1.8 ns per one that is held.
_BLOCKS_PER_HELD = 2


def listed_occupancies(coords: Sequence[np.ndarray], shape: Sequence[int], *, padded: bool) -> Iterator[Occupancy]:
    """What :func:`pith.formats.occupancy.occupancies` finds, in another order.

    Shapes:  coords: rows and columns of the non-zeros, in any order, each once or more often.
    Cost: per height a sort of the entries; per block and group size a pass over the blocks that hold something.

    Example:
        >>> found = {(o.height, o.width): o for o in listed_occupancies(([3, 0], [1, 0]), (4, 4), padded=False)}
        >>> found[1, 1].held, found[2, 2].blocks, found[2, 2].fullest
        (2, 4, {2: 1})
    """
    rows, columns = (np.asarray(c, np.uint32 if max(shape) < 2**32 else np.uint64) for c in coords)
    full: set[int] = set()
    for height in HEIGHTS:
        if shape[0] < height or (not padded and shape[0] % height):
            return
        rows, columns = _distinct(rows if height == 1 else rows >> 1, columns, shape[1])
        held_rows = int(np.count_nonzero(rows[1:] != rows[:-1])) + min(1, rows.size)
        for width in range(1, min(LARGEST, shape[1]) + 1):
            if width in full or (not padded and shape[1] % width):
                continue
            grid = -(-shape[0] // height), -(-shape[1] // width)
            held, groups = _blocks(rows, columns // width, grid, padded)
            if held == grid[0] * grid[1]:
                full.add(width)
            yield Occupancy(height, width, grid[0] * grid[1], held, held_rows, groups)


def listed_diagonals(coords: Sequence[np.ndarray]) -> np.ndarray:
    """The diagonals that hold an entry, lowest first; 0 is the main one.

    >>> listed_diagonals((np.array([0, 1, 2]), np.array([2, 0, 1])))
    array([-1,  2])
    """
    rows, columns = (np.asarray(c, np.int64) for c in coords)
    return distinct(columns - rows)


def distinct(numbers: np.ndarray) -> np.ndarray:
    """Each number once, in order. (``numpy.unique`` hashes integers: 1 us per number of 10^6, sorting takes 30 ns.)

    >>> distinct(np.array([3, 1, 3]))
    array([1, 3])
    """
    numbers = np.sort(numbers)
    return numbers[np.append(np.ones(min(1, numbers.size), bool), numbers[1:] != numbers[:-1])]


def _distinct(rows: np.ndarray, columns: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Row by row, each entry once."""
    places = distinct(rows.astype(np.int64) * size + columns)
    kept_rows, kept_columns = np.divmod(places, size)
    return kept_rows.astype(rows.dtype), kept_columns.astype(columns.dtype)


def _blocks(rows: np.ndarray, columns: np.ndarray, grid: tuple[int, int], padded: bool) -> tuple[int, dict[int, int]]:
    """How many blocks hold something, and the most of them in any group; entries of a block stand together."""
    turns = rows[1:] != rows[:-1]
    first = np.append(np.ones(min(1, rows.size), bool), turns | (columns[1:] != columns[:-1]))
    held = int(np.count_nonzero(first))
    if held < rows.size:
        kept = np.flatnonzero(first)
        rows, columns = rows[kept], columns[kept]
    if held * _BLOCKS_PER_HELD >= grid[0] * grid[1]:
        mask = np.zeros(grid, bool)
        mask[rows, columns] = True
        return held, fullest(mask, padded)
    turns = rows[1:] != rows[:-1]
    sizes = (h for h in range(2, min(LARGEST, grid[1]) + 1) if padded or grid[1] % h == 0)
    return held, {h: _longest_run(turns, columns // h) for h in sizes}


def _longest_run(turns: np.ndarray, groups: np.ndarray) -> int:
    """The most consecutive entries of one group of one row."""
    longest = min(1, groups.size)
    together = (groups[1:] == groups[:-1]) & ~turns  # with the one before, then with the two before, ...
    while together.any():
        longest += 1
        together = together[1:] & together[:-1]
    return longest
