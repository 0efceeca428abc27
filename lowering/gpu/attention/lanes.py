"""The lanes of a warp together: reductions by butterflies, votes."""

import functools
from collections.abc import Sequence

from pith._mlir import arith, gpu, ir

from ..warp import Combine, shuffle_xor
from .problem import i32


def reduce_lanes(x: ir.Value, distances: Sequence[int], combine: Combine) -> ir.Value:
    """``combine`` over the lanes that differ in the bits ``distances`` of their numbers; all of them get it."""
    for distance in distances:
        x = combine(x, shuffle_xor(x, distance))
    return x


def any_lane(condition: ir.Value) -> ir.Value:
    """Whether ``condition`` holds in some lane of the warp."""
    votes = gpu.ballot(ir.IntegerType.get_signless(32), condition)
    return arith.cmpi(arith.CmpIPredicate.ne, votes, i32(0))


def fold(values: Sequence[ir.Value], combine: Combine) -> ir.Value:
    """``combine`` over the values of one thread."""
    return functools.reduce(combine, values)
