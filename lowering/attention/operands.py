"""What the stages of one attention kernel share: operands, sizes, blocking, scratch memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from pith._mlir import arith, ir, memref
from pith.dialect import AttentionGradOp, AttentionOp, CoordinatesOp
from pith.dialect.ops_attention import COMPUTED_IN
from pith.dialect.pattern import PatternType
from pith.passes.analysis.traversal import defining_op

from .. import builder as b
from ..bfloat16 import round_to_bfloat16
from ..builder import Index
from ..isa import Isa
from .sizes import AttentionSizes

#: Keys of one chunk: K and V of a chunk and the scores of a block of queries fit L1 (at D = 64, f32: 38 KiB of
#: which V is read last). 32 to 128 differ by less than 3 % on Zen 3 (2026-11).
CHUNK_KEYS = 64


@dataclasses.dataclass(frozen=True)
class Blocking:
    """Sizes of blocks and register tiles.

    Attributes:
        element: type that scores and sums are computed in.
        lanes: of a machine vector; queries are across lanes.
        vectors: of queries in a block.
        rows: of a register tile: keys where scores are made, features where values are summed.
    """

    element: ir.Type
    lanes: int
    vectors: int
    rows: int

    @classmethod
    def of(cls, element: ir.Type, isa: Isa) -> Blocking:
        """Three vectors by four rows fill 16 registers, two by eight are enough chains for 32.

        With AVX-512, 2x8, 3x8 and 4x6: windows of 128 keys 0.57, 0.66 and 0.63 ms a head, all of 1024 keys 2.02, 2.20
        and 1.96 ms (Emerald Rapids, 2026-11-22).
        """
        lanes = isa.vector_bytes // (8 if isinstance(element, ir.F64Type) else 4)
        return cls(element, lanes, *((2, 8) if isa.vector_registers >= 32 else (3, 4)))

    def narrow(self) -> Blocking:
        """For few queries: one vector, eight rows."""
        return dataclasses.replace(self, vectors=1, rows=8)

    @property
    def queries(self) -> int:
        """Of a block."""
        return self.lanes * self.vectors

    @property
    def vector(self) -> ir.VectorType:
        """Of the computed type."""
        return ir.VectorType.get([self.lanes], self.element)

    def starts(self) -> range:
        """First queries of the vectors of a block."""
        return range(0, self.queries, self.lanes)


@dataclasses.dataclass(frozen=True)
class Operands(AttentionSizes):
    """The op's operands as memrefs; None for those it does not have.

    Attributes:
        blocks: coordinates of the pattern's blocks; ``granularity``: their sizes, meaningless without one.
        bias: of the scores, ``(batch or 1, heads or 1, keys, queries or 1)``.
    """

    query: ir.Value
    key: ir.Value
    value: ir.Value
    scale: ir.Value
    out: ir.Value
    intervals: ir.Value
    lse: ir.Value | None
    global_tokens: ir.Value | None
    reach: ir.Value | None
    blocks: ir.Value | None
    granularity: tuple[int, int]
    bias: ir.Value | None = None

    @classmethod
    def of(cls, op: AttentionOp) -> Operands:
        """The operands of ``op``; emits views of them."""
        lse = None if op.lse is None else destination_of(op.lse)
        query, key, value, out = *(buffer_of(v) for v in (op.query, op.key, op.value)), destination_of(op.out)
        bias = None if op.bias is None else buffer_of(op.bias)
        return cls(query, key, value, op.scale, out, lse=lse, bias=bias, **_visibility(op))

    @classmethod
    def of_grad(cls, op: AttentionGradOp) -> Operands:
        """One's own in the place of queries, the others in that of keys and values."""
        query, key, value = (buffer_of(v) for v in (op.own, op.other, op.other_pair))
        out = destination_of(op.out)
        return cls(query, key, value, op.scale, out, lse=None, **_visibility(op))

    @property
    def depth(self) -> int:
        """Features of a query."""
        return self.query.type.get_dim_size(3)

    @property
    def width(self) -> int:
        """Features of a value."""
        return self.value.type.get_dim_size(3)

    def interval(self, buffer: ir.Value, row: Index, query: Index) -> tuple[ir.Value, ir.Value]:
        """An entry of ``intervals`` or ``reach``, cut to the keys there are."""
        keys, zero = b.value(self.keys), b.value(0)

        def cut(side: int) -> ir.Value:
            return arith.minsi(arith.maxsi(load_signed(buffer, [row, query, side]), zero), keys)

        return cut(0), cut(1)

    def computed_type(self) -> ir.Type:
        """Of scores and sums."""
        name = COMPUTED_IN[str(self.query.type.element_type)]
        return ir.F64Type.get() if name == "f64" else ir.F32Type.get()

    @property
    def is_narrow(self) -> bool:
        """Keys and values are widened before they are used."""
        return self.query.type.element_type != self.computed_type()


def _visibility(op: AttentionOp | AttentionGradOp) -> dict[str, Any]:
    """The operands that say what is seen."""
    found = {name: getattr(op, name) for name in ("intervals", "global_tokens", "reach")}
    buffers = {name: None if v is None else buffer_of(v) for name, v in found.items()}
    if op.pattern is None:
        return {**buffers, "blocks": None, "granularity": (1, 1)}
    tall, wide = PatternType(op.pattern.type).to_shape().granularity
    return {**buffers, "blocks": buffer_of(CoordinatesOp.build(op.pattern).result), "granularity": (tall, wide)}


def buffer_of(v: ir.Value) -> ir.Value:
    """The memory behind a tensor, to read from: as it is laid out, where the tensor was made of a memref."""
    source = defining_op(v, "bufferization.to_tensor")
    return b.buffer_of(v) if source is None else source.operands[0]


def destination_of(v: ir.Value) -> ir.Value:
    """Memory for a result that starts from ``v``, whose contents do not count: that behind ``v``, where it is a memref.

    Else memory of its own: bufferization sees no write to the buffer of a tensor, and equal ``tensor.empty`` are one.
    """
    source = defining_op(v, "bufferization.to_tensor")
    if source is not None:
        return source.operands[0]
    return b.alloc([b.dim_size(v, d) for d in range(v.type.rank)], v.type.element_type)


def load(buffer: ir.Value, at: Sequence[Index]) -> ir.Value:
    """An element."""
    return memref.load(buffer, [b.value(i) for i in at])


def store(x: ir.Value, buffer: ir.Value, at: Sequence[Index]) -> None:
    """Write an element."""
    memref.store(x, buffer, [b.value(i) for i in at])


def load_signed(buffer: ir.Value, at: Sequence[Index]) -> ir.Value:
    """A signed integer as an ``index``."""
    return arith.index_cast(ir.IndexType.get(), load(buffer, at))


def narrowed(x: ir.Value, element: ir.Type) -> ir.Value:
    """A computed number, rounded to the type it is stored in."""
    if x.type == element:
        return x
    return round_to_bfloat16(x) if isinstance(element, ir.BF16Type) else arith.truncf(element, x)


def strides_of(buffer: ir.Value) -> list[ir.Value]:
    """The strides of a memref."""
    return list(memref.ExtractStridedMetadataOp(buffer).strides)


def scratch(shape: Sequence[int], element: ir.Type) -> ir.Value:
    """Memory of one task, on the stack."""
    return memref.alloca(ir.MemRefType.get(list(shape), element), [], [], alignment=64)
