"""Attention over what a query may see: one op for windows, lengths, causality, global tokens and block patterns."""

from collections.abc import Sequence

from pith._mlir import ext, ir
from pith.formats import DYNAMIC

from .diagnostics import require, verifier
from .fields import dense_type
from .formats import shape_of
from .pattern import PatternType
from .pith import Pith

#: Element type of the operands -> element type that scores and sums are computed in.
COMPUTED_IN = {"f16": "f32", "bf16": "f32", "f32": "f32", "f64": "f64"}


class AttentionOp(Pith.Operation, name="attention", traits=[ext.Pure]):
    """Softmax attention in which every query sees an interval of the keys, some blocks of it, and global tokens.

    Shapes: query: ``(batch, heads, Q, D)``; key: ``(batch, G, K, D)``; value: ``(batch, G, K, E)``, where G divides
        heads (query head h reads head ``h / (heads / G)``); out and result: ``(batch, heads, Q, E)``; lse and
        its result: ``(batch, heads, Q)`` of f32 (f64 for f64). D and E are static. intervals and reach:
        ``(batch or 1, Q, 2)`` of i32; global_tokens: ``(batch or 1, T)`` of i32; pattern: over the axes
        (Q, K), any granularity; bias: ``(batch or 1, heads or 1, K, Q or 1)`` of lse's type: keys before queries, which
        lie in vectors.
    Semantics: with ``i`` a query, ``j`` a key, query i sees key j when
        ``intervals[i, 0] <= j < intervals[i, 1]`` and the pattern (when there is one) lists the block of (i, j);
        or when i or j is a global token and ``reach[i, 0] <= j < reach[i, 1]``. Then
        ``out[i] = sum_j w[j] value[j] / sum_j w[j]`` with
        ``w[j] = exp(scale * <query[i], key[j]> + bias[j, i])`` over the keys it sees, and
        ``lse[i] = log(sum_j w[j])``. A query that sees no key gets zeros and -inf. Scores, weights and sums are
        computed in f32 (f64 for f64), weights relative to the largest. out and lse are overwritten; their content is
        not read. Intervals are cut to the keys there are; global tokens past the end name nothing, and must be
        distinct; reach must include intervals. NaN in what a query sees gives NaN, a score of +inf too; what it does
        not see has no influence.
    Errors: "expects query without an encoding", "expects query of rank 4", "expects a static size of dimension 3",
        "expects elements of f16, bf16, f32 or f64", "expects one element type", "expects size ... in dimension",
        "expects heads of query to be a multiple of those of key",
        "expects lse of", "expects the result type of out", "expects the result type of lse", "expects both lse and
        its result, or neither", "expects intervals of shape", "expects a pattern over the axes", "expects both
        global_tokens and reach, or neither", "expects bias of", "expects size ... of bias", "expects no bias with
        a pattern or global tokens".
    Source: online softmax (Milakov and Gimelshein, 2018) as in FlashAttention (NeurIPS 2022); Longformer (2020).
    Example:
        ``%y = "pith.attention"(%q, %k, %v, %scale, %out, %seen) {operandSegmentSizes =
          array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}
          : (tensor<1x8x?x64xf32>, tensor<1x8x?x64xf32>, tensor<1x8x?x64xf32>, f64, tensor<1x8x?x64xf32>,
          tensor<1x?x2xi32>) -> tensor<1x8x?x64xf32>``
    """

    result: ext.Result[ir.RankedTensorType]
    lse_result: ext.Result[ir.RankedTensorType] | None
    query: ext.Operand[ir.RankedTensorType]
    key: ext.Operand[ir.RankedTensorType]
    value: ext.Operand[ir.RankedTensorType]
    scale: ext.Operand[ir.F64Type]
    out: ext.Operand[ir.RankedTensorType]
    intervals: ext.Operand[ir.RankedTensorType]
    lse: ext.Operand[ir.RankedTensorType] | None
    pattern: ext.Operand[PatternType] | None
    global_tokens: ext.Operand[ir.RankedTensorType] | None
    reach: ext.Operand[ir.RankedTensorType] | None
    bias: ext.Operand[ir.RankedTensorType] | None

    @verifier
    def verify_invariants(self) -> None:
        """Element types and sizes of query, key, value and out; heads that divide; the results; what is visible."""
        query, key, value, out = (dense_operand(self, name, 4) for name in ("query", "key", "value", "out"))
        element = query.element_type
        require(str(element) in COMPUTED_IN, "expects elements of f16, bf16, f32 or f64, got {}", element)
        for name, type_ in (("query", query), ("value", value)):
            require(not type_.is_dynamic_dim(3), "expects a static size of dimension 3 of {}", name)
        for name, type_ in (("key", key), ("value", value), ("out", out)):
            require(type_.element_type == element, "expects one element type, got {} for {}", type_.element_type, name)
        batch, heads, queries, depth = shape_of(query)
        require_sizes("key", key, {0: batch, 3: depth})
        require_sizes("value", value, dict(enumerate(shape_of(key)[:3])))
        shared = shape_of(key)[1]
        divides = DYNAMIC in (heads, shared) or (heads % shared == 0 if shared else not heads)
        require(divides, "expects heads of query to be a multiple of those of key, got {} and {}", heads, shared)
        require_sizes("out", out, {0: batch, 1: heads, 2: queries, 3: shape_of(value)[3]})
        self._verify_results(out)
        verify_visibility(self, queries, shape_of(key)[2])
        self._verify_bias((batch, heads, shape_of(key)[2], queries))

    def _verify_results(self, out: ir.RankedTensorType) -> None:
        results = self.operation.results
        require(results[0].type == out, "expects the result type of out, {}, got {}", out, results[0].type)
        require((self.lse is None) == (len(results) == 1), "expects both lse and its result, or neither")
        if self.lse is None:
            return
        lse = dense_operand(self, "lse", 3)
        computed = COMPUTED_IN[str(out.element_type)]
        require(str(lse.element_type) == computed, "expects lse of {}, got {}", computed, lse.element_type)
        require_sizes("lse", lse, dict(enumerate(shape_of(out)[:3])))
        require(results[1].type == lse, "expects the result type of lse, {}, got {}", lse, results[1].type)

    def _verify_bias(self, sizes: tuple[int, int, int, int]) -> None:
        """``sizes``: of batch, heads, keys and queries; all but the keys may share a row."""
        if self.bias is None:
            return
        lists = self.pattern is not None or self.global_tokens is not None
        require(not lists, "expects no bias with a pattern or global tokens")
        bias, computed = dense_operand(self, "bias", 4), COMPUTED_IN[str(self.query.type.element_type)]
        require(str(bias.element_type) == computed, "expects bias of {}, got {}", computed, bias.element_type)
        for dim, (got, want) in enumerate(zip(shape_of(bias), sizes)):
            fits = _fits(got, want) or (got == 1 and dim != 2)
            require(fits, "expects size {} in dimension {} of bias, got {}", want, dim, got)


