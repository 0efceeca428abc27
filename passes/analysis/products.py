"""Sums of products of dense tensors, as far as tensor-level passes tell them from other ops."""

from pith._mlir import ir
from pith.dialect import encoding_of

from .multiply_add import WIDENING_CASTS, MultiplyAdd, multiplies_inputs
from .structured import Structured, dim_positions
from .traversal import defining_op


def is_dense_product(op: Structured) -> bool:
    """True when ``op`` adds up products of elements of two dense tensors of f32 or f64, whatever its maps."""
    return len(op.inputs) == 2 and _sums_floats(op, _SUMS) and multiplies_inputs(op.body)


#: Types of sums.
_SUMS = ("f32", "f64")

#: Types of what factors may be computed from.
_COMPUTED_FROM = (*_SUMS, "f16", "bf16", "i1")


def is_widened_product(op: Structured) -> bool:
    """True when ``op`` adds up products of elements of two dense tensors, which may be widened first, of any type."""
    operands = (*op.inputs, *op.inits)
    if len(operands) != 3 or "reduction" not in op.iterators or any(encoding_of(v.type) for v in operands):
        return False
    return multiplies_inputs(op.body, *WIDENING_CASTS)


def multiplicands(op: Structured) -> list[ir.Value] | None:
    """Both factors of what ``op`` adds up in f32 or f64, when it adds up products over dense floats; else None."""
    body = MultiplyAdd.of(op.body) if _sums_floats(op, _COMPUTED_FROM) else None
    return None if body is None else sorted(body.factors, key=lambda v: -1 if defining_op(v) else v.arg_number)


def is_operand(value: ir.Value) -> bool:
    """A factor that is an operand as it is, or widened: kernels widen what they read."""
    cast = defining_op(value, *WIDENING_CASTS)
    return defining_op(value if cast is None else cast.operands[0]) is None


def is_batch(op: Structured, loop: int) -> bool:
    """True when all operands have a dimension for ``loop``."""
    return all(loop in dim_positions(m) for m in op.maps)


def _sums_floats(op: Structured, inputs: tuple[str, ...]) -> bool:
    """True when ``op`` reduces dense tensors of the types ``inputs`` to one of f32 or f64."""
    operands = (*op.inputs, *op.inits)
    if len(op.inits) != 1 or "reduction" not in op.iterators or any(encoding_of(v.type) for v in operands):
        return False
    *given, sums = (str(getattr(v.type, "element_type", "")) for v in operands)
    return sums in _SUMS and all(t in inputs for t in given)
