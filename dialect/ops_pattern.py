"""Ops on run-time patterns: gather and scatter the micro-tiles they name."""

from collections.abc import Sequence

from pith._mlir import ext, ir
from pith.formats import DYNAMIC

from .diagnostics import require, verifier
from .fields import Bool, I64Array, bool_attr, dense_type, i64_array, read_bool, read_i64s, require_distinct_dims
from .formats import shape_of
from .pattern import PatternShape, PatternType
from .pith import Pith

#: In ``dims``: the pattern's axis does not index this tensor.
UNUSED = -1


class SReadOp(Pith.Operation, name="sread", traits=[ext.Pure]):
    """Gather the micro-tiles a pattern names into a dense tile (PIT's SRead).

    Shapes: source: a ranked tensor without an encoding; pattern: one entry of ``dims`` per axis,
        the dimension of the source it indexes, or -1 when it indexes none; result: the source's
        type, where the first indexed dimension has the dynamic size count * granularity and
        every other indexed dimension the size of its axis's granularity.
    Semantics: micro-tile p of the list fills elements ``p * granularity`` up to
        ``(p + 1) * granularity`` along the first indexed dimension. Elements past the end of
        the source are zero.
    Errors: "expects source without an encoding", "expects one entry of dims per pattern axis",
        "expects at least one pattern axis to index source", "expects dims to be dimensions of
        source", "expects distinct dims", "expects dimension d of source to have the size of
        pattern axis i", "expects result type".
    Source: Zheng et al., PIT, SOSP 2023.
    Example:
        ``%t = "pith.sread"(%x, %p) {dims = array<i64: 0>}
          : (tensor<128x64xf32>, !pith.pattern<[128], [1]>) -> tensor<?x64xf32>``
    """

    result: ext.Result[ir.RankedTensorType]
    source: ext.Operand[ir.RankedTensorType]
    pattern: ext.Operand[PatternType]
    dims: I64Array

    @classmethod
    def build(cls, source: ir.Value, pattern: ir.Value, dims: Sequence[int], *, loc=None, ip=None) -> "SReadOp":
        """Gather from ``source``, whose dimension ``dims[i]`` the pattern's axis i indexes."""
        type_ = gathered_type(source.type, PatternType(pattern.type).to_shape(), dims)
        return cls(type_, source, pattern, i64_array(dims), loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """``dims`` fits source and pattern, and the result is the tile they make."""
        source = dense_type(self.source.type, "source")
        pattern = PatternType(self.pattern.type).to_shape()
        dims = read_i64s(self, "dims")
        _require_indexed(source, pattern, dims, "source")
        want, got = gathered_type(source, pattern, dims), self.operation.results[0].type
        require(got == want, "expects result type {}, got {}", want, got)


class SWriteOp(Pith.Operation, name="swrite", traits=[ext.Pure]):
    """Scatter a dense tile back to the places a pattern names (PIT's SWrite).

    Shapes: tile: the type ``sread`` of ``dest`` with the same pattern and ``dims`` has; dest and
        result: the same ranked tensor type without an encoding.
    Semantics: the result is ``dest`` with the named micro-tiles replaced by those of the tile
        (``accumulate = false``) or with the tile added to them (``accumulate = true``).
        Elements of the tile past the end of ``dest`` are dropped. A pattern axis that does not
        index ``dest`` lets several micro-tiles meet at one place (PIT's m-axis trap: row sets
        that differ per K-block), so unless that axis has a single micro-tile the op must accumulate.
    Errors: those of ``sread`` for ``dest``, "expects tile type", "expects the result type of
        dest", "expects accumulate = true: pattern axis i does not index dest".
    Source: Zheng et al., PIT, SOSP 2023.
    Example:
        ``%y = "pith.swrite"(%t, %p, %d) {dims = array<i64: 0>, accumulate = false}
          : (tensor<?x64xf32>, !pith.pattern<[128], [1]>, tensor<128x64xf32>) -> tensor<128x64xf32>``
    """

    result: ext.Result[ir.RankedTensorType]
    tile: ext.Operand[ir.RankedTensorType]
    pattern: ext.Operand[PatternType]
    dest: ext.Operand[ir.RankedTensorType]
    dims: I64Array
    accumulate: Bool

    @classmethod
    def build(
        cls,
        tile: ir.Value,
        pattern: ir.Value,
        dest: ir.Value,
        dims: Sequence[int],
        accumulate: bool = False,
        *,
        loc=None,
        ip=None,
    ) -> "SWriteOp":
        """Scatter ``tile`` into ``dest``, whose dimension ``dims[i]`` the pattern's axis i indexes."""
        return cls(dest.type, tile, pattern, dest, i64_array(dims), bool_attr(accumulate), loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """As of ``pith.sread``; where micro-tiles may meet in dest, the op accumulates."""
        dest = dense_type(self.dest.type, "dest")
        pattern = PatternType(self.pattern.type).to_shape()
        dims, accumulate = read_i64s(self, "dims"), read_bool(self, "accumulate")
        _require_indexed(dest, pattern, dims, "dest")
        want, tile, result = gathered_type(dest, pattern, dims), self.tile.type, self.operation.results[0].type
        require(tile == want, "expects tile type {}, got {}", want, tile)
        require(result == dest, "expects the result type of dest, {}, got {}", dest, result)
        meeting = collision_axis(pattern, [i for i, d in enumerate(dims) if d != UNUSED])
        require(
            accumulate or meeting is None,
            "expects accumulate = true: pattern axis {} does not index dest, so micro-tiles may meet",
            meeting,
        )


def gathered_type(type_: ir.RankedTensorType, pattern: PatternShape, dims: Sequence[int]) -> ir.RankedTensorType:
    """Type of the tile ``sread`` gathers from ``type_`` (dims as of the op, already legal)."""
    shape = [ir.ShapedType.get_dynamic_size() if s == DYNAMIC else s for s in shape_of(type_)]
    used = [(i, d) for i, d in enumerate(dims) if d != UNUSED]
    for n, (axis, dim) in enumerate(used):
        shape[dim] = ir.ShapedType.get_dynamic_size() if n == 0 else pattern.granularity[axis]
    return ir.RankedTensorType.get(shape, type_.element_type, loc=ir.Location.unknown(type_.context))


def collision_axis(pattern: PatternShape, used: Sequence[int]) -> int | None:
    """The first pattern axis outside ``used`` with more than one micro-tile: along it, distinct
    micro-tiles fall onto the same place of a tensor that only the ``used`` axes index.

    >>> collision_axis(PatternShape((128, 64), (1, 32)), [0])
    1
    >>> collision_axis(PatternShape((128, 64), (1, 64)), [0]) is None
    True
    """
    return next((i for i, n in enumerate(pattern.grid) if i not in used and n not in (0, 1)), None)


def _require_indexed(type_: ir.RankedTensorType, pattern: PatternShape, dims: Sequence[int], what: str) -> None:
    require(
        len(dims) == pattern.rank,
        "expects one entry of dims per pattern axis ({}), got {}",
        pattern.rank,
        len(dims),
    )
    used = [d for d in dims if d != UNUSED]
    require(bool(used), "expects at least one pattern axis to index {}", what)
    require_distinct_dims(used, type_.rank, what, "dims")
    shape = shape_of(type_)
    for axis, dim in enumerate(dims):
        if dim == UNUSED or DYNAMIC in (shape[dim], pattern.sizes[axis]):
            continue
        require(
            shape[dim] == pattern.sizes[axis],
            "expects dimension {} of {} to have the size of pattern axis {}, {}, got {}",
            dim,
            what,
            axis,
            pattern.sizes[axis],
            shape[dim],
        )
