"""Combiners of reductions: whether a body may be computed in parts, and what a part starts from."""

import dataclasses
import math
from collections.abc import Callable

from pith._mlir import arith, ir
from pith.passes.analysis.traversal import defining_op

from ... import builder as b
from .loops import Nest


@dataclasses.dataclass(frozen=True)
class Combiner:
    """One result of a reduction, ``out = combine(out, term)``.

    Attributes:
        name: the op that combines.
        neutral: makes the value, of a type, that changes nothing.
    """

    name: str
    neutral: Callable[[ir.Type], ir.Value]

    def combine(self, one: ir.Value, other: ir.Value) -> ir.Value:
        """Emit the op."""
        return getattr(arith, self.name.partition(".")[2])(one, other)


def _float(x: float) -> Callable[[ir.Type], ir.Value]:
    return lambda type_: arith.constant(type_, x)


def _bits(of: Callable[[int], int]) -> Callable[[ir.Type], ir.Value]:
    return lambda type_: arith.constant(type_, of(b.bits_of(type_)))


#: -0 + x is x for every x, 0 + -0 is not -0; a NaN is what maxnumf and minnumf disregard.
_NEUTRAL: dict[str, Callable[[ir.Type], ir.Value]] = {
    "arith.addf": _float(-0.0),
    "arith.mulf": _float(1.0),
    "arith.maximumf": _float(-math.inf),
    "arith.minimumf": _float(math.inf),
    "arith.maxnumf": _float(math.nan),
    "arith.minnumf": _float(math.nan),
    "arith.addi": _bits(lambda width: 0),
    "arith.muli": _bits(lambda width: 1),
    "arith.ori": _bits(lambda width: 0),
    "arith.xori": _bits(lambda width: 0),
    "arith.andi": _bits(lambda width: -1),
    "arith.maxui": _bits(lambda width: 0),
    "arith.minui": _bits(lambda width: -1),
    "arith.maxsi": _bits(lambda width: -(1 << (width - 1))),
    "arith.minsi": _bits(lambda width: (1 << (width - 1)) - 1),
}


def combiners_of(nest: Nest) -> list[Combiner] | None:
    """The combiner of every result, or None when the body has to run in order.

    linalg leaves the order of a reduction open, for floats too.
    """
    block = nest.body
    arguments = list(block.arguments)[len(nest.inputs) :]
    found = []
    for argument, value in zip(arguments, list(block.operations)[-1].operands):
        owner = defining_op(value, *_NEUTRAL)
        if owner is None or len(list(argument.uses)) != 1:
            return None
        if list(owner.operands).count(argument) != 1 or len(list(value.uses)) != 1:
            return None
        found.append(Combiner(owner.name, _NEUTRAL[owner.name]))
    return found
