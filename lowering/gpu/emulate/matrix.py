"""Tensor-core ops: fragments go through stack memory, one lane computes for the warp."""

from pith._mlir import ir

from ... import builder as b
from .context import Emulation, address_of
from .memory import element_address, element_bytes, extents_of
from .words import number_of, to_word

#: Bytes of a row that ldmatrix loads.
_ROW_BYTES = 16


def ldmatrix(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvgpu.ldmatrix``: lane l addresses row l % 8 of matrix l / 8; addresses of further lanes are ignored."""
    view = op.opview
    source, indices = view.srcMemref, list(view.indices)
    count = ir.IntegerAttr(op.attributes["numTiles"]).value
    transposed = int(ir.BoolAttr(op.attributes["transpose"]).value)
    if e.checks:
        counts = [1] * (len(indices) - 1) + [_ROW_BYTES // element_bytes(source.type)]
        for d, (i, n, extent) in enumerate(zip(indices, counts, extents_of(source))):
            e.call("lane_bounds", [e.site(op), d, i, n, extent, 8 * count])
    type_ = op.results[0].type
    out = e.scratch(op, "matrix", type_)
    e.call("ldmatrix", [e.site(op), element_address(source, indices), count, transposed, address_of(out)])
    return [e.reload(op, "matrix", type_)]


def mma_sync(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvgpu.mma.sync``."""
    return _multiply(e, op, "mma", [])


def mma_sp_sync(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvgpu.mma.sp.sync``: metadata as one 32-bit word, the selector says whose."""
    attrs = op.attributes
    selector = ir.IntegerAttr(attrs["sparsitySelector"]).value if "sparsitySelector" in attrs else 0
    return _multiply(e, op, "mma_sp", [to_word(op, op.opview.sparseMetadata), selector])


def _multiply(e: Emulation, op: ir.Operation, name: str, sparsity: list[b.Index]) -> list[ir.Value]:
    lhs, rhs, acc = (op.operands[i] for i in range(3))
    m, n, k = (ir.IntegerAttr(s).value for s in ir.ArrayAttr(op.attributes["mmaShape"]))
    addresses = [e.spill(op, role, v) for role, v in (("lhs", lhs), ("rhs", rhs), ("sum", acc))]
    numbers = [number_of(op, v.type.element_type) for v in (lhs, acc)]
    e.call(name, [e.site(op), *addresses, *sparsity, m, n, k, *numbers])
    return [e.reload(op, "sum", acc.type)]
