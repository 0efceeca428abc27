"""A picture of a sparsity pattern in characters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Characters from empty to full.
SHADES, ASCII_SHADES = " ░▒▓█", " .:+#"

#: Cells of the largest picture. A character is about twice as high as wide.
ROWS, COLUMNS = 24, 64


def draw(coords: np.ndarray, shape: Sequence[int], *, ascii_only: bool = False) -> str:
    """Where the entries of a matrix are: darker is denser, relative to the densest cell.

    Args:
        coords: (2, n) coordinates, none repeated; n > 0.
        shape: rows and columns.

    Example:
        >>> print(draw(np.array([[0, 1, 2, 2], [0, 1, 0, 2]]), (3, 3), ascii_only=True))
        +---+
        |#  |
        | # |
        |# #|
        +---+
    """
    rows, columns = _cells(*shape)
    cells = (coords[0] * rows // shape[0]) * columns + coords[1] * columns // shape[1]
    counts = np.bincount(cells, minlength=rows * columns).reshape(rows, columns)
    area = np.outer(_extents(shape[0], rows), _extents(shape[1], columns))
    density = counts / area
    shades = ASCII_SHADES if ascii_only else SHADES
    index = np.ceil(density / density.max() * (len(shades) - 1)).astype(int)
    edge = "+" + "-" * columns + "+"
    return "\n".join([edge, *("|" + "".join(shades[i] for i in row) + "|" for row in index), edge])


def _cells(rows: int, columns: int) -> tuple[int, int]:
    """Cells down and across: one per element for small matrices, else about in proportion."""
    if rows <= ROWS and columns <= COLUMNS:
        return rows, columns
    scale = min(ROWS / rows, COLUMNS / (2 * columns))
    down, across = round(rows * scale), round(2 * columns * scale)
    return min(max(1, down), rows), min(max(1, across), columns)


def _extents(size: int, cells: int) -> np.ndarray:
    """Elements along one axis that fall into each cell."""
    return np.bincount(np.arange(size, dtype=np.int64) * cells // size, minlength=cells)
