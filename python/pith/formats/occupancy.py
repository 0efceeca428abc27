"""How full the blocks and groups of a matrix are: what any format needs to know of it, in few passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

#: Rows of blocks, and rows that share a choice.
HEIGHTS = (1, 2, 4, 8, 16, 32)

#: Largest group, and largest width of a block.
LARGEST = 32


@dataclasses.dataclass(frozen=True)
class Occupancy:
    """The blocks of ``height x width`` elements of a matrix that hold non-zeros.

    Attributes:
        blocks: how many there are.
        held: how many of them hold a non-zero.
        held_rows: in how many rows of blocks any does.
        fullest: H -> the most non-empty blocks among H consecutive ones of a row of blocks.
    """

    height: int
    width: int
    blocks: int
    held: int
    held_rows: int
    fullest: dict[int, int]


def occupancies(mask: np.ndarray, *, padded: bool) -> Iterator[Occupancy]:
    """Occupancies of a Boolean matrix for every block of up to 32x32 that divides it.

    Semantics: heights are powers of two. ``padded``: sizes need not divide; what is beyond the edge is empty.
        Blocks that all hold something are not made larger: larger ones do, too.
    Cost: about 4 passes over the matrix for blocks, and twice that for groups.

    Example:
        >>> found = {(o.height, o.width): o for o in occupancies(np.eye(4, dtype=bool), padded=False)}
        >>> found[1, 1].held, found[1, 1].fullest, found[2, 2].held, found[2, 2].fullest
        (4, {2: 1, 4: 1}, 2, {2: 1})
    """
    sums = _running(mask)
    rows: dict[int, int] = {}  # by height: in how many rows of blocks something is held
    for width in range(1, min(LARGEST, mask.shape[1]) + 1):
        if not padded and mask.shape[1] % width:
            continue
        held = mask if width == 1 else _counts(sums, width) > 0
        for height in HEIGHTS:
            if mask.shape[0] < height or (not padded and mask.shape[0] % height):
                break
            if height > 1:
                held = _paired(held)
            if height not in rows:
                rows[height] = int(np.count_nonzero(held.any(axis=1)))
            yield Occupancy(height, width, held.size, int(np.count_nonzero(held)), rows[height], fullest(held, padded))
            if held.all():
                break


def diagonals(mask: np.ndarray) -> np.ndarray:
    """The diagonals of a Boolean matrix that hold True, lowest first; 0 is the main one.

    >>> diagonals(np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], bool))
    array([-1,  2])
    """
    rows, columns = mask.shape
    held = np.zeros(rows + columns - 1, bool)
    for i, row in enumerate(mask):
        held[rows - 1 - i : rows - 1 - i + columns] |= row
    return np.flatnonzero(held) - (rows - 1)


def _paired(held: np.ndarray) -> np.ndarray:
    """Rows of ``held`` taken together two by two."""
    out = held[::2].copy()
    out[: len(held) // 2] |= held[1::2]
    return out


def _running(held: np.ndarray) -> np.ndarray:
    """Running counts along the rows, modulo 256: differences of up to 32 survive that."""
    return np.cumsum(held, axis=1, dtype=np.uint8)


def _counts(sums: np.ndarray, h: int) -> np.ndarray:
    """True ones among ``h`` consecutive columns, from their running counts; the last group may be short."""
    ends = sums[:, h - 1 :: h]
    if sums.shape[1] % h:
        ends = np.concatenate((ends, sums[:, -1:]), axis=1)
    out = ends.copy()
    out[:, 1:] -= ends[:, :-1]
    return out


def fullest(held: np.ndarray, padded: bool) -> dict[int, int]:
    """The most True among H consecutive columns, for every H.

    >>> fullest(np.array([[True, False, True, True]]), padded=False)
    {2: 2, 4: 3}
    """
    columns = held.shape[1]
    sums = _running(held)
    sizes = (h for h in range(2, min(LARGEST, columns) + 1) if padded or columns % h == 0)
    return {h: int(_counts(sums, h).max()) for h in sizes}
