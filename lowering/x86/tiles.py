"""AMX tile types: reading them, and giving loop-carried tiles another type.

The bindings know the ops of ``x86.amx`` but not the type ``!x86.amx.tile<RxCxT>``, so it is read from
its text; and no upstream conversion retypes tiles that ``scf`` loops and branches carry.
"""

import re

from pith._mlir import ir

_TILE = re.compile(r"!x86\.amx\.tile<(\d+)x(\d+)x(\w+)>")


def tile_type(rows: int, cols: int, element: ir.Type) -> ir.Type:
    """``!x86.amx.tile<rows x cols x element>``; a row is at most 64 bytes, and there are at most 16."""
    return ir.Type.parse(f"!x86.amx.tile<{rows}x{cols}x{element}>")


def tile_shape(type_: ir.Type) -> tuple[int, int, ir.Type] | None:
    """Rows, columns and element type of a tile type; None for other types."""
    match = _TILE.fullmatch(str(type_))
    return (int(match[1]), int(match[2]), ir.Type.parse(match[3])) if match else None


def is_tile(type_: ir.Type) -> bool:
    """True for AMX tile types."""
    return tile_shape(type_) is not None


def structured_tiles(module: ir.Module) -> list[ir.Value]:
    """Tiles that ``scf`` ops carry: their results and the arguments of their blocks."""
    found: list[ir.Value] = []

    def visit(op: ir.Operation) -> ir.WalkResult:
        if op.name.startswith("scf."):
            arguments = [a for region in op.regions for block in region.blocks for a in block.arguments]
            found.extend(v for v in (*op.results, *arguments) if is_tile(v.type))
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit, ir.WalkOrder.PRE_ORDER)
    return found
