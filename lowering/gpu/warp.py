"""Exchanges between the 32 threads of a warp, all of which must arrive together."""

import functools
from collections.abc import Callable, Sequence

from pith._mlir import arith, gpu, ir

WARP = 32

Combine = Callable[[ir.Value, ir.Value], ir.Value]


def reduce_warp(value: ir.Value, combine: Combine, lanes: int = WARP) -> ir.Value:
    """What ``combine`` makes of the values of ``lanes`` neighbouring threads (a power of two), in each of them."""
    return reduce_lanes(value, [lanes >> i for i in range(1, lanes.bit_length())], combine)


def reduce_lanes(value: ir.Value, distances: Sequence[int], combine: Combine) -> ir.Value:
    """``combine`` over the threads whose numbers differ in the bits ``distances``; all of them get it."""
    for distance in distances:
        value = combine(value, shuffle_xor(value, distance))
    return value


def any_lane(condition: ir.Value) -> ir.Value:
    """Whether ``condition`` holds in some thread of the warp."""
    votes = gpu.ballot(ir.IntegerType.get_signless(32), condition)
    return arith.cmpi(arith.CmpIPredicate.ne, votes, arith.constant(votes.type, 0))


def fold(values: Sequence[ir.Value], combine: Combine) -> ir.Value:
    """``combine`` over the values of one thread."""
    return functools.reduce(combine, values)


def shuffle_xor(value: ir.Value, offset: int) -> ir.Value:
    """The value that the thread whose number differs in the bits of ``offset`` holds."""
    i32 = ir.IntegerType.get_signless(32)
    type_ = value.type
    if isinstance(type_, ir.F32Type):
        return _shuffle(value, offset)
    if isinstance(type_, ir.IndexType):
        word = arith.index_cast(ir.IntegerType.get_signless(64), value)
        return arith.index_cast(type_, shuffle_xor(word, offset))
    width = type_.width  # type: ignore[attr-defined]
    bits_type = ir.IntegerType.get_signless(width)
    bits = value if isinstance(type_, ir.IntegerType) else arith.bitcast(bits_type, value)
    if width <= 32:
        wide = bits if width == 32 else arith.extui(i32, bits)
        moved = _shuffle(wide, offset)
        moved = moved if width == 32 else arith.trunci(bits_type, moved)
    else:
        half = arith.constant(bits_type, 32)
        low = _shuffle(arith.trunci(i32, bits), offset)
        high = _shuffle(arith.trunci(i32, arith.shrui(bits, half)), offset)
        moved = arith.ori(arith.extui(bits_type, low), arith.shli(arith.extui(bits_type, high), half))
    return moved if isinstance(type_, ir.IntegerType) else arith.bitcast(type_, moved)


def _shuffle(value: ir.Value, offset: int) -> ir.Value:
    i32 = ir.IntegerType.get_signless(32)
    return gpu.shuffle(value, arith.constant(i32, offset), arith.constant(i32, WARP), gpu.ShuffleMode.XOR)[0]
