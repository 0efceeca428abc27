"""Dense products of tensors: where the operands and the result of the kernel are."""

import dataclasses
from collections.abc import Sequence

from pith._mlir import bufferization, ir, memref

from ..builder import Index, buffer_of
from ..contraction import Matmul, zero_filled
from ..destination import buffer_to_overwrite, is_exclusive
from ..epilogue.match import Epilogue
from ..epilogue.values import bind
from ..isa import Isa
from ..levels import Storage
from ..panel.emit import VARIANT_ATTRIBUTE
from ..panel.listed import ListedEmitter
from ..panel.loops import Loops
from ..panel.variant import Variant
from ..tiled.listed import emit_tiled
from ..transpose import Transform
from .columns import ColumnProduct
from .contraction import DenseContraction


def emit_on_tensors(
    c: DenseContraction | ColumnProduct,
    inputs: Sequence[ir.Value],
    isa: Isa,
    epilogue: Epilogue | None,
    variant: Variant | None = None,
) -> ir.Value:
    """Emit a product at the insertion point; returns the result tensor, that of the epilogue when there is one.

    Args:
        inputs: both inputs of ``c`` as memrefs.
    """
    if epilogue is None:
        return _emit(c, inputs, isa, variant)
    bound = bind(epilogue)
    if bound.transposed:
        c = dataclasses.replace(c, dims=(c.dims[0], c.dims[1], c.dims[2][::-1]))
    emit_product(c, [*inputs, bound.out], isa, True, bound.apply, variant)
    return bound.result()


def emit_product(
    c: DenseContraction | ColumnProduct,
    buffers: Sequence[ir.Value],
    isa: Isa,
    fresh: bool,
    finish: Transform | None,
    variant: Variant | None = None,
) -> None:
    """Emit a product of memrefs at the insertion point.

    Args:
        buffers: the operands of ``c`` as memrefs.
        fresh: the content of the output does not matter.
        finish: makes what is stored of what the product would store, for products without outer loops.
        variant: of whole machine vectors, by default the one that suits the number of columns.
    """
    if isinstance(c, ColumnProduct):
        c.emit(buffers, isa, fresh, finish)
    elif c.widens:
        emit_tiled(c, buffers, isa, fresh, finish)
    else:
        ListedEmitter(c, buffers, isa, fresh, finish, Loops.whole(c, buffers), variant=variant).emit()


def _emit(
    c: DenseContraction | ColumnProduct, inputs: Sequence[ir.Value], isa: Isa, variant: Variant | None
) -> ir.Value:
    init = c.op.operands[2]
    exclusive = is_exclusive(init)
    zeroed = zero_filled(init)
    out = buffer_to_overwrite(init if zeroed is None else zeroed, exclusive or zeroed is None)
    emit_product(c, [*inputs, out], isa, zeroed is not None, None, variant)
    return bufferization.to_tensor(init.type, out, restrict=True, writable=True)


@dataclasses.dataclass(frozen=True)
class PlainProduct:
    """A product whose stored operand holds every element, row by row: the dense kernel multiplies it as it is."""

    contraction: DenseContraction | ColumnProduct
    variant: Variant | None

    def emit(self, m: Matmul, storage: Storage, isa: Isa, epilogue: Epilogue | None) -> ir.Value:
        """Emit the kernel at the insertion point; returns the result tensor."""
        c = self.contraction
        inputs = [_matrix(storage), buffer_of(m.generic.inputs[m.dense])]
        return emit_on_tensors(c, inputs if c.lhs == 0 else inputs[::-1], isa, epilogue, self.variant)


def match_plain(m: Matmul, isa: Isa) -> PlainProduct | None:
    """The dense product that ``m`` is when its format stores all elements in the order of rows, else None.

    Few columns but not one, or a variant of fewer lanes than a vector has, are what the general template has tiles for.
    """
    g, fmt = m.generic, m.generic.format
    if not fmt.is_dense or not is_row_major(fmt.exprs) or fmt.padded:
        return None
    types = {v.type.element_type for v in g.op.operands}
    if len(types) != 1 or not isinstance(next(iter(types)), (ir.F32Type, ir.F64Type)) or m.row_dim != 0:
        return None
    dims = [tuple(d for d in g.dims(i) if d is not None) for i in range(3)]
    row, red = dims[g.sparse]
    (col,) = set(dims[m.dense]) - {red}
    c = DenseContraction(g.op, (dims[0], dims[1], dims[2]), g.sparse, row, col, red, ())
    attributes = g.op.operation.attributes
    named = VARIANT_ATTRIBUTE in attributes
    variant = Variant.parse(ir.StringAttr(attributes[VARIANT_ATTRIBUTE]).value) if named else None
    lanes = isa.vector_bytes // (8 if isinstance(next(iter(types)), ir.F64Type) else 4)
    columns = c.static_size(col)
    if columns == 1:
        return PlainProduct(ColumnProduct(g.op, c.dims, g.sparse, row, red), None)
    narrow = (variant is not None and variant.lanes % lanes) or (columns is not None and columns < lanes)
    return None if narrow else PlainProduct(c, variant)


def is_row_major(exprs: Sequence) -> bool:
    """True when levels that are all dense count through a matrix row by row.

    >>> from pith.formats import HSS, Format
    >>> dense, blocks = HSS.parse("C1(4:4)->C0(4:4)").to_format(), HSS.parse("B(4x4)C0(2:2)").to_format()
    >>> is_row_major(Format.dense(2).exprs), is_row_major(dense.exprs), is_row_major(blocks.exprs)
    (True, True, False)
    """
    order = [(e.dim, -e.div) for e in exprs]
    return order == sorted(order)


def _matrix(storage: Storage) -> ir.Value:
    """The values as a matrix of the operand's sizes."""
    rows, columns = storage.sizes
    dynamic = ir.ShapedType.get_dynamic_size()

    def known(sizes: Sequence[Index]) -> list[int]:
        return [s if isinstance(s, int) else dynamic for s in sizes]

    sizes, strides = [rows, columns], [columns, 1]
    layout = ir.StridedLayoutAttr.get(0, known(strides))
    type_ = ir.MemRefType.get(known(sizes), storage.values.type.element_type, layout)
    return memref.ReinterpretCastOp(
        type_,
        storage.values,
        [],
        [s for s in sizes if not isinstance(s, int)],
        [s for s in strides if not isinstance(s, int)],
        [0],
        known(sizes),
        known(strides),
    ).result
