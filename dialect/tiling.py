"""The fields of ``pith.pit_tile`` as data."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

from pith._mlir import ir
from pith.formats import DYNAMIC

from .diagnostics import require
from .fields import read_bool, read_i64s
from .formats import shape_of
from .pattern import PatternShape, PatternType

PARALLEL, REDUCTION = "parallel", "reduction"


@dataclasses.dataclass(frozen=True)
class Tiling:
    """The attributes of a ``pit_tile`` as plain data.

    Attributes:
        patterns: sizes and granularity of every pattern.
        maps: one indexing map per operand, inputs first.
        iterators: ``"parallel"`` or ``"reduction"`` per iteration dimension.
        axes: iteration dimension of every pattern axis, those of one pattern after those of another.
        tile: extent of the dense tile per iteration dimension, 0 for the whole dimension.
        micro_tile: elements fetched together, per pattern axis.
        accumulate: whether results are added to the inits.
    """

    patterns: tuple[PatternShape, ...]
    maps: tuple[ir.AffineMap, ...]
    iterators: tuple[str, ...]
    axes: tuple[int, ...]
    tile: tuple[int, ...]
    micro_tile: tuple[int, ...]
    accumulate: bool

    @property
    def pattern_axes(self) -> tuple[range, ...]:
        """Which entries of ``axes`` and ``micro_tile`` are those of each pattern."""
        ends = list(itertools.accumulate(p.rank for p in self.patterns))
        return tuple(range(end - p.rank, end) for end, p in zip(ends, self.patterns))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Elements along every entry of ``axes``, as far as patterns tell."""
        return tuple(n for p in self.patterns for n in p.sizes)

    @property
    def granularity(self) -> tuple[int, ...]:
        """Granularity along every entry of ``axes``."""
        return tuple(n for p in self.patterns for n in p.granularity)

    @property
    def packed_axes(self) -> tuple[int | None, ...]:
        """Per pattern, the entry of ``axes`` along which several micro-tiles share one dense tile, if there is one."""
        packed = [i for i, d in enumerate(self.axes) if self.tile[d] > self.micro_tile[i]]
        return tuple(next((i for i in axes if i in packed), None) for axes in self.pattern_axes)

    def operand_dims(self, operand: int) -> tuple[int, ...]:
        """Dimension of the operand (inputs first) that each pattern axis indexes, -1 for none.

        This is the ``dims`` attribute of the operand's ``sread`` and ``swrite``.
        """
        dims = [bare_dim(e) for e in self.maps[operand].results]
        return tuple(dims.index(d) if d in dims else -1 for d in self.axes)


def tiling_of(op: ir.OpView) -> Tiling:
    """Read the fields of a ``pit_tile``; only their kinds are checked."""
    maps, iterators = [], []
    for attr in ir.ArrayAttr(op.operation.attributes["indexing_maps"]):
        require(isinstance(attr, ir.AffineMapAttr), "expects affine maps in indexing_maps, got {}", attr)
        maps.append(ir.AffineMapAttr(attr).value)
    for attr in ir.ArrayAttr(op.operation.attributes["iterator_types"]):
        known = isinstance(attr, ir.StringAttr) and ir.StringAttr(attr).value in (PARALLEL, REDUCTION)
        require(known, 'expects iterator_types of "parallel" or "reduction", got {}', attr)
        iterators.append(ir.StringAttr(attr).value)
    return Tiling(
        tuple(PatternType(v.type).to_shape() for v in op.patterns),
        tuple(maps),
        tuple(iterators),
        read_i64s(op, "axes"),
        read_i64s(op, "tile"),
        read_i64s(op, "micro_tile"),
        read_bool(op, "accumulate"),
    )


def bare_dim(expr: ir.AffineExpr) -> int | None:
    """Position of a map result that is a dimension and nothing else, None for anything else."""
    return expr.position if isinstance(expr, ir.AffineDimExpr) else None


def dims_of(expr: ir.AffineExpr) -> Iterator[int]:
    """Dimensions an affine expression mentions, with repetition."""
    if isinstance(expr, ir.AffineDimExpr):
        yield expr.position
    elif isinstance(expr, ir.AffineBinaryExpr):
        yield from dims_of(expr.lhs)
        yield from dims_of(expr.rhs)


def tile_type(type_: ir.RankedTensorType, map_: ir.AffineMap, tile: Sequence[int]) -> ir.RankedTensorType:
    """Type of an operand's tile: bare results have the tile's extent, everything else is whole."""
    shape = []
    for size, expr in zip(shape_of(type_), map_.results):
        dim = bare_dim(expr)
        extent = size if dim is None or tile[dim] == 0 else tile[dim]
        shape.append(ir.ShapedType.get_dynamic_size() if extent == DYNAMIC else extent)
    return ir.RankedTensorType.get(shape, type_.element_type, loc=ir.Location.unknown(type_.context))
