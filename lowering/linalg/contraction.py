"""Analysis: matrix products of dense operands, with any batch loops around them (IR -> dataclass)."""

import dataclasses
import itertools
import math
from collections.abc import Iterator

from pith._mlir import ir
from pith.dialect.tiling import bare_dim
from pith.passes.analysis.multiply_add import SIGNED_CASTS, multiplies_inputs
from pith.passes.analysis.structured import iterator_types

from ..isa import Isa
from ..panel.dense.few_dots import few_dot_rows
from ..sparse.contraction import indexing_maps, is_generic

#: Sizes that only run time knows count as this many when orientations are compared.
_TYPICAL = 128

#: Columns below which lanes of vectors stay empty.
_LANES = 8


@dataclasses.dataclass(frozen=True)
class DenseContraction:
    """``out[outer, row, col] += lhs[outer, row, red] * rhs[outer, red, col]``, dimensions of operands in any order.

    Attributes:
        op: the ``linalg.generic``, on tensors or memrefs, or the ``pith.pit_tile``: its last operands are these.
        dims: per operand (inputs, then the output), the loop of each dimension.
        lhs: index of the operand that is read a row at a time; ``rhs``, the other input, is packed.
        row, col, red: loops of one matrix product.
        outer: the other loops; an operand may lack some.
        values: the operands, where they are not the last three of ``op``.
    """

    op: ir.OpView
    dims: tuple[tuple[int, ...], ...]
    lhs: int
    row: int
    col: int
    red: int
    outer: tuple[int, ...]
    values: tuple[ir.Value, ...] = ()

    @property
    def rhs(self) -> int:
        """Index of the operand that is packed."""
        return 1 - self.lhs

    @property
    def lhs_transposed(self) -> bool:
        """The contracted dimension of ``lhs`` comes before the rows."""
        return self._order(self.lhs, self.red, self.row)

    @property
    def rhs_transposed(self) -> bool:
        """The columns of ``rhs`` come before the contracted dimension."""
        return self._order(self.rhs, self.col, self.red)

    @property
    def out_transposed(self) -> bool:
        """The columns of the output come before the rows."""
        return self._order(2, self.col, self.row)

    @property
    def factor(self) -> ir.Type:
        """Element type of what is multiplied."""
        return self._operand(self.lhs).type.element_type

    @property
    def total(self) -> ir.Type:
        """Element type of the output."""
        return self._operand(2).type.element_type

    def _operand(self, number: int) -> ir.Value:
        return (self.values or list(self.op.operands)[-3:])[number]

    def _order(self, operand: int, first: int, second: int) -> bool:
        return self.dims[operand].index(first) < self.dims[operand].index(second)

    def static_size(self, loop: int) -> int | None:
        """Trip count of a loop when a type tells it."""
        for number, dims in enumerate(self.dims):
            type_ = self._operand(number).type
            if loop in dims and not type_.is_dynamic_dim(dims.index(loop)):
                return type_.get_dim_size(dims.index(loop))
        return None

    def cost(self, isa: Isa | None = None) -> float:
        """About how many vector operations all products take, on panels or (where ``isa`` says when) as dot products,
        which read ``rhs`` in every product: what orientations are compared by."""
        loops = (self.row, self.col, self.red, *self.outer)
        rows, cols, reds, *outer = (_TYPICAL if s is None else s for s in map(self.static_size, loops))
        products = math.prod(outer)
        if isa and self.rhs_transposed and not self.lhs_transposed and rows <= few_dot_rows(isa):
            return products * (rows / 2 + 1) * reds * cols / _LANES
        lanes = -(-cols // _LANES) * _LANES
        packed = reds * lanes * (2 if self.rhs_transposed else 1)
        transposed = 2 * rows * reds * self.lhs_transposed + rows * cols * self.out_transposed
        return products * (rows * reds * lanes / 2 + packed + transposed) / _LANES


def match_dense_contraction(op: ir.OpView, isa: Isa) -> DenseContraction | None:
    """Recognise a product of two dense matrices; of what may be its rows and columns the cheapest choice.

    Of two of the same type, that of the sums (f32, f64 or i32) or one that is widened to it.
    """
    if not is_generic(op) or len(op.operands) != 3 or not all(is_dense(v.type) for v in op.operands):
        return None
    if not sums_products(op):
        return None
    dims = tuple(map(bare_dims, indexing_maps(op)))
    if () in dims:
        return None
    orientations = [*_orientations(op, dims, 0), *_orientations(op, dims, 1)]
    return min(orientations, key=lambda c: c.cost(isa), default=None)


def _orientations(op: ir.OpView, dims: tuple[tuple[int, ...], ...], lhs: int) -> Iterator[DenseContraction]:
    """The ways in which operand ``lhs`` is read a row at a time, those along inner loops first."""
    mine, other, out = set(dims[lhs]), set(dims[1 - lhs]), set(dims[2])
    reds = [d for d, kind in enumerate(iterator_types(op)) if kind == "reduction"]
    if len(reds) != 1 or not set(reds) == (mine & other) - out or mine | other != out | set(reds):
        return
    rows, cols = sorted(mine - other, reverse=True), sorted(other - mine, reverse=True)
    for row, col in itertools.product(rows, cols):
        inner = ({row, *reds}, {col, *reds}, {row, col})
        if all(dims[i][-1] in loops for i, loops in zip((lhs, 1 - lhs, 2), inner)):
            outer = tuple(d for d in range(len(iterator_types(op))) if d not in (row, col, *reds))
            yield DenseContraction(op, dims, lhs, row, col, reds[0], outer)


def is_dense(type_: ir.Type) -> bool:
    """A tensor without encoding, or a memref whose last dimension is contiguous."""
    if isinstance(type_, ir.MemRefType):
        return type_.rank > 0 and type_.get_strides_and_offset()[0][-1] == 1
    return isinstance(type_, ir.RankedTensorType) and type_.rank > 0 and type_.encoding is None


def sums_products(op: ir.OpView) -> bool:
    """Whether an op on three operands adds up products of factors of one type, in a type that registers sum in."""
    lhs, rhs, sums = (v.type.element_type for v in op.operands)
    held = isinstance(sums, (ir.F32Type, ir.F64Type)) or str(sums) == "i32"
    return held and lhs == rhs and multiplies_inputs(op.regions[0].blocks[0], *SIGNED_CASTS)


def bare_dims(exprs: tuple[ir.AffineExpr, ...]) -> tuple[int, ...]:
    """Loops of a map's results when each is another bare loop, else nothing."""
    dims = tuple(d for e in exprs if (d := bare_dim(e)) is not None)
    return dims if len(dims) == len(set(dims)) == len(exprs) else ()
