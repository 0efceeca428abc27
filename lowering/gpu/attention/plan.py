"""Decide how an attention runs on a GPU: bodies, tiles, stages and shared memory, or why it cannot."""

import dataclasses

from pith._mlir import ir
from pith.passes.core import pass_error

from ... import builder as b
from ...builder import Index
from ...targets import GpuTarget
from ..product.tiles import SharedTile, TileShape, tile_shape
from ..warp import WARP
from .body import Body
from .fma import FmaBody
from .mma import MmaBody
from .problem import Operands, Problem
from .rows import QueryTile

#: Features of queries or values that a thread's registers have room for.
MAX_FEATURES = 256

#: Tiles of keys in shared memory: one in use, one on its way.
STAGES = 2

#: Keys of a tile, best first: the smaller ones are for what needs much shared memory or many registers.
_KEYS = (64, 32, 16)

#: Sums and scores one thread may hold: 255 registers are the hardware's limit for everything.
_MAX_ACCUMULATORS = 144


@dataclasses.dataclass(frozen=True)
class Plan:
    """How one attention runs.

    Attributes:
        body: the dense body, which knows its tiles.
        pair: that of values and gradients of the result: the same rows and columns, other features. Of gradients only.
        gradient: as in :class:`.problem.Problem`.
        tiles: shapes and copies of shared tiles by name.
    """

    body: Body
    pair: Body
    gradient: str | None
    tiles: dict[str, tuple[TileShape, int]]

    stages = STAGES

    @property
    def by_key(self) -> bool:
        """Gradients of keys and values are computed."""
        return self.gradient == "key"

    @property
    def shared_bytes(self) -> int:
        """Dynamic shared memory of a block."""
        return sum(copies * shape.nbytes for shape, copies in self.tiles.values())

    @property
    def accumulators(self) -> int:
        """Sums and scores of a thread."""
        scored = [self.body, self.pair] if self.gradient else [self.body]
        summed = scored if self.by_key else [self.body]
        per_row = sum(body.keys for body in scored) + sum(body.width for body in summed)
        return self.body.queries * per_row // self.body.threads

    def handed(self, room: dict[str, SharedTile]) -> tuple[SharedTile, ...]:
        """Where the bodies hand weights over."""
        return (room["weights"],) if "weights" in room else ()

    def is_padded(self, width: int) -> bool:
        """Rows of results of ``width`` features are held with padding."""
        return width not in (self.body.width, self.pair.width)


def plan_attention(op: ir.OpView, problem: Problem, target: GpuTarget, of_tokens: bool = False) -> Plan:
    """The :class:`Plan` of ``op``; a diagnostic and :class:`pith.PassError` when there is none."""
    if max(problem.depth, problem.width) > MAX_FEATURES:
        sizes = f"{problem.depth} and {problem.width}"
        pass_error(op, f"has no GPU lowering: expects at most {MAX_FEATURES} features, got {sizes}")
    plan = _plan(problem, _KEYS[0], of_tokens)
    for keys in _KEYS[1:]:
        if plan.shared_bytes > target.max_shared_bytes or plan.accumulators > _MAX_ACCUMULATORS:
            plan = _plan(problem, keys, of_tokens)
    if plan.shared_bytes > target.max_shared_bytes:
        has = f"{target.chip} has {target.max_shared_bytes}"
        pass_error(op, f"has no GPU lowering: needs {plan.shared_bytes} bytes of shared memory, {has}")
    return plan


