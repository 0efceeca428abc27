"""What kernels need of vectors and the vector dialect lacks."""

from pith._mlir import ext, ir

from .diagnostics import require, verifier
from .pith import Pith


class PermuteOp(Pith.Operation, name="permute", traits=[ext.Pure]):
    """Take an element of a vector for every lane: ``result[i] = source[index[i]]``.

    Shapes: source, result: 1-D vectors of one type; index: as many i32.
    Semantics: indices out of range give unspecified elements. ``vector.shuffle`` is the op for
        constant indices.
    Errors: "expects 1-D vectors of the same type", "expects an i32 index per element".
    Source: ``vpermps`` and its kin.
    Example: ``%r = "pith.permute"(%x, %i) : (vector<8xf32>, vector<8xi32>) -> vector<8xf32>``
    """

    result: ext.Result[ir.VectorType]
    source: ext.Operand[ir.VectorType]
    index: ext.Operand[ir.VectorType]

    @classmethod
    def build(cls, source: ir.Value, index: ir.Value, *, loc=None, ip=None) -> "PermuteOp":
        """``source`` with its elements in the order of ``index``."""
        return cls(source.type, source, index, loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        source, index, result = self.source.type, self.index.type, self.result.type
        require(source == result and len(source.shape) == 1, "expects 1-D vectors of the same type")
        i32 = ir.IntegerType.get_signless(32, context=source.context)
        require(
            index.element_type == i32 and list(index.shape) == list(source.shape), "expects an i32 index per element"
        )
