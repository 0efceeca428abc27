"""``convert-pith-vectors-to-llvm``: permutations, compressed lanes, dot products and moved bits become instructions."""

import dataclasses
import itertools
import math
from typing import ClassVar

from pith._mlir import arith, ir, llvm, vector
from pith.passes.analysis.traversal import ops_named
from pith.passes.core import Pass

from ..isa import Isa
from ..module_isa import isa_of
from .emulate_dot import dot_lanes

#: Intrinsics for ``result[i] = source[index[i]]`` by element type, shape of the source and register width. A source of
#: two registers is two operands, the index between them.
_PERMUTES = {
    ("f32", (8,), 32): "llvm.x86.avx2.permps",
    ("f32", (2, 4), 32): "llvm.x86.avx.vpermilvar.ps.256",
    ("f32", (16,), 64): "llvm.x86.avx512.permvar.sf.512",
    ("f32", (32,), 64): "llvm.x86.avx512.vpermi2var.ps.512",
}

#: Intrinsics for dot products by lanes: of unsigned and signed bytes with an accumulator, and of pairs of 16 bits
#: without.
_BYTE_DOTS = {8: "llvm.x86.avx512.vpdpbusd.256", 16: "llvm.x86.avx512.vpdpbusd.512"}
_PAIR_DOTS = {8: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.avx512.pmaddw.d.512"}


def has_permute(element: str, shape: tuple[int, ...], vector_bytes: int) -> bool:
    """True when one instruction fills a register from such a vector, row by row."""
    return (element, shape, vector_bytes) in _PERMUTES


@dataclasses.dataclass(frozen=True)
class ConvertPithVectorsToLLVMPass(Pass):
    """Lower ``pith.permute``, ``pith.dot`` and their kin for the module's instruction set (``pith.isa``).

    Before::

        %r = "pith.permute"(%x, %i) : (vector<8xf32>, vector<8xi32>) -> vector<8xf32>
        %d = "pith.dot"(%s, %a, %b) : (vector<16xi32>, vector<64xi8>, vector<64xi8>) -> vector<16xi32>

    After, with 256-bit vectors, and with 512-bit ones and VNNI::

        %r = llvm.call_intrinsic "llvm.x86.avx2.permps"(%x, %i) : ...
        %d = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%s, %a, %b) : ...

    Where no instruction fits, and where instructions are to be emulated, elements are permuted one by one, and
    products are those of vectors of i32. LLVM itself expands ``compress_lanes``, ``extract_bits`` and ``deposit_bits``
    where there is no instruction. Lanes of ``pith.compress_lanes`` narrower than 32 bits are
    widened: AVX-512 compresses them from VBMI2 on. Without ``pith.isa`` the instruction set is the host's.

    Requires: nothing. Preserves: everything else. Cost: linear in the module.
    """

    name: ClassVar[str] = "convert-pith-vectors-to-llvm"

    def run(self, module: ir.Module) -> None:
        isa = isa_of(module)
        for op in ops_named(module.operation, *_LOWERINGS):
            with ir.InsertionPoint(op), op.location:
                made = _LOWERINGS[op.name](op, isa)
            op.results[0].replace_all_uses_with(made)
            op.erase()


def _call(type_: ir.Type, name: str, *operands: ir.Value) -> ir.Value:
    return llvm.call_intrinsic(type_, name, list(operands), [], [])


def _permute(op: ir.Operation, isa: Isa) -> ir.Value:
    source, index = op.operands
    name = _PERMUTES.get((str(source.type.element_type), tuple(source.type.shape), isa.vector_bytes))
    type_, lanes = op.results[0].type, math.prod(index.type.shape)
    if not name or isa.emulated or lanes * source.type.element_type.width != 8 * isa.vector_bytes:
        return _by_element(type_, source, index)
    flat, at = _flat(source), _flat(index)
    starts = range(0, flat.type.shape[0], lanes)
    parts = [flat] if len(starts) == 1 else [vector.shuffle(flat, flat, list(range(i, i + lanes))) for i in starts]
    first, *more = parts
    made = _call(first.type, name, first, at, *more)
    return made if made.type == type_ else vector.shape_cast(type_, made)


def _flat(x: ir.Value) -> ir.Value:
    if x.type.rank == 1:
        return x
    return vector.shape_cast(ir.VectorType.get([math.prod(x.type.shape)], x.type.element_type), x)


def _by_element(type_: ir.Type, source: ir.Value, index: ir.Value) -> ir.Value:
    bits = arith.constant(index.type.element_type, source.type.shape[-1] - 1)
    out = source
    if source.type != type_:
        out = vector.broadcast(type_, vector.extract(source, [], [0] * source.type.rank))
    for *row, lane in itertools.product(*map(range, index.type.shape)):
        at = arith.andi(vector.extract(index, [], [*row, lane]), bits)
        place = [*row, ir.ShapedType.get_dynamic_size()]
        element = vector.extract(source, [arith.index_cast(ir.IndexType.get(), at)], place)
        out = vector.insert(element, out, [], [*row, lane])
    return out


def _dot(op: ir.Operation, isa: Isa) -> ir.Value:
    acc, lhs, rhs = op.operands
    lanes, of_bytes = acc.type.shape[0], str(lhs.type.element_type) == "i8"
    fits = 4 * lanes <= isa.vector_bytes and not isa.emulated
    if of_bytes and isa.vnni and fits and lanes in _BYTE_DOTS:
        return _call(acc.type, _BYTE_DOTS[lanes], acc, lhs, rhs)
    if not of_bytes and fits and lanes in _PAIR_DOTS:
        return arith.addi(acc, _call(acc.type, _PAIR_DOTS[lanes], lhs, rhs))
    return dot_lanes(op, (of_bytes, False))


def _compress_lanes(op: ir.Operation, isa: Isa) -> ir.Value:
    return _compressed(*op.operands)


def _compressed(source: ir.Value, mask: ir.Value) -> ir.Value:
    type_, shape = source.type, source.type.shape
    width = type_.element_type.width
    if width >= 32:
        return _call(type_, "llvm.experimental.vector.compress", source, mask, llvm.mlir_poison(type_))
    own = ir.VectorType.get(shape, ir.IntegerType.get_signless(width))
    bits = source if own == type_ else arith.bitcast(own, source)
    wide = arith.extui(ir.VectorType.get(shape, ir.IntegerType.get_signless(32)), bits)
    narrow = arith.trunci(own, _compressed(wide, mask))
    return narrow if own == type_ else arith.bitcast(type_, narrow)


def _extract_bits(op: ir.Operation, isa: Isa) -> ir.Value:
    return _call(op.results[0].type, "llvm.pext", *op.operands)


def _deposit_bits(op: ir.Operation, isa: Isa) -> ir.Value:
    return _call(op.results[0].type, "llvm.pdep", *op.operands)


_LOWERINGS = {
    "pith.permute": _permute,
    "pith.dot": _dot,
    "pith.compress_lanes": _compress_lanes,
    "pith.extract_bits": _extract_bits,
    "pith.deposit_bits": _deposit_bits,
}
