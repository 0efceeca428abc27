"""Dense products of tensors: where the operands and the result of the kernel are."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

from pith._mlir import bufferization, ir, memref
from pith.formats.pack_digits import is_row_major

from ..bufferization.destination import result_buffer
from ..builder import Index, buffer_of
from ..epilogue.match import Epilogue
from ..epilogue.values import bind
from ..isa import Isa
from ..panel.dense.few_dots import few_dots_of
from ..panel.dense.listed import ListedEmitter
from ..panel.dense.listed_windows import WindowsEmitter, match_windows_of
from ..panel.dense.quantized_dots import QuantizedDots
from ..panel.loops import Loops, Point
from ..panel.stored.register_tile import MULTIPLE_ATTRIBUTE, VARIANT_ATTRIBUTE
from ..panel.variant import Variant
from ..panel.windows import Windows
from ..sparse.contraction import Matmul
from ..sparse.levels import Storage
from ..tiled.listed import listed_emitter, listed_unit
from ..transpose import Transform
from .channel_kernel import emit_channels
from .channels import ChannelConvolution
from .columns import ColumnProduct
from .contraction import DenseContraction, sums_products

#: What there are kernels for.
Product = DenseContraction | ColumnProduct | ChannelConvolution


def emit_on_tensors(
    c: Product,
    inputs: Sequence[ir.Value],
    isa: Isa,
    epilogue: Epilogue | None,
    variant: Variant | None = None,
    windows: Windows | None = None,
) -> ir.Value:
    """Emit a product at the insertion point; returns the result tensor, that of the epilogue when there is one.

    Args:
        inputs: both inputs of ``c`` as memrefs; of ``windows`` their image.
    """
    if epilogue is None:
        return _emit(c, inputs, isa, variant, windows)
    bound = bind(epilogue)
    if bound.transposed and not isinstance(c, ChannelConvolution):
        c = dataclasses.replace(c, dims=(c.dims[0], c.dims[1], c.dims[2][::-1]))
    emit_product(c, [*inputs, bound.out], isa, True, bound.apply, variant, windows)
    return bound.result()


def emit_product(
    c: Product,
    buffers: Sequence[ir.Value],
    isa: Isa,
    fresh: bool,
    finish: Transform | None,
    variant: Variant | None = None,
    windows: Windows | None = None,
) -> None:
    """Emit a product of memrefs at the insertion point.

    Args:
        buffers: the operands of ``c`` as memrefs.
        fresh: the content of the output does not matter.
        finish: makes what is stored of what the product would store.
        variant: of whole machine vectors, by default the one that suits the number of columns.
        windows: that the packed operand holds, where its buffer is that of their image.
    """
    if isinstance(c, ChannelConvolution):
        emit_channels(c, buffers, isa, fresh, finish)
    elif isinstance(c, ColumnProduct):
        c.emit(buffers, isa, fresh, finish)
    else:
        loops = Loops.whole(c, buffers)
        on_tiles = not has_few_rows(c, isa)
        kernel = listed_emitter(c, c.total, isa) if on_tiles else functools.partial(ListedEmitter, sums=c.total)
        if windows is not None:
            kernel = functools.partial(WindowsEmitter, windows, sums=c.total)
        finish_at = _finish_at(c, finish) if c.outer and finish is not None else None
        kernel(c, buffers, isa, fresh, None if finish_at else finish, loops, finish_at, variant=variant).emit()


def _finish_at(c: DenseContraction, finish: Transform) -> Callable[[Point, ir.Value], Transform]:
    """``finish`` for places in the matrix of the result at a point of the outer loops."""

    def at_point(point: Point, _: ir.Value) -> Transform:
        def apply(value: ir.Value, at: Sequence[Index]) -> ir.Value:
            inner = iter(at)
            return finish(value, [point[d] if d in c.outer else next(inner) for d in c.dims[2]])

        return apply

    return at_point


def windows_of(c: DenseContraction, isa: Isa) -> Windows | None:
    """The windows of an image that a product of tensors packs from there; tiles are packed from matrices."""
    on_tiles = listed_unit(c, c.total, isa) is not None
    return None if on_tiles else match_windows_of(c, c.op.operands[c.rhs])


def _emit(
    c: Product,
    inputs: Sequence[ir.Value],
    isa: Isa,
    variant: Variant | None,
    windows: Windows | None,
) -> ir.Value:
    init = c.op.operands[2]
    out, fresh = result_buffer(init)
    emit_product(c, [*inputs, out], isa, fresh, None, variant, windows)
    return bufferization.to_tensor(init.type, out, restrict=True, writable=True)


@dataclasses.dataclass(frozen=True)
class PlainProduct:
    """A product whose stored operand holds every element, row by row: the dense kernel multiplies it as it is."""

    contraction: DenseContraction | ColumnProduct
    variant: Variant | None

    def emit(self, m: Matmul, storage: Storage, isa: Isa, epilogue: Epilogue | None) -> ir.Value:
        """Emit the kernel at the insertion point; returns the result tensor."""
        c = self.contraction
        if storage.quantized and isinstance(c, ColumnProduct):
            c = dataclasses.replace(c, quantized=storage.quantized)
        inputs = [_matrix(storage), buffer_of(m.generic.inputs[m.dense])]
        return emit_on_tensors(c, inputs if m.dense == 1 else inputs[::-1], isa, epilogue, self.variant)


def match_plain(m: Matmul, storage: Storage, isa: Isa) -> PlainProduct | None:
    """The dense product that ``m`` is when its format stores all elements in the order of rows, else None.

    What is read a row at a time is the operand on the left. A known number of columns that is few meets rows of the
    stored operand in dot products (``few_dots.py``); an unknown one, or a variant of fewer lanes than a vector has, are
    what the general template has tiles for.
    """
    g = m.generic
    if m.col is None or not is_row_major(g.format) or not sums_products(g.op):
        return None
    dims = (g.loops(0), g.loops(1), g.loops(2))
    left = m.row_dim == 0
    row, col = (m.row, m.col) if left else (m.col, m.row)
    c = DenseContraction(g.op, dims, g.sparse if left else m.dense, row, col, m.red, ())
    attributes = g.op.operation.attributes
    named = VARIANT_ATTRIBUTE in attributes
    variant = Variant.parse(ir.StringAttr(attributes[VARIANT_ATTRIBUTE]).value) if named else None
    acc = g.op.operands[2].type.element_type
    lanes = isa.vector_bytes // (8 if isinstance(acc, ir.F64Type) else 4)
    columns = c.static_size(col)
    if storage.quantized and not (left and columns == 1 and _in_whole_groups(m, storage, isa)):
        return None
    if left and columns == 1:
        return PlainProduct(ColumnProduct(g.op, dims, g.sparse, row, m.red), None)
    if (few := few_columns(m, isa)) is not None:
        return PlainProduct(few, None)
    if isinstance(acc, ir.IntegerType):
        return None  # f32 sums bytes exactly for long enough, and faster
    narrow = (variant is not None and variant.lanes % lanes) or (columns is not None and columns < lanes)
    return None if narrow else PlainProduct(c, variant)


def few_columns(m: Matmul, isa: Isa) -> DenseContraction | None:
    """The dense product with the stored operand on the right, whose rows are dot products with a few known columns."""
    g = m.generic
    if m.row is None or m.col is None or m.outer or m.row_dim or not is_row_major(g.format) or not sums_products(g.op):
        return None
    dims = (g.loops(0), g.loops(1), g.loops(2))
    c = DenseContraction(g.op, dims, m.dense, m.col, m.row, m.red, ())
    named = VARIANT_ATTRIBUTE in g.op.operation.attributes
    return None if named or not has_few_rows(c, isa) else c


def has_few_rows(c: DenseContraction, isa: Isa) -> bool:
    """Known rows of floats that are so few that they meet what is not packed, in dot products."""
    rows = c.static_size(c.row)
    if rows is None or not c.rhs_transposed or not isinstance(c.total, (ir.F32Type, ir.F64Type)):
        return False
    return 1 < rows <= few_dots_of(str(c.factor), isa)


def _in_whole_groups(m: Matmul, storage: Storage, isa: Isa) -> bool:
    """True when rows of quantised values are groups that registers take whole."""
    q, reds, attributes = storage.quantized, storage.sizes[1], m.generic.op.operation.attributes
    if not isinstance(reds, int):
        reds = ir.IntegerAttr(attributes[MULTIPLE_ATTRIBUTE]).value if MULTIPLE_ATTRIBUTE in attributes else 1
    return q is not None and reds % q.group == 0 and QuantizedDots.fits(q, isa)


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
