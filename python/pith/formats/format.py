"""Formats: the map from a tensor's dimensions to storage levels, and what each level is.

This is the pure-Python twin of the ``#pith.format`` attribute; it needs no MLIR.

Storage of a tensor in a format, in this order (the *storage contract* every lowering,
packer and reader follows). Levels are visited outermost first; a level sees the number
of parent positions ``P`` of the level above (1 for the first):

==================  =============================================  ==========================
level               buffers                                        child position
==================  =============================================  ==========================
dense, size S       none                                           ``p * S + c``
nm<G,H>, G < H      coordinates: P*G values of ``coord_bits(l)``   ``p * G + slot``
nm<G,G>             none                                           ``p * G + c``
compressed          positions: P+1; coordinates: one per child     ``positions[p] + i``
loose_compressed    positions: 2*P (begin, end); coordinates       ``positions[2p] + i``
singleton           coordinates: one per position                  ``p``
bitmask, size S     positions: P+1; bits: ceil(S/8) bytes each     ``positions[p] + rank of c``
band(l:u)           none                                           ``p * (l + u + 1) + c``
==================  =============================================  ==========================

then the values, one per position of the last level. Coordinates of ``nm`` levels are
sorted and distinct inside a group; a group with fewer than G non-zeros is filled up with
unused coordinates that hold zeros. Sub-byte coordinates are packed little-endian into
bytes: entry ``i`` of width ``w`` sits in byte ``i*w // 8`` at bit ``i*w % 8``. Packers put entries of a
``nonordered`` level side by side when the bits of a last level below them are the same (:mod:`masks`).

Diagonals, ``d1 - d0``, are counted from the lowest one a level can hold: in ``band(l:u)`` that is ``-l``, in a
``compressed`` level that of the last row's first element. A diagonal is stored over its whole range of rows;
elements that would stand beyond the first or last column hold zeros, and nothing reads them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

from ..errors import FormatError, ShapeError
from .format_check import check_format
from .level_expr import DYNAMIC, LevelExpr
from .levels import Level
from .whole import whole

__all__ = ["DYNAMIC", "Format", "LevelExpr"]

_OF_RANK = "reshape the tensor, or name every dimension: 'd0 : dense, d1 : dense, d2 : compressed' is a stack of CSR"


@dataclasses.dataclass(frozen=True)
class Format:
    """How a tensor is stored: ``dim_to_lvl`` map, levels, and widths of the metadata.

    Attributes:
        rank: number of dimensions.
        exprs: one :class:`LevelExpr` per level, outermost first.
        levels: one :class:`Level` per level.
        pos_width: bits of a position: 8, 16, 32, 64, or 0 for the native index (64).
        crd_width: bits of a coordinate of compressed and singleton levels, as ``pos_width``.
        nm_width: bits of a coordinate of ``nm`` levels; 0 packs them into the fewest of
            1, 2, 4, 8, 16, 32 bits that hold H (all levels into 16 or 32 once one needs more than 8).
        padded: sizes that the format's groups do not divide are stored rounded up, with zeros beyond the edge.

    Example:
        >>> f = Format.csr()
        >>> str(f)
        'd0 : dense, d1 : compressed'
        >>> f.level_sizes((3, 8))
        (3, 8)
    """

    rank: int
    exprs: tuple[LevelExpr, ...]
    levels: tuple[Level, ...]
    pos_width: int = 0
    crd_width: int = 0
    nm_width: int = 0
    padded: bool = False

    def __post_init__(self) -> None:
        check_format(self)

    def __hash__(self) -> int:
        """Kept once computed: a format is the key of every kernel look-up."""
        kept = self.__dict__.get("_hash")
        if kept is None:
            kept = hash((self.exprs, self.levels, self.pos_width, self.crd_width, self.nm_width, self.padded))
            object.__setattr__(self, "_hash", kept)
        return kept

    def __getstate__(self) -> dict[str, object]:
        """Without the hash: that of strings differs between processes."""
        return {name: value for name, value in self.__dict__.items() if name != "_hash"}

    # -- constructors ---------------------------------------------------------------

    @classmethod
    def make(
        cls, rank: int, *levels: tuple[LevelExpr | int, Level | str], padded: bool = False, **widths: int
    ) -> Format:
        """Build from ``(expr or dim, level or its text)`` pairs."""
        exprs = tuple(LevelExpr(e) if isinstance(e, int) else e for e, _ in levels)
        lvls = tuple(Level.parse(v) if isinstance(v, str) else v for _, v in levels)
        return cls(rank, exprs, lvls, **widths, padded=padded)

    @classmethod
    def dense(cls, rank: int = 2) -> Format:
        """Row-major dense storage."""
        return cls.make(rank, *((d, "dense") for d in range(rank)))

    @classmethod
    def csr(cls, width: int = 32) -> Format:
        """Compressed sparse rows."""
        return cls.make(2, (0, "dense"), (1, "compressed"), pos_width=width, crd_width=width)

    @classmethod
    def csc(cls, width: int = 32) -> Format:
        """Compressed sparse columns."""
        return cls.make(2, (1, "dense"), (0, "compressed"), pos_width=width, crd_width=width)

    @classmethod
    def coo(cls, rank: int = 2, width: int = 32) -> Format:
        """Sorted coordinates, one array per dimension."""
        first = (0, "compressed(nonunique)" if rank > 1 else "compressed")
        rest = ((d, "singleton(nonunique)" if d + 1 < rank else "singleton") for d in range(1, rank))
        return cls.make(rank, first, *rest, pos_width=width, crd_width=width)

    @classmethod
    def bsr(cls, bh: int, bw: int, width: int = 32) -> Format:
        """Compressed rows of dense ``bh x bw`` blocks; an extent of one is no level.

        >>> Format.bsr(1, 1) == Format.csr()
        True
        """
        bh, bw = whole(bh, "the height of a block", 1), whole(bw, "the width of a block", 1)
        inside = [(LevelExpr(d, 1, extent), "dense") for d, extent in ((0, bh), (1, bw)) if extent != 1]
        outside = ((LevelExpr(0, bh), "dense"), (LevelExpr(1, bw), "compressed"))
        return cls.make(2, *outside, *inside, pos_width=width, crd_width=width)

    @classmethod
    def dia(cls, width: int = 32) -> Format:
        """Any diagonals of a matrix, as a list; each as long as the matrix has rows."""
        return cls.make(2, (LevelExpr(1, minus=0), "compressed"), (0, "dense"), pos_width=width, crd_width=width)

    @classmethod
    def banded(cls, lower: int, upper: int) -> Format:
        """The diagonals from ``lower`` below to ``upper`` above the main one, row by row.

        >>> Format.banded(1, 2).packed_shapes((5, 5))
        {'values': (5, 4)}
        """
        return cls.make(2, (0, "dense"), (LevelExpr(1, minus=0), Level.band(lower, upper)))

    # -- queries --------------------------------------------------------------------

    @functools.cached_property
    def diagonal(self) -> int | None:
        """The level whose coordinate is a diagonal (``d1 - d0``); None where all are digits."""
        return next((i for i, e in enumerate(self.exprs) if e.minus is not None), None)

    @property
    def density(self) -> float:
        """Largest share of elements the format can hold, as far as the format alone tells."""
        return math.prod(level.density for level in self.levels)

    @property
    def is_static(self) -> bool:
        """True when packed shapes follow from the shape alone (dense and ``nm`` levels only)."""
        return all(level.is_static for level in self.levels)

    @property
    def is_dense(self) -> bool:
        """True when every element is stored."""
        return all(level.is_dense for level in self.levels)

    def coord_bits(self, level: int) -> int:
        """Width in bits of one stored coordinate of ``level`` (``bitmask``: 1)."""
        lvl = self.levels[level]
        if lvl.kind == "bitmask":
            return 1
        if lvl.kind == "nm":
            return self.nm_width or self._fewest_bits(lvl.h)
        return self.crd_width or 64

    def _fewest_bits(self, h: int) -> int:
        """Bits for a coordinate below ``h``. One buffer wider than a byte makes all ``nm`` levels as wide."""
        widest = max(level.h for level in self.levels if level.kind == "nm" and not level.is_dense)
        return next(w for w in (1, 2, 4, 8, 16, 32) if 2**w >= (widest if widest > 2**8 else h))

    @property
    def pos_bits(self) -> int:
        """Width in bits of one position."""
        return self.pos_width or 64

    def level_sizes(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Number of coordinates of every level for a tensor of ``shape``."""
        return tuple(
            e.size(shape[e.dim]) if e.minus is None else level.diagonals(*shape)
            for e, level in zip(self.exprs, self.levels)
        )

    def divisors(self) -> tuple[int, ...]:
        """What each dimension's size must be a multiple of."""
        out = [1] * self.rank
        for e in self.exprs:
            out[e.dim] = max(out[e.dim], e.div * (e.mod or 1))
        return tuple(out)

    def check_shape(self, shape: Sequence[int]) -> None:
        """Raise :class:`ShapeError` unless a tensor of ``shape`` can be stored."""
        if len(shape) != self.rank:
            raise ShapeError(f"format {self} is for rank {self.rank}, got shape {tuple(shape)}", hint=_OF_RANK)
        if self.padded:
            return
        for d, (size, div) in enumerate(zip(shape, self.divisors())):
            if size != DYNAMIC and size % div:
                up = -(-size // div) * div
                raise ShapeError(
                    f"dimension {d} of shape {tuple(shape)} has size {size}, which {div} does not divide "
                    f"(format {self})",
                    hint=f"pad dimension {d} with zeros to {up}, let the format do so (' pad' after its text, "
                    "fmt.with_padding()), or choose a format whose group divides it",
                )

    def padded_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """``shape`` rounded up to what the format's groups divide: the shape that is stored.

        >>> Format.bsr(4, 4).with_padding().padded_shape((5, 8))
        (8, 8)
        """
        return tuple(s if s == DYNAMIC else -(-s // div) * div for s, div in zip(shape, self.divisors()))

    def may_overhang(self, shape: Sequence[int]) -> bool:
        """True when a tensor of ``shape`` may be stored with entries beyond its edge: padded, and not known to divide.

        >>> f = Format.bsr(4, 4).with_padding()
        >>> f.may_overhang((4, 6)), f.may_overhang((4, DYNAMIC)), f.may_overhang((4, 8))
        (True, True, False)
        """
        return self.padded and any(s == DYNAMIC or s % div for s, div in zip(shape, self.divisors()))

    def packed_shapes(self, shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Shapes of the stored buffers, ``{"values": ..., "coordinates[l]": ...}``.

        Only for formats whose storage is static; counts are in entries, before sub-byte packing.
        """
        self.check_shape(shape)
        if not self.is_static:
            raise FormatError(f"packed shapes of {self} depend on the data, not on the format alone")
        out: dict[str, tuple[int, ...]] = {}
        dims: tuple[int, ...] = ()
        for i, (level, size) in enumerate(zip(self.levels, self.level_sizes(shape))):
            dims += (level.g if level.kind == "nm" else size,)
            if level.has_coordinates:
                out[f"coordinates[{i}]"] = dims
        out["values"] = dims
        return out

    def metadata_bits(self, shape: Sequence[int]) -> int:
        """Bits of coordinates stored for a static format and ``shape``."""
        shapes = self.packed_shapes(shape)
        return sum(math.prod(s) * self.coord_bits(int(k[12:-1])) for k, s in shapes.items() if k != "values")

    def to_format(self) -> Format:
        """Itself, as :meth:`HSS.to_format` gives: what takes either need not ask."""
        return self

    def with_widths(self, pos: int | None = None, crd: int | None = None, nm: int | None = None) -> Format:
        """The same format with other widths (None keeps the present one)."""
        return dataclasses.replace(
            self,
            pos_width=self.pos_width if pos is None else pos,
            crd_width=self.crd_width if crd is None else crd,
            nm_width=self.nm_width if nm is None else nm,
        )

    def with_padding(self, padded: bool = True) -> Format:
        """The same format for shapes its groups need not divide (or the other way round).

        >>> str(Format.bsr(4, 4).with_padding()).endswith("d1 mod 4 : dense pad")
        True
        """
        return dataclasses.replace(self, padded=padded)

    def transposed(self) -> Format:
        """The format of the transposed tensor over the same buffers (dimensions in reverse order).

        >>> Format.csr().transposed() == Format.csc()
        True
        """
        other = range(self.rank)[::-1]
        exprs = tuple(
            dataclasses.replace(e, dim=other[e.dim], minus=None if e.minus is None else other[e.minus])
            for e in self.exprs
        )
        return dataclasses.replace(self, exprs=exprs)

    def __str__(self) -> str:
        return ", ".join(f"{e} : {level}" for e, level in zip(self.exprs, self.levels)) + " pad" * self.padded
