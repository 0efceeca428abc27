"""Analysis and views: products of a dense matrix with one column, in any spelling (IR -> dataclass)."""

import dataclasses
from collections.abc import Sequence

from pith._mlir import ir
from pith.passes.analysis.structured import iterator_types

from .. import builder as b
from ..isa import Isa
from ..panel.dense.column import DenseColumn
from ..panel.dense.dots import Dots
from ..panel.dense.quantized_dots import QuantizedDots
from ..panel.write import added_to, as_it_is
from ..quantized import Quantized
from ..sparse.contraction import indexing_maps, is_generic
from ..subview import part_of
from ..transpose import Transform
from .contraction import bare_dims, is_dense, sums_products


@dataclasses.dataclass(frozen=True)
class ColumnProduct:
    """``out[row] += matrix[row, red] * column[red]``; dimensions of size one stand anywhere.

    Attributes:
        op: the ``linalg.generic``, on tensors or memrefs.
        dims: per operand (inputs, then the output), the loop of each dimension.
        matrix: index of the operand that has rows.
        row, red: its loops.
        quantized: what the matrix stands for, where its elements are integers in groups.
    """

    op: ir.OpView
    dims: tuple[tuple[int, ...], ...]
    matrix: int
    row: int
    red: int
    quantized: Quantized | None = None

    @property
    def lhs(self) -> int:
        """Index of the matrix, as :class:`DenseContraction` calls it."""
        return self.matrix

    def emit(self, buffers: Sequence[ir.Value], isa: Isa, fresh: bool, finish: Transform | None) -> None:
        """Emit the kernel at the insertion point.

        Args:
            buffers: the operands as memrefs.
            fresh: the content of the output does not matter.
            finish: makes what is stored of what the product would store.
        """
        out, dims = buffers[2], self.dims[2]
        sums = self.op.operands[2].type.element_type
        store = finish or (as_it_is if fresh else added_to(out))

        def at_row(value: ir.Value, at: Sequence[ir.Value]) -> ir.Value:
            return store(value, [at[0] if d == self.row else b.value(0) for d in dims])

        column = _view(buffers[1 - self.matrix], self.dims[1 - self.matrix], (self.red,))
        out = _view(out, dims, (self.row,))
        if self.quantized is not None:
            dots = QuantizedDots.of(self.quantized, column, isa)
        else:
            matrix = _view(buffers[self.matrix], self.dims[self.matrix], (self.row, self.red))
            dots = Dots.of(matrix, column, sums, isa)
        DenseColumn(dots, b.dim_size(out, 0), out, at_row).emit()


def match_column_product(op: ir.OpView) -> ColumnProduct | None:
    """Recognise a product in which one operand is a matrix stored by rows and the other has none."""
    if not is_generic(op) or len(op.operands) != 3 or not all(is_dense(v.type) for v in op.operands):
        return None
    if not sums_products(op):
        return None
    dims = tuple(map(bare_dims, indexing_maps(op)))
    kinds = iterator_types(op)
    if () in dims or kinds.count("reduction") != 1:
        return None
    ones = {d for v, own in zip(op.operands, dims) for i, d in enumerate(own) if _is_one(v.type, i)}
    rows = [d for d, kind in enumerate(kinds) if kind == "parallel" and d not in ones]
    red = kinds.index("reduction")
    if len(rows) != 1 or red in ones:
        return None
    kept = [tuple(d for d in own if d not in ones) for own in dims]
    matrix = next((i for i in (0, 1) if [kept[i], kept[1 - i], kept[2]] == [(rows[0], red), (red,), (rows[0],)]), None)
    if matrix is None or not _is_contiguous(op.operands, dims, red):
        return None
    return ColumnProduct(op, dims, matrix, rows[0], red)


def _is_one(type_: ir.ShapedType, dim: int) -> bool:
    return not type_.is_dynamic_dim(dim) and type_.get_dim_size(dim) == 1


def _is_contiguous(operands: Sequence[ir.Value], dims: Sequence[tuple[int, ...]], red: int) -> bool:
    """Both inputs are stored with neighbours of the contracted dimension side by side (tensors always are)."""
    for v, own in zip(list(operands)[:2], dims):
        if isinstance(v.type, ir.MemRefType) and v.type.get_strides_and_offset()[0][own.index(red)] != 1:
            return False
    return True


def _view(buffer: ir.Value, dims: Sequence[int], kept: Sequence[int]) -> ir.Value:
    """The memref without its dimensions of size one."""
    if tuple(dims) == tuple(kept):
        return buffer
    places = [dims.index(d) for d in kept]
    sizes = [b.dim_size(buffer, i) if i in places else 1 for i in range(len(dims))]
    return part_of(buffer, [0] * len(dims), sizes, places)
