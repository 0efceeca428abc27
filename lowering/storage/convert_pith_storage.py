"""``convert-pith-storage-to-loops``: packing, pruning and checking dense tensors, as loops."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from pith._mlir import ir
from pith.dialect import AssembleOp, DecompressOp, encoded_type, encoding_of, format_of
from pith.passes.analysis.traversal import constant_index, defining_op, is_used, ops_named
from pith.passes.core import Pass

from ..builder import value

#: op name -> what lowers it, "module:function" (most programs have no use for it and the modules that it imports).
LOWERINGS: dict[str, str] = {
    "pith.compress": "pith.lowering.storage.ops:lower_compress",
    "pith.prune": "pith.lowering.storage.ops:lower_prune",
    "pith.prune_by": "pith.lowering.storage.ops:lower_prune_by",
    "pith.repack": "pith.lowering.storage.ops:lower_repack",
    "pith.validate": "pith.lowering.storage.ops:lower_validate",
}


@dataclasses.dataclass(frozen=True)
class ConvertPithStoragePass(Pass):
    """Lower ``pith.compress``, ``prune``, ``prune_by``, ``repack`` and ``validate`` to loops over the dense tensor.

    Before::

        %p = "pith.prune"(%w) {format = #hss} : (tensor<64x32xf32>) -> tensor<64x32xf32>
        %e = "pith.compress"(%p) : (tensor<64x32xf32>) -> tensor<64x32xf32, #hss>
        %crd, %v = "pith.disassemble"(%e) : ...

    After: ``scf`` loops on memrefs that write freshly allocated buffers. A packed tensor is the
    ``pith.assemble`` of its buffers, which is what the other lowerings read;
    ``pith.disassemble``, ``tensor.cast`` and ``tensor.dim`` of a ``pith.assemble`` fold away.

    All formats take the same walk over their levels (:mod:`pith.lowering.storage.walk`),
    with the semantics of ``pith.formats``. The first level runs in parallel where it is dense.

    Requires: dense operands of floats, integers or ``index``. Preserves: ``pith.decompress`` and
    linalg (``convert-pith-to-loops`` lowers them). Does not: refuse tensors that break the
    format (``pith.validate`` finds them); entries that do not fit their width, and dynamic sizes
    that the format's groups do not divide, fail a ``cf.assert``. Cost: linear in the module; code
    linear in the number of levels, one more time for formats whose storage must be counted first.
    At run time ``pith.prune`` and ``pith.validate`` read every element once (a ``pith.validate`` beside the
    ``pith.compress`` of the same tensor not at all, unless a group is too full), ``pith.compress`` once
    per level that chooses coordinates.
    """

    name: ClassVar[str] = "convert-pith-storage-to-loops"

    def run(self, module: ir.Module) -> None:
        if ops_named(module.operation, *LOWERINGS):
            from .ops import lower_ops

            lower_ops(module)
        for op in ops_named(module.operation, "pith.disassemble", "tensor.cast", "tensor.dim"):
            _fold(op)
        for op in reversed(ops_named(module.operation, "pith.assemble")):
            if not is_used(op):
                op.erase()


def _fold(op: ir.Operation) -> None:
    """``pith.disassemble``, ``tensor.cast`` and ``tensor.dim`` of a ``pith.assemble``."""
    source = op.operands[0]
    maker = defining_op(source, "pith.assemble")
    if maker is None:
        return
    whole = maker.opview
    with ir.InsertionPoint(op), op.location:
        if op.name == "pith.disassemble":
            replace(op, op.opview.buffers, whole.buffers)
        elif op.name == "tensor.cast":
            replace(op, op.results, [_cast(whole, op.results[0].type)])
        elif (dim := constant_index(op.operands[1])) is not None:
            replace(op, op.results, [_size(whole, dim)])


def _cast(whole: AssembleOp, type_: ir.RankedTensorType) -> ir.Value:
    """The assembled tensor with other sizes known; unpacked, where the cast drops the encoding.

    (Canonicalization folds operations that copy a tensor into such casts.)
    """
    encoded = encoded_type(type_, format_of(whole.operation.results[0].type))
    sizes = [_size(whole, d) for d in range(type_.rank) if type_.is_dynamic_dim(d)]
    result = AssembleOp.build(encoded, whole.buffers, sizes).result
    return DecompressOp.build(result).result if encoding_of(type_) is None else result


def _size(whole: AssembleOp, dim: int) -> ir.Value:
    """Size of a dimension of an assembled tensor."""
    type_ = whole.operation.results[0].type
    if not type_.is_dynamic_dim(dim):
        return value(type_.get_dim_size(dim))
    return list(whole.sizes)[sum(type_.is_dynamic_dim(d) for d in range(dim))]


def replace(op: ir.Operation, results: Sequence[ir.Value], new: Sequence[ir.Value]) -> None:
    """Values in the place of ``results``, and the op is gone."""
    for old, v in zip(results, new):
        old.replace_all_uses_with(v)
    op.erase()
