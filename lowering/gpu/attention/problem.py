"""Analysis: what a ``pith.attention`` computes (IR -> :class:`Problem`), and its buffers inside a kernel."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

from pith._mlir import arith, ir, memref
from pith.dialect import AttentionGradOp, AttentionOp
from pith.dialect.pattern import PatternType
from pith.passes.core import pass_error

from ... import builder as b
from ...attention.sizes import AttentionSizes
from ...builder import Index


@dataclasses.dataclass(frozen=True)
class Problem:
    """What a kernel is generated for.

    Attributes:
        element: type of query, key, value and result.
        depth, width: features of a query and of a value.
        granularity: of the pattern over (queries, keys); None without one.
        tokens: there are global tokens.
        gradient: of queries, or of keys and values; None for the forward pass.
    """

    element: ir.Type
    depth: int
    width: int
    granularity: tuple[int, int] | None
    tokens: bool
    gradient: Literal["query", "key"] | None = None

    @classmethod
    def of(cls, op: AttentionOp | AttentionGradOp) -> "Problem":
        """The problem of ``op``; a diagnostic for element types without a lowering."""
        forward = isinstance(op, AttentionOp)
        query, value = (op.query.type, op.value.type) if forward else (op.own.type, op.own_pair.type)
        if not isinstance(query.element_type, (ir.F16Type, ir.BF16Type, ir.F32Type)):
            pass_error(op, f"has no GPU lowering: expects elements of f16, bf16 or f32, got {query.element_type}")
        granularity = None
        if op.pattern is not None:
            tall, wide = PatternType(op.pattern.type).to_shape().granularity
            granularity = tall, wide
        tokens = op.global_tokens is not None
        gradient = None if forward else "query" if op.pair_out is None else "key"
        sizes = query.get_dim_size(3), value.get_dim_size(3)
        return cls(query.element_type, *sizes, granularity, tokens, gradient)

    @property
    def listed(self) -> bool:
        """Keys come from lists: of the pattern's blocks, of global tokens or of both."""
        return self.tokens or self.granularity is not None


@dataclasses.dataclass(frozen=True)
class Operands(AttentionSizes):
    """Buffers of the op, on the host or inside a kernel; None for those it does not have.

    Attributes:
        lse: the logarithms; of gradients, an input.
        pattern: the pattern's list.
        lists: what ``lists`` makes: ``(batch or 1, query tiles, entries)``.
        scale: a number, or a constant.
        bias: of the scores, ``(batch or 1, heads or 1, keys, queries or 1)``.
        own_pair, delta, pair_out: of gradients, in which query, key and value are one's own, the others and their pair.
    """

    query: ir.Value
    key: ir.Value
    value: ir.Value
    out: ir.Value
    intervals: ir.Value
    scale: ir.Value | float
    lse: ir.Value | None = None
    pattern: ir.Value | None = None
    global_tokens: ir.Value | None = None
    reach: ir.Value | None = None
    lists: ir.Value | None = None
    own_pair: ir.Value | None = None
    delta: ir.Value | None = None
    pair_out: ir.Value | None = None
    bias: ir.Value | None = None

    def flat(self) -> list[ir.Value]:
        """Those that a kernel takes, in order."""
        values = (getattr(self, f.name) for f in dataclasses.fields(self))
        return [v for v in values if isinstance(v, ir.Value)]

    def inside(self, arguments: Sequence[ir.Value]) -> "Operands":
        """The same inside a kernel, whose ``arguments`` they are in the order of :meth:`flat`."""
        given = iter(arguments)
        names = [f.name for f in dataclasses.fields(self)]
        return Operands(**{n: next(given) if isinstance(v := getattr(self, n), ir.Value) else v for n in names})


def load(buffer: ir.Value, at: Sequence[Index]) -> ir.Value:
    """An element."""
    return memref.load(buffer, [b.value(i) for i in at])


def i32(x: Index) -> ir.Value:
    """An index as an i32."""
    type_ = ir.IntegerType.get_signless(32)
    return arith.constant(type_, x) if isinstance(x, int) else arith.index_cast(type_, x)


def index(x: ir.Value) -> ir.Value:
    """A signed i32 as an index."""
    return arith.index_cast(ir.IndexType.get(), x)


def plain_scale(o: Operands) -> ir.Value:
    """The factor of the scores as an f32."""
    return _scale(o, 1.0)


def log2_scale(o: Operands) -> ir.Value:
    """The factor that makes powers of two of scores, scale * log2(e), rounded once."""
    return _scale(o, math.log2(math.e))


def _scale(o: Operands, factor: float) -> ir.Value:
    f32 = ir.F32Type.get()
    if isinstance(o.scale, int | float):
        return arith.constant(f32, o.scale * factor)
    return arith.truncf(f32, arith.mulf(o.scale, arith.constant(o.scale.type, factor)))
