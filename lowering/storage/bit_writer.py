"""Packed coordinates written one after the other: bits gather in a word, and whole dwords go to memory."""

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from .bits import word

#: Bits that are stored at a time, and the most that may be appended at once.
DWORD = 32


def begin(byte: Index) -> list[ir.Value]:
    """The state of a writer that begins at a byte: bits not stored yet, their number, where they go."""
    return [word(0), word(0), b.value(byte)]


def append(buffer: ir.Value, state: list[ir.Value], bits: ir.Value, width: Index) -> list[ir.Value]:
    """Write the lowest ``width`` bits of a word, up to :data:`DWORD`; the others are zeros."""
    pending, held, byte = state
    pending = arith.ori(pending, arith.shli(bits, held))
    held = arith.addi(held, word(width) if isinstance(width, int) else arith.index_cast(held.type, width))
    full = arith.cmpi(arith.CmpIPredicate.uge, held, word(DWORD))

    def store() -> list[ir.Value]:
        dword = arith.trunci(ir.IntegerType.get_signless(DWORD), pending)
        one = vector.broadcast(ir.VectorType.get([1], dword.type), dword)
        vector.store(vector.bitcast(ir.VectorType.get([DWORD // 8], buffer.type.element_type), one), buffer, [byte])
        rest = arith.shrui(pending, word(DWORD))
        return [rest, arith.subi(held, word(DWORD)), b.value(b.add(byte, DWORD // 8))]

    return b.if_else(full, store, lambda: [pending, held, byte], [v.type for v in state])


def finish(buffer: ir.Value, state: list[ir.Value]) -> None:
    """Store what is left, a byte at a time."""
    pending, held, byte = state
    left = b.ceildiv(arith.index_cast(ir.IndexType.get(), held), 8)

    def store(i: Index, bits: ir.Value) -> list[ir.Value]:
        memref.store(arith.trunci(buffer.type.element_type, bits), buffer, [b.value(b.add(byte, i))])
        return [arith.shrui(bits, word(8))]

    b.for_loop(0, left, store, [pending], rolled=True)
