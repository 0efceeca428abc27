"""What kernels need of vectors and the vector dialect lacks."""

from pith._mlir import ext, ir

from .diagnostics import require, verifier
from .pith import Pith


class PermuteOp(Pith.Operation, name="permute", traits=[ext.Pure]):
    """Take an element of a vector for every lane: ``result[i] = source[index[i]]``, each row of a 2-D one for itself.

    Shapes: source: a 1-D or 2-D vector, rows as long as a power of two; index: as many rows of i32; result: an element
        per index.
    Semantics: of an index only the low bits count that tell the elements of a row apart. ``vector.shuffle`` is
        the op for constant indices.
    Errors: "expects 1-D or 2-D vectors of as many rows of one type", "expects rows of a power of two",
        "expects an i32 index per element".
    Source: ``vpermps``, ``vpermilps``, ``vpermi2ps`` and their kin.
    Example: ``%r = "pith.permute"(%x, %i) : (vector<8xf32>, vector<8xi32>) -> vector<8xf32>``
    """

    result: ext.Result[ir.VectorType]
    source: ext.Operand[ir.VectorType]
    index: ext.Operand[ir.VectorType]

    @classmethod
    def build(cls, source: ir.Value, index: ir.Value, *, loc=None, ip=None) -> "PermuteOp":
        """Elements of ``source`` in the order of ``index``."""
        type_ = ir.VectorType.get(index.type.shape, source.type.element_type)
        return cls(type_, source, index, loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        source, index, result = self.source.type, self.index.type, self.result.type
        rows, shape = list(source.shape[:-1]), list(result.shape)
        alike = len(rows) <= 1 and rows == shape[:-1] and source.element_type == result.element_type
        require(alike, "expects 1-D or 2-D vectors of as many rows of one type")
        require(source.shape[-1].bit_count() == 1, "expects rows of a power of two")
        i32 = ir.IntegerType.get_signless(32, context=source.context)
        require(index.element_type == i32 and list(index.shape) == shape, "expects an i32 index per element")


class DotOp(Pith.Operation, name="dot", traits=[ext.Pure]):
    """Add products of small integers in groups: ``result[i] = acc[i] + sum_j lhs[g*i + j] * rhs[g*i + j]``.

    Shapes: acc, result: n i32; lhs, rhs: 4n i8 or 2n i16.
    Semantics: bytes of lhs are unsigned, all other elements signed; sums wrap modulo 2^32, nothing saturates.
    Errors: "expects an i32 accumulator of one dimension", "expects two vectors of i8 or i16, a dword per accumulator".
    Source: ``vpdpbusd``; ``vpmaddwd`` and ``vpaddd``.
    Example: ``%r = "pith.dot"(%s, %x, %y) : (vector<8xi32>, vector<32xi8>, vector<32xi8>) -> vector<8xi32>``
    """

    result: ext.Result[ir.VectorType]
    acc: ext.Operand[ir.VectorType]
    lhs: ext.Operand[ir.VectorType]
    rhs: ext.Operand[ir.VectorType]

    @classmethod
    def build(cls, acc: ir.Value, lhs: ir.Value, rhs: ir.Value, *, loc=None, ip=None) -> "DotOp":
        """``acc`` with the products of ``lhs`` and ``rhs`` added."""
        return cls(acc.type, acc, lhs, rhs, loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        acc, lhs, rhs, result = self.acc.type, self.lhs.type, self.rhs.type, self.result.type
        whole = len(acc.shape) == 1 and str(acc.element_type) == "i32" and acc == result
        require(whole, "expects an i32 accumulator of one dimension")
        group = {"i8": 4, "i16": 2}.get(str(lhs.element_type), 0)
        dwords = lhs == rhs and list(lhs.shape) == [group * acc.shape[0]]
        require(dwords, "expects two vectors of i8 or i16, a dword per accumulator")
