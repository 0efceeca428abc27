"""Between patterns and the tensors of coordinates they consist of."""

from collections.abc import Sequence

from pith._mlir import ext, ir

from .diagnostics import require, verifier
from .pattern import PatternType
from .pith import Pith


class CoordinatesOp(Pith.Operation, name="coordinates", traits=[ext.Pure]):
    """The coordinates of the micro-tiles a pattern lists.

    Shapes: pattern: over R axes; result: ``tensor<?xi32>`` for one axis, else ``tensor<?xRxi32>``.
    Semantics: entry p is the coordinate of the p-th micro-tile, in units of the granularity. The
        size of the first dimension is the count.
    Errors: "expects result type".
    Source: the micro-tile index of PIT, SOSP 2023.
    Example: ``%c = "pith.coordinates"(%p) : (!pith.pattern<[128, -1], [32, 1]>) -> tensor<?x2xi32>``
    """

    result: ext.Result[ir.RankedTensorType]
    pattern: ext.Operand[PatternType]

    @classmethod
    def build(cls, pattern: ir.Value, *, loc=None, ip=None) -> "CoordinatesOp":
        """The coordinates of ``pattern``."""
        return cls(coordinates_type(PatternType(pattern.type).to_shape().rank), pattern, loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """The result type is that of the pattern's coordinates."""
        want = coordinates_type(PatternType(self.pattern.type).to_shape().rank)
        got = self.operation.results[0].type
        require(got == want, "expects result type {}, got {}", want, got)


class FromCoordinatesOp(Pith.Operation, name="from_coordinates", traits=[ext.Pure]):
    """A pattern made of given coordinates.

    Shapes: coordinates: a tensor of i32 of rank 1 for a pattern over one axis, else ``(count, axes)``.
    Semantics: micro-tile p has the coordinate that entry p says. Coordinates must be distinct and lie
        on the grid; what ops do with others is said by ``convert-pith-patterns-to-linalg``.
    Errors: "expects coordinates of i32 with one column per pattern axis".
    Source: patterns made outside of the program, as in PIT, SOSP 2023.
    Example: ``%p = "pith.from_coordinates"(%c) : (tensor<?xi32>) -> !pith.pattern<[128], [1]>``
    """

    result: ext.Result[PatternType]
    coordinates: ext.Operand[ir.RankedTensorType]

    @classmethod
    def build(
        cls, coordinates: ir.Value, sizes: Sequence[int], granularity: Sequence[int], *, loc=None, ip=None
    ) -> "FromCoordinatesOp":
        """The pattern over axes of ``sizes`` with micro-tiles of ``granularity`` that ``coordinates`` list."""
        return cls(PatternType.from_shape(sizes, granularity), coordinates, loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """Coordinates are i32, without an encoding, with one column per axis of the pattern."""
        rank = PatternType(self.operation.results[0].type).to_shape().rank
        got = ir.RankedTensorType(self.coordinates.type)
        fits = got.rank == 1 if rank == 1 else got.rank == 2 and not got.is_dynamic_dim(1) and got.shape[1] == rank
        legal = fits and got.encoding is None and got.element_type == ir.IntegerType.get_signless(32)
        require(legal, "expects coordinates of i32 with one column per pattern axis ({}), got {}", rank, got)


def coordinates_type(rank: int) -> ir.RankedTensorType:
    """The tensor of coordinates of a pattern over ``rank`` axes (in the current context)."""
    dynamic = ir.ShapedType.get_dynamic_size()
    shape = [dynamic] if rank == 1 else [dynamic, rank]
    return ir.RankedTensorType.get(shape, ir.IntegerType.get_signless(32), loc=ir.Location.unknown())
