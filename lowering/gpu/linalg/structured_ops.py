"""Which kernel a linalg op becomes: a product, a sparse product, a reduction or an elementwise map."""

from typing import NoReturn

from pith._mlir import ir
from pith.dialect import encoding_of, format_of
from pith.dialect.tiling import REDUCTION
from pith.passes.core import pass_error

from ..host import Host
from ..outputs import is_constant_fill
from ..product.match import ELEMENTS, is_matrix_product, multiplies_matrices
from .loops import Nest
from .rows import convert_rows


def convert_linalg(host: Host, op: ir.OpView) -> None:
    """Convert any linalg op on tensors. Constant fills wait until something needs them in memory."""
    encoded = [i for i, v in enumerate(op.operands) if encoding_of(v.type) is not None]
    if encoded:
        _convert_encoded(host, op, encoded)
        return
    if is_constant_fill(op.operation):
        host.defer(op.results[0], lambda: _filled(host, op))
        return
    if is_matrix_product(op):
        from ..product.product import convert_product

        convert_product(host, op)
        return
    if convert_rows(host, op):
        return
    _convert_alone(host, op, Nest.of(op))


def _convert_alone(host: Host, op: ir.OpView, nest: Nest) -> None:
    """An op as a kernel of its own."""
    if REDUCTION in nest.iterators:
        from .reduce import convert_reduction

        convert_reduction(host, op)
    else:
        from .elementwise import convert_elementwise

        convert_elementwise(host, op, "map")


def _filled(host: Host, op: ir.OpView) -> list[ir.Value]:
    from .elementwise import convert_elementwise

    convert_elementwise(host, op, "fill")
    return host.buffers[op.results[0]]


def _convert_encoded(host: Host, op: ir.OpView, encoded: list[int]) -> None:
    from ..sparse.convert import convert_sparse_product, is_walked

    last = len(op.operands) - 1
    if last in encoded:
        from ..sparse.sampled import convert_sampled

        convert_sampled(host, op)
    elif len(encoded) == 1 and is_walked(format_of(op.operands[encoded[0]].type)) and not _is_expanded(op):
        convert_sparse_product(host, op, encoded[0])
    elif is_matrix_product(op):
        from ..product.product import convert_product

        convert_product(host, op)
    else:
        _refuse_encoded(op)


def _refuse_encoded(op: ir.OpView) -> NoReturn:
    if not multiplies_matrices(op):
        pass_error(
            op, "has no GPU lowering: an encoded operand outside of a matrix product", "decompress it for this op"
        )
    lhs, rhs, out = (v.type.element_type for v in op.operands)
    pass_error(op, f"has no GPU lowering: a product of an encoded operand of {lhs} x {rhs} -> {out}", ELEMENTS)


def _is_expanded(op: ir.OpView) -> bool:
    """Whether tiles take an operand that could be walked entry by entry: where its product asks (``pith.expand``).

    How full an operand is, only run time knows. Tiles cost the same however little there is, walking does not.
    """
    formats = [fmt for fmt in (encoding_of(v.type) for v in op.operands) if fmt is not None]
    if any(fmt.diagonal is not None for fmt in formats):
        return False
    return "pith.expand" in op.operation.attributes and is_matrix_product(op)
