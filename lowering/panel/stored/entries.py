"""One column, entries of a compressed last level: as many at a time as a register holds, gathered from the column.

Lanes past a row's last entry are masked: they load nothing, and add zero times zero.
"""

from pith._mlir import arith, ir, vector

from ... import builder as b
from ...builder import Index
from ...sparse.levels import Storage
from ..arithmetic import Arithmetic, convert, multiply_add
from ..pack import Panel
from .members import Member


def add_entries(
    storage: Storage, arithmetic: Arithmetic, panel: Panel, level: int, member: Member, total: ir.Value
) -> ir.Value:
    """``total`` and the products of ``member``'s entries in the last level with elements of the column."""
    positions = storage.metadata[level, "positions"]
    above = member.position.value
    loose = storage.format.levels[level].kind == "loose_compressed"
    first = b.mul(above, 2) if loose else above
    lo, hi = b.load_index(positions, first), b.load_index(positions, b.add(first, 1))
    lanes, element = total.type.shape[0], total.type.element_type
    bits = ir.VectorType.get([lanes], ir.IntegerType.get_signless(1))
    zeros = vector.broadcast(total.type, b.zero_of(element))

    def some(q: Index, total: ir.Value) -> list[ir.Value]:
        mask = vector.create_mask(bits, [b.value(b.sub(hi, q))])
        index = _wide(_masked(storage.metadata[level, "coordinates"], q, mask))
        at = [panel.number, b.value(member.run_time_red), b.value(member.red_offset)]
        x = vector.gather(total.type, panel.panels, at, index, mask, zeros)
        stored = convert(_masked(storage.values, q, mask), element, arithmetic.sparse_unsigned)
        return [multiply_add(stored, x, total)]

    return b.for_loop(lo, hi, some, [total], step=lanes, rolled=True)[0]


def _masked(buffer: ir.Value, at: Index, mask: ir.Value) -> ir.Value:
    """Elements of a buffer from ``at`` on, zeros where ``mask`` is not set."""
    element = buffer.type.element_type
    type_ = ir.VectorType.get(mask.type.shape, element)
    return vector.maskedload(type_, buffer, [b.value(at)], mask, vector.broadcast(type_, b.zero_of(element)))


def _wide(coordinates: ir.Value) -> ir.Value:
    """Unsigned coordinates as what addresses are computed from."""
    element = coordinates.type.element_type
    if isinstance(element, ir.IndexType):
        return coordinates
    if element.width >= 32:  # the upper half of 32 bits would be negative
        return arith.index_castui(ir.VectorType.get(coordinates.type.shape, ir.IndexType.get()), coordinates)
    return arith.extui(ir.VectorType.get(coordinates.type.shape, ir.IntegerType.get_signless(32)), coordinates)
