"""``pith-sparsify``: upstream's sparsifier, with outer loops in parallel only where that is no race."""

import dataclasses
from typing import ClassVar

from pith._mlir import PassManager, ir, sparse_tensor
from pith.passes.analysis.encodings import holds_encodings
from pith.passes.analysis.structured import iterator_types
from pith.passes.analysis.traversal import ops_named
from pith.passes.core import Pass

from ..bufferization.reads import place_reads
from .contraction import indexing_maps

#: What ``sparsification-and-bufferization`` does to dense tensors.
_BUFFERIZE = (
    "func.func(empty-tensor-to-alloc-tensor),one-shot-bufferize{allow-unknown-ops bufferize-function-boundaries"
    " function-boundary-type-conversion=identity-layout-map unknown-type-conversion=identity-layout-map}"
)


@dataclasses.dataclass(frozen=True)
class SparsifyPass(Pass):
    """Run ``sparsification-and-bufferization`` with the parallelization strategy the module allows.

    Before::

        linalg.generic ... ins(%A, %x : tensor<6x16xi32, #csr>, tensor<16x5xi32>)

    After, when no loop that may end up outermost is a reduction: ``scf.parallel`` over rows;
    otherwise ``scf.for`` throughout. Everything is bufferized either way.

    Upstream's ``parallelization-strategy=dense-outer-loop`` takes any dense outermost loop. When that
    is a reduction (columns of a CSC matrix in a product), iterations add to the same elements
    without atomics; when nothing but reductions is left, it crashes. So one such op makes the whole
    module serial. A module without sparse tensors is bufferized, as that pass does it, and nothing else: for an encoder
    layer that takes 15 ms, the whole of it 70 (2026-11).

    Tensors that loops read through memory (``bufferization.to_buffer`` with ``read_only``) keep it for all of these
    loops, also where cse left one such op for several.

    What an argument with upstream's encoding says of its storage becomes an LLVM struct, as ``sparsifier`` has it.

    Requires: ``linalg.generic`` only. Cost: upstream's.
    """

    name: ClassVar[str] = "pith-sparsify"
    #: Lanes of the vector loops, 0 for none.
    vl: int = 16

    def run(self, module: ir.Module) -> None:
        place_reads(module)
        manager = PassManager.parse(f"builtin.module({self._passes(module)})", module.context)
        manager.enable_verifier(False)
        manager.run(module.operation)

    def _passes(self, module: ir.Module) -> str:
        if not holds_encodings(module):
            return _BUFFERIZE
        strategy = "none" if _has_outer_reduction(module) else "dense-outer-loop"
        made = f"sparsification-and-bufferization{{vl={self.vl} parallelization-strategy={strategy}}}"
        return f"{made},sparse-storage-specifier-to-llvm"


def _has_outer_reduction(module: ir.Module) -> bool:
    generics = [op.opview for op in ops_named(module.operation, "linalg.generic")]
    return any(_reduces_outermost(op) for op in generics if any(_storage_order(v) for v in op.operands))


def _reduces_outermost(op: ir.OpView) -> bool:
    """True when a reduction may become the outermost loop: when no storage order puts a loop around it."""
    inner = set()
    for v, exprs in zip(op.operands, indexing_maps(op)):
        loops = [exprs[d] for d in _storage_order(v)]
        inner |= {e.position for e in loops[1:] if e != loops[0] and isinstance(e, ir.AffineDimExpr)}
    return any(kind == "reduction" and loop not in inner for loop, kind in enumerate(iterator_types(op)))


def _storage_order(v: ir.Value) -> list[int]:
    """Dimension per level of a ``sparse_tensor``, outermost first; empty for other tensors."""
    encoding = getattr(v.type, "encoding", None)
    if not str(encoding).startswith("#sparse_tensor.encoding"):  # the attribute's class has no test of its own
        return []
    return [_dim(e) for e in sparse_tensor.EncodingAttr(encoding).dim_to_lvl.results]


def _dim(e: ir.AffineExpr) -> int:
    """The dimension in ``d``, ``d floordiv c`` or ``d mod c``."""
    return e.position if isinstance(e, ir.AffineDimExpr) else _dim(e.lhs)
