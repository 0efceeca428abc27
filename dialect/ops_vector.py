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


class CompressLanesOp(Pith.Operation, name="compress_lanes", traits=[ext.Pure]):
    """The lanes of a vector where a mask holds, side by side from the first on.

    Shapes: source, result: n elements of 8 to 64 bits; mask: n x i1.
    Semantics: what the lanes behind them hold is undefined.
    Errors: "expects a mask of as many lanes and a result like the source".
    Source: ``vpcompressd`` and its kin, into a register: into memory ``vcompressps`` takes 52 to 69 cycles of the time
        stamp counter, into a register and from there 1.4 (Zen 4, 2026-11).
    Example: ``%r = "pith.compress_lanes"(%x, %m) : (vector<16xf32>, vector<16xi1>) -> vector<16xf32>``
    """

    result: ext.Result[ir.VectorType]
    source: ext.Operand[ir.VectorType]
    mask: ext.Operand[ir.VectorType]

    @classmethod
    def build(cls, source: ir.Value, mask: ir.Value, *, loc=None, ip=None) -> "CompressLanesOp":
        """The lanes of ``source`` where ``mask`` holds."""
        return cls(source.type, source, mask, loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        source, mask = self.source.type, self.mask.type
        flags = len(source.shape) == 1 and list(mask.shape) == list(source.shape) and str(mask.element_type) == "i1"
        alike = flags and self.result.type == source
        require(alike, "expects a mask of as many lanes and a result like the source")


class ExtractBitsOp(Pith.Operation, name="extract_bits", traits=[ext.Pure]):
    """The bits of a word where a mask has ones, side by side from the lowest on.

    Shapes: source, mask, result: i64.
    Semantics: the bits above them are zeros.
    Errors: "expects words of 64 bits".
    Source: ``pext``, 3 cycles on Intel's cores and on AMD's from Zen 3 on.
    Example: ``%r = "pith.extract_bits"(%x, %m) : (i64, i64) -> i64``
    """

    result: ext.Result[ir.IntegerType]
    source: ext.Operand[ir.IntegerType]
    mask: ext.Operand[ir.IntegerType]

    @classmethod
    def build(cls, source: ir.Value, mask: ir.Value, *, loc=None, ip=None) -> "ExtractBitsOp":
        """The bits of ``source`` where ``mask`` has ones."""
        return cls(source.type, source, mask, loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        _require_words(self.source, self.mask, self.result)


class DepositBitsOp(Pith.Operation, name="deposit_bits", traits=[ext.Pure]):
    """The lowest bits of a word, one where each one of a mask is. Undoes ``pith.extract_bits``.

    Shapes: source, mask, result: i64.
    Semantics: the other bits are zeros.
    Errors: "expects words of 64 bits".
    Source: ``pdep``, 3 cycles on Intel's cores and on AMD's from Zen 3 on.
    Example: ``%r = "pith.deposit_bits"(%x, %m) : (i64, i64) -> i64``
    """

    result: ext.Result[ir.IntegerType]
    source: ext.Operand[ir.IntegerType]
    mask: ext.Operand[ir.IntegerType]

    @classmethod
    def build(cls, source: ir.Value, mask: ir.Value, *, loc=None, ip=None) -> "DepositBitsOp":
        """The lowest bits of ``source`` at the ones of ``mask``."""
        return cls(source.type, source, mask, loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        _require_words(self.source, self.mask, self.result)


def _require_words(*words: ir.Value) -> None:
    require(all(w.type.width == 64 for w in words), "expects words of 64 bits")
