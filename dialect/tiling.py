"""The rules of ``pith.pit_tile``: its fields as data, and one function per group of rules."""

import dataclasses
from collections.abc import Iterator, Sequence

from pith._mlir import ir
from pith.formats import DYNAMIC

from .diagnostics import Misuse, require
from .fields import dense_type, read_bool, read_i64s, require_distinct_dims
from .formats import shape_of
from .ops_pattern import collision_axis
from .pattern import PatternShape, PatternType

PARALLEL, REDUCTION = "parallel", "reduction"


@dataclasses.dataclass(frozen=True)
class Tiling:
    """The attributes of a ``pit_tile`` as plain data.

    Attributes:
        pattern: sizes and granularity of the pattern.
        maps: one indexing map per operand, inputs first.
        iterators: ``"parallel"`` or ``"reduction"`` per iteration dimension.
        axes: iteration dimension of every pattern axis.
        tile: extent of the dense tile per iteration dimension, 0 for the whole dimension.
        micro_tile: elements fetched together, per pattern axis.
        accumulate: whether results are added to the inits.
    """

    pattern: PatternShape
    maps: tuple[ir.AffineMap, ...]
    iterators: tuple[str, ...]
    axes: tuple[int, ...]
    tile: tuple[int, ...]
    micro_tile: tuple[int, ...]
    accumulate: bool

    @property
    def packed_axis(self) -> int | None:
        """The pattern axis along which several micro-tiles share one dense tile, if there is one."""
        return next((i for i, d in enumerate(self.axes) if self.tile[d] > self.micro_tile[i]), None)

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
        PatternType(op.operation.operands[0].type).to_shape(),
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


def require_tiling(op: ir.OpView) -> None:
    """Everything about a ``pit_tile`` except its body; raises :class:`Misuse`."""
    tiling = tiling_of(op)
    operands = [*op.inputs, op.init]
    names = [*(f"input {i}" for i in range(len(op.inputs))), "init"]
    types = [dense_type(v.type, name) for v, name in zip(operands, names)]
    _require_maps(tiling, types, names)
    _require_sizes(tiling, types, names)
    _require_invariant_axes(tiling, names)
    _require_tile(tiling)
    _require_whole(tiling, names)
    _require_init(tiling)
    got = op.operation.results[0].type
    require(got == types[-1], "expects the result type of its init, {}, got {}", types[-1], got)


def _require_maps(tiling: Tiling, types: Sequence[ir.RankedTensorType], names: Sequence[str]) -> None:
    require(
        len(tiling.maps) == len(types),
        "expects one indexing map per operand ({}), got {}",
        len(types),
        len(tiling.maps),
    )
    rank = len(tiling.iterators)
    for map_, type_, name in zip(tiling.maps, types, names):
        require(
            map_.n_dims == rank and map_.n_symbols == 0,
            "expects the map of {} to have one dimension per iterator ({}) and no symbols, got {}",
            name,
            rank,
            map_,
        )
        require(
            len(map_.results) == type_.rank,
            "expects the map of {} to have one result per dimension of {}, got {}",
            name,
            type_,
            map_,
        )


def _require_sizes(tiling: Tiling, types: Sequence[ir.RankedTensorType], names: Sequence[str]) -> None:
    """Operands and the pattern agree on the extent of every iteration dimension."""
    known: dict[int, tuple[int, str]] = {}
    for d, size in zip(tiling.axes, tiling.pattern.sizes):
        if size != DYNAMIC:
            known[d] = (size, "the pattern")
    for map_, type_, name in zip(tiling.maps, types, names):
        for size, expr in zip(shape_of(type_), map_.results):
            dim = bare_dim(expr)
            if dim is None or size == DYNAMIC:
                continue
            want, by = known.setdefault(dim, (size, name))
            require(
                size == want,
                "expects iteration dimension {} to have one size, got {} by {} and {} by {}",
                dim,
                want,
                by,
                size,
                name,
            )


def _require_invariant_axes(tiling: Tiling, names: Sequence[str]) -> None:
    require(
        len(tiling.axes) == tiling.pattern.rank,
        "expects one entry of axes per pattern axis ({}), got {}",
        tiling.pattern.rank,
        len(tiling.axes),
    )
    require_distinct_dims(tiling.axes, len(tiling.iterators), "the iteration space", "axes")
    for d in tiling.axes:
        uses = 0
        for map_, name in zip(tiling.maps, names):
            mentions = [e for e in map_.results if d in dims_of(e)]
            uses += len(mentions)
            legal = len(mentions) <= 1 and all(bare_dim(e) == d for e in mentions)
            require(
                legal,
                "expects axis d{} to be permutation-invariant: in the map of {} it must be a bare "
                "result, at most once, got {}",
                d,
                name,
                map_,
            )
        require(uses > 0, "expects axis d{} to index at least one operand", d)


