"""What a matrix product is, as far as the time it takes depends on it."""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
from typing import Any

from pith.lowering.isa import host_isa

from ..errors import ShapeError
from ..formats import Format
from ..formats.diagonals import last_level
from ..formats.masks import mask_level
from ..formats.pack_digits import is_row_major

#: Bytes of an element.
ELEMENT_BYTES = {"f16": 2, "bf16": 2, "f32": 4, "f64": 8, "i8": 1, "i16": 2, "i32": 4, "i64": 8}

#: Kinds of levels whose coordinates a kernel visits in a loop; those of ``nm`` levels are unrolled.
_LOOPS = ("dense", "compressed", "loose_compressed", "bitmask")


@dataclasses.dataclass(frozen=True)
class Problem:
    """``sparse @ dense`` (side ``left``) or ``dense @ sparse`` (side ``right``).

    Attributes:
        format: of the sparse operand, as stored.
        shape: of the sparse operand, as stored.
        columns: size of the dense operand's dimension that is not contracted.
        element: element type of both operands.
        positions: stored coordinates per level, outermost first (the last: stored elements).
        metadata_bytes: of all buffers but the values.
        side: on which side the sparse operand stands.
        threads: of the kernel.
        isa: name of the instruction set (:data:`pith.lowering.isa.ISAS`).
        torch: the dense product is torch's, else NumPy's.
        windows: the dense operand lists windows of an image, from which either product packs them.

    Example:
        >>> p = Problem.of_format(Format.dense(), (64, 32), 8, "f32", threads=1)
        >>> p.rows, p.contracted, p.stored, p.density
        (64, 32, 2048, 1.0)
    """

    format: Format
    shape: tuple[int, int]
    columns: int
    element: str
    positions: tuple[int, ...]
    metadata_bytes: int
    side: str = "left"
    threads: int = 1
    isa: str = "generic"
    torch: bool = False
    windows: bool = False

    @classmethod
    def of(cls, tensor: Any, columns: int, *, side: str = "left", threads: int | None = None) -> Problem:
        """The product of a stored matrix (:class:`pith.SparseTensor`) with ``columns`` columns (side ``right``: rows).

        ``threads`` defaults to those kernels use now.
        Errors: :class:`pith.ShapeError` when the tensor is not a matrix.
        """
        from ..runtime import dtype_name, num_threads

        if len(tensor.shape) != 2:
            raise ShapeError(f"expects a sparse matrix, got shape {tensor.shape}")
        fmt = tensor.format
        return cls(
            fmt if fmt.may_overhang(tensor.shape) else fmt.with_padding(False),  # the same storage
            tensor.shape,
            columns,
            dtype_name(tensor.values.dtype),
            stored_positions(tensor),
            tensor.nbytes - tensor.values.nbytes,
            side,
            threads or num_threads(),
            host_isa().name,
            "torch" in sys.modules,
        )

    @classmethod
    def of_format(
        cls,
        fmt: Format,
        shape: tuple[int, int],
        columns: int,
        element: str,
        *,
        threads: int | None = None,
        side: str = "left",
        density: float = 1.0,
    ) -> Problem:
        """The product of a matrix that is not there yet: levels hold what the format says, or ``density``.

        Args:
            density: share of coordinates the outermost level holds whose number the data decide.
        """
        from ..runtime import num_threads

        count, positions = 1, []
        for level, size in zip(fmt.levels, fmt.level_sizes(shape)):
            if level.is_static:
                count *= level.g if level.kind == "nm" else size
            elif level.kind != "singleton":
                count, density = max(1, round(count * size * density)), 1.0
            positions.append(count)
        bits = sum(n * fmt.coord_bits(i) for i, n in enumerate(positions) if fmt.levels[i].has_coordinates)
        rest = (bits // 8, side, threads or num_threads(), host_isa().name, "torch" in sys.modules)
        return cls(fmt, shape, columns, element, tuple(positions), *rest)

    @property
    def kept_dim(self) -> int:
        """The sparse operand's dimension that the result has."""
        return 0 if self.side == "left" else 1

    @property
    def rows(self) -> int:
        """Size of that dimension."""
        return self.shape[self.kept_dim]

    @property
    def contracted(self) -> int:
        """Size of the other one."""
        return self.shape[1 - self.kept_dim]

    @property
    def stored(self) -> int:
        """Stored elements, zeros that fill up groups and blocks included."""
        return self.positions[-1]

    @property
    def density(self) -> float:
        """Stored elements as a share of all."""
        return self.stored / max(1, self.shape[0] * self.shape[1])

    @property
    def element_bytes(self) -> int:
        """Bytes of an element."""
        return ELEMENT_BYTES[self.element]

    @property
    def masked(self) -> int:
        """The level of bits that say which rows of a group have a column; 0: there is none."""
        return mask_level(self.format) if self.format.exprs[-1].dim == self.kept_dim else 0

    @property
    def coordinates(self) -> int:
        """Stored coordinates, of all levels; of masks none is read."""
        levels = list(zip(self.positions, self.format.levels))[: self.masked or None]
        return sum(n for n, level in levels if level.has_coordinates)

    @property
    def is_plain(self) -> bool:
        """Every element is stored, row by row: the kernel of dense products multiplies it as it is."""
        return is_row_major(self.format)

    @property
    def unpacked(self) -> Problem:
        """The same product of the same matrix stored row by row, every element."""
        rows, columns = self.shape
        positions = (rows, rows * columns)
        return dataclasses.replace(self, format=Format.dense(2), positions=positions, metadata_bytes=0)

    @property
    def from_left(self) -> Problem:
        """Of a product of dense matrices, as which the one on the left is read a row at a time, that one's."""
        if self.side == "left":
            return self
        rows, depth = self.columns, self.contracted
        transposed = {"shape": (rows, depth), "columns": self.rows, "positions": (rows, rows * depth), "side": "left"}
        return dataclasses.replace(self, **transposed)

    @property
    def set_bits(self) -> int:
        """Bits that are set, of all bitmasks that are read bit by bit."""
        levels = list(zip(self.positions, self.format.levels))[: self.masked or None]
        return sum(n for n, level in levels if level.kind == "bitmask")

    @property
    def bit_words(self) -> int:
        """Words of 64 bits, of all bitmasks; runs of masks, which nobody foresees the ends of either."""
        if at := self.masked:
            return min(self.positions[at - 1], self._above(at - 1) * (2 ** self.format.exprs[at].mod - 1))
        levels = zip(self.format.levels, self.format.level_sizes(self.shape), (1, *self.positions))
        return sum(parents * -(-size // 64) for level, size, parents in levels if level.kind == "bitmask")

    @property
    def loop_trips(self) -> int:
        """Iterations of loops over coordinates above the last level."""
        pairs = zip(self.positions[:-1], self.format.levels[:-1])
        return sum(count for count, level in pairs if level.kind in _LOOPS)

    @property
    def row_visits(self) -> int:
        """How often a kernel comes to a row of the result: once each, or once per group that cuts the rows."""
        if at := self.masked:
            return self._above(at - 1) * self.format.exprs[at].mod
        return self.positions[last_level(self.format, self.kept_dim)]

    def _above(self, level: int) -> int:
        """Stored coordinates of the level above."""
        return self.positions[level - 1] if level else 1

    @property
    def stores_singly(self) -> bool:
        """Elements have coordinates of their own, from all over a row: nothing says where the next one is."""
        return self.format.levels[-1].kind not in ("dense", "nm", "band")

    @property
    def shared_rows(self) -> float:
        """Consecutive rows that share every coordinate: the rows of a block, of V, or of a dense format; of masks, as
        many as have a column on average."""
        if at := self.masked:
            return self.stored / max(1, self.positions[at - 1])
        if self.format.diagonal is not None:
            return 1
        pairs = reversed(list(zip(self.format.exprs, self.format.levels)))
        inner = itertools.takewhile(lambda pair: pair[1].is_dense, pairs)
        return math.prod(e.mod or self.rows for e, _ in inner if e.dim == self.kept_dim)


def stored_positions(tensor: Any) -> tuple[int, ...]:
    """Coordinates stored per level of a :class:`pith.SparseTensor`; reads at most one number of each buffer.

    >>> import numpy as np, pith
    >>> stored_positions(pith.compress(np.eye(4), "csr"))
    (4, 4)
    >>> stored_positions(pith.compress(np.eye(4), "C0(2:4)"))
    (4, 4, 8)
    """
    fmt, out, count = tensor.format, [], 1
    buffers = iter(tensor.buffers)
    for level, size in zip(fmt.levels, fmt.level_sizes(tensor.shape)):
        positions = next(buffers) if level.has_positions else None
        coordinates = next(buffers) if level.has_coordinates else None
        if level.is_static:
            count *= level.g if level.kind == "nm" else size
        elif level.kind == "bitmask":
            count = int(positions[-1]) if positions is not None and positions.size else 0
        else:
            count = coordinates.size if coordinates is not None else 0
        out.append(count)
    return tuple(out)
