"""Element types of a product: what its sums are kept in, and how operands get there."""

import dataclasses
import math

from pith._mlir import arith, ir, vector

from .. import builder as b
from ..bfloat16 import widen_bfloat16
from ..builder import Index
from ..sparse.contraction import Matmul

#: Largest integer up to which f32 holds all of them.
_F32_INTEGERS = 1 << 24

#: Bytes of a cache line.
CACHE_LINE = 64


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """How a product is computed.

    Attributes:
        element: type of the accumulators in registers and of the packed panels.
        sums: type of the results.
        sparse_unsigned, dense_unsigned: integers of the operand are widened without a sign.
        most_terms: products that a sum of ``element`` type may have before it must be added to ``sums``, or
            None for any number. f32 multiplies and adds bytes as fast as nothing else does, and exactly
            until a sum passes 2**24.
    """

    element: ir.Type
    sums: ir.Type
    sparse_unsigned: bool = False
    dense_unsigned: bool = False
    most_terms: int | None = None

    @classmethod
    def of(cls, m: Matmul) -> "Arithmetic":
        """The arithmetic of a product: that of its result, but f32 for products of two bytes."""
        block = m.generic.op.regions[0].blocks[0]
        sums = m.generic.init.type.element_type
        sparse, dense = (_is_unsigned(block.arguments[i]) for i in (m.generic.sparse, m.dense))
        widths = [v.type.element_type for v in m.generic.inputs]
        if not isinstance(sums, ir.IntegerType) or not all(_is_byte(t) for t in widths):
            return cls(sums, sums, sparse, dense)
        largest = (256 if sparse else 128) * (256 if dense else 128)
        return cls(ir.F32Type.get(), sums, sparse, dense, _F32_INTEGERS // largest)

    @property
    def whole(self) -> "Arithmetic":
        """The same in the type of the results: exact for any number of terms."""
        return dataclasses.replace(self, element=self.sums, most_terms=None)


def convert(value: ir.Value, element: ir.Type, unsigned: bool = False) -> ir.Value:
    """A scalar or vector in a wider element type, or as it is; integers may become floats."""
    shaped = isinstance(value.type, ir.VectorType)
    source = value.type.element_type if shaped else value.type
    if source == element:
        return value
    type_ = ir.VectorType.get(value.type.shape, element) if shaped else element
    if isinstance(source, ir.IntegerType):
        if isinstance(element, ir.IntegerType):
            return (arith.extui if unsigned else arith.extsi)(type_, value)
        return (arith.uitofp if unsigned else arith.sitofp)(type_, value)
    if isinstance(source, ir.BF16Type):
        value = widen_bfloat16(value)
        return value if isinstance(element, ir.F32Type) else arith.extf(type_, value)
    return arith.extf(type_, value)


def to_sums(value: ir.Value, sums: ir.Type) -> ir.Value:
    """An accumulator in the type of the results: f32 holds integers, where results are integers."""
    if value.type.element_type == sums:
        return value
    return arith.fptosi(ir.VectorType.get(value.type.shape, sums), value)


def multiply_add(x: ir.Value, y: ir.Value, acc: ir.Value) -> ir.Value:
    """``acc + x * y`` of vectors."""
    if isinstance(acc.type.element_type, ir.IntegerType):
        return arith.addi(acc, arith.muli(x, y))
    return vector.fma(x, y, acc)


def bytes_of(element: ir.Type) -> int:
    """Bytes of an element."""
    return element.width // 8


def whole_bytes(count: Index, bits: int) -> Index:
    """Whole bytes that ``count`` pieces of ``bits`` bits take.

    Of ``count * bits / 8`` LLVM would keep what the product may lose above: a mask beside the shift.
    """
    common = math.gcd(bits, 8)
    return b.div(b.mul(count, bits // common), 8 // common)


def _is_byte(type_: ir.Type) -> bool:
    return isinstance(type_, ir.IntegerType) and type_.width == 8


def _is_unsigned(argument: ir.Value) -> bool:
    users = (use.owner.name for use in argument.uses)
    return any(name in ("arith.extui", "arith.uitofp") for name in users)
