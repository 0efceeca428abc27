"""The gradient of attention, from the logarithms of its sums: weights are computed again, never stored."""

from pith._mlir import ext, ir

from .diagnostics import require, verifier
from .formats import shape_of
from .ops_attention import COMPUTED_IN, dense_operand, require_sizes, verify_visibility
from .pattern import PatternType
from .pith import Pith


class AttentionGradOp(Pith.Operation, name="attention_grad", traits=[ext.Pure]):
    """Gradient of ``pith.attention`` with respect to its queries, or to its keys and values.

    Shapes: own and out: ``(batch, heads, N, D)``; own_pair: ``(batch, heads, N, E)``; other: ``(batch, heads, M, D)``;
        other_pair: ``(batch, heads, M, E)``; lse and delta: ``(batch, heads, queries)`` of f32 (f64 for f64);
        pair_out: ``(batch, heads, N, E)``; results: those of out and pair_out. intervals, reach, global_tokens and
        pattern as in ``pith.attention`` for own in the place of queries and other in that of keys.
    Semantics: without pair_out, own are the queries, own_pair the gradient of the result, other the keys and
        other_pair the values; out becomes the gradient of the queries. With pair_out, own are the keys, own_pair the
        values, other the queries and other_pair the gradient of the result; out and pair_out become the
        gradients of the keys and values. With ``w = exp(scale * <query, key> - lse)`` of the pairs that see each other
        and ``g = <gradient, value>``: gradients of queries and keys sum ``scale * w * (g - delta)`` times the other,
        those of values ``w`` times the gradient. delta is the sum over features of result times gradient, less
        the gradient of lse. Rows that see nothing get zeros. Operands are taken to be finite.
    Errors: "expects own without an encoding", "expects own of rank 4", "expects elements of f16, bf16, f32 or f64",
        "expects a static size of dimension 3", "expects one element type", "expects size ... in dimension", "expects
        lse of", "expects delta of", "expects the result type of out", "expects the result type of pair_out", "expects
        both pair_out and its result, or neither", and those of ``pith.attention`` for what is seen.
    Source: recomputation as in FlashAttention (NeurIPS 2022).
    Example:
        ``%dq = "pith.attention_grad"(%q, %dy, %k, %v, %lse, %delta, %scale, %out, %seen) {operandSegmentSizes =
          array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>} : (...)``
    """

    result: ext.Result[ir.RankedTensorType]
    pair_result: ext.Result[ir.RankedTensorType] | None
    own: ext.Operand[ir.RankedTensorType]
    own_pair: ext.Operand[ir.RankedTensorType]
    other: ext.Operand[ir.RankedTensorType]
    other_pair: ext.Operand[ir.RankedTensorType]
    lse: ext.Operand[ir.RankedTensorType]
    delta: ext.Operand[ir.RankedTensorType]
    scale: ext.Operand[ir.F64Type]
    out: ext.Operand[ir.RankedTensorType]
    intervals: ext.Operand[ir.RankedTensorType]
    pair_out: ext.Operand[ir.RankedTensorType] | None
    pattern: ext.Operand[PatternType] | None
    global_tokens: ext.Operand[ir.RankedTensorType] | None
    reach: ext.Operand[ir.RankedTensorType] | None

    @verifier
    def verify_invariants(self) -> None:
        """Element types and sizes of both sides and of out; the numbers per row; the results; what is visible."""
        names = ["own", "own_pair", "other", "other_pair", "out"] + ["pair_out"] * (self.pair_out is not None)
        types = {name: dense_operand(self, name, 4) for name in names}
        element = types["own"].element_type
        require(str(element) in COMPUTED_IN, "expects elements of f16, bf16, f32 or f64, got {}", element)
        for name, type_ in types.items():
            require(not type_.is_dynamic_dim(3), "expects a static size of dimension 3 of {}", name)
            require(type_.element_type == element, "expects one element type, got {} for {}", type_.element_type, name)
        own, other = shape_of(types["own"]), shape_of(types["other"])
        width = shape_of(types["own_pair"])[3]
        require_sizes("own_pair", types["own_pair"], dict(enumerate(own[:3])))
        require_sizes("other", types["other"], {0: own[0], 1: own[1], 3: own[3]})
        require_sizes("other_pair", types["other_pair"], {**dict(enumerate(other[:3])), 3: width})
        require_sizes("out", types["out"], dict(enumerate(own)))
        if self.pair_out is not None:
            require_sizes("pair_out", types["pair_out"], {**dict(enumerate(own[:3])), 3: width})
        self._verify_numbers(str(element), own if self.pair_out is None else other)
        self._verify_results()
        verify_visibility(self, own[2], other[2])

    def _verify_numbers(self, element: str, queries: tuple[int, ...]) -> None:
        for name in ("lse", "delta"):
            type_ = dense_operand(self, name, 3)
            wanted = COMPUTED_IN[element]
            require(str(type_.element_type) == wanted, "expects {} of {}, got {}", name, wanted, type_.element_type)
            require_sizes(name, type_, dict(enumerate(queries[:3])))

    def _verify_results(self) -> None:
        results, out = self.operation.results, self.out.type
        require(results[0].type == out, "expects the result type of out, {}, got {}", out, results[0].type)
        require((self.pair_out is None) == (len(results) == 1), "expects both pair_out and its result, or neither")
        if self.pair_out is not None:
            want = self.pair_out.type
            require(results[1].type == want, "expects the result type of pair_out, {}, got {}", want, results[1].type)
