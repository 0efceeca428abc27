"""Pictures of a sparsity pattern: in characters, and as PNG files."""

from __future__ import annotations

import pathlib
import struct
import zlib
from collections.abc import Sequence

import numpy as np

#: Characters from empty to full.
SHADES, ASCII_SHADES = " ░▒▓█", " .:+#"

#: Cells of the largest picture. A character is about twice as high as wide.
ROWS, COLUMNS = 24, 64

#: Pixels along the longer side of the largest PNG, and of the smallest.
MOST_PIXELS, LEAST_PIXELS = 1024, 256


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
    density = _density(coords, shape, rows, columns)
    shades = ASCII_SHADES if ascii_only else SHADES
    index = np.ceil(density / density.max() * (len(shades) - 1)).astype(int)
    edge = "+" + "-" * columns + "+"
    return "\n".join([edge, *("|" + "".join(shades[i] for i in row) + "|" for row in index), edge])


def write_png(path: pathlib.Path, coords: np.ndarray, shape: Sequence[int]) -> tuple[int, int]:
    """Write a greyscale picture: white is empty, black is full; returns its width and height.

    Semantics: a pixel of a large matrix stands for several elements, and is as dark as the share of
        them that is there, but never quite white when one is; an element of a small matrix is a square.
    Errors: those of the operating system.
    """
    scale = min(1.0, MOST_PIXELS / max(shape))
    rows, columns = (max(1, round(size * scale)) for size in shape)
    density = _density(coords, shape, rows, columns)
    dark = np.where(density > 0, np.maximum(density, 0.2), 0.0)
    zoom = max(1, LEAST_PIXELS // max(rows, columns))
    pixels = np.kron(255 - np.round(255 * dark).astype(np.uint8), np.ones((zoom, zoom), np.uint8))
    path.write_bytes(_png(pixels))
    return pixels.shape[1], pixels.shape[0]


def _png(pixels: np.ndarray) -> bytes:
    """A PNG file of 8-bit grey pixels (ISO/IEC 15948): signature, header, one deflated image, end."""
    height, width = pixels.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels], axis=1)  # filter 0 before each line

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    image = zlib.compress(lines.tobytes(), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", image) + chunk(b"IEND", b"")


def _density(coords: np.ndarray, shape: Sequence[int], rows: int, columns: int) -> np.ndarray:
    """Share of the elements of each cell that is there."""
    cells = (coords[0] * rows // shape[0]) * columns + coords[1] * columns // shape[1]
    counts = np.bincount(cells, minlength=rows * columns).reshape(rows, columns)
    return counts / np.outer(_extents(shape[0], rows), _extents(shape[1], columns))


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
