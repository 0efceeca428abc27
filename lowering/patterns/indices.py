"""Patterns from what a program knows already, on a CPU: lengths of sequences, experts of tokens."""

from __future__ import annotations

from pith._mlir import arith, ir, memref
from pith.dialect.pattern import PatternShape

from .. import builder as b
from ..builder import Index
from ..storage.tree import buffer_of
from .collect import Out, as_list
from .presence import integer


def lower_from_lengths(op: ir.OpView, shape: PatternShape) -> ir.Value:
    """The blocks of positions in use, in row-major order: a prefix sum over the sequences, then each on its own."""
    lengths = buffer_of(op.lengths)
    batch, index = b.dim_size(lengths, 0), ir.IndexType.get()
    starts = b.alloc([batch], index)

    def blocks(sequence: Index) -> Index:
        length = arith.index_cast(index, memref.load(lengths, [b.value(sequence)]))
        used = arith.minsi(arith.maxsi(length, b.value(0)), op.size)
        return b.ceildiv(used, shape.granularity[1])

    def place(sequence: Index, total: ir.Value) -> list[ir.Value]:
        memref.store(total, starts, [b.value(sequence)])
        return [b.value(b.add(total, blocks(sequence)))]

    (total,) = b.for_loop(0, batch, place, [b.value(0)])
    flat = b.alloc([b.mul(total, 2)], integer(32))

    def fill(sequence: Index) -> None:
        out = Out(2, flat, memref.load(starts, [b.value(sequence)]))
        b.for_loop(0, blocks(sequence), lambda p: out.store(p, [sequence, p]))

    b.parallel_loop([batch], fill, work=b.mul(total, 4))
    return as_list(flat, total, 2)


def lower_from_routing(op: ir.OpView, shape: PatternShape) -> ir.Value:
    """The (token, expert) pairs, token after token. What is no expert is past every grid."""
    experts = buffer_of(op.experts)
    tokens = b.dim_size(experts, 0)
    each = b.dim_size(experts, 1) if experts.type.rank == 2 else 1
    total = b.mul(tokens, each)
    out = Out(2, b.alloc([b.mul(total, 2)], integer(32)), 0)

    def token(t: Index) -> None:
        def entry(i: Index) -> None:
            place = [b.value(t)] if experts.type.rank == 1 else [b.value(t), b.value(i)]
            expert = memref.load(experts, place)
            if expert.type.width > 32:
                expert = arith.minui(expert, arith.constant(expert.type, 0xFFFFFFFF))
            out.store(b.add(b.mul(t, each), i), [t, arith.index_castui(ir.IndexType.get(), expert)])

        b.for_loop(0, each, entry)

    b.parallel_loop([tokens], token, work=b.mul(total, 4))
    return as_list(out.flat, total, 2)
