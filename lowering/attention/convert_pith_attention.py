"""``convert-pith-attention-to-loops``: scores, softmax and sums of values as one loop nest."""

import dataclasses
from typing import ClassVar

from pith._mlir import bufferization, ir
from pith.passes.analysis.traversal import ops_named
from pith.passes.core import Pass

from ..module_isa import isa_of


@dataclasses.dataclass(frozen=True)
class ConvertPithAttentionPass(Pass):
    """Lower ``pith.attention`` and ``pith.attention_grad`` to one parallel loop whose tasks keep scores and sums in L1.

    Before::

        %y = "pith.attention"(%q, %k, %v, %scale, %out, %seen) : (tensor<1x8x?x64xf32>, ...)

    After: an ``scf.parallel`` over sequences, heads and blocks of queries; in it chunks of keys, each a product
    on accumulators (``vector.fma``), an online softmax of vectors and a second product.

    Tensors made of memrefs (``bufferization.to_tensor``) are read and written where they are, whatever
    their strides; the last dimension must be contiguous.

    Requires: ``pith.attention`` on tensors without encodings; run it before ``convert-pith-patterns-to-linalg``.
    Preserves: everything else. Does not do: check that global tokens are distinct. Cost: linear; at run time
    4 (D + E) / 2 operations per pair of a query and a chunk's key, keys of a block being those that any of its
    queries sees.
    """

    name: ClassVar[str] = "convert-pith-attention-to-loops"

    def run(self, module: ir.Module) -> None:
        found = ops_named(module.operation, "pith.attention", "pith.attention_grad")
        if not found:
            return
        from .emit import emit_attention, emit_attention_grad  # most programs have no use for these modules

        isa = isa_of(module)
        for op in found:
            emit = emit_attention if op.name == "pith.attention" else emit_attention_grad
            with ir.InsertionPoint(op), op.location:
                written = emit(op.opview, isa)
                for result, memory in zip(list(op.results), written):
                    result.replace_all_uses_with(
                        bufferization.to_tensor(result.type, memory, restrict=True, writable=True)
                    )
            op.operation.erase()
