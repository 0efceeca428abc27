"""The rules of ``pith.pit_tile``: one function per group of rules, each raises :class:`Misuse`."""

from collections.abc import Sequence

from pith._mlir import ir
from pith.formats import DYNAMIC

from .diagnostics import Misuse, require
from .fields import dense_type, require_distinct_dims
from .formats import shape_of
from .ops_pattern import collision_axis
from .pattern import PatternShape
from .tiling import PARALLEL, Tiling, bare_dim, dims_of, tile_type, tiling_of


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
    for d, size in zip(tiling.axes, tiling.sizes):
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
        len(tiling.axes) == len(tiling.sizes),
        "expects one entry of axes per pattern axis ({}), got {}",
        len(tiling.sizes),
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
    for i, (d, micro, gran) in enumerate(zip(tiling.axes, tiling.micro_tile, tiling.granularity)):
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
    for axes in tiling.pattern_axes:
        packed = [tiling.axes[i] for i in axes if tiling.tile[tiling.axes[i]] > tiling.micro_tile[i]]
        require(
            len(packed) <= 1,
            "expects one packed axis at most (tile larger than micro_tile) per pattern, got {}",
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
    if not tiling.accumulate:
        for pattern, axes in zip(tiling.patterns, tiling.pattern_axes):
            _require_no_meeting(pattern, [tiling.axes[i] for i in axes], used)


def _require_no_meeting(pattern: PatternShape, dims: Sequence[int], used: set[int | None]) -> None:
    """Tiles of one pattern, whose axes lie on ``dims``, do not meet in an init that ``used`` dimensions index."""
    indexing = [i for i, d in enumerate(dims) if d in used]
    other = collision_axis(pattern, indexing) if indexing else None
    if other is not None:
        raise Misuse(
            f"expects accumulate = true: the pattern selects other d{dims[indexing[0]]} for every micro-tile of "
            f"the reduction d{dims[other]}, so tiles meet in init"
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