def _require_tile(tiling: Tiling) -> None:
    rank = len(tiling.iterators)
    require(
        len(tiling.tile) == rank,
        "expects one entry of tile per iteration dimension ({}), got {}",
        rank,
        len(tiling.tile),
    )
    for d, extent in enumerate(tiling.tile):
        require(extent >= 0, "expects tile >= 0 (0: the whole dimension), got {} for d{}", extent, d)
    require(
        len(tiling.micro_tile) == len(tiling.axes),
        "expects one entry of micro_tile per axis ({}), got {}",
        len(tiling.axes),
        len(tiling.micro_tile),
    )
    for i, (d, micro, gran) in enumerate(zip(tiling.axes, tiling.micro_tile, tiling.pattern.granularity)):
        extent = tiling.tile[d]
        require(extent > 0, "expects a tile >= 1 along axis d{}, got {}", d, extent)
        require(
            micro >= 1 and extent % micro == 0 and gran % micro == 0,
            "expects micro_tile {} to divide the tile {} of d{} and the pattern's granularity {}, got {}",
            i,
            extent,
            d,
            gran,
            micro,
        )
    packed = [d for i, d in enumerate(tiling.axes) if tiling.tile[d] > tiling.micro_tile[i]]
    require(
        len(packed) <= 1,
        "expects one packed axis at most (tile larger than micro_tile), got {}",
        ", ".join(f"d{d}" for d in packed),
    )


def _require_whole(tiling: Tiling, names: Sequence[str]) -> None:
    """Dimensions inside compound map results (``d0 + d1``) are not tiled."""
    for map_, name in zip(tiling.maps, names):
        for expr in map_.results:
            cut = [f"d{d}" for d in dims_of(expr) if bare_dim(expr) is None and tiling.tile[d]]
            require(
                not cut,
                "expects tile 0 for every dimension of {} in the map of {}, got one for {}",
                expr,
                name,
                ", ".join(cut),
            )


def _require_init(tiling: Tiling) -> None:
    """The init's map says what is written where; see "the accumulate rule" of the op."""
    map_ = tiling.maps[-1]
    used = {bare_dim(e) for e in map_.results}
    require(None not in used, "expects bare dimensions in the map of init, got {}", map_)
    for d, iterator in enumerate(tiling.iterators):
        if iterator == PARALLEL:
            require(d in used, "expects every parallel dimension to index init, d{} does not", d)
        else:
            require(d not in used, "expects no reduction dimension to index init, d{} does", d)
    indexing = [i for i, d in enumerate(tiling.axes) if d in used]
    if not indexing or tiling.accumulate:
        return
    other = collision_axis(tiling.pattern, indexing)
    if other is not None:
        raise Misuse(
            f"expects accumulate = true: the pattern selects other d{tiling.axes[indexing[0]]} for every micro-tile of "
            f"the reduction d{tiling.axes[other]}, so tiles meet in init"
        )


def require_body(op: ir.OpView) -> None:
    """The body's arguments and terminator fit the tiles; raises :class:`Misuse`."""
    blocks = list(op.operation.regions[0].blocks)
    require(len(blocks) == 1, "expects a body of one block, got {}", len(blocks))
    block, tiling = blocks[0], tiling_of(op)
    operands = [*op.inputs, op.init]
    want = [tile_type(v.type, m, tiling.tile) for v, m in zip(operands, tiling.maps)]
    got = [a.type for a in block.arguments]
    require(len(got) == len(want), "expects one block argument per operand ({}), got {}", len(want), len(got))
    for i, (w, g) in enumerate(zip(want, got)):
        require(w == g, "expects block argument {} to be the operand's tile, {}, got {}", i, w, g)
    ops = list(block.operations)
    require(bool(ops) and ops[-1].operation.name == "pith.yield", "expects pith.yield at the end of its body")
    yielded = ops[-1].operation.operands[0].type
    require(yielded == want[-1], "expects pith.yield of the init's tile, {}, got {}", want[-1], yielded)
    _require_position_free(op)


def _require_position_free(op: ir.OpView) -> None:
    def visit(inner: ir.Operation) -> ir.WalkResult:
        if inner.name == "linalg.index":
            found.append(inner)
            return ir.WalkResult.INTERRUPT
        return ir.WalkResult.ADVANCE

    found: list[ir.Operation] = []
    op.operation.walk(visit)
    require(not found, "expects a body without linalg.index: places in a packed tile are not those of the tensor")
