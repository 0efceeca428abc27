"""Analysis: products with one operand that is stored entry by entry (IR -> :class:`SparseProduct`)."""

import dataclasses

from pith._mlir import ir
from pith.dialect import format_of
from pith.dialect.tiling import REDUCTION
from pith.formats import Format
from pith.passes.analysis.multiply_add import CASTS, multiplies_inputs
from pith.passes.analysis.structured import dim_positions
from pith.passes.core import pass_error

from ..linalg.loops import Nest

_FLOATS = (ir.F16Type, ir.BF16Type, ir.F32Type, ir.F64Type)


@dataclasses.dataclass(frozen=True)
class SparseProduct:
    """``out[row, col] += sparse[row, red] * dense[red, col]``, any of them transposed, ``col`` possibly absent.

    Attributes:
        nest: the op.
        sparse, dense: numbers of the operands.
        format: of the sparse one.
        row, red: its dimensions.
        dense_dims: dimension of the dense operand that is ``red``, and the one that is ``col`` (None: a vector).
        out_dims: dimension of the result that is ``row``, and the one that is ``col``.
        sums: type the products are added up in.
    """

    nest: Nest
    sparse: int
    dense: int
    format: Format
    row: int
    red: int
    dense_dims: tuple[int, int | None]
    out_dims: tuple[int, int | None]
    sums: ir.Type

    @property
    def gathers(self) -> bool:
        """True when the entries of a row are found together: each result is added up by few threads."""
        diagonal = self.format.diagonal
        if diagonal is None:
            return self.format.exprs[0].dim == self.row
        shared = diagonal == 0 or self.format.levels[diagonal].kind == "band"
        return shared or self.format.exprs[diagonal].minus == self.row

    @property
    def has_columns(self) -> bool:
        """False for products with a vector."""
        return self.dense_dims[1] is not None

    @property
    def init(self) -> ir.Value:
        """What the products are added to."""
        return self.nest.inits[0]


def kind_of(fmt: Format) -> str | None:
    """``rows`` (CSR, CSC), ``listed rows`` (DCSR) or ``entries`` (COO): how the outer level of ``fmt`` is stored;
    ``diagonals`` where one level is theirs; None for others."""
    if fmt.diagonal is not None:
        return "diagonals"
    if fmt.rank != 2 or len(fmt.levels) != 2 or fmt.padded:
        return None
    if any(e.div != 1 or e.mod for e in fmt.exprs):
        return None
    outer, inner = fmt.levels
    if inner.kind == "compressed":
        return {"dense": "rows", "compressed": "listed rows"}.get(outer.kind) if outer.unique else None
    if inner.kind == "singleton" and outer.kind == "compressed" and outer.ordered:
        return "entries"
    return None


def match_sparse_product(op: ir.OpView, sparse: int) -> SparseProduct:
    """The :class:`SparseProduct` of ``op``; a diagnostic and :class:`pith.PassError` when it is none."""
    nest = Nest.of(op)
    if len(nest.operands) != 3 or nest.results != 1 or not multiplies_inputs(nest.body, *CASTS):
        pass_error(op, "has no GPU lowering: expects a product with one encoded operand")
    dims = [list(dim_positions(m)) for m in nest.maps]
    dense = 1 - sparse
    a, b, c = dims[sparse], dims[dense], dims[2]
    reds = [d for d in a if d in b and d not in c]
    rows = [d for d in a if d in c and d not in b]
    cols = [d for d in b if d in c and d not in a]
    if len(reds) != 1 or len(rows) != 1 or len(b) != 1 + len(cols) or len(c) != 1 + len(cols) or len(cols) > 1:
        pass_error(op, "has no GPU lowering: expects out[m, n] += sparse[m, k] * dense[k, n] up to transposition")
    if nest.iterators.count(REDUCTION) != 1:
        pass_error(op, "has no GPU lowering: expects one contracted dimension")
    places = [(x.index(d), x.index(cols[0]) if cols else None) for x, d in ((b, reds[0]), (c, rows[0]))]
    fmt = format_of(op.operands[sparse].type)
    row, red = a.index(rows[0]), a.index(reds[0])
    return SparseProduct(nest, sparse, dense, fmt, row, red, places[0], places[1], _sums_of(op, nest))


def _sums_of(op: ir.OpView, nest: Nest) -> ir.Type:
    """What products are added up in: f32, or f64 where an operand is; the result's type of signed integers."""
    types = [v.type.element_type for v in nest.operands]
    if all(isinstance(t, _FLOATS) for t in types):
        return ir.F64Type.get() if ir.F64Type.get() in types else ir.F32Type.get()
    signed = not any(o.operation.name == "arith.extui" for o in nest.body.operations)
    if not (signed and all(isinstance(t, ir.IntegerType) for t in types)):
        got = ", ".join(map(str, types))
        pass_error(op, f"has no GPU lowering: expects floats, or signed integers, got {got}")
    return types[2]
