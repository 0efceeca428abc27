"""``convert-linalg-contractions-to-panels``: dense matrix products through packed panels and register tiles."""

import dataclasses
import math
from typing import ClassVar

from pith._mlir import ir
from pith.passes.core import Pass

from ..builder import buffer_of
from ..epilogue.match import match_batch_epilogue, match_epilogue
from ..isa import Isa
from ..module_isa import isa_of
from ..replace_product import replace_product
from .channels import ChannelConvolution, match_channel_convolution
from .columns import ColumnProduct, match_column_product
from .contraction import DenseContraction, match_dense_contraction
from .tensors import Product, emit_on_tensors, emit_product, windows_of

#: Products of fewer multiply-adds than this stay as they are: nothing there is worth packing.
LEAST_OPERATIONS = 1024

#: Rows and columns a product has at least. Two and three rows of 1024x1024 f32 take 0.30 and 0.42 ms as loops that LLVM
#: vectorises, 0.15 and 0.15 here (Emerald Rapids, 2026-11).
LEAST_ROWS, LEAST_COLUMNS = 2, 4


@dataclasses.dataclass(frozen=True)
class ConvertLinalgContractionsPass(Pass):
    """Lower matrix products of dense tensors and memrefs to panels, tiles and parallel loops.

    Before::

        linalg.generic {maps = [(b, i, j, k) -> (b, i, k), (b, i, j, k) -> (b, j, k), (b, i, j, k) -> (b, i, j)]}
            ins(%q, %k : memref<96x?x32xf32>, memref<96x?x32xf32>) outs(%s : memref<96x?x?xf32>) { mulf, addf }

    After: an ``scf.parallel`` over batches and panels of ``%k``; in it ``vector.fma`` on accumulators.

    Operands may be stored in any order of dimensions; loops that are not those of one matrix product run
    around it, whatever operands they touch. Products with one column are dot products of rows, some rows at a time,
    and pack nothing. On tensors, elementwise ops on the result of a single product
    are computed before it is stored, and zeros it would be added to are never written.
    So are convolutions of tensors in which a filter meets one channel (depthwise ones): channels in parallel, copied to
    L1 with the zeros around them, sums of some lines in registers. Lines and filters of known sizes, filters of up to
    64 elements, strides along lines of 1 and 2.

    Requires: ``linalg.generic`` (run ``linalg-generalize-named-ops``). Preserves: everything else, products
    of tensors inside loops (run it again behind bufferization), and what such a kernel would not speed
    up: small products, those with few rows or columns.
    Sums are f32, f64 or i32. Narrower factors, as bf16, f16 and int8, run on tiles where the processor has AMX or dot
    instructions for them; else they are widened once, where they are packed and copied.
    Does not do: sums of other types; several contracted loops.
    Cost: linear.
    """

    name: ClassVar[str] = "convert-linalg-contractions-to-panels"

    def run(self, module: ir.Module) -> None:
        isa = isa_of(module)
        for c in _products(module, isa):
            if not c.op.results:
                with ir.InsertionPoint(c.op), c.op.location:
                    emit_product(c, list(c.op.operands), isa, fresh=False, finish=None)
                c.op.operation.erase()
            elif c.op.operation.parent.name == "func.func":
                _lower_tensors(c, isa)


def _lower_tensors(c: Product, isa: Isa) -> None:
    """Emit the kernel of a product of tensors, with what can be computed before its result is stored."""
    channels = isinstance(c, ChannelConvolution)
    sources, windows = c.sources if channels else list(c.op.operands)[:2], None
    if isinstance(c, DenseContraction) and (windows := windows_of(c, isa)) is not None:
        sources[c.rhs] = windows.image
    epilogue = match_epilogue(c.op) if channels or windows is not None else match_batch_epilogue(c.op)
    if channels and epilogue and epilogue.transposed:
        epilogue = None
    with ir.InsertionPoint(epilogue.last if epilogue else c.op), c.op.location:
        result = emit_on_tensors(c, [buffer_of(v) for v in sources], isa, epilogue, windows=windows)
    replace_product(c.op.operation, epilogue, result)


def _products(module: ir.Module, isa: Isa) -> list[Product]:
    found: list[Product] = []

    def visit(op: ir.Operation) -> ir.WalkResult:
        if op.name == "scf.parallel":
            return ir.WalkResult.SKIP
        if op.name == "linalg.generic":
            column = match_column_product(op.opview)
            channels = match_channel_convolution(op.opview)
            c = match_dense_contraction(op.opview, isa) if column is None else None
            if channels is not None:
                found.append(channels)
            elif column is not None:
                found.extend([column] * _is_worth_tiling(column))
            elif c is not None and _is_worth_packing(c):
                found.append(c)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit, ir.WalkOrder.PRE_ORDER)
    return found


def _is_worth_tiling(c: ColumnProduct) -> bool:
    matrix = c.op.operands[c.matrix].type
    return not matrix.has_static_shape or math.prod(matrix.shape) >= LEAST_OPERATIONS


def _is_worth_packing(c: DenseContraction) -> bool:
    sizes = [c.static_size(d) for d in (c.row, c.col, c.red)]
    known = [s for s in sizes if s is not None]
    if any(s is not None and s < least for s, least in zip(sizes, (LEAST_ROWS, LEAST_COLUMNS, 1))):
        return False
    return len(known) < 3 or math.prod(known) >= LEAST_OPERATIONS
