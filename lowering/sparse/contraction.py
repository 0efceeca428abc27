"""Analysis: what a ``linalg.generic`` with one encoded operand computes (IR -> dataclass)."""

import dataclasses
from collections.abc import Iterator

from pith._mlir import ir, linalg
from pith.dialect import DecompressOp, encoding_of, format_of, shape_of
from pith.dialect.tiling import dims_of
from pith.formats import Format
from pith.passes.analysis.multiply_add import CASTS, multiplies_inputs
from pith.passes.analysis.structured import Structured
from pith.passes.analysis.traversal import defining_op
from pith.passes.analysis.vanishing import KEEPS, effect_of_zero, why_not_skipped
from pith.passes.core import pass_error

from .stored_batch import batch_dim

_QUOTIENTS = (ir.AffineModExpr, ir.AffineFloorDivExpr, ir.AffineCeilDivExpr)


@dataclasses.dataclass(frozen=True)
class SparseGeneric(Structured):
    """A ``linalg.generic`` that visits what one encoded operand stores.

    Attributes:
        sparse: index of the encoded input.
        format: its format.
        accumulates: True when the body adds a term to the output that vanishes where the
            sparse operand is zero; False when the body's result itself vanishes there.
    """

    sparse: int
    format: Format
    accumulates: bool

    @property
    def init(self) -> ir.Value:
        """The output operand."""
        return self.inits[0]

    @property
    def sparse_dims(self) -> tuple[int, ...]:
        """Iteration dimension per dimension of the sparse operand, whose map is a projected permutation."""
        return self.loops(self.sparse)


def indexing_maps(op: ir.OpView) -> tuple[tuple[ir.AffineExpr, ...], ...]:
    """Results of each indexing map of a ``linalg.generic``."""
    return tuple(tuple(ir.AffineMapAttr(a).value.results) for a in op.operation.attributes["indexing_maps"])


def encoded_operands(op: ir.OpView) -> list[int]:
    """Indices of the operands that carry a pith encoding."""
    return [i for i, v in enumerate(op.operands) if encoding_of(v.type) is not None]


def decompress_operands(op: ir.Operation, operands: list[int]) -> None:
    """Let ``op`` read these operands decompressed; what was analysed of it before has the old ones."""
    with ir.InsertionPoint(op), op.location:
        for i in operands:
            op.operands[i] = DecompressOp.build(op.operands[i]).result


def why_not_sparse(op: ir.OpView, sparse: int) -> str | None:
    """Why zeros of operand ``sparse`` may not be skipped in ``op``, or None when they may."""
    return why_not_skipped(_structured(op), sparse, format_of(op.operands[sparse].type))


def why_not_upstream(op: ir.OpView) -> str | None:
    """Why upstream's sparsifier cannot iterate over ``op``, whatever is stored, or None when it can.

    It leaves an op as it is when an operand, be it a dense one, is read by a quotient of a loop or has a loop twice.
    """
    for map_ in _structured(op).maps:
        loops = [d for e in map_.results for d in dims_of(e)]
        if len(set(loops)) < len(loops):
            return f"{map_} has a loop twice"
        if any(isinstance(part, _QUOTIENTS) for e in map_.results for part in _parts(e)):
            return f"{map_} has a quotient"
    return None


def _parts(e: ir.AffineExpr) -> Iterator[ir.AffineExpr]:
    yield e
    if isinstance(e, ir.AffineBinaryExpr):
        yield from _parts(e.lhs)
        yield from _parts(e.rhs)


def analyse(op: ir.OpView, sparse: int) -> SparseGeneric:
    """The :class:`SparseGeneric` of ``op``; requires ``why_not_sparse(op, sparse) is None``."""
    seen = _structured(op)
    accumulates = effect_of_zero(seen, sparse) == KEEPS
    return SparseGeneric(
        **seen.fields(), sparse=sparse, format=format_of(op.operands[sparse].type), accumulates=accumulates
    )


def _structured(op: ir.OpView) -> Structured:
    seen = Structured.of(op)
    if seen is None:
        pass_error(op, "expects a linalg op with a body")
    return seen


@dataclasses.dataclass(frozen=True)
class Matmul:
    """A contraction ``out[row, col] += sparse[row, red] * dense[red, col]``, any side transposed.

    Attributes:
        row_dim, red_dim: which dimension of the sparse tensor is kept and which is contracted.
        dense: index of the dense input.
        dense_transposed: the dense operand is stored ``[col, red]``.
        out_transposed: the output is stored ``[col, row]``.
        row, red, col: the loops; no ``col``: the dense operand is a vector.
        outer: further loops of the dense operand and the output, around the product of two matrices.
        batch: the one of them that the sparse operand has, too: it is a batch of matrices, which ``row_dim`` and
            ``red_dim`` are dimensions of.
    """

    generic: SparseGeneric
    row_dim: int
    red_dim: int
    dense: int
    dense_transposed: bool
    out_transposed: bool
    row: int
    red: int
    col: int | None
    outer: tuple[int, ...] = ()
    batch: int | None = None

    @property
    def is_plain(self) -> bool:
        """True for one product of two matrices."""
        return self.col is not None and not self.outer


def match_matmul(g: SparseGeneric) -> Matmul | None:
    """Recognise a matrix product with one sparse operand and sums of 32 or 64 bits, in any orientation.

    The other operand is a vector, a matrix, or a batch of matrices.
    """
    product = _match(g)
    sums = g.init.type.element_type
    return product if product and str(sums) in ("f32", "f64", "i32", "i64") else None


def match_product(g: SparseGeneric) -> Matmul | None:
    """Recognise a product of two matrices of any element types, in any orientation: the operands may be widened first.

    A padded format may store entries beyond the edge; who takes the product must have zeros for them to meet.
    """
    product = _match(g)
    return product if product and product.is_plain else None


def _match(g: SparseGeneric) -> Matmul | None:
    if len(g.maps) != 3 or g.iterators.count("reduction") != 1 or not g.accumulates:
        return None
    dense = 1 - g.sparse
    a, b, c = g.loops(g.sparse), g.loops(dense), g.loops(2)
    red = g.iterators.index("reduction")
    if not all(g.is_projected(i) for i in range(3)):
        return None
    batch = _batch(g)
    stored = tuple(d for d in a if d != batch)
    if len(stored) != 2 or red not in stored or red not in b:
        return None
    if not multiplies_inputs(g.body, *CASTS):
        return None
    row = stored[1 - stored.index(red)]
    free = [d for d in b if d != red]
    if row in free or {row, *free} != set(c) or (batch is not None and batch not in free):
        return None
    col = max((d for d in free if d != batch), key=c.index, default=None)
    outer = tuple(d for d in free if d != col)
    by_columns = (False, False) if col is None else (b.index(col) < b.index(red), c.index(col) < c.index(row))
    return Matmul(g, stored.index(row), stored.index(red), dense, *by_columns, row, red, col, outer, batch)


def _batch(g: SparseGeneric) -> int | None:
    """The loop over the matrices of a stored batch."""
    stored = g.inputs[g.sparse]
    if defining_op(stored, "pith.dequantize") is not None:
        return None  # its groups count the values of all matrices
    dim = batch_dim(g.format, shape_of(stored.type))
    return None if dim is None else g.loops(g.sparse)[dim]


def is_generic(op: ir.OpView) -> bool:
    """True for ``linalg.generic``."""
    return isinstance(op, linalg.GenericOp)
