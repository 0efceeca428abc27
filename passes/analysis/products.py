"""Sums of products of dense tensors, as far as tensor-level passes tell them from other ops."""

from pith._mlir import ir
from pith.dialect import encoding_of

from .structured import Structured, dim_positions


def is_dense_product(op: Structured) -> bool:
    """True when ``op`` adds up products of elements of two dense tensors of f32 or f64, whatever its maps."""
    return len(op.inputs) == 2 and _sums_products(op, _SUMS) and _multiplicands(op) == list(op.body.arguments)[:2]


#: Types of sums.
_SUMS = ("f32", "f64")

#: Types of what factors may be computed from.
_COMPUTED_FROM = (*_SUMS, "f16", "bf16", "i1")

#: What may bring a factor to the type of the sums.
_WIDENING = ("arith.extf", "arith.extsi", "arith.extui")


def is_widened_product(op: Structured) -> bool:
    """True when ``op`` adds up products of elements of two dense tensors, which may be widened first, of any type."""
    operands = (*op.inputs, *op.inits)
    if len(operands) != 3 or "reduction" not in op.iterators or any(encoding_of(v.type) for v in operands):
        return False
    lhs, rhs, out = op.body.arguments
    total = _made_by(list(op.body.operations)[-1].operands[0], ("arith.addf", "arith.addi"))
    terms = [v for v in total.operands if v != out] if total is not None else []
    product = _made_by(terms[0], ("arith.mulf", "arith.muli")) if len(terms) == 1 else None
    if product is None:
        return False
    widened = [_made_by(v, _WIDENING) for v in product.operands]
    factors = [v if by is None else by.operands[0] for v, by in zip(product.operands, widened)]
    return factors in ([lhs, rhs], [rhs, lhs])


def _made_by(value: ir.Value, names: tuple[str, ...]) -> ir.Operation | None:
    """The op that makes ``value`` if it is one of ``names``."""
    owner = None if isinstance(value.owner, ir.Block) else value.owner
    return owner if owner is not None and owner.name in names else None


def multiplicands(op: Structured) -> list[ir.Value] | None:
    """Both factors of what ``op`` adds up in f32 or f64, when it adds up products over dense floats; else None."""
    return _multiplicands(op) if _sums_products(op, _COMPUTED_FROM) else None


def is_operand(value: ir.Value) -> bool:
    """A factor that is an operand as it is, or widened: kernels widen what they read."""
    widened = _made_by(value, _WIDENING)
    return isinstance((value if widened is None else widened.operands[0]).owner, ir.Block)


def is_batch(op: Structured, loop: int) -> bool:
    """True when all operands have a dimension for ``loop``."""
    return all(loop in dim_positions(m) for m in op.maps)


def _sums_products(op: Structured, inputs: tuple[str, ...]) -> bool:
    """True when ``op`` adds up products in f32 or f64 over dense tensors of the types ``inputs``."""
    operands = (*op.inputs, *op.inits)
    if len(op.inits) != 1 or "reduction" not in op.iterators or any(encoding_of(v.type) for v in operands):
        return False
    *given, sums = (str(getattr(v.type, "element_type", "")) for v in operands)
    if sums not in _SUMS or not all(t in inputs for t in given):
        return False
    body = list(op.body.operations)
    if len(body) < 3 or body[-2].operation.name != "arith.addf" or list(body[-1].operands) != list(body[-2].results):
        return False
    out, total = op.body.arguments[len(op.body.arguments) - 1], body[-2]
    terms = [v for v in total.operands if v != out]
    return len(terms) == 1 and not isinstance(terms[0].owner, ir.Block) and terms[0].owner.name == "arith.mulf"


def _multiplicands(op: Structured) -> list[ir.Value]:
    total = list(op.body.operations)[-2]
    out = op.body.arguments[len(op.body.arguments) - 1]
    term = next(v for v in total.operands if v != out)
    return sorted(term.owner.operands, key=lambda v: v.arg_number if isinstance(v.owner, ir.Block) else -1)
