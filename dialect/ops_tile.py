"""The region op of permutation-invariant tiling: ``pit_tile`` and its terminator."""

from collections.abc import Callable, Sequence

from pith._mlir import ext, ir
from pith.errors import ShapeError

from .diagnostics import require, verifier
from .fields import Bool, I64Array, as_field, bool_attr, i64_array
from .pattern import PatternType
from .pith import Pith
from .tiling import tile_type
from .tiling_rules import require_body, require_tiling


class YieldOp(Pith.Operation, name="yield", traits=[ext.Pure, ir.IsTerminatorTrait]):
    """End the body of ``pit_tile``, naming the new tile of the init.

    Shapes: tile: a tensor of the type of the init's tile.
    Semantics: see ``pit_tile``, whose verifier checks the types.
    Errors: "expects pith.pit_tile as its parent".
    Source: ``linalg.yield`` upstream.
    Example: ``"pith.yield"(%r) : (tensor<32x32xf32>) -> ()``
    """

    tile: ext.Operand[ir.RankedTensorType]

    @classmethod
    def build(cls, tile: ir.Value, *, loc=None, ip=None) -> "YieldOp":
        """Yield ``tile``."""
        return cls(tile, loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """It ends the body of a ``pith.pit_tile``."""
        parent = self.operation.parent
        require(parent is not None and parent.operation.name == "pith.pit_tile", "expects pith.pit_tile as its parent")


#: Inputs and patterns a ``pit_tile`` may have. Operands in one variadic group must have one type (IRDL), so each
#: has its own slot.
MAX_INPUTS, MAX_PATTERNS = 8, 3

_Slot = ext.Operand[ir.RankedTensorType] | None


class PitTileOp(Pith.Operation, name="pit_tile", traits=[ext.Pure]):
    """Run a dense tile body over the micro-tiles that patterns name (PIT's tiled operator).

    Shapes: one to 3 patterns; up to 8 inputs and one init: ranked tensors without an encoding;
        result: the type of the init. ``operandSegmentSizes`` has three entries of 1 or 0 for the
        patterns (ones first), eight for the inputs (ones first), a 1 for the init.
        ``indexing_maps`` (one per input, then the init's) and ``iterator_types`` (``"parallel"`` or
        ``"reduction"``) describe the iteration space as in ``linalg.generic``. ``axes`` has one entry
        per axis of the first pattern, then of the second and third: the iteration dimension it
        lies on, each on another. ``tile`` has one entry per iteration dimension: the extent of the
        dense tile, or 0 for the whole dimension (not on ``axes``). ``micro_tile`` has one entry per
        entry of ``axes``: the elements fetched together, a divisor of the tile and of the pattern's
        granularity. The body gets one tile per operand, whose shape follows the operand's map.
    Semantics: along the axes of a pattern only elements it names are visited; of several patterns,
        every combination of what each names. On at most one axis of each pattern, its packed
        axis, the tile is larger than the micro-tile: micro-tiles that agree in all
        other coordinates are gathered, in any order, until the tile is full. On the other axes
        a tile holds one micro-tile. Along the remaining dimensions tiles follow each other as
        in a loop nest. Operands that pattern axes index are read as by ``sread`` and written as
        by ``swrite``. Tiles that stick out are filled with zeros, which along a reduction must
        not change the body's result (true for sums of products); what sticks out of the init is
        dropped. Places of the init that no micro-tile names keep their value.
        With ``accumulate = false`` the body's init argument is the tile of the init as it is, and
        what is yielded replaces it. With ``accumulate = true`` that argument starts as zeros
        and what is yielded is added to the init.
        The body must be free of side effects; floating-point reductions may be reordered.
    Rule (accumulate): an init that some axes of a pattern index and another, a reduction, does
        not, receives several tiles at one place (row sets that differ per K-block), so the op
        must accumulate, unless that other axis has a single micro-tile. If no pattern axis
        indexes the init, its tile is carried along the reduction and needs no accumulation.
    Errors: one message per rule above, see ``dialect/tiling_rules.py``: "expects one indexing map per
        operand", "expects iterator_types of", "expects every parallel dimension to index init",
        "expects axis d to be permutation-invariant", "expects one packed axis at most", "expects
        micro_tile i to divide", "expects accumulate = true", "expects block argument i to be the
        operand's tile", "expects pith.yield", ...
    Source: Zheng et al., PIT, SOSP 2023.
    Example (rows of A that the pattern names, times B):
        ``%c = "pith.pit_tile"(%p, %a, %b, %init) ({
        ^bb0(%ta: tensor<32x64xf32>, %tb: tensor<64x32xf32>, %tc: tensor<32x32xf32>):
          %r = linalg.matmul ins(%ta, %tb : tensor<32x64xf32>, tensor<64x32xf32>)
                             outs(%tc : tensor<32x32xf32>) -> tensor<32x32xf32>
          "pith.yield"(%r) : (tensor<32x32xf32>) -> ()
        }) {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"],
            axes = array<i64: 0>, tile = array<i64: 32, 32, 64>, micro_tile = array<i64: 1>,
            accumulate = false, operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>} : ...``
    """

    result: ext.Result[ir.RankedTensorType]
    pattern0: ext.Operand[PatternType]
    pattern1: ext.Operand[PatternType] | None
    pattern2: ext.Operand[PatternType] | None
    input0: _Slot
    input1: _Slot
    input2: _Slot
    input3: _Slot
    input4: _Slot
    input5: _Slot
    input6: _Slot
    input7: _Slot
    init: ext.Operand[ir.RankedTensorType]
    indexing_maps: ir.ArrayAttr
    iterator_types: ir.ArrayAttr
    axes: I64Array
    tile: I64Array
    micro_tile: I64Array
    accumulate: Bool
    body: ext.Region

    @classmethod
    def build(
        cls,
        patterns: Sequence[ir.Value],
        inputs: Sequence[ir.Value],
        init: ir.Value,
        indexing_maps: Sequence[ir.AffineMap],
        iterator_types: Sequence[str],
        axes: Sequence[int],
        tile: Sequence[int],
        micro_tile: Sequence[int],
        body: Callable[..., ir.Value],
        accumulate: bool = False,
        *,
        loc=None,
        ip=None,
    ) -> "PitTileOp":
        """Tile an iteration space; ``body`` gets the tiles (inputs, then init) and returns the new init tile.

        Errors: :class:`pith.ShapeError` for more than :data:`MAX_INPUTS` inputs, for no pattern and for
        more than :data:`MAX_PATTERNS`.
        """
        if len(inputs) > MAX_INPUTS:
            raise ShapeError(f"pit_tile takes at most {MAX_INPUTS} inputs, got {len(inputs)}")
        if not 1 <= len(patterns) <= MAX_PATTERNS:
            raise ShapeError(f"pit_tile takes 1 to {MAX_PATTERNS} patterns, got {len(patterns)}")
        op = cls(
            init.type,
            *patterns,
            *[None] * (MAX_PATTERNS - len(patterns)),
            *inputs,
            *[None] * (MAX_INPUTS - len(inputs)),
            init,
            as_field(ir.ArrayAttr.get([ir.AffineMapAttr.get(m) for m in indexing_maps])),
            as_field(ir.ArrayAttr.get([ir.StringAttr.get(t) for t in iterator_types])),
            i64_array(axes),
            i64_array(tile),
            i64_array(micro_tile),
            bool_attr(accumulate),
            loc=loc,
            ip=ip,
        )
        _fill(op, [tile_type(v.type, m, tile) for v, m in zip((*inputs, init), indexing_maps)], body)
        return op

    @property
    def patterns(self) -> list[ir.Value]:
        """The patterns, in order."""
        return [v for v in (self.pattern0, self.pattern1, self.pattern2) if v is not None]

    @property
    def inputs(self) -> list[ir.Value]:
        """The inputs, in order."""
        return list(self.operation.operands)[len(self.patterns) : -1]

    @verifier
    def verify_invariants(self) -> None:
        """Maps, iterators, axes, tile and micro-tile fit operands and patterns: :func:`require_tiling`."""
        require_tiling(self)

    @verifier
    def verify_region_invariants(self) -> None:
        """The body takes one tile per operand and yields one of the result: :func:`require_body`."""
        require_body(self)


def _fill(op: PitTileOp, types: Sequence[ir.Type], body: Callable[..., ir.Value]) -> None:
    """Give ``op`` a block with arguments of ``types``, filled by ``body``."""
    block = op.body.blocks.append(*types, arg_locs=[op.location] * len(types))
    with ir.InsertionPoint(block), op.location:
        YieldOp.build(body(*block.arguments))
