"""``convert-x86-tiles-to-llvm``: loop-carried AMX tiles get LLVM's type."""

import dataclasses
from typing import ClassVar

from pith._mlir import ir
from pith.passes.analysis.traversal import ops_named
from pith.passes.core import Pass

from .tiles import is_tile, structured_tiles

_CAST = "builtin.unrealized_conversion_cast"


@dataclasses.dataclass(frozen=True)
class ConvertX86TilesToLLVMPass(Pass):
    """Finish what ``convert-vector-to-llvm{enable-x86=true}`` began with AMX tiles.

    Before::

        %t = unrealized_conversion_cast %z : !llvm.x86_amx to !x86.amx.tile<16x16xf32>
        %r = scf.for ... iter_args(%acc = %t) -> (!x86.amx.tile<16x16xf32>)

    After::

        %r = scf.for ... iter_args(%acc = %z) -> (!llvm.x86_amx)

    That conversion rewrites the ops of ``x86`` and casts between the two types wherever a loop or a
    branch carries a tile; later conversions refuse branches that carry tiles. LLVM's code generator
    takes ``x86_amx`` across branches and keeps it in tile registers.

    Requires: no ``x86.amx`` ops are left and control flow is still structured. Preserves: everything
    else. Cost: linear in the module.
    """

    name: ClassVar[str] = "convert-x86-tiles-to-llvm"

    def run(self, module: ir.Module) -> None:
        casts = _tile_casts(module)
        if not casts:
            return
        tile = ir.Type.parse("!llvm.x86_amx")
        for carried in structured_tiles(module):
            carried.set_type(tile)
        for cast in casts:
            cast.results[0].replace_all_uses_with(cast.operands[0])
        for cast in reversed(casts):
            cast.erase()


def _tile_casts(module: ir.Module) -> list[ir.Operation]:
    casts = ops_named(module.operation, _CAST)
    return [op for op in casts if any(is_tile(v.type) for v in (*op.operands, *op.results))]
