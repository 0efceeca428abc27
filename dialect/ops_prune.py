"""Ops that make dense tensors obey a format, and check whether they do."""

from pith._mlir import ext, ir
from pith.formats import Format

from .diagnostics import require, verifier
from .fields import dense_type, format_field
from .formats import AnyFormat, FormatAttr, shape_of
from .pith import Pith


class PruneOp(Pith.Operation, name="prune", traits=[ext.Pure]):
    """Set to zero what a format cannot keep.

    Shapes: source and result: the same ranked tensor type, without an encoding.
    Semantics: goes rank by rank, lowest (innermost ``nm`` level) first. In every group of H it
        keeps the G of largest score and zeroes the rest; the score of an element is its
        magnitude, that of a block the sum of the magnitudes left in it; of equal scores the
        lower coordinate wins. Which elements of a group that holds NaN stay is unspecified
        (``pith.prune`` in Python refuses NaN). Levels other than ``nm`` keep everything.
    Errors: "expects source without an encoding", "expects a format for its operand" (rank,
        divisibility, malformed), "expects the result type of its source".
    Source: rank-by-rank sparsification of HighLight, MICRO 2023.
    Example:
        ``%1 = "pith.prune"(%0) {format = #fmt} : (tensor<8x16xf32>) -> tensor<8x16xf32>``
    """

    result: ext.Result[ir.RankedTensorType]
    source: ext.Operand[ir.RankedTensorType]
    format: AnyFormat

    @classmethod
    def build(cls, source: ir.Value, fmt: Format, *, loc=None, ip=None) -> "PruneOp":
        """Prune ``source`` to ``fmt``."""
        return cls(source.type, source, FormatAttr.from_format(fmt), loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """The format fits the source, and the result has its type."""
        type_ = dense_type(self.source.type, "source")
        format_field(self, shape_of(type_))
        result = self.operation.results[0].type
        require(result == type_, "expects the result type of its source, {}, got {}", type_, result)


#: How ``pith.prune_by`` ranks elements, and blocks of them.
SCORES = ("l1", "l2", "scaled", "value")


class PruneByOp(Pith.Operation, name="prune_by", traits=[ext.Pure]):
    """Set to zero what a format cannot keep, ranked by another tensor or another score.

    Shapes: source, saliency and result: tensors of the same sizes, without an encoding; result has
        the type of source. floor: an ``f64``. has_nan: whether saliency holds a NaN.
    Semantics: as ``pith.prune`` (``score = "l1"``, saliency = source, floor = -inf), except for scores.
        That of an element is its magnitude in saliency, or with ``"value"`` the number itself; elements
        below ``floor`` are zeroed even where there is room. That of a block is, over the elements left
        in it, the sum of their scores (``"l1"``, ``"value"``), of their squares (``"l2"``), or the mean
        of their squares, zeros left out (``"scaled"``). Sums are taken in f64.
    Errors: "expects source without an encoding", "expects saliency without an encoding", "expects a format
        for its operand", "expects saliency of the shape of source", "expects the result type of its
        source", "expects has_nan to be an i1", "expects score to be one of".
    Source: rank-by-rank sparsification and scaled norms of HighLight, MICRO 2023.
    Example:
        ``%1, %nan = "pith.prune_by"(%0, %s, %floor) {format = #fmt, score = "value"}
          : (tensor<8x16xf32>, tensor<8x16xf32>, f64) -> (tensor<8x16xf32>, i1)``
    """

    result: ext.Result[ir.RankedTensorType]
    has_nan: ext.Result[ir.IntegerType]
    source: ext.Operand[ir.RankedTensorType]
    saliency: ext.Operand[ir.RankedTensorType]
    floor: ext.Operand[ir.F64Type]
    format: AnyFormat
    score: ir.StringAttr

    @verifier
    def verify_invariants(self) -> None:
        """As of ``pith.prune``; saliency has the shape of source, and the score is a known one."""
        type_ = dense_type(self.source.type, "source")
        saliency = dense_type(self.saliency.type, "saliency")
        format_field(self, shape_of(type_))
        result, has_nan = (r.type for r in self.operation.results)
        require(shape_of(saliency) == shape_of(type_), "expects saliency of the shape of source, got {}", saliency)
        require(result == type_, "expects the result type of its source, {}, got {}", type_, result)
        require(ir.IntegerType(has_nan).width == 1, "expects has_nan to be an i1, got {}", has_nan)
        score = ir.StringAttr(self.operation.attributes["score"]).value
        require(score in SCORES, "expects score to be one of l1, l2, scaled, value, got {}", score)


class ValidateOp(Pith.Operation, name="validate", traits=[ext.Pure]):
    """Find the first element that a dense tensor's format could not keep.

    Shapes: source: a ranked tensor without an encoding; result: ``index``.
    Semantics: the row-major linear index of the first non-zero element that breaks the format,
        that is, which is beyond the G-th non-empty coordinate of its group at some ``nm`` level;
        -1 when there is none. NaN is non-zero; -0.0 is zero.
    Errors: "expects source without an encoding", "expects a format for its operand".
    Source: the G:H rule of HighLight, MICRO 2023.
    Example: ``%i = "pith.validate"(%0) {format = #fmt} : (tensor<8x16xf32>) -> index``
    """

    result: ext.Result[ir.IndexType]
    source: ext.Operand[ir.RankedTensorType]
    format: AnyFormat

    @classmethod
    def build(cls, source: ir.Value, fmt: Format, *, loc=None, ip=None) -> "ValidateOp":
        """Check ``source`` against ``fmt``."""
        return cls(ir.IndexType.get(), source, FormatAttr.from_format(fmt), loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """The format fits the source, which has no encoding."""
        format_field(self, shape_of(dense_type(self.source.type, "source")))