def _fits(got: int, want: int) -> bool:
    """Whether two sizes may be the same, as far as they are known."""
    return DYNAMIC in (got, want) or got == want


def dense_operand(op: ir.OpView, name: str, rank: int) -> ir.RankedTensorType:
    """The type of an operand: a tensor of ``rank`` without an encoding."""
    type_ = dense_type(getattr(op, name).type, name)
    require(type_.rank == rank, "expects {} of rank {}, got {}", name, rank, type_)
    return type_


def verify_visibility(op: ir.OpView, queries: int, keys: int) -> None:
    """Check the operands that say what each of ``queries`` sees of ``keys``."""
    _require_indices("intervals", dense_type(op.intervals.type, "intervals"), (None, queries, 2))
    if op.pattern is not None:
        axes, want = PatternType(op.pattern.type).to_shape().sizes, (queries, keys)
        fits = len(axes) == 2 and all(map(_fits, axes, want))
        require(fits, "expects a pattern over the axes {}, queries and keys, got {}", list(want), list(axes))
    both = (op.global_tokens is None) == (op.reach is None)
    require(both, "expects both global_tokens and reach, or neither")
    if op.global_tokens is not None:
        _require_indices("global_tokens", dense_type(op.global_tokens.type, "global_tokens"), (None, None))
        _require_indices("reach", dense_type(op.reach.type, "reach"), (None, queries, 2))


def require_sizes(name: str, type_: ir.RankedTensorType, sizes: dict[int, int]) -> None:
    """Sizes of some dimensions, as far as they are known."""
    for dim, size in sizes.items():
        got = shape_of(type_)[dim]
        require(_fits(got, size), "expects size {} in dimension {} of {}, got {}", size, dim, name, got)


def _require_indices(name: str, type_: ir.RankedTensorType, sizes: Sequence[int | None]) -> None:
    shape = shape_of(type_)
    fits = len(shape) == len(sizes) and all(want is None or _fits(got, want) for got, want in zip(shape, sizes))
    right = fits and str(type_.element_type) == "i32"
    wanted = ["?" if n in (None, DYNAMIC) else n for n in sizes]
    require(right, "expects {} of shape {} and i32, got {}", name, "x".join(map(str, wanted)), type_)
