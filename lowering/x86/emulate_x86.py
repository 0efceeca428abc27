"""``pith-emulate-x86``: AMX and dot-product instructions as plain code with their numerics."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

from pith._mlir import ir, memref, vector
from pith.passes.analysis.traversal import ops_where
from pith.passes.core import Pass, pass_error

from .. import builder as b
from ..module_isa import isa_of
from .emulate_dot import Dot, accumulate, dot_lanes, finish, start
from .tiles import structured_tiles, tile_shape


@dataclasses.dataclass(frozen=True)
class EmulateX86Pass(Pass):
    """Replace x86 instructions that only some processors have by code that every one has.

    Before::

        %a = x86.amx.tile_load %A[%i, %k] : memref<?x?xbf16> into !x86.amx.tile<16x32xbf16>
        %d = x86.amx.tile_mulf %a, %b, %c : ...

    After: a tile is a ``vector<16x16xi32>`` of the dwords in its rows, or of f32 for sums; loads and
    stores go row by row; a product is two loops over tiles in stack memory.

    The numerics are those the processor's manual states (Intel SDM volume 2, ``TDPBF16PS``,
    ``TDPBSSD``, ``VDPBF16PS``, ``VPDPBSSD``), bit for bit except for NaN payloads:

    - ``x86.amx.tile_mulf`` of bf16: each element of the result has two f32 sums, one over even and one
      over odd contracted coordinates, each by fused multiply-adds in ascending order from zero. The
      two are added, then that is added to the accumulator.
    - ``x86.avx512.dot`` of bf16: the odd element of a pair is multiplied and added first, then the even one.
    - All of these round to nearest even, read denormals as zero and flush denormal results to zero.
    - ``x86.amx.tile_muli``, ``x86.avx.dot.i8``, ``x86.avx10.dot.i8``: exact products, sums wrap modulo 2^32.

    Requires: structured control flow (before ``convert-scf-to-cf``). Preserves: everything else.
    Does not: emulate 8-bit floats and other ops of the ``x86`` dialect. Cost: linear; a product
    becomes some hundred ops, and runs two orders of magnitude slower than the instruction.
    """

    name: ClassVar[str] = "pith-emulate-x86"
    #: ``always``, or ``asked``: only when the module or the host is to be emulated (``emulate:amx``).
    when: str = "always"

    def run(self, module: ir.Module) -> None:
        if self.when not in ("always", "asked"):
            pass_error(module.operation, f"expects when to be always or asked, got {self.when!r}")
        if self.when == "asked" and not isa_of(module).emulated:
            return
        ops = _emulated_ops(module)
        for carried in structured_tiles(module):
            carried.set_type(_vector_of(carried.type))
        for op in ops:
            with ir.InsertionPoint(op), op.location:
                result = _EMULATIONS[op.name](op)
            if result is not None:
                op.results[0].replace_all_uses_with(result)
            op.erase()


def _emulated_ops(module: ir.Module) -> list[ir.Operation]:
    """Ops of the ``x86`` dialect, in program order: operands come before their uses."""
    found = ops_where(module.operation, lambda op: op.name.startswith("x86."))
    for op in found:
        if op.name not in _EMULATIONS:
            pass_error(op, "has no emulation", "known: " + ", ".join(sorted(_EMULATIONS)))
        _require_known_elements(op)
    return found


def _require_known_elements(op: ir.Operation) -> None:
    element = (tile_shape(op.operands[0].type) or (0, 0, None))[2] if op.name == "x86.amx.tile_mulf" else None
    if element is not None and not isinstance(element, ir.BF16Type):
        pass_error(op, f"has no emulation for elements of type {element}", "bf16 has one")


def _vector_of(type_: ir.Type) -> ir.VectorType:
    """The vector that stands for a tile: narrow elements are packed into dwords, which all processors handle."""
    shape = tile_shape(type_)
    if shape is None:
        return type_  # pyright: ignore[reportReturnType]
    rows, cols, element = shape
    if _bits(element) == 32:
        return ir.VectorType.get([rows, cols], element)
    return ir.VectorType.get([rows, cols * _bits(element) // 32], ir.IntegerType.get_signless(32))


def _bits(element: ir.Type) -> int:
    return element.width  # pyright: ignore[reportAttributeAccessIssue]


def _zero(op: ir.Operation) -> ir.Value:
    type_ = _vector_of(op.results[0].type)
    return vector.broadcast(type_, b.zero_of(type_.element_type))


def _row_indices(indices: list[ir.Value], stride: ir.Value | None, row: int) -> list[ir.Value]:
    """Where row ``row`` of a tile lies: ``stride`` elements apart, by default one row of the memref."""
    if stride is not None:
        return [*indices[:-1], b.value(b.add(indices[-1], b.mul(stride, row)))]
    return [*indices[:-2], b.value(b.add(indices[-2], row)), indices[-1]]


def _load(op: ir.Operation) -> ir.Value:
    view, type_ = op.opview, _vector_of(op.results[0].type)
    element = view.base.type.element_type
    stored = ir.VectorType.get([type_.shape[1] * 32 // _bits(element)], element)
    row_type = ir.VectorType.get(type_.shape[1:], type_.element_type)
    tile = vector.broadcast(type_, b.zero_of(type_.element_type))
    for row in range(type_.shape[0]):
        loaded = vector.load(stored, view.base, _row_indices(list(view.indices), view.stride, row))
        tile = _insert_row(loaded if stored == row_type else vector.bitcast(row_type, loaded), tile, row)
    return tile


def _store(op: ir.Operation) -> None:
    view = op.opview
    element = view.base.type.element_type
    for row in range(view.val.type.shape[0]):
        stored = _extract_row(view.val, row)
        if element != stored.type.element_type:
            stored = vector.bitcast(ir.VectorType.get([stored.type.shape[0] * 32 // _bits(element)], element), stored)
        vector.store(stored, view.base, _row_indices(list(view.indices), view.stride, row))


def _insert_row(row: ir.Value, tile: ir.Value, at: int) -> ir.Value:
    return vector.insert(row, tile, dynamic_position=[], static_position=[at])


def _extract_row(tile: ir.Value, at: int) -> ir.Value:
    return vector.extract(tile, dynamic_position=[], static_position=[at])


def _stack(op: ir.Operation, type_: ir.VectorType) -> ir.Value:
    """Stack memory for a tile, allocated where no loop of the kernel's repeats it."""
    block = op.block
    while block.owner.operation.name not in ("func.func", "scf.parallel"):
        block = block.owner.operation.block
    with ir.InsertionPoint.at_block_begin(block):
        return memref.alloca(ir.MemRefType.get(type_.shape, type_.element_type), [], [], alignment=64)


