"""Whether the zeros of an operand may be skipped: what the body makes of the result when the operand is zero."""

from __future__ import annotations

from pith._mlir import ir

from .pit_axes import Structure
from .traversal import defining_op, is_zero

#: What a zero does to the result: leaves the accumulator as it is, or makes it zero.
KEEPS, ZEROES = "keeps", "zeroes"

#: Ops that give zero as soon as one operand is zero; those that give zero of nothing but zeros; and sums.
_PRODUCTS = frozenset(("arith.mulf", "arith.muli", "arith.andi", "complex.mul"))
_SUMS = frozenset(("arith.addf", "arith.addi", "arith.ori", "arith.xori", "complex.add"))
_ODD = _SUMS | frozenset(
    (
        *(f"arith.{n}" for n in ("extf", "truncf", "extsi", "extui", "trunci", "sitofp", "uitofp", "fptosi", "negf")),
        *(f"arith.{n}" for n in ("maximumf", "minimumf", "maxnumf", "minnumf", "maxsi", "minsi", "maxui", "minui")),
        *(f"math.{n}" for n in ("absf", "absi", "sqrt", "sin", "tanh", "erf")),
    )
)

#: In the table of known values: zero; an accumulator is known by the number of its init.
_ZERO = -1


def effect_of_zero(structure: Structure, operand: int) -> str:
    """:data:`KEEPS`, :data:`ZEROES`, or the name of the op that makes something else of a zero input.

    Semantics: as for sparse tensors, a zero that is skipped makes zero of what it is multiplied with, be that
        NaN or infinite.

    Example: a product ``acc + a * b`` keeps ``acc`` where ``a`` is zero; ``exp(a)`` is changed by ``math.exp``.
    """
    inits = structure.body.arguments[structure.n_inputs :]
    known: dict[ir.Value, int] = {structure.body.arguments[operand]: _ZERO, **{v: n for n, v in enumerate(inits)}}
    for op in (o.operation for o in structure.body.operations):
        given = [known.get(v, _ZERO if is_zero(v) else None) for v in op.operands]
        if op.name == "linalg.yield":
            return _verdict(op, given)
        value = _result(op.name, given)
        if value is not None:
            known.update((result, value) for result in op.results)
    return "a body without a yield"


def is_zero_filled(value: ir.Value) -> bool:
    """True for a tensor that ``linalg.fill``, generalised or not, fills with zeros, also under another shape."""
    producer = defining_op(value)
    if producer is not None and producer.name == "tensor.collapse_shape":
        return is_zero_filled(producer.operands[0])
    if producer is None or producer.name not in ("linalg.fill", "linalg.generic") or len(producer.operands) != 2:
        return False
    (end, *rest) = reversed(list(producer.regions[0].blocks[0].operations))
    forwards = not rest and end.operands[0] == producer.regions[0].blocks[0].arguments[0]
    return forwards and is_zero(producer.operands[0])


def _verdict(op: ir.Operation, given: list[int | None]) -> str:
    for number, value in enumerate(given):
        if value not in (number, _ZERO):
            definition = defining_op(op.operands[number])
            return "an argument of the body" if definition is None else definition.name
    return KEEPS if _ZERO not in given else ZEROES


def _result(name: str, given: list[int | None]) -> int | None:
    if name in _PRODUCTS and _ZERO in given:
        return _ZERO
    if name in _ODD and given and all(value == _ZERO for value in given):
        return _ZERO
    rest = [value for value in given if value != _ZERO]
    return rest[0] if name in _SUMS and len(rest) == 1 else None
