"""``convert-pith-permute-to-llvm``: permutations by run-time indices become instructions."""

import dataclasses
from typing import ClassVar

from pith._mlir import arith, ir, llvm, vector
from pith.passes.core import Pass

from .module_isa import isa_of

#: Intrinsics for ``result[i] = source[index[i]]`` by element type, lanes and register width.
_INTRINSICS = {("f32", 8, 32): "llvm.x86.avx2.permps", ("f32", 16, 64): "llvm.x86.avx512.permvar.sf.512"}


def has_permute(element: str, lanes: int, vector_bytes: int) -> bool:
    """True when one instruction permutes such a vector."""
    return (element, lanes, vector_bytes) in _INTRINSICS


@dataclasses.dataclass(frozen=True)
class ConvertPithPermuteToLLVMPass(Pass):
    """Lower ``pith.permute`` for the module's instruction set (``pith.isa``, by default the host's).

    Before::

        %r = "pith.permute"(%x, %i) : (vector<8xf32>, vector<8xi32>) -> vector<8xf32>

    After, with 256-bit vectors::

        %r = llvm.call_intrinsic "llvm.x86.avx2.permps"(%x, %i) : ...

    Where no instruction fits, elements are taken one by one.

    Requires: nothing. Preserves: everything else. Cost: linear in the module.
    """

    name: ClassVar[str] = "convert-pith-permute-to-llvm"

    def run(self, module: ir.Module) -> None:
        found: list[ir.Operation] = []

        def visit(op: ir.Operation) -> ir.WalkResult:
            if op.name == "pith.permute":
                found.append(op)
            return ir.WalkResult.ADVANCE

        module.operation.walk(visit, ir.WalkOrder.PRE_ORDER)
        isa = isa_of(module)
        for op in found:
            source, index = op.operands
            with ir.InsertionPoint(op), op.location:
                key = str(source.type.element_type), source.type.shape[0], isa.vector_bytes
                name = None if isa.emulated else _INTRINSICS.get(key)
                made = _call(name, source, index) if name else _by_element(source, index)
            op.results[0].replace_all_uses_with(made)
            op.erase()


def _call(name: str, source: ir.Value, index: ir.Value) -> ir.Value:
    return llvm.call_intrinsic(source.type, name, [source, index], [], [])


def _by_element(source: ir.Value, index: ir.Value) -> ir.Value:
    out = source
    for lane in range(source.type.shape[0]):
        at = arith.index_cast(ir.IndexType.get(), vector.extract(index, [], [lane]))
        element = vector.extract(source, [at], [ir.ShapedType.get_dynamic_size()])
        out = vector.insert(element, out, [], [lane])
    return out
