"""Which kernel a linalg op becomes: a product, a sparse product, a reduction or an elementwise map."""

from pith._mlir import ir
from pith.dialect import encoding_of, format_of
from pith.passes.core import pass_error

from .host import Host
from .loops import REDUCTION, Nest
from .outputs import is_constant_fill

#: What may bring a factor to the type of a product.
_CASTS = ("arith.extf", "arith.extsi")


def convert_linalg(host: Host, op: ir.OpView) -> None:
    """Convert any linalg op on tensors. Constant fills wait until something needs them in memory."""
    encoded = [i for i, v in enumerate(op.operands) if encoding_of(v.type) is not None]
    if encoded:
        _convert_encoded(host, op, encoded)
        return
    if is_constant_fill(op.operation):
        host.defer(op.results[0], lambda: _elementwise(host, op, "fill"))
        return
    nest = Nest.of(op)
    if _is_matrix_product(nest):
        from .product import convert_product

        convert_product(host, op)
    elif REDUCTION in nest.iterators:
        from .reduce import convert_reduction

        convert_reduction(host, op)
    else:
        _elementwise(host, op)


def _elementwise(host: Host, op: ir.OpView, kind: str = "map") -> list[ir.Value]:
    from .elementwise import convert_elementwise

    convert_elementwise(host, op, kind)
    return host.buffers[op.results[0]]


def _convert_encoded(host: Host, op: ir.OpView, encoded: list[int]) -> None:
    from .sparse.convert import convert_sparse_product, is_walked

    last = len(op.operands) - 1
    if last in encoded:
        from .sparse.sampled import convert_sampled

        convert_sampled(host, op)
    elif len(encoded) == 1 and is_walked(format_of(op.operands[encoded[0]].type)):
        convert_sparse_product(host, op, encoded[0])
    elif _is_matrix_product(Nest.of(op)):
        from .product import convert_product

        convert_product(host, op)
    else:
        pass_error(op, "has no GPU lowering: an encoded operand outside of a matrix product")


def _is_matrix_product(nest: Nest) -> bool:
    """True for ``out[b, m, n] += lhs[b, m, k] * rhs[b, k, n]`` up to transposition, on types that tiles multiply."""
    if len(nest.operands) != 3 or nest.iterators.count(REDUCTION) != 1 or not multiplies_and_adds(nest.body):
        return False
    dims = [[e.position if isinstance(e, ir.AffineDimExpr) else None for e in m.results] for m in nest.maps]
    if any(None in d or len(set(d)) != len(d) for d in dims):
        return False
    a, b, c = map(set, dims)
    depth = nest.iterators.index(REDUCTION)
    return {depth} == a & b - c and bool(a & c - b) and bool(b & c - a) and _are_multiplied(nest.operands)


def _are_multiplied(operands: tuple[ir.Value, ...]) -> bool:
    lhs, rhs, out = (v.type.element_type for v in operands)
    floats = (ir.F32Type, ir.F16Type, ir.BF16Type)
    if isinstance(lhs, ir.IntegerType):
        return lhs == rhs and lhs.width == 8 and isinstance(out, ir.IntegerType) and out.width == 32
    return lhs == rhs and isinstance(lhs, floats) and isinstance(out, floats)


def multiplies_and_adds(block: ir.Block) -> bool:
    """True for a body ``out + cast(a) * cast(b)``."""
    a, b, out = list(block.arguments) if len(block.arguments) == 3 else [None] * 3
    total = _definition(list(block.operations)[-1].operands[0])
    if total is None or total.name not in ("arith.addf", "arith.addi") or out not in list(total.operands):
        return False
    terms = [_definition(v) for v in total.operands if v != out]
    if len(terms) != 1 or terms[0] is None or terms[0].name not in ("arith.mulf", "arith.muli"):
        return False
    factors = [_uncast(v) for v in terms[0].operands]
    return factors in ([a, b], [b, a])


def _definition(value: ir.Value) -> ir.Operation | None:
    return None if isinstance(value.owner, ir.Block) else value.owner.operation


def _uncast(value: ir.Value) -> ir.Value:
    owner = _definition(value)
    return owner.operands[0] if owner is not None and owner.name in _CASTS else value
