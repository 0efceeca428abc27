"""Decide how an attention runs on a GPU: body, tiles, stages and shared memory, or why it cannot."""

import dataclasses

from pith._mlir import ir
from pith.dialect import AttentionOp
from pith.passes.core import pass_error

from ... import builder as b
from ...builder import Index
from ...targets import GpuTarget
from ..tiles import TileShape, tile_shape
from ..warp import WARP
from .body import Body
from .fma import FmaBody
from .mma import MmaBody
from .problem import Operands, Problem
from .rows import QueryTile

#: Features of queries or values that a thread's registers have room for.
MAX_FEATURES = 256

#: Keys of a tile, best first: the smaller ones are for what needs much shared memory.
_KEYS = (64, 32, 16)

#: Tiles of keys in shared memory: one in use, one on its way.
STAGES = 2


@dataclasses.dataclass(frozen=True)
class Plan:
    """How one attention runs.

    Attributes:
        body: the dense body, which knows its tiles.
        stages: tiles of keys and values in shared memory at a time.
        shared_bytes: dynamic shared memory of a block.
    """

    body: Body
    stages: int
    shared_bytes: int


def plan_attention(op: AttentionOp, problem: Problem, target: GpuTarget, of_tokens: bool = False) -> Plan:
    """The :class:`Plan` of ``op``; a diagnostic and :class:`pith.PassError` when there is none."""
    if max(problem.depth, problem.width) > MAX_FEATURES:
        sizes = f"{problem.depth} and {problem.width}"
        pass_error(op, f"has no GPU lowering: expects at most {MAX_FEATURES} features, got {sizes}")
    for keys in _KEYS:
        body = _body(problem, keys, of_tokens)
        tiles = shared_tiles(problem, body, of_tokens).values()
        plan = Plan(body, STAGES, sum(copies * shape.nbytes for shape, copies in tiles))
        if plan.shared_bytes <= target.max_shared_bytes and _accumulators(body) <= _MAX_ACCUMULATORS:
            return plan
    return pass_error(op, f"has no GPU lowering: its tiles do not fit into the shared memory of {target.chip}")


#: Sums and scores one thread may hold: 255 registers are the hardware's limit for everything.
_MAX_ACCUMULATORS = 144


def _accumulators(body: Body) -> int:
    return body.queries * (body.width + body.keys) // body.threads


def _body(problem: Problem, keys: int, of_tokens: bool) -> Body:
    """Tiles of queries lie in one row of the pattern's blocks, so low blocks make low tiles."""
    tall = None if problem.granularity is None or of_tokens else problem.granularity[0]
    if isinstance(problem.element, ir.F32Type):
        # Half the rows where values are wide: 8 rows would take 8 * 256 / 16 = 128 registers for sums alone.
        most = 8 if problem.width <= 128 else 4
        down = most if tall is None else min(most, -(-tall // 8))
        return FmaBody(_padded(problem.depth, 4), _padded(problem.width, 16), down, keys)
    depth, width = _padded(problem.depth, 16), _padded(problem.width, 16)
    # A warp that owns 32 queries reads keys and values from shared memory half as often as one with 16; with more
    # than 64 features their sums take too many registers.
    down = 2 if max(depth, width) <= 64 else 1
    strips = 8 if tall is None else -(-min(tall, 128) // 16)
    down = down if strips >= 8 else 1
    return MmaBody(problem.element, depth, width, min(4, strips), down, keys)


def _padded(size: int, to: int) -> int:
    return -(-size // to) * to


def shared_tiles(problem: Problem, body: Body, of_tokens: bool) -> dict[str, tuple[TileShape, int]]:
    """Shapes and copies of a block's tiles: those of the body, spans of warps, marks of tokens, records of keys."""
    i32 = ir.IntegerType.get_signless(32)
    copies = {"query": 1, "key": STAGES, "value": STAGES, "weights": 1}
    tiles = {name: (shape, n) for (name, n), shape in zip(copies.items(), body.layout())}
    tiles["span"] = tile_shape(("warp", "bound"), (body.threads // WARP, 2), i32), 1
    if problem.tokens and not of_tokens:
        tiles["marks"] = tile_shape(("row", "query"), (1, body.queries), i32), 1
    if problem.listed and not of_tokens:
        tiles["records"] = tile_shape(("row", "key"), (1, body.keys), i32), STAGES
    return tiles


def _parts(problem: Problem, rows: int) -> int:
    """Tiles of queries to a row of the pattern's blocks."""
    return -(-problem.granularity[0] // rows) if problem.granularity else 1


def query_tiles(o: Operands, problem: Problem, plan: Plan, of_tokens: bool) -> Index:
    """Tiles of queries of one head."""
    if of_tokens:
        return b.ceildiv(b.dim_size(o.global_tokens, 1), plan.body.queries)
    if problem.granularity is None:
        return b.ceildiv(o.queries, plan.body.queries)
    return b.mul(b.ceildiv(o.queries, problem.granularity[0]), _parts(problem, plan.body.queries))


def query_tile(o: Operands, problem: Problem, plan: Plan, number: ir.Value, of_tokens: bool) -> QueryTile:
    """Tile ``number``: some queries, of one row of the pattern's blocks, or some global tokens."""
    rows = plan.body.queries
    if of_tokens:
        first = b.mul(number, rows)
        return QueryTile(first, b.dim_size(o.global_tokens, 1), o.global_tokens)
    if problem.granularity is None:
        return QueryTile(b.mul(number, rows), o.queries)
    tall, parts = problem.granularity[0], _parts(problem, rows)
    row, part = b.div(number, parts), b.mod(number, parts)
    end = b.minimum(b.mul(b.add(row, 1), tall), o.queries)
    return QueryTile(b.add(b.mul(row, tall), b.mul(part, rows)), end)


def block_row(problem: Problem, plan: Plan, number: ir.Value) -> Index:
    """The row of the pattern's blocks that tile ``number`` of queries lies in."""
    return b.div(number, _parts(problem, plan.body.queries))
