"""Addresses in one register: loads from places that coordinates pick."""

from collections.abc import Sequence

from pith._mlir import arith, ir, llvm, memref, vector

from .. import builder as b
from ..builder import Index

#: Bytes of the registers that an assembly statement may take.
REGISTERS = 16, 32, 64


def address_of(buffer: ir.Value) -> ir.Value:
    """Of the first byte of a memref without offset, as an index."""
    return memref.extract_aligned_pointer_as_index(buffer)


def kept(word: Index, after: Sequence[ir.Value] = ()) -> Index:
    """The same number as one that LLVM cannot take apart; ``after``: see :func:`opaque`."""
    return arith.index_cast(ir.IndexType.get(), _kept(word, after))


def pointer_to(address: Index) -> ir.Value:
    """An address as a pointer."""
    word = arith.index_cast(ir.IntegerType.get_signless(64), b.value(address))
    return llvm.inttoptr(ir.Type.parse("!llvm.ptr"), word)


def opaque(address: Index, after: Sequence[ir.Value] = ()) -> ir.Value:
    """The same address as a pointer that LLVM cannot take apart.

    Args:
        after: registers that LLVM has to have computed before it loads from there. Cores look ahead of that by
            themselves. LLVM loads everything early whose address is known, more than there are registers, and spills.

    Else LLVM adds base and index up in every load, and a multiply-add that loads so is two instructions to Intel's
    cores; or it computes several sums in a vector, by instructions that wait for the multiply-adds' ports. On a core of
    Emerald Rapids, 64 or 128 columns, C1(2:4)->C0(2:4) goes from 64 to 82-85 GF/s, 1:4 from 90 to 95 (2026-11-22).
    """
    return llvm.inttoptr(ir.Type.parse("!llvm.ptr"), _kept(address, after))


def registers(values: Sequence[ir.Value], lanes: int) -> list[ir.Value]:
    """The registers of ``lanes`` elements that make up vectors, those of fewer left out."""
    return [
        vector.extract_strided_slice(ir.VectorType.get([lanes], v.type.element_type), v, [first], [lanes], [1])
        for v in values
        for first in range(0, v.type.shape[0] - lanes + 1, lanes)
    ]


def _kept(word: Index, after: Sequence[ir.Value] = ()) -> ir.Value:
    """An assembly statement without instructions."""
    i64 = ir.IntegerType.get_signless(64)
    operands, constraints = [arith.index_cast(i64, b.value(word)), *after], ["=r", "0", *["v"] * len(after)]
    return llvm.InlineAsmOp(i64, operands, "", ",".join(constraints)).results[0]


def load_at(type_: ir.VectorType, pointer: ir.Value, offset: int) -> ir.Value:
    """A vector ``offset`` bytes behind ``pointer``."""
    i8 = ir.IntegerType.get_signless(8)
    place = llvm.GEPOp(pointer.type, pointer, [], [offset], i8, 0).results[0] if offset else pointer
    return llvm.LoadOp(type_, place, alignment=type_.element_type.width // 8).results[0]