def _plan(problem: Problem, keys: int, of_tokens: bool) -> Plan:
    body, pair = _bodies(problem, keys, of_tokens)
    tiles = _body_tiles(body, pair if problem.gradient else None)
    i32 = ir.IntegerType.get_signless(32)
    tiles["span"] = tile_shape(("warp", "bound"), (body.threads // WARP, 2), i32), 1
    if problem.gradient == "key":
        tiles["numbers"] = tile_shape(("number", "key"), (2, keys), ir.F32Type.get()), STAGES
    if problem.tokens and not of_tokens:
        tiles["marks"] = tile_shape(("row", "query"), (1, body.queries), i32), 1
    if problem.listed and not of_tokens:
        tiles["records"] = tile_shape(("row", "key"), (1, keys), i32), STAGES
    return Plan(body, pair, problem.gradient, tiles)


def _body_tiles(body: Body, pair: Body | None) -> dict[str, tuple[TileShape, int]]:
    query, key, value, *weights = body.layout()
    tiles = {"query": (query, 1), "key": (key, STAGES), "value": (value, STAGES)}
    if pair is not None:
        # Rows of values are met, and summed, as those of keys are.
        own, other, *_ = pair.layout()
        tiles |= {"pair": (own, 1), "value": (other, STAGES)}
    return tiles | ({"weights": (weights[0], 1)} if weights else {})


def _bodies(problem: Problem, keys: int, of_tokens: bool) -> tuple[Body, Body]:
    """Tiles of queries lie in one row of the pattern's blocks, so low blocks make low tiles."""
    tall = None if problem.granularity is None or of_tokens else problem.granularity[0]
    sizes = [(problem.depth, problem.width)]
    if problem.gradient:  # sums have the features of scores
        sizes = [(size, size) for size in sizes[0]]
    make = _fma_bodies if isinstance(problem.element, ir.F32Type) else _mma_bodies
    bodies = make(problem, sizes, tall, keys)
    return bodies[0], bodies[-1]


def _fma_bodies(problem: Problem, sizes: list[tuple[int, int]], tall: int | None, keys: int) -> list[Body]:
    # Half the rows where sums are wide: 8 rows would take 8 * 256 / 16 = 128 registers for them alone.
    most = 8 if sum(width for _, width in sizes) <= 128 else 4
    down = most if tall is None else min(most, -(-tall // 8))
    across = 16 if problem.gradient else 4  # of gradients, features are summed too
    return [FmaBody(_padded(depth, across), _padded(width, 16), down, keys) for depth, width in sizes]


def _mma_bodies(problem: Problem, sizes: list[tuple[int, int]], tall: int | None, keys: int) -> list[Body]:
    padded = [(_padded(depth, 16), _padded(width, 16)) for depth, width in sizes]
    # A warp that owns 32 queries reads keys and values from shared memory half as often as one with 16; with more
    # than 64 features, or the sums and scores of gradients, that takes too many registers.
    down = 1 if problem.gradient or max(map(max, padded)) > 64 else 2
    strips = 8 if tall is None else -(-min(tall, 128) // 16)
    down = down if strips >= 8 else 1
    return [MmaBody(problem.element, depth, width, min(4, strips), down, keys) for depth, width in padded]


def _padded(size: int, to: int) -> int:
    return -(-size // to) * to


def _parts(problem: Problem, rows: int) -> int:
    """Tiles of queries to a row of the pattern's blocks."""
    return -(-problem.granularity[0] // rows) if problem.granularity else 1


def query_tiles(o: Operands, problem: Problem, plan: Plan, tokens: ir.Value | None) -> Index:
    """Tiles of queries of one head, or of global ``tokens``."""
    if tokens is not None:
        return b.ceildiv(b.dim_size(tokens, 1), plan.body.queries)
    if problem.granularity is None:
        return b.ceildiv(o.queries, plan.body.queries)
    return b.mul(b.ceildiv(o.queries, problem.granularity[0]), _parts(problem, plan.body.queries))


def query_tile(o: Operands, problem: Problem, plan: Plan, number: ir.Value, tokens: ir.Value | None) -> QueryTile:
    """Tile ``number``: some queries, of one row of the pattern's blocks, or some global ``tokens``."""
    rows = plan.body.queries
    if tokens is not None:
        return QueryTile(b.mul(number, rows), b.dim_size(tokens, 1), tokens)
    if problem.granularity is None:
        return QueryTile(b.mul(number, rows), o.queries)
    tall, parts = problem.granularity[0], _parts(problem, rows)
    row, part = b.div(number, parts), b.mod(number, parts)
    end = b.minimum(b.mul(b.add(row, 1), tall), o.queries)
    return QueryTile(b.add(b.mul(row, tall), b.mul(part, rows)), end)


def block_row(problem: Problem, plan: Plan, number: ir.Value) -> Index:
    """The row of the pattern's blocks that tile ``number`` of queries lies in."""
    return b.div(number, _parts(problem, plan.body.queries))
