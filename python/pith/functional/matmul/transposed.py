"""Sparse matrices stored a second time by columns, for products with their transpose."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ...errors import ShapeError
from ...formats import Format, Level, LevelExpr
from ...formats.diagonals import matrix_coordinates
from ...formats.pack_buffers import aligned_empty
from ...formats.pack_read import slots_of
from ...sparse import SparseTensor
from ...tuning.problem import Problem


class Transposed:
    """The transpose of a sparse matrix in row order, and where each of its values comes from.

    A product with ``A.T`` over the buffers of ``A`` adds to results in the order of the columns of
    ``A``, each many times, through memory. Over rows of the transpose every result is finished in
    registers. The index of that order is made once per pattern (a sort); new values are gathered
    through it. Dense blocks at the end of the format stay together: the index counts blocks.

    Attributes:
        shape: of the transpose.
        order: entry of the matrix (block, or element) per entry of the transpose.

    Errors: :class:`pith.ShapeError` for anything but a matrix.

    Example:
        >>> import numpy as np
        >>> import pith
        >>> A = pith.compress(np.array([[0, 1, 2, 0], [3, 0, 4, 0]], np.float32), "C0(2:4)")
        >>> T = Transposed(A)
        >>> T.tensor(A.values).to_dense().tolist() == A.to_dense().T.tolist()
        True
        >>> T.order.tolist()
        [2, 0, 1, 3]
    """

    def __init__(self, pattern: SparseTensor):
        if len(pattern.shape) != 2:
            raise ShapeError(f"expects a sparse matrix, got shape {pattern.shape}", where="Transposed")
        self.shape = pattern.shape[::-1]
        leaf = _block_levels(pattern.format)
        self._block = math.prod(e.mod for e, _ in leaf)
        rows, cols = (math.prod(e.mod for e, _ in leaf if e.dim == d) for d in (0, 1))
        entries, (i, j) = _entries(pattern, self._block)
        # blocks of padding are left behind, and the ends of diagonals
        inside = (i >= 0) & (i < pattern.shape[0]) & (j >= 0) & (j < pattern.shape[1])
        if not inside.all():
            entries, i, j = entries[inside], i[inside], j[inside]
        i, j = i // rows, j // cols
        sort = _by_columns(i, j)
        self.order = entries[sort]
        self._format = _row_order(leaf, rows, cols, pattern.format.padded)
        self._metadata = _compressed(i[sort], j[sort], -(-pattern.shape[1] // cols))

    def tensor(self, values: np.ndarray) -> SparseTensor:
        """``A.T`` for an ``A`` of this pattern with these values (they are copied)."""
        out = aligned_empty(self.order.size * self._block, values.dtype)
        source, target = (x.reshape(-1, self._block) if self._block > 1 else x for x in (values, out))
        np.take(source, self.order, axis=0, out=target, mode="clip")  # "raise" would copy through a buffer
        return SparseTensor(self.shape, self._format, (*self._metadata, out))


#: Rows from which sharing them makes products over the stored order faster than over the transpose's.
SHARED_ROWS = 4


def row_order_pays(fmt: Format) -> bool:
    """True when multiplying by the transpose is faster in row order, the gathering of values included.

    Measured on 2 Zen cores, f32, GF/s over the stored order and over this one: 2:4 24 and 33, 4x4 blocks 24
    and 72, 16x16 blocks 25 and 60; but with 4 rows to a choice 49 and 35, with 16 rows 59 and 36: one load
    and store of a result then serve several rows.

    >>> from pith.formats import HSS
    >>> [row_order_pays(HSS.parse(text).to_format()) for text in ("C0(2:4)", "V(4)C0(2:4)", "B(4x4)C0(1:2)")]
    [True, False, True]
    """
    size = {e.dim: e.mod for e, _ in _block_levels(fmt)}
    return size.get(0, 1) < SHARED_ROWS or size.get(1, 1) > 1


def row_order_of(problem: Problem) -> Problem:
    """The product with the transpose of a matrix, as large, in the order that is faster.

    >>> p = Problem.of_format(Format.csr(), (64, 32), 8, "f32", threads=1, density=0.5)
    >>> transposed = row_order_of(p)
    >>> transposed.shape, transposed.side, transposed.stored == p.stored
    ((32, 64), 'left', True)
    """
    if not row_order_pays(problem.format):
        return dataclasses.replace(problem, side="right")
    leaf = _block_levels(problem.format)
    rows, cols = (math.prod(e.mod for e, _ in leaf if e.dim == d) for d in (0, 1))
    fmt = _row_order(leaf, rows, cols, problem.format.padded)
    lines, positions = -(-problem.shape[1] // cols), [problem.stored // (rows * cols)]
    for expr in fmt.exprs[2:]:
        positions.append(positions[-1] * expr.mod)
    return dataclasses.replace(
        problem,
        format=fmt,
        shape=problem.shape[::-1],
        positions=(lines, *positions),
        metadata_bytes=4 * (lines + 1 + positions[0]),
    )


def _block_levels(fmt: Format) -> list[tuple[LevelExpr, Level]]:
    """Trailing dense levels that make blocks of neighbours, at most one per dimension."""
    pairs = list(zip(fmt.exprs, fmt.levels)) if fmt.diagonal is None else []
    out: list[tuple[LevelExpr, Level]] = []
    while len(pairs) > 1:
        expr, level = pairs.pop()
        if not level.is_dense or not expr.mod or expr.div != 1 or expr.dim in {e.dim for e, _ in out}:
            break
        out.insert(0, (expr, level))
    return out


def _entries(pattern: SparseTensor, block: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Number of every entry among the values, and the coordinates of its first element."""
    slots, dims = slots_of(pattern.buffers, pattern.format, pattern.shape)
    if pattern.format.diagonal is not None:
        dims, _ = matrix_coordinates(dims, pattern.format, pattern.shape)
    rows, cols = dims
    return slots[::block] // block, (rows[::block], cols[::block])


def _by_columns(i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """The order of entries by (j, i). Most formats are stored by rows: then a stable sort of j is enough."""
    if np.any(i[1:] < i[:-1]):
        return np.lexsort((i, j))
    small = j.size > 0 and int(j.max()) < 1 << 16
    return np.argsort(j.astype(np.uint16) if small else j, kind="stable")  # 16 bits: by radix, in linear time


def _row_order(leaf: list[tuple[LevelExpr, Level]], rows: int, cols: int, padded: bool) -> Format:
    """Compressed rows of the transposed blocks; a block keeps the order of its elements."""
    blocks = [(LevelExpr(1 - e.dim, 1, e.mod), "dense") for e, _ in leaf]
    fmt = Format.make(
        2, (LevelExpr(0, cols), "dense"), (LevelExpr(1, rows), "compressed"), *blocks, pos_width=32, crd_width=32
    )
    return fmt.with_padding() if padded else fmt


def _compressed(i: np.ndarray, j: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and coordinates of compressed rows ``j`` with entries ``i``."""
    positions, coordinates = aligned_empty(count + 1, np.int32), aligned_empty(i.size, np.int32)
    positions[0] = 0
    np.cumsum(np.bincount(j, minlength=count), out=positions[1:])
    coordinates[:] = i
    return positions, coordinates
