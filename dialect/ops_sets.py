"""Ops that make patterns of patterns (union, intersection, complement), of lengths and of routing indices."""

from collections.abc import Sequence

from pith._mlir import ext, ir
from pith.formats import DYNAMIC

from .diagnostics import require, verifier
from .fields import dense_type
from .formats import shape_of
from .ops_detect import require_result
from .pattern import PatternShape, PatternType
from .pith import Pith


class UnionOp(Pith.Operation, name="union", traits=[ext.Pure]):
    """The micro-tiles that either of two patterns lists.

    Shapes: lhs, rhs and result: one pattern type; sizes: an ``index`` for every dynamic size of it, in order.
    Semantics: every micro-tile of the grid once, in row-major order. Coordinates past the grid are left out.
    Errors: "expects patterns of one type", "expects one size per dynamic axis".
    Source: patterns as values: index sets of PIT, SOSP 2023.
    Example: ``%r = "pith.union"(%p, %q) : (!pith.pattern<[128], [1]>, !pith.pattern<[128], [1]>)
      -> !pith.pattern<[128], [1]>``
    """

    result: ext.Result[PatternType]
    lhs: ext.Operand[PatternType]
    rhs: ext.Operand[PatternType]
    sizes: Sequence[ext.Operand[ir.IndexType]]

    @classmethod
    def build(cls, lhs: ir.Value, rhs: ir.Value, sizes: Sequence[ir.Value] = (), *, loc=None, ip=None) -> "UnionOp":
        """What ``lhs`` or ``rhs`` lists."""
        return cls(lhs.type, lhs, rhs, list(sizes), loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """Operands and result are patterns of one type, with one size per dynamic axis."""
        _require_one_grid(self, 2)


class IntersectionOp(Pith.Operation, name="intersection", traits=[ext.Pure]):
    """The micro-tiles that both of two patterns list.

    Shapes: as of ``pith.union``.
    Semantics: every micro-tile of the grid once, in row-major order. Coordinates past the grid are left out.
    Errors: "expects patterns of one type", "expects one size per dynamic axis".
    Source: patterns as values: index sets of PIT, SOSP 2023.
    Example: ``%r = "pith.intersection"(%p, %q, %n) : (!pith.pattern<[-1], [1]>, !pith.pattern<[-1], [1]>, index)
      -> !pith.pattern<[-1], [1]>``
    """

    result: ext.Result[PatternType]
    lhs: ext.Operand[PatternType]
    rhs: ext.Operand[PatternType]
    sizes: Sequence[ext.Operand[ir.IndexType]]

    @classmethod
    def build(
        cls, lhs: ir.Value, rhs: ir.Value, sizes: Sequence[ir.Value] = (), *, loc=None, ip=None
    ) -> "IntersectionOp":
        """What ``lhs`` and ``rhs`` both list."""
        return cls(lhs.type, lhs, rhs, list(sizes), loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """Operands and result are patterns of one type, with one size per dynamic axis."""
        _require_one_grid(self, 2)


class ComplementOp(Pith.Operation, name="complement", traits=[ext.Pure]):
    """The micro-tiles of the grid that a pattern does not list.

    Shapes: pattern and result: one pattern type; sizes: an ``index`` for every dynamic size of it, in order.
    Semantics: every micro-tile once, in row-major order.
    Errors: "expects patterns of one type", "expects one size per dynamic axis".
    Source: patterns as values: index sets of PIT, SOSP 2023.
    Example: ``%r = "pith.complement"(%p) : (!pith.pattern<[128], [32]>) -> !pith.pattern<[128], [32]>``
    """

    result: ext.Result[PatternType]
    pattern: ext.Operand[PatternType]
    sizes: Sequence[ext.Operand[ir.IndexType]]

    @classmethod
    def build(cls, pattern: ir.Value, sizes: Sequence[ir.Value] = (), *, loc=None, ip=None) -> "ComplementOp":
        """What ``pattern`` does not list."""
        return cls(pattern.type, pattern, list(sizes), loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """Operand and result are patterns of one type, with one size per dynamic axis."""
        _require_one_grid(self, 1)


class FromLengthsOp(Pith.Operation, name="from_lengths", traits=[ext.Pure]):
    """The positions in use of a padded batch, from the length of every sequence.

    Shapes: lengths: ``tensor<Bxi32>`` or ``tensor<Bxi64>``; size: an ``index``, the positions of a sequence;
        result: a pattern over (batch, position) of sizes ``[B, S]`` and granularity ``[1, g]``.
    Semantics: block p of sequence b is listed when ``p * g < lengths[b]``, in row-major order. Lengths past
        ``size`` end there, those below zero are zero.
    Errors: "expects lengths without an encoding", "expects lengths to be a 1-D tensor of i32 or i64",
        "expects result type".
    Source: ragged batches as in PIT, SOSP 2023.
    Example: ``%p = "pith.from_lengths"(%l, %s) : (tensor<32xi64>, index) -> !pith.pattern<[32, 512], [1, 1]>``
    """

    result: ext.Result[PatternType]
    lengths: ext.Operand[ir.RankedTensorType]
    size: ext.Operand[ir.IndexType]

    @classmethod
    def build(
        cls, lengths: ir.Value, size: ir.Value, granularity: int = 1, static_size: int = DYNAMIC, *, loc=None, ip=None
    ) -> "FromLengthsOp":
        """The first ``lengths[b]`` of ``size`` positions (``static_size``: the same, where it is known now)."""
        type_ = PatternType.from_shape([shape_of(lengths.type)[0], static_size], [1, granularity])
        return cls(type_, lengths, size, loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """A vector of i32 or i64, and a pattern over (batch, position)."""
        lengths = dense_type(self.lengths.type, "lengths")
        known = lengths.rank == 1 and _is_index(lengths.element_type)
        require(known, "expects lengths to be a 1-D tensor of i32 or i64, got {}", lengths)
        shape = PatternType(self.operation.results[0].type).to_shape()
        position, extent = (shape.sizes[1], shape.granularity[1]) if shape.rank == 2 else (DYNAMIC, 1)
        require_result(self, PatternShape((shape_of(lengths)[0], position), (1, extent)))


class FromRoutingOp(Pith.Operation, name="from_routing", traits=[ext.Pure]):
    """Which expert every token goes to, from routing indices.

    Shapes: experts: ``tensor<Txi32>`` or ``tensor<TxKxi32>`` (or of i64): the experts of every token; result:
        a pattern over (token, expert) of sizes ``[T, E]`` and granularity ``[1, 1]``.
    Semantics: pair (t, e) is listed for every entry e of token t, in order. A token names an expert once;
        entries past the grid (-1 for none) name nothing.
    Errors: "expects experts without an encoding", "expects experts to be a 1-D or 2-D tensor of i32 or
        i64", "expects result type".
    Source: mixtures of experts in PIT, SOSP 2023.
    Example: ``%p = "pith.from_routing"(%e) : (tensor<4096x2xi32>) -> !pith.pattern<[4096, 8], [1, 1]>``
    """

    result: ext.Result[PatternType]
    experts: ext.Operand[ir.RankedTensorType]

    @classmethod
    def build(cls, experts: ir.Value, n_experts: int = DYNAMIC, *, loc=None, ip=None) -> "FromRoutingOp":
        """The (token, expert) pairs that ``experts`` holds."""
        return cls(PatternType.from_shape([shape_of(experts.type)[0], n_experts], [1, 1]), experts, loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """A vector or matrix of i32 or i64, and a pattern over (token, expert)."""
        experts = dense_type(self.experts.type, "experts")
        known = experts.rank in (1, 2) and _is_index(experts.element_type)
        require(known, "expects experts to be a 1-D or 2-D tensor of i32 or i64, got {}", experts)
        shape = PatternType(self.operation.results[0].type).to_shape()
        require_result(self, PatternShape((shape_of(experts)[0], (*shape.sizes, DYNAMIC)[1]), (1, 1)))


def _is_index(type_: ir.Type) -> bool:
    return isinstance(type_, ir.IntegerType) and type_.is_signless and type_.width in (32, 64)


def _require_one_grid(op: ir.OpView, patterns: int) -> None:
    """Operands and result share a pattern type, and there is a size for every dynamic axis."""
    types = [op.operation.results[0].type, *(v.type for v in list(op.operation.operands)[:patterns])]
    require(all(t == types[0] for t in types), "expects patterns of one type, got {}", ", ".join(map(str, types)))
    dynamic = PatternType(types[0]).to_shape().sizes.count(DYNAMIC)
    given = len(op.operation.operands) - patterns
    require(given == dynamic, "expects one size per dynamic axis ({}), got {}", dynamic, given)