def _spill(op: ir.Operation, tile: ir.Value) -> ir.Value:
    """The tile in stack memory, one row per row."""
    buffer = _stack(op, tile.type)
    for row in range(tile.type.shape[0]):
        vector.store(_extract_row(tile, row), buffer, [b.value(row), b.value(0)])
    return buffer


def _product(op: ir.Operation) -> ir.Value:
    """``acc + lhs * rhs`` of tiles."""
    lhs, rhs, acc = op.operands
    rows, lanes = acc.type.shape
    unsigned = "isZextLhs" in op.attributes, "isZextRhs" in op.attributes
    dot = Dot(lanes, acc.type.element_type, 2 if op.name == "x86.amx.tile_mulf" else 4, unsigned)
    a, packed, sums = (_spill(op, v) for v in (lhs, rhs, acc))
    b.for_loop(0, rows, lambda m: _product_row(dot, a, packed, sums, b.value(m), rhs.type.shape[0]))
    row_type, tile = ir.VectorType.get([lanes], dot.acc), acc
    for row in range(rows):
        tile = _insert_row(vector.load(row_type, sums, [b.value(row), b.value(0)]), tile, row)
    return tile


def _product_row(dot: Dot, a: ir.Value, packed: ir.Value, sums: ir.Value, m: ir.Value, steps: int) -> None:
    """One row of the result."""
    zero = b.value(0)
    row_type = ir.VectorType.get(packed.type.shape[1:], packed.type.element_type)

    def step(k: ir.Value, *partial: ir.Value) -> list[ir.Value]:
        row = vector.load(row_type, packed, [b.value(k), zero])
        return accumulate(dot, memref.load(a, [m, b.value(k)]), row, list(partial))

    partial = b.for_loop(0, steps, step, start(dot))
    acc = vector.load(ir.VectorType.get([dot.lanes], dot.acc), sums, [m, zero])
    vector.store(finish(dot, acc, partial), sums, [m, zero])


_EMULATIONS: dict[str, Callable[[ir.Operation], ir.Value | None]] = {
    "x86.amx.tile_zero": _zero,
    "x86.amx.tile_load": _load,
    "x86.amx.tile_store": _store,
    "x86.amx.tile_mulf": _product,
    "x86.amx.tile_muli": _product,
    "x86.avx512.dot": dot_lanes,
    "x86.avx.dot.i8": dot_lanes,
    "x86.avx10.dot.i8": dot_lanes,
}
