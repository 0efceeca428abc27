"""Whether the zeros of an operand may be skipped: what a body makes of its result where the operand is zero.

The one answer for operands with a format (``pith-propagate-encodings``, every lowering of what it leaves) and for those
whose zeros are known at run time only (``pith-form-pit-tiles``).
"""

from __future__ import annotations

from pith._mlir import ir
from pith.formats import Format
from pith.formats.pack_digits import may_repeat

from .structured import Structured
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

#: Upstream's sparsifier, which takes some of the ops on formats, refuses a sparse operand of these.
_NOT_SPARSIFIED = frozenset(name for name in _ODD if name.startswith(("arith.max", "arith.min"))) | {"math.erf"}

#: Ops f with f(a + b) = f(a) + f(b) in each operand, and what may follow them.
_LINEAR = frozenset(f"arith.{n}" for n in ("mulf", "muli", "extf", "extsi", "negf", "addf", "addi")) | {"linalg.yield"}


def why_not_skipped(op: Structured, operand: int, fmt: Format) -> str | None:
    """Why also those elements of an operand are needed that its format does not store; None where they are not."""
    if len(op.inits) != 1:
        return f"it has {len(op.inits)} results"
    if not op.is_projected(operand):
        return "its map of the sparse operand is not a projected permutation"
    if any(o.operation.name == "linalg.index" for o in op.body.operations):
        return "its body uses linalg.index"
    effect = effect_of_zero(op, operand, _ODD - _NOT_SPARSIFIED)
    if effect not in (KEEPS, ZEROES):
        return "its result does not vanish where the sparse operand is zero"
    if effect == ZEROES and (_reads_init(op) or "reduction" in op.iterators):
        return "its result vanishes with the sparse operand but depends on the output it overwrites"
    if may_repeat(fmt) and not (effect == KEEPS and _is_linear(op.body, operand)):
        return "the format may store an element in several parts, and the op on parts is not the op on their sum"
    return None


def effect_of_zero(op: Structured, operand: int, odd: frozenset[str] = _ODD) -> str:
    """:data:`KEEPS`, :data:`ZEROES`, or the name of the op that makes something else of a zero input.

    Args:
        odd: ops to believe that they make zero of zeros.

    Semantics: as for sparse tensors, a zero that is skipped makes zero of what it is multiplied with, be that
        NaN or infinite.

    Example: a product ``acc + a * b`` keeps ``acc`` where ``a`` is zero; ``exp(a)`` is changed by ``math.exp``.
    """
    inits = op.body.arguments[len(op.inputs) :]
    known: dict[ir.Value, int] = {op.body.arguments[operand]: _ZERO, **{v: n for n, v in enumerate(inits)}}
    for inner in (o.operation for o in op.body.operations):
        given = [known.get(v, _ZERO if is_zero(v) else None) for v in inner.operands]
        if inner.name == "linalg.yield":
            return _verdict(inner, given)
        value = _result(inner.name, given, odd)
        if value is not None:
            known.update((result, value) for result in inner.results)
    return "a body without a yield"


def is_zero_filled(value: ir.Value) -> bool:
    """True for a tensor of zeros, see :func:`zero_fill`."""
    return zero_fill(value) is not None


def zero_fill(value: ir.Value) -> ir.Operation | None:
    """The ``linalg.fill``, generalised or not, that makes ``value`` a tensor of zeros, also under another shape."""
    op = defining_op(value)
    if op is not None and op.name == "tensor.collapse_shape":
        return zero_fill(op.operands[0])
    if op is None or op.name not in ("linalg.fill", "linalg.generic") or len(op.operands) > 2:
        return None
    *rest, end = op.regions[0].blocks[0].operations
    filled = None if rest else _from_outside(op, end.operands[0])
    return op if filled is not None and is_zero(filled) else None


def _from_outside(op: ir.Operation, value: ir.Value) -> ir.Value | None:
    """What ``value`` in the body of ``op`` stands for: a capture, or a scalar operand."""
    if defining_op(value) is not None:
        return value
    operand = op.operands[value.arg_number]
    return None if isinstance(operand.type, ir.ShapedType) else operand


def _reads_init(op: Structured) -> bool:
    return any(True for init in op.body.arguments[len(op.inputs) :] for _ in init.uses)


def _is_linear(body: ir.Block, operand: int) -> bool:
    """True when nothing but products with other values and sums touches the operand."""
    parts = [body.arguments[operand]]
    for inner in body.operations:
        taken = [v for v in inner.operands if v in parts]
        if taken and (len(taken) > 1 or inner.operation.name not in _LINEAR):
            return False
        parts += inner.results if taken else []
    return True


def _verdict(op: ir.Operation, given: list[int | None]) -> str:
    for number, value in enumerate(given):
        if value not in (number, _ZERO):
            definition = defining_op(op.operands[number])
            return "an argument of the body" if definition is None else definition.name
    return KEEPS if _ZERO not in given else ZEROES


def _result(name: str, given: list[int | None], odd: frozenset[str]) -> int | None:
    if name in _PRODUCTS and _ZERO in given:
        return _ZERO
    if name in odd and given and all(value == _ZERO for value in given):
        return _ZERO
    rest = [value for value in given if value != _ZERO]
    return rest[0] if name in _SUMS and len(rest) == 1 else None
